"""The mixed depthwise convolution against NumPy (section 3.2)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_depthwise
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


if __name__ == '__main__':
  tf.test.main()
