"""The mixed convolution against NumPy and Keras' own layer (section 3.2)."""

import inspect

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_conv
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


def _numpy_conv(images, kernel, strides, padding):
  """`conv(x, theta)` of the docstring, one output pixel at a time."""
  height, width = kernel.shape[:2]
  if padding == 'same':
    pads = []
    for size, window in zip(images.shape[1:3], (height, width)):
      total = max((-(-size // strides) - 1) * strides + window - size, 0)
      pads.append((total // 2, total - total // 2))
    images = np.pad(images, ((0, 0), *pads, (0, 0)))
  rows = (images.shape[1] - height) // strides + 1
  columns = (images.shape[2] - width) // strides + 1
  outputs = np.zeros((len(images), rows, columns, kernel.shape[-1]))
  for row in range(rows):
    for column in range(columns):
      window = images[:, row * strides:row * strides + height,
                      column * strides:column * strides + width]
      outputs[:, row, column] = np.tensordot(window, kernel, 3)
  return outputs


class MixtureConv2DTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.named_parameters(
      ('1x1', 1, 1, 'valid'), ('3x3_same', 3, 1, 'same'),
      ('3x3_strided', 3, 2, 'same'), ('3x3_valid', (3, 2), 2, 'valid'))
  def test_matches_numpy(self, kernel_size, strides, padding):
    bank = template_bank.TemplateBank(3)
    layer = mixture_conv.MixtureConv2D(
        5, kernel_size, strides, padding, bank=bank, slot='conv',
        activation='relu')
    layer.build((None, None, None, 4))
    _randomize(bank)
    xi = np.float32([.5, -.3, .8])
    # y = activation(conv(x, sum_k xi[k] theta[k]) + sum_k xi[k] b[k])
    kernel, bias = (
        np.tensordot(xi, bank.templates(f'conv/{name}').numpy(), 1)
        for name in ('kernel', 'bias'))
    expected = np.maximum(
        _numpy_conv(_images(), kernel, strides, padding) + bias, 0)
    self.assertAllClose(
        expected, layer(_images(), mixture=xi), 1e-4, 1e-4)

  @parameterized.named_parameters(
      ('plain', {}), ('same', {'padding': 'same'}), ('strides', {'strides': 2}),
      ('kernel', {'kernel_size': (1, 3), 'padding': 'same'}),
      ('dilation', {'dilation_rate': 2}),
      ('unequal_dilation', {'dilation_rate': (1, 2), 'padding': 'same'}),
      ('groups', {'groups': 2}), ('no_bias', {'use_bias': False}),
      ('activation', {'activation': 'hard_swish'}))
  def test_one_hot_mixture_equals_plain_conv(self, options):
    options = {'filters': 6, 'kernel_size': 3, **options}
    bank = template_bank.TemplateBank(3)
    fixed = signatures.Signature(1, 3, '2')
    layer = mixture_conv.MixtureConv2D(
        **options, bank=bank, signature=fixed, slot='conv')
    plain = keras.layers.Conv2D(**options)
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

  def test_channels_first_equals_plain_conv(self):
    bank = template_bank.TemplateBank(2)
    options = {'filters': 6, 'kernel_size': 3, 'data_format': 'channels_first'}
    layer = mixture_conv.MixtureConv2D(**options, bank=bank)
    plain = keras.layers.Conv2D(**options)
    images = np.moveaxis(_images(), -1, 1)
    plain.build(images.shape)
    layer.build(images.shape)
    _randomize(bank)
    plain.set_weights([bank.templates(slot)[1] for slot in layer.slots])
    self.assertAllClose(plain(images), layer(images, mixture=1), 1e-5, 1e-5)

  def test_regularizers_act_as_in_plain_conv(self):
    options = {'filters': 6, 'kernel_size': 3,
               'kernel_regularizer': keras.regularizers.L2(.1),
               'bias_regularizer': keras.regularizers.L1(.2),
               'activity_regularizer': keras.regularizers.L2(.3)}
    layer = mixture_conv.MixtureConv2D(
        **options, bank=template_bank.TemplateBank(1),
        signature=signatures.Signature(1, 1, '1'))
    plain = keras.layers.Conv2D(**options)
    inputs = keras.Input((7, 7, 4))
    mixed, expected = (keras.Model(inputs, x(inputs)) for x in (layer, plain))
    _randomize(layer.bank)
    plain.set_weights([layer.bank.templates(s)[0] for s in layer.slots])
    for model in (mixed, expected):
      model(_images())
    self.assertLen(mixed.losses, 3)
    self.assertAllClose(sorted(map(float, expected.losses)),
                        sorted(map(float, mixed.losses)))

  def test_regularizer_is_on_templates_not_on_the_mixed_kernel(self):
    bank = template_bank.TemplateBank(2)
    layer = mixture_conv.MixtureConv2D(
        6, 3, bank=bank, kernel_regularizer=keras.regularizers.L2(.1))
    inputs = keras.Input((7, 7, 4))
    model = keras.Model(inputs, layer(inputs))
    _randomize(bank)
    kernel = bank.templates(layer.slots[0]).numpy()
    self.assertAllClose([.1 * np.sum(kernel**2)], model.losses)

  def test_arguments_are_those_of_the_plain_layer(self):
    def names(layer_class):
      return list(inspect.signature(layer_class).parameters)

    plain = [n for n in names(keras.layers.Conv2D)
             if n != 'kwargs']
    self.assertEqual([*plain, 'bank', 'slot', 'signature', 'kwargs'],
                     names(mixture_conv.MixtureConv2D))

  @parameterized.named_parameters(
      ('filters', {'filters': 0}, 'filters'),
      ('kernel', {'kernel_size': 0}, 'kernel_size'),
      ('strides', {'strides': 0}, 'strides'),
      ('padding', {'padding': 'causal'}, 'padding'),
      ('strides_and_dilation', {'strides': 2, 'dilation_rate': 2}, 'dilation'),
      ('groups', {'groups': 4}, 'groups'))
  def test_arguments_are_checked(self, options, message):
    options = {'filters': 6, 'kernel_size': 3, **options}
    with self.assertRaisesRegex(ValueError, message):
      mixture_conv.MixtureConv2D(
          **options, bank=template_bank.TemplateBank(1))

  def test_groups_must_divide_the_inputs_channels(self):
    layer = mixture_conv.MixtureConv2D(
        6, 3, groups=3, bank=template_bank.TemplateBank(1))
    with self.assertRaisesRegex(ValueError, 'divisible by groups=3'):
      layer(_images())

  def test_names_of_plain_layers_stay_free(self):
    keras.backend.clear_session()
    mixture_conv.MixtureConv2D(6, 3, bank=template_bank.TemplateBank(1))
    self.assertEqual('conv2d', keras.layers.Conv2D(6, 3).name)


if __name__ == '__main__':
  tf.test.main()
