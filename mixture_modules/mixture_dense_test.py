"""Mixed dense layers against NumPy (section 3.2)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_dense
from mixture_modules import signatures
from mixture_modules import template_bank

_XI = np.float32([.5, -.3, .8])


def _inputs(shape):
  return np.random.default_rng(0).normal(size=shape).astype('float32')


def _randomize(bank):
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    bank.templates(slot).assign(rng.normal(size=bank.templates(slot).shape))


def _mixed(layer):
  return [np.tensordot(_XI, layer.bank.templates(slot).numpy(), 1)
          for slot in layer.slots]


class MixtureDenseTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(((2, 4),), ((2, 3, 4),), ((2, 3, 2, 4),))
  def test_matches_numpy(self, shape):
    layer = mixture_dense.MixtureDense(
        5, 'relu', bank=template_bank.TemplateBank(3))
    layer.build(shape)
    _randomize(layer.bank)
    kernel, bias = _mixed(layer)
    # y = activation(x @ sum_k xi[k] theta[k] + sum_k xi[k] b[k])
    expected = np.maximum(_inputs(shape) @ kernel + bias, 0)
    self.assertAllClose(
        expected, layer(_inputs(shape), mixture=_XI), 1e-5, 1e-5)

  def test_mask_is_handed_on(self):
    inputs = _inputs((2, 3, 4))
    inputs[:, 2] = 0
    outputs = mixture_dense.MixtureDense(
        5, bank=template_bank.TemplateBank(1))(keras.layers.Masking()(inputs))
    self.assertAllEqual([[True, True, False]] * 2,
                        keras.src.backend.get_keras_mask(outputs))


class MixtureEinsumDenseTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('abc,cde->abde', (3, 2, 5), 'de', (2, 3, 4), (2, 5)),
      ('abc,cde->abde', (3, 2, 5), 'd', (2, 3, 4), (2, 1)),
      ('abde,dec->abc', (3, 6), 'c', (2, 3, 2, 5), (6,)),
      ('...a,ab->...b', 5, 'b', (2, 3, 6, 4), (5,)),
      ('ab...,bc->ac...', 5, 'c', (2, 4, 3), (5, 1)))
  def test_matches_numpy(
      self, equation, output_shape, bias_axes, shape, bias_shape):
    layer = mixture_dense.MixtureEinsumDense(
        equation, output_shape, 'relu', bias_axes,
        bank=template_bank.TemplateBank(3))
    layer.build((None, *shape[1:]))
    _randomize(layer.bank)
    kernel, bias = _mixed(layer)
    self.assertEqual(bias_shape, bias.shape)
    # y = activation(einsum(equation, x, sum_k xi[k] theta[k])
    #                + sum_k xi[k] b[k])
    expected = np.maximum(
        np.einsum(equation, _inputs(shape), kernel) + bias, 0)
    self.assertAllClose(
        expected, layer(_inputs(shape), mixture=_XI), 1e-5, 1e-5)
    self.assertEqual(expected.shape, layer.compute_output_shape(shape))

  def test_initializer_tells_summed_axes_from_others(self):
    options = {'equation': 'abde,dec->abc', 'output_shape': (3, 50)}
    bank = template_bank.TemplateBank(20)
    layer = mixture_dense.MixtureEinsumDense(
        **options, bank=bank, signature=signatures.Signature(1, 20, '1'))
    layer.build((None, 3, 8, 10))
    limit = np.sqrt(6 / (8 * 10 + 50))  # Glorot's, of the fans of the equation
    templates = bank.templates(layer.slots[0]).numpy()
    self.assertBetween(np.abs(templates).max(), .99 * limit, limit)
    plain = keras.layers.EinsumDense(**options)
    plain.build((None, 3, 8, 10))
    self.assertBetween(np.abs(plain.kernel).max(), .99 * limit, limit)

  def test_projections_of_attention_share_templates(self):
    bank = template_bank.TemplateBank(3)
    inputs = _inputs((2, 3, 8))
    query, key, value = (mixture_dense.MixtureEinsumDense(
        'abc,cde->abde', (None, 2, 4), bias_axes='de', bank=bank)
                         for _ in range(3))
    for layer in (query, key, value):
      self.assertEqual((2, 3, 2, 4), layer(inputs).shape)
    self.assertLen(bank.slots, 2)
    back = mixture_dense.MixtureEinsumDense(
        'abde,dec->abc', (None, 8), bias_axes='c', bank=bank)
    self.assertEqual((2, 3, 8), back(value(inputs)).shape)
    self.assertLen(bank.slots, 4)

  def test_sizes_of_the_kernel_must_be_known(self):
    layer = mixture_dense.MixtureEinsumDense(
        'abc,bd->adc', (5, None), bank=template_bank.TemplateBank(1))
    with self.assertRaisesRegex(ValueError, "kernel has in 'abc,bd->adc'"):
      layer.build((None, None, 4))


if __name__ == '__main__':
  tf.test.main()
