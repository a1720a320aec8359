"""Mixed convolutions against NumPy (section 3.2)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_conv
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


class MixtureConvTest(parameterized.TestCase, tf.test.TestCase):

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

  @parameterized.parameters(('valid', 1), ('causal', 1), ('causal', 2))
  def test_1d_matches_numpy(self, padding, strides):
    bank = template_bank.TemplateBank(3)
    layer = mixture_conv.MixtureConv1D(
        5, 3, strides, padding, bank=bank, slot='conv')
    layer.build((None, None, 4))
    _randomize(bank)
    xi = np.float32([.5, -.3, .8])
    kernel, bias = (
        np.tensordot(xi, bank.templates(f'conv/{name}').numpy(), 1)
        for name in ('kernel', 'bias'))
    steps = _images()[:, 0]
    past = np.pad(steps, ((0, 0), (2 * (padding == 'causal'), 0), (0, 0)))
    expected = _numpy_conv(past[:, None], kernel[None], strides, 'valid')[:, 0]
    self.assertAllClose(
        expected + bias, layer(steps, mixture=xi), 1e-4, 1e-4)

  def test_groups_must_divide_the_inputs_channels(self):
    layer = mixture_conv.MixtureConv2D(
        6, 3, groups=3, bank=template_bank.TemplateBank(1))
    with self.assertRaisesRegex(ValueError, 'divisible by groups=3'):
      layer(_images())


if __name__ == '__main__':
  tf.test.main()
