"""Tests of the regularisers against their definitions (section 3.2)."""


from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_conv
from mixture_modules import regularizers
from mixture_modules import signatures
from mixture_modules import template_bank
from mixture_modules.testing import numpy_regularizers


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


def clustering(mixtures, bank, distance='identity'):
  return regularizers.clustering(
      mixtures, regularizers.squared_distances(bank), distance)


_DISTANCES = ['identity', 'square', 'bounded']


class EntropyTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((1, 3), (5, 4), (16, 32))
  def test_matches_numpy(self, num_layers, num_templates):
    mixtures = make_mixtures(num_layers, num_templates)
    self.assertAllClose(regularizers.entropy(mixtures),
                        numpy_regularizers.direct_entropy(mixtures), rtol=1e-5)

  def test_arrays_and_tensors_are_alike_along_every_axis(self):
    mixtures = np.float64(make_mixtures(5, 4))
    for axis in (0, -1, None):
      found = regularizers.entropies(mixtures, axis, np)
      self.assertEqual(np.float64, found.dtype)
      self.assertAllClose(
          regularizers.entropies(np.float32(mixtures), axis), found, 1e-5)
    self.assertAllClose(
        regularizers.entropies(mixtures, arrays=np),
        [numpy_regularizers.direct_entropy(row) for row in mixtures], 1e-12)

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
      distance=_DISTANCES, sizes=[(1, 2), (3, 4), (16, 9)], scale=[1.0, 1e-4])
  def test_matches_numpy(self, distance, sizes, scale):
    num_layers, num_templates = sizes
    bank = make_bank(num_templates, scale)
    mixtures = make_mixtures(num_layers, num_templates)
    received = clustering(mixtures, bank, distance)
    self.assertEqual(received.dtype, tf.float32)
    self.assertAllClose(
        received,
        numpy_regularizers.direct_clustering(mixtures, bank, distance),
        rtol=1e-5, atol=0)

  def test_squared_distances(self):
    bank = make_bank(5)
    theta = numpy_regularizers.whole_templates(bank)
    expected = np.sum((theta[:, None] - theta[None]) ** 2, -1)
    received = regularizers.squared_distances(bank)
    self.assertAllClose(received, expected, rtol=1e-12, atol=0)
    self.assertAllEqual(np.diag(received), np.zeros(5))

  @parameterized.parameters(*_DISTANCES)
  def test_nothing_cancels(self, distance):
    # Two templates that agree to five digits beside one that is far away, and
    # mixtures that are nearly one-hot.
    bank = make_bank(3)
    for slot in bank.slots:
      templates = 10 + bank.templates(slot).numpy()
      templates[1] = templates[0] + 1e-4 * (templates[1] - templates[0])
      bank.templates(slot).assign(templates)
    for xi in ([0.5, 0.5, 0.0], [0.0, 1e-5, 1 - 1e-5], [1 - 1e-7, 1e-7, 0.0]):
      mixtures = np.array([xi], 'float32')
      exact = mixtures.astype('float64')
      exact /= exact.sum(-1, keepdims=True)
      self.assertAllClose(
          clustering(mixtures, bank, distance),
          numpy_regularizers.direct_clustering(exact, bank, distance),
          rtol=1e-4, atol=0)

  @parameterized.parameters(*_DISTANCES)
  def test_of_one_hot_rows_is_zero(self, distance):
    mixtures = np.eye(4, dtype='float32')[[0, 2, 2]]
    self.assertEqual(float(clustering(mixtures, make_bank(4), distance)), 0)

  @parameterized.product(
      distance=_DISTANCES, case=['one_hot', 'identical', 'random'])
  def test_gradients_are_finite(self, distance, case):
    bank = make_bank(3, scale=0.0 if case == 'identical' else 1.0)
    if case == 'identical':
      bank.templates('conv/bias').assign_add(np.full((3, 4), 0.1))
    sharpness = 200.0 if case == 'one_hot' else 1.0
    logits = tf.Variable(sharpness * np.eye(3, dtype='float32'))
    templates = [bank.templates(slot).value for slot in bank.slots]
    with tf.GradientTape() as tape:
      loss = clustering(tf.nn.softmax(logits), bank, distance)
    for gradient in tape.gradient(loss, [logits, *templates]):
      self.assertTrue(np.isfinite(gradient.numpy()).all())
      if case == 'random':
        self.assertGreater(np.abs(gradient.numpy()).max(), 1e-3)
      else:
        self.assertAllEqual(gradient, tf.zeros_like(gradient))

  @parameterized.parameters(*_DISTANCES)
  def test_gradient_matches_differences(self, distance):
    bank = make_bank(3)
    logits = tf.Variable(np.random.default_rng(2).normal(size=(2, 3)))
    templates = bank.templates('conv/bias')
    with tf.GradientTape() as tape:
      loss = clustering(
          tf.nn.softmax(tf.cast(logits, 'float32')), bank, distance)
    gradients = tape.gradient(loss, [logits, templates.value])
    # No gradient goes through the scale.
    theta = numpy_regularizers.whole_templates(bank)
    scale = np.sqrt(np.sum((theta[:, None] - theta[None]) ** 2) / 6)

    def value():
      xi = np.exp(logits.numpy())
      return numpy_regularizers.direct_clustering(
          xi / xi.sum(-1, keepdims=True), bank, distance, scale)

    for variable, gradient in zip((logits, templates), gradients):
      start = variable.numpy()
      for index in np.ndindex(start.shape):
        values = []
        for step in (1e-3, -1e-3):
          moved = start.copy()
          moved[index] += step
          variable.assign(moved)
          values.append(value())
        self.assertAllClose(
            gradient[index], (values[0] - values[1]) / 2e-3, rtol=1e-3,
            atol=1e-4)
      variable.assign(start)

  def test_bounded_has_no_scale(self):
    mixtures = make_mixtures(8, 4)
    values = [float(clustering(mixtures, make_bank(4, scale), 'bounded'))
              for scale in (1e-3, 1.0, 1e3)]
    self.assertAllClose(values, [values[1]] * 3, rtol=1e-5)
    self.assertBetween(values[1] / 8, 0.1, 0.4)

  @parameterized.parameters(*_DISTANCES)
  def test_pulls_mixtures_towards_one_hot(self, distance):
    bank = make_bank(4)
    logits = keras.Variable(np.random.default_rng(3).normal(size=(5, 4)))
    before = tf.reduce_max(tf.nn.softmax(logits.value), -1)
    for _ in range(100):
      with tf.GradientTape() as tape:
        loss = clustering(tf.nn.softmax(logits.value), bank, distance)
      gradient = tape.gradient(loss, logits.value)
      logits.assign_sub(0.2 * gradient / tf.reduce_max(tf.abs(gradient)))
    after = tf.reduce_max(tf.nn.softmax(logits.value), -1)
    self.assertAllGreater(after - before, 0.05)

  @parameterized.parameters(*_DISTANCES)
  def test_pulls_templates_towards_the_mean(self, distance):
    bank = make_bank(4)
    before = tf.reduce_sum(regularizers.squared_distances(bank))
    templates = [bank.templates(slot) for slot in bank.slots]
    with tf.GradientTape() as tape:
      loss = clustering(make_mixtures(5, 4), bank, distance)
    for variable, gradient in zip(
        templates, tape.gradient(loss, [v.value for v in templates])):
      variable.assign_sub(0.01 * gradient)
    self.assertLess(
        tf.reduce_sum(regularizers.squared_distances(bank)), before)

  def test_rejects_an_unknown_distance(self):
    with self.assertRaisesRegex(
        ValueError,
        "one of identity, square, bounded, received 'cube'"):
      clustering(make_mixtures(2, 2), make_bank(2), 'cube')


class MixtureRegularizerTest(parameterized.TestCase, tf.test.TestCase):

  def make_layers(self, weights, shared=False):
    """Two layers, each called twice, in a functional model; the bank."""
    bank = template_bank.TemplateBank(3)
    signature = signatures.Signature(1, 3) if shared else None
    layers = [
        mixture_conv.MixtureConv2D(
            2, size, padding='same', bank=bank, signature=signature,
            mixture_regularizer=weights) for size in (1, 3)]
    x = inputs = keras.Input((4, 4, 2))
    for layer in (*layers, *layers):
      x = layer(x)
    return keras.Model(inputs, x), layers, bank

  @parameterized.product(shared=(True, False), distance=_DISTANCES)
  def test_loss_in_fit_is_that_of_the_definition(self, shared, distance):
    weights = regularizers.MixtureRegularizer(0.5, 0.25, distance)
    model, layers, bank = self.make_layers(weights, shared)
    groups = [layers] if shared else [[layer] for layer in layers]
    expected = 0.0
    for group in groups:  # the layers of one signature
      xi = group[0].signature.mixture_weights().numpy()
      # A bank of their slots alone.
      mixed = template_bank.TemplateBank(3)
      for slot in (slot for layer in group for slot in layer.slots):
        values = bank.templates(slot)
        mixed.add_slot(slot, values.shape[1:], 'zeros')
        mixed.templates(slot).assign(values)
      expected += 0.5 * numpy_regularizers.direct_entropy(xi)
      expected += 0.25 * numpy_regularizers.direct_clustering(
          xi, mixed, distance)
    images = np.ones((2, 4, 4, 2), 'float32')
    model.compile('sgd', 'mse', run_eagerly=distance == 'square')
    error = np.mean((model(images) - images) ** 2)
    self.assertLen(model.losses, len(groups))
    loss = model.evaluate(images, images, verbose=0)
    self.assertAllClose(error + expected, loss, 1e-5)
    before = [v.numpy() for v in model.trainable_variables]
    self.assertAllClose(loss, model.train_on_batch(images, images), 1e-5)
    for variable, value in zip(model.trainable_variables, before):
      if not variable.path.endswith('bias'):
        self.assertNotAllClose(variable, value, rtol=0, atol=1e-7)
    # What does not train is not regularised.
    for layer in layers:
      layer.trainable = False
    model(images)
    self.assertEmpty(model.losses)

  def test_makes_mixtures_sharper(self):
    model, layers, _ = self.make_layers({'entropy': 1})
    images = np.zeros((2, 4, 4, 2), 'float32')
    model.compile(keras.optimizers.SGD(1.0), 'mse')
    before = [max(layer.signature.mixture_weights()[0]) for layer in layers]
    model.fit(images, images, epochs=5, verbose=0)
    after = [max(layer.signature.mixture_weights()[0]) for layer in layers]
    self.assertAllGreater(np.subtract(after, before), 0.05)

  def test_a_fixed_signature_has_no_loss_until_it_is_relaxed(self):
    bank = template_bank.TemplateBank(3)
    layer = mixture_conv.MixtureConv2D(
        2, 1, bank=bank, signature=1, mixture_regularizer={'entropy': 1})
    images = np.ones((1, 2, 2, 2), 'float32')
    layer(images)
    self.assertEmpty(layer.losses)
    with self.assertRaisesRegex(ValueError, "received 'linear': take softmax"):
      layer.signature.relax('linear')
    self.assertEqual('1', layer.signature.kind)
    layer.signature.relax()
    layer(images)
    self.assertAllClose(
        layer.losses, [-0.9 * np.log(0.9) - 0.1 * np.log(0.05)])

  @parameterized.named_parameters(
      ('negative', {'entropy': -1}, 'entropy .* received -1'),
      ('distance', {'clustering_distance': 'cube'}, "received 'cube'"),
      ('name', {'weight': 1}, "clustering_distance, received 'weight'"),
      ('kind', 'entropy', "a MixtureRegularizer, received 'entropy'"))
  def test_rejects(self, weights, message):
    with self.assertRaisesRegex(ValueError, message):
      self.make_layers(weights)

  def test_rejects_what_contradicts(self):
    bank = template_bank.TemplateBank(3)
    signature = signatures.Signature(1, 3)

    def make(weights, signature=signature):
      mixture_conv.MixtureConv2D(2, 1, bank=bank, signature=signature,
                                 mixture_regularizer=weights)

    make({'entropy': 1})
    make(None)
    make(regularizers.MixtureRegularizer(1))
    with self.assertRaisesRegex(ValueError, 'entropy=2.*after .*entropy=1'):
      make({'entropy': 2})
    with self.assertRaisesRegex(ValueError, "received 'linear': take softmax"):
      make({'entropy': 1}, 'linear')


if __name__ == '__main__':
  tf.test.main()
