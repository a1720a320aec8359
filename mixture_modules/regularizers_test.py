"""Tests of the regularisers against their definitions (section 3.2)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import regularizers
from mixture_modules import template_bank


def make_bank(num_templates, scale=1.0, seed=0):
  """A bank of two slots, one with biases, of random templates."""
  bank = template_bank.TemplateBank(num_templates)
  rng = np.random.default_rng(seed)
  for slot, shape in (('conv/kernel', (3, 3, 2, 4)), ('conv/bias', (4,))):
    bank.add_slot(slot, shape, 'zeros')
    bank.templates(slot).assign(
        scale * rng.normal(size=(num_templates, *shape)))
  return bank


def make_mixtures(num_layers, num_templates, seed=1):
  rng = np.random.default_rng(seed)
  return rng.dirichlet(np.ones(num_templates), num_layers).astype('float32')


def direct_entropy(mixtures):
  """-sum_l sum_k xi_lk log xi_lk."""
  return -sum(x * np.log(x) for x in mixtures.astype('float64').ravel() if x)


def direct_clustering(mixtures, bank, g):
  """sum_l sum_k xi_lk g(|mean_l - theta_k|), on whole flat templates."""
  theta = np.concatenate(
      [bank.templates(slot).numpy().reshape(bank.num_templates, -1)
       for slot in bank.slots], axis=1).astype('float64')
  total = 0.0
  for xi in mixtures.astype('float64'):
    mean = sum(x * t for x, t in zip(xi, theta))
    for x, t in zip(xi, theta):
      total += x * g(np.sqrt(np.sum((mean - t) ** 2)))
  return total


_DISTANCES = {'identity': lambda d: d, 'square': lambda d: d ** 2}


class EntropyTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((1, 3), (5, 4), (16, 32))
  def test_matches_numpy(self, num_layers, num_templates):
    mixtures = make_mixtures(num_layers, num_templates)
    self.assertAllClose(regularizers.entropy(mixtures),
                        direct_entropy(mixtures), rtol=1e-5)

  def test_of_one_hot_and_uniform_rows(self):
    self.assertAllClose(regularizers.entropy(np.eye(4, dtype='float32')), 0.0)
    uniform = np.full((3, 4), 0.25, 'float32')
    self.assertAllClose(regularizers.entropy(uniform), 3 * np.log(4))

  def test_gradient_is_finite_at_one_hot(self):
    logits = tf.Variable([[200.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    with tf.GradientTape() as tape:
      loss = regularizers.entropy(tf.nn.softmax(logits))
    gradient = tape.gradient(loss, logits).numpy()
    self.assertTrue(np.isfinite(gradient).all())
    self.assertAllClose(gradient[0], [0.0, 0.0, 0.0])
    self.assertLess(gradient[1, 1], -0.1)  # descent sharpens the second row


class ClusteringTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.product(
      distance=['identity', 'square'], sizes=[(1, 2), (3, 4), (16, 9)],
      scale=[1.0, 0.01])
  def test_matches_numpy(self, distance, sizes, scale):
    num_layers, num_templates = sizes
    bank = make_bank(num_templates, scale)
    mixtures = make_mixtures(num_layers, num_templates)
    self.assertAllClose(
        regularizers.clustering(mixtures, bank, distance),
        direct_clustering(mixtures, bank, _DISTANCES[distance]), rtol=1e-4,
        atol=0)

  def test_far_from_the_origin(self):
    # Templates that differ little, as they do at the start of a training.
    bank = make_bank(4, scale=0.01)
    mixtures = make_mixtures(3, 4)
    near = direct_clustering(mixtures, bank, _DISTANCES['identity'])
    bank.templates('conv/kernel').assign_add(
        np.ones(bank.templates('conv/kernel').shape))
    self.assertAllClose(
        regularizers.clustering(mixtures, bank), near, rtol=1e-3)

  @parameterized.parameters('identity', 'square')
  def test_of_one_hot_rows_is_zero(self, distance):
    bank = make_bank(4)
    self.assertAllClose(regularizers.clustering(
        np.eye(4, dtype='float32')[[0, 2, 2]], bank, distance), 0.0, atol=2e-5)

  @parameterized.product(
      distance=['identity', 'square'],
      case=['one_hot', 'identical', 'random'])
  def test_gradients_are_finite(self, distance, case):
    bank = make_bank(3, scale=0.0 if case == 'identical' else 1.0)
    sharpness = 200.0 if case == 'one_hot' else 1.0
    logits = tf.Variable(sharpness * np.eye(3, dtype='float32'))
    templates = [bank.templates(slot).value for slot in bank.slots]
    with tf.GradientTape() as tape:
      loss = regularizers.clustering(tf.nn.softmax(logits), bank, distance)
    gradients = tape.gradient(loss, [logits, *templates])
    for gradient in gradients:
      self.assertTrue(np.isfinite(gradient.numpy()).all())
    moves = [np.abs(gradient.numpy()).max() > 1e-3 for gradient in gradients]
    self.assertEqual(moves, [case == 'random'] * 3)

  @parameterized.parameters('identity', 'square')
  def test_gradient_matches_differences(self, distance):
    bank = make_bank(3)
    logits = np.random.default_rng(2).normal(size=(2, 3)).astype('float32')

    def value(x):
      xi = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
      return direct_clustering(xi, bank, _DISTANCES[distance])

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
      loss = regularizers.clustering(tf.nn.softmax(variable), bank, distance)
    gradient = tape.gradient(loss, variable).numpy()
    for index in np.ndindex(logits.shape):
      step = np.zeros(logits.shape)
      step[index] = 1e-4
      difference = (value(logits + step) - value(logits - step)) / 2e-4
      self.assertAllClose(gradient[index], difference, rtol=1e-2, atol=1e-3)

  def test_pulls_mixtures_towards_one_hot(self):
    bank = make_bank(4)
    logits = keras.Variable(np.random.default_rng(3).normal(size=(5, 4)))
    before = tf.reduce_max(tf.nn.softmax(logits.value), -1)
    for _ in range(100):
      with tf.GradientTape() as tape:
        loss = regularizers.clustering(tf.nn.softmax(logits.value), bank)
      logits.assign_sub(0.2 * tape.gradient(loss, logits.value))
    after = tf.reduce_max(tf.nn.softmax(logits.value), -1)
    self.assertAllGreater(after - before, 0.05)

  def test_rejects_an_unknown_distance(self):
    with self.assertRaisesRegex(
        ValueError, r"one of \['identity', 'square'\], received 'cube'"):
      regularizers.clustering(make_mixtures(2, 2), make_bank(2), 'cube')


if __name__ == '__main__':
  tf.test.main()
