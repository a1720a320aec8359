"""Mixed batch normalisation against NumPy and Keras (section 4.1)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import normalization
from mixture_modules import signatures
from mixture_modules import template_bank


def _inputs(shape=(4, 3, 5, 6), seed=0):
  return np.random.default_rng(seed).normal(
      1, 2, size=shape).astype('float32')


def _built(**options):
  """A layer of 3 templates with random parameters and statistics."""
  bank = template_bank.TemplateBank(3)
  layer = normalization.MixtureBatchNormalization(
      bank=bank, slot='norm', **options)
  layer.build((None, 6))
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    bank.templates(slot).assign(rng.normal(size=(3, 6)))
  layer.moving_mean.assign(rng.normal(size=6))
  layer.moving_variance.assign(rng.uniform(.5, 2, size=6))
  return layer


def _plain(layer, template, rank=4, **options):
  """Keras' layer with one template's parameters."""
  plain = keras.layers.BatchNormalization(**options)
  plain.build((*[None] * (rank - 1), 6))
  weights = [layer.bank.templates(slot)[template] for slot in layer.slots]
  plain.set_weights(
      [*weights, layer.moving_mean.numpy(), layer.moving_variance.numpy()])
  return plain


class BatchNormTest(parameterized.TestCase, tf.test.TestCase):

  # 1e-6 is below what the fused kernel takes.
  @parameterized.product(
      training=(True, False), epsilon=(1e-3, 1e-6),
      shape=((8, 6), (4, 3, 5, 6), (2, 3, 6)))
  def test_matches_numpy(self, training, epsilon, shape):
    x = _inputs(shape) * 1e-3
    rng = np.random.default_rng(2)
    gamma, beta, mean = rng.normal(size=(3, 6)).astype('float32')
    variance = rng.uniform(1e-6, 2e-6, size=6).astype('float32')
    y, *used = normalization.batch_norm(
        x, gamma, beta, mean, variance, epsilon, training)
    if training:
      axes = tuple(range(len(shape) - 1))
      mean, variance = x.mean(axes), x.var(axes)
    # y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
    expected = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    self.assertAllClose(expected, y, 1e-3, 1e-3)
    self.assertAllClose(mean, used[0], 1e-4, 1e-7)
    self.assertAllClose(variance, used[1], 1e-4, 1e-9)

  @parameterized.parameters('bfloat16', 'float16', 'float64')
  def test_other_types(self, dtype):
    gamma, beta, mean = np.ones((3, 6), 'float32')
    y, *used = normalization.batch_norm(
        tf.cast(_inputs(), dtype), gamma, beta, mean, gamma, 1e-3, True)
    self.assertEqual(dtype, y.dtype.name)
    for value, expected in zip(
        used, (_inputs().mean((0, 1, 2)), _inputs().var((0, 1, 2)))):
      self.assertEqual(tf.float32, value.dtype)
      self.assertAllClose(expected, value, .02, .02)

  @parameterized.parameters(1e-3, 1e-5)  # fused and not
  def test_empty_batch_keeps_the_moving_statistics(self, epsilon):
    gamma, beta, mean, variance = _inputs((4, 6))
    y, *used = normalization.batch_norm(
        np.zeros((0, 2, 2, 6), 'float32'), gamma, beta, mean, variance,
        epsilon, True)
    self.assertEqual((0, 2, 2, 6), y.shape)
    self.assertAllEqual(mean, used[0])
    self.assertAllEqual(variance, used[1])

  @parameterized.parameters(1e-3, 1e-5)
  def test_large_means_in_half_precision(self, epsilon):
    x = tf.cast(np.random.default_rng(0).normal(100, 1, (64, 6)), 'bfloat16')
    ones, zeros = np.ones(6, 'float32'), np.zeros(6, 'float32')
    y, *_ = normalization.batch_norm(x, ones, zeros, zeros, ones, epsilon, True)
    exact = tf.cast(x, 'float64').numpy()
    exact = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + epsilon)
    self.assertAllClose(exact, tf.cast(y, 'float64'), 0, 0.01)

  def test_single_value_has_no_variance(self):
    ones = np.ones(6, 'float32')
    _, mean, variance = normalization.batch_norm(
        _inputs((1, 6)), ones, ones, ones, ones, 1e-3, True)
    self.assertAllClose(_inputs((1, 6))[0], mean)
    self.assertAllEqual(np.zeros(6), variance)


class MixtureBatchNormalizationTest(
    parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  def test_mixture_matches_numpy(self):
    layer = _built()
    xi = np.float32([.5, -.3, .8])
    gamma, beta = (np.tensordot(xi, layer.bank.templates(slot).numpy(), 1)
                   for slot in ('norm/gamma', 'norm/beta'))
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    # y = gamma(xi) * (x - mean) / sqrt(variance + epsilon) + beta(xi)
    expected = gamma * (_inputs() - mean) / np.sqrt(variance + 1e-3) + beta
    self.assertAllClose(
        expected, layer(_inputs(), mixture=xi), 1e-4, 1e-4)

  @parameterized.named_parameters(
      ('default', {}), ('momentum', {'momentum': .5}),
      ('epsilon', {'epsilon': .1}), ('small_epsilon', {'epsilon': 1e-6}),
      ('no_center', {'center': False}), ('no_scale', {'scale': False}),
      ('neither', {'center': False, 'scale': False}))
  def test_one_hot_mixture_equals_plain_norm(self, options):
    layer = _built(**options)
    plain = _plain(layer, 1, **options)
    for mixture in (1, np.float32([0, 1, 0])):
      self.assertAllClose(
          plain(_inputs()), layer(_inputs(), mixture=mixture), 1e-4, 1e-4)
    if layer.slots:
      self.assertNotAllClose(plain(_inputs()), layer(_inputs(), mixture=0))
    for step in range(3):
      x = _inputs(seed=step)
      self.assertAllClose(plain(x, training=True),
                          layer(x, mixture=1, training=True), 1e-4, 1e-4)
      self.assertAllClose(plain.moving_mean, layer.moving_mean, 1e-5, 1e-5)
      self.assertAllClose(
          plain.moving_variance, layer.moving_variance, 1e-5, 1e-5)
    self.assertAllClose(
        plain(_inputs()), layer(_inputs(), mixture=1), 1e-4, 1e-4)

  @parameterized.parameters(((8, 6),), ((4, 3, 6),), ((2, 3, 2, 2, 6),))
  def test_other_ranks_equal_plain_norm(self, shape):
    layer = _built()
    plain = _plain(layer, 2, rank=len(shape))
    for training in (True, False):
      self.assertAllClose(
          plain(_inputs(shape), training=training),
          layer(_inputs(shape), mixture=2, training=training), 1e-4, 1e-4)

  @parameterized.parameters(True, False)
  def test_gradients_equal_those_of_plain_norm(self, training):
    layer = _built()
    plain = _plain(layer, 1)
    x, weights = tf.constant(_inputs()), _inputs(seed=5)
    gradients = []
    for call, variables in (
        (lambda: plain(x, training=training), [plain.gamma, plain.beta]),
        (lambda: layer(x, mixture=1, training=training),
         [layer.bank.templates(slot) for slot in layer.slots])):
      with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(call() * weights)
      gradients.append(tape.gradient(loss, [x, *(v.value for v in variables)]))
    expected, received = gradients
    self.assertAllClose(expected[0], received[0], 1e-3, 1e-3)
    for plain_gradient, slices in zip(expected[1:], received[1:]):
      gradient = tf.convert_to_tensor(slices)
      self.assertAllClose(plain_gradient, gradient[1], 1e-3, 1e-3)
      self.assertAllEqual(np.zeros((2, 6)), gradient[::2])

  @parameterized.parameters(True, False)
  def test_mask_equals_that_of_plain_norm(self, training):
    inputs = _inputs((3, 4, 5, 6))
    mask = np.random.default_rng(1).random((3, 4, 5)) < .6
    layer = _built(signature=signatures.Signature(1, 3, '2'))
    plain = _plain(layer, 1)
    self.assertAllClose(
        plain(inputs, training=training, mask=mask),
        layer(inputs, training=training, mask=mask), 1e-5, 1e-5)
    self.assertAllClose(plain.moving_mean, layer.moving_mean)
    self.assertAllClose(plain.moving_variance, layer.moving_variance)
    self.assertNotAllClose(layer(inputs, training=True),
                           layer(inputs, training=True, mask=mask))

  def test_mask_of_another_rank_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'mask of shape .*received \[4\]'):
      _built()(_inputs(), mask=np.ones(4, bool))

  def test_mask_is_handed_on_with_a_mixture(self):
    inputs = _inputs((2, 4, 6))
    inputs[:, 2:] = 0
    layer, other = _built(), _built()
    mixture = tf.constant([.2, .3, .5])
    layer(keras.layers.Masking()(inputs), mixture=mixture, training=True)
    other(inputs[:, :2], mixture=mixture, training=True)
    self.assertAllClose(other.moving_mean, layer.moving_mean)
    self.assertAllClose(other.moving_variance, layer.moving_variance)

  def test_mask_is_handed_on(self):
    layer = _built()
    inputs = keras.Input((None, 6))
    masked = keras.layers.Masking()(inputs)
    outputs = keras.layers.GlobalAveragePooling1D()(layer(masked))
    images = _inputs((2, 4, 6))
    images[:, 2:] = 0
    self.assertAllClose(keras.ops.mean(layer(images[:, :2]), 1),
                        keras.Model(inputs, outputs)(images), 1e-5, 1e-5)

  def test_masked_as_a_whole_keeps_the_moving_statistics(self):
    layer = _built()
    expected = layer(_inputs())
    mask = np.zeros((4, 3, 5), bool)
    self.assertAllClose(expected, layer(_inputs(), training=True, mask=mask))
    self.assertAllClose(expected, layer(_inputs()), 1e-5, 1e-5)

  def test_statistics_move_only_in_training(self):
    layer = _built()
    before = [v.numpy() for v in layer.non_trainable_variables]
    self.assertLen(before, 2)
    for options in ({}, {'training': False}):
      layer(_inputs(), **options)
    for old, variable in zip(before, layer.non_trainable_variables):
      self.assertAllEqual(old, variable)
    layer(_inputs(), training=True)
    for old, variable in zip(before, layer.non_trainable_variables):
      self.assertNotAllClose(old, variable)

  def test_frozen_layer_uses_the_moving_statistics(self):
    layer = _built()
    expected = layer(_inputs())
    layer.trainable = False
    before = layer.moving_mean.numpy()
    self.assertAllEqual(expected, layer(_inputs(), training=True))
    self.assertAllEqual(before, layer.moving_mean)

  def test_statistics_are_the_layers_own(self):
    bank = template_bank.TemplateBank(3)
    first, second = (
        normalization.MixtureBatchNormalization(bank=bank) for _ in range(2))
    first(_inputs(), training=True)
    second(_inputs())
    self.assertNotAllClose(first.moving_mean, second.moving_mean)
    self.assertAllEqual(np.zeros(6), second.moving_mean)
    self.assertEqual(first.slots, second.slots)

  def test_statistics_are_float32_in_mixed_precision(self):
    keras.config.set_dtype_policy('mixed_bfloat16')
    self.addCleanup(keras.config.set_dtype_policy, 'float32')
    inputs = keras.Input((None, None, 6))
    layer = normalization.MixtureBatchNormalization(
        bank=template_bank.TemplateBank(2),
        signature=signatures.Signature(1, 2), momentum=0.)
    model = keras.Model(inputs, layer(inputs))
    # bfloat16 inputs are exact here, their mean is not a bfloat16 number.
    images = np.zeros((1, 16, 16, 6), 'float32')
    images[0, 0, 0] = 1
    images[0, 1:9] = 1
    self.assertEqual(tf.bfloat16, model(images, training=True).dtype)
    self.assertAllClose(np.full(6, 129 / 256), layer.moving_mean, 0, 1e-7)

  def test_other_axis_is_refused(self):
    bank = template_bank.TemplateBank(2)
    for axis in (0, -2, [3], '3'):
      with self.assertRaisesRegex(ValueError, 'be the last one.*received'):
        normalization.MixtureBatchNormalization(axis=axis, bank=bank)
    layer = normalization.MixtureBatchNormalization(axis=1, bank=bank)
    with self.assertRaisesRegex(ValueError, 'the last of 4 axes, received 1'):
      layer(_inputs())

  def test_last_axis_by_its_number(self):
    layer = _built()
    other = normalization.MixtureBatchNormalization(
        axis=3, bank=layer.bank, slot='norm', signature=layer.signature)
    other(_inputs())
    other.set_weights(layer.get_weights())
    self.assertAllEqual(layer(_inputs()), other(_inputs()))
    self.assertEqual(3, other.get_config()['axis'])
    with self.assertRaisesRegex(ValueError, 'expected ndim=4'):
      other(_inputs()[0])

  def test_is_a_norm_of_keras(self):
    self.assertIsInstance(_built(), keras.layers.BatchNormalization)


if __name__ == '__main__':
  tf.test.main()
