"""Depthwise 2D convolution with a mixed kernel (section 3.2)."""

import keras
from keras import ops

from mixture_modules import convolution


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureDepthwise(convolution.MixtureConvolution):
  """Depthwise convolution whose kernel is a mixture of shared templates.

      y = activation(depthwise(x, sum_k xi[k] * theta[k]) + sum_k xi[k] b[k])

  The arguments up to `bias_constraint` are those of
  `keras.layers.DepthwiseConv2D`, with the same meaning and order. Those that
  are not listed here are explained at `MixtureConv2D`.

  Args:
    kernel_size: Int or pair, in pixels.
    depth_multiplier: Output channels for each input channel.
    depthwise_initializer: Of each template's kernel. None: 'glorot_uniform'.
    depthwise_regularizer: On the templates, not on the mixed kernel.
    depthwise_constraint: On each template's kernel, after a step of the
      optimiser.
    bank: `TemplateBank` that owns the templates; shared, not copied.

  Call arguments:
    inputs: `[batch, height, width, channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, height', width', channels * depth_multiplier]`.

  Source: section 3.2.
  """

  stock = keras.layers.DepthwiseConv2D
  kernel_name = 'depthwise'

  def _shapes(self, channels):
    return ((*self.kernel_size, channels, self.depth_multiplier),
            (channels * self.depth_multiplier,))

  def _default_slot(self):
    return 'depthwise_' + 'x'.join(map(str, self._kernel_shape))

  def _convolve(self, inputs, kernel):
    return ops.depthwise_conv(inputs, kernel, **self._options())
