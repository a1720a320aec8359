"""Mixed layer normalisation against NumPy and Keras (section 3.2)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import layer_normalization
from mixture_modules import template_bank


def _inputs():
  return np.random.default_rng(0).normal(
      1, 2, size=(4, 3, 5, 6)).astype('float32')


def _built(**options):
  """A layer of 3 random templates."""
  bank = template_bank.TemplateBank(3)
  layer = layer_normalization.MixtureLayerNormalization(
      bank=bank, slot='norm', **options)
  layer.build((None, 3, 5, 6))
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    bank.templates(slot).assign(rng.normal(size=bank.templates(slot).shape))
  return layer


class MixtureLayerNormalizationTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((-1,), ((2, 3),), ((1,),))
  def test_mixture_matches_numpy(self, axis):
    layer = _built(axis=axis)
    xi = np.float32([.5, -.3, .8])
    gamma, beta = (np.tensordot(xi, layer.bank.templates(slot).numpy(), 1)
                   for slot in ('norm/gamma', 'norm/beta'))
    if axis == (1,):
      gamma, beta = (value[:, None, None] for value in (gamma, beta))
    x = _inputs()
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    # y = gamma(xi) * (x - mean) / sqrt(variance + epsilon) + beta(xi)
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    self.assertAllClose(expected, layer(x, mixture=xi), 1e-4, 1e-4)

  @parameterized.parameters(
      {}, {'epsilon': .1}, {'center': False}, {'scale': False},
      {'center': False, 'scale': False}, {'axis': (-1, -2)}, {'axis': 2})
  def test_one_hot_mixture_equals_plain_norm(self, **options):
    layer = _built(**options)
    plain = keras.layers.LayerNormalization(**options)
    plain.build((None, 3, 5, 6))
    plain.set_weights(
        [layer.bank.templates(slot)[1] for slot in layer.slots])
    for mixture in (1, np.float32([0, 1, 0])):
      self.assertAllClose(
          plain(_inputs()), layer(_inputs(), mixture=mixture), 1e-5, 1e-5)
    if layer.slots:
      self.assertNotAllClose(plain(_inputs()), layer(_inputs(), mixture=0))

  def test_axes_must_be_there(self):
    with self.assertRaisesRegex(ValueError, 'out of bounds'):
      _built(axis=4)

  def test_is_a_norm_of_keras(self):
    self.assertIsInstance(_built(), keras.layers.LayerNormalization)


if __name__ == '__main__':
  tf.test.main()
