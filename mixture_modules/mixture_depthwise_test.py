"""The mixed depthwise convolution against NumPy and Keras (section 3.2)."""

import inspect

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_depthwise
from mixture_modules import signatures
from mixture_modules import template_bank


def _images(channels=4, size=7):
  rng = np.random.default_rng(0)
  return rng.normal(size=(2, size, size, channels)).astype('float32')


def _randomize(bank):
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    variable = bank.templates(slot)
    variable.assign(rng.normal(size=variable.shape))


def _numpy_depthwise(images, kernel, strides):
  """`depthwise(x, theta)` of the docstring, without padding."""
  height, width, channels, multiplier = kernel.shape
  rows = (images.shape[1] - height) // strides + 1
  columns = (images.shape[2] - width) // strides + 1
  outputs = np.zeros((len(images), rows, columns, channels, multiplier))
  for row in range(rows):
    for column in range(columns):
      window = images[:, row * strides:row * strides + height,
                      column * strides:column * strides + width]
      outputs[:, row, column] = np.einsum('bhwc,hwcm->bcm', window, kernel)
  return outputs.reshape(*outputs.shape[:3], -1)


class MixtureDepthwiseTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.named_parameters(
      ('1x1', 1, 1, 1), ('3x3', 3, 1, 1), ('3x3_strided', 3, 2, 1),
      ('multiplied', (3, 2), 1, 3))
  def test_matches_numpy(self, kernel_size, strides, depth_multiplier):
    bank = template_bank.TemplateBank(3)
    layer = mixture_depthwise.MixtureDepthwise(
        kernel_size, (strides, strides), depth_multiplier=depth_multiplier,
        bank=bank, slot='depthwise', activation='relu')
    layer.build((None, None, None, 4))
    _randomize(bank)
    xi = np.float32([.5, -.3, .8])
    # y = activation(depthwise(x, sum_k xi[k] theta[k]) + sum_k xi[k] b[k])
    kernel, bias = (
        np.tensordot(xi, bank.templates(f'depthwise/{name}').numpy(), 1)
        for name in ('kernel', 'bias'))
    expected = np.maximum(
        _numpy_depthwise(_images(), kernel, strides) + bias, 0)
    self.assertAllClose(
        expected, layer(_images(), mixture=xi), 1e-4, 1e-4)

  @parameterized.named_parameters(
      ('plain', {}), ('same', {'padding': 'same'}), ('strides', {'strides': 2}),
      ('kernel', {'kernel_size': (1, 3), 'padding': 'same'}),
      ('dilation', {'dilation_rate': 2}),
      ('depth_multiplier', {'depth_multiplier': 3}),
      ('no_bias', {'use_bias': False}),
      ('activation', {'activation': 'hard_swish'}))
  def test_one_hot_mixture_equals_plain_depthwise(self, options):
    options = {'kernel_size': 3, **options}
    bank = template_bank.TemplateBank(3)
    fixed = signatures.Signature(1, 3, '2')
    layer = mixture_depthwise.MixtureDepthwise(
        **options, bank=bank, signature=fixed, slot='depthwise')
    plain = keras.layers.DepthwiseConv2D(**options)
    layer.build((None, None, None, 4))
    plain.build((None, None, None, 4))
    _randomize(bank)
    self.assertLen(layer.slots, len(plain.weights))
    plain.set_weights([bank.templates(slot)[1] for slot in layer.slots])
    expected = plain(_images())
    for mixture in (None, 1):
      self.assertAllEqual(expected, layer(_images(), mixture=mixture))
    one_hot = np.float32([0, 1, 0])
    self.assertAllClose(
        expected, layer(_images(), mixture=one_hot), 1e-5, 1e-5)
    self.assertNotAllClose(expected, layer(_images(), mixture=0))
    inputs = keras.Input((None, None, 4))
    self.assertEqual(plain(inputs).shape, layer(inputs).shape)

  def test_channels_first_equals_plain_depthwise(self):
    bank = template_bank.TemplateBank(2)
    options = {'kernel_size': 3, 'data_format': 'channels_first'}
    layer = mixture_depthwise.MixtureDepthwise(**options, bank=bank)
    plain = keras.layers.DepthwiseConv2D(**options)
    images = np.moveaxis(_images(), -1, 1)
    plain.build(images.shape)
    layer.build(images.shape)
    _randomize(bank)
    plain.set_weights([bank.templates(slot)[1] for slot in layer.slots])
    self.assertAllClose(plain(images), layer(images, mixture=1), 1e-5, 1e-5)

  def test_regularizers_act_as_in_plain_depthwise(self):
    options = {'kernel_size': 3,
               'depthwise_regularizer': keras.regularizers.L2(.1),
               'bias_regularizer': keras.regularizers.L1(.2),
               'activity_regularizer': keras.regularizers.L2(.3)}
    layer = mixture_depthwise.MixtureDepthwise(
        **options, bank=template_bank.TemplateBank(1),
        signature=signatures.Signature(1, 1, '1'))
    plain = keras.layers.DepthwiseConv2D(**options)
    inputs = keras.Input((7, 7, 4))
    mixed, expected = (keras.Model(inputs, x(inputs)) for x in (layer, plain))
    _randomize(layer.bank)
    plain.set_weights([layer.bank.templates(s)[0] for s in layer.slots])
    for model in (mixed, expected):
      model(_images())
    self.assertLen(mixed.losses, 3)
    self.assertAllClose(sorted(map(float, expected.losses)),
                        sorted(map(float, mixed.losses)))

  def test_arguments_are_those_of_the_plain_layer(self):

    def names(layer_class):
      return list(inspect.signature(layer_class).parameters)

    plain = [n for n in names(keras.layers.DepthwiseConv2D)
             if n != 'kwargs']
    self.assertEqual([*plain, 'bank', 'slot', 'signature', 'kwargs'],
                     names(mixture_depthwise.MixtureDepthwise))

  @parameterized.named_parameters(
      ('kernel', {'kernel_size': 0}, 'kernel_size'),
      ('strides', {'strides': 0}, 'strides'),
      ('padding', {'padding': 'causal'}, 'padding'),
      ('depth_multiplier', {'depth_multiplier': 0}, 'depth_multiplier'))
  def test_arguments_are_checked(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      mixture_depthwise.MixtureDepthwise(
          **{'kernel_size': 3, **options},
          bank=template_bank.TemplateBank(1))


if __name__ == '__main__':
  tf.test.main()
