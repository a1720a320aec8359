"""The mixed transposed convolution against NumPy (section 3.2)."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_conv_transpose
from mixture_modules import template_bank


def _numpy_conv_transpose(images, kernel, strides):
  """`conv_transpose(x, theta)` of the docstring, one input pixel at a time."""
  height, width, filters, _ = kernel.shape
  batch, rows, columns, _ = images.shape
  outputs = np.zeros((batch, (rows - 1) * strides + max(height, strides),
                      (columns - 1) * strides + max(width, strides), filters))
  for row in range(rows):
    for column in range(columns):
      outputs[:, row * strides:row * strides + height,
              column * strides:column * strides + width] += np.einsum(
                  'bi,hwoi->bhwo', images[:, row, column], kernel)
  return outputs


class MixtureConv2DTransposeTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((1, 1), (3, 1), (3, 2), ((2, 3), 2), (2, 3))
  def test_matches_numpy(self, kernel_size, strides):
    rng = np.random.default_rng(0)
    bank = template_bank.TemplateBank(3)
    layer = mixture_conv_transpose.MixtureConv2DTranspose(
        5, kernel_size, strides, bank=bank, slot='up', activation='relu')
    layer.build((None, None, None, 4))
    for slot in bank.slots:
      bank.templates(slot).assign(rng.normal(size=bank.templates(slot).shape))
    images = rng.normal(size=(2, 4, 3, 4)).astype('float32')
    xi = np.float32([.5, -.3, .8])
    # y = activation(conv_transpose(x, sum_k xi[k] theta[k]) + sum_k xi[k] b[k])
    kernel, bias = (np.tensordot(xi, bank.templates(f'up/{name}').numpy(), 1)
                    for name in ('kernel', 'bias'))
    expected = np.maximum(
        _numpy_conv_transpose(images, kernel, strides) + bias, 0)
    self.assertAllClose(expected, layer(images, mixture=xi), 1e-4, 1e-4)


if __name__ == '__main__':
  tf.test.main()
