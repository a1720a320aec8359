"""Transposed 2D convolution with a mixed kernel (section 3.2)."""

import keras
from keras import ops

from mixture_modules import convolution


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureConv2DTranspose(convolution.MixtureConvolution):
  """Transposed convolution whose kernel is a mixture of shared templates.

      y = activation(conv_transpose(x, sum_k xi[k] theta[k]) + sum_k xi[k] b[k])

  The arguments up to `bias_constraint` are those of
  `keras.layers.Conv2DTranspose`, with the same meaning and order. Those that
  are not listed here are explained at `MixtureConv2D`.

  Args:
    filters: Output channels.
    kernel_size: Int or pair, in pixels.
    strides: Int or pair: how many times larger the outputs are.
    padding: 'valid' or 'same'.
    output_padding: Int or pair, pixels added to the outputs' size, less than
      the strides. Default: as the other arguments give it.
    bank: `TemplateBank` that owns the templates; shared, not copied.

  Call arguments:
    inputs: `[batch, height, width, channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, height', width', filters]`.

  Source: section 3.2.
  """

  stock = keras.layers.Conv2DTranspose

  def _shapes(self, channels):
    return (*self.kernel_size, self.filters, channels), (self.filters,)

  def _default_slot(self):
    return 'conv_transpose_' + 'x'.join(map(str, self._kernel_shape))

  def _convolve(self, inputs, kernel):
    return ops.conv_transpose(
        inputs, kernel, output_padding=self.output_padding, **self._options())
