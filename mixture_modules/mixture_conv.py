"""Convolutions with a mixed kernel (section 3.2)."""

import keras
from keras import ops

from mixture_modules import convolution
from mixture_modules import kernel_layer


class _MixtureConv(convolution.MixtureConvolution):
  """What convolutions of any rank do."""

  def _shapes(self, channels):
    return ((*self.kernel_size, channels // self.groups, self.filters),
            (self.filters,))

  def _default_slot(self):
    kind = 'conv' if self.groups == 1 else f'conv_groups{self.groups}'
    return f'{kind}_' + 'x'.join(map(str, self._kernel_shape))

  def _convolve(self, inputs, kernel):
    if (set(self.kernel_size) == set(self.strides) == {1}
        and self.groups == 1 and self.data_format == 'channels_last'):
      return kernel_layer.multiply(
          inputs, ops.reshape(kernel, kernel.shape[-2:]))
    return ops.conv(inputs, kernel, **self._options())


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureConv1D(_MixtureConv):
  """1D convolution whose kernel is a mixture of shared templates.

      y = activation(conv(x, sum_k xi[k] * theta[k]) + sum_k xi[k] * b[k])

  The arguments up to `bias_constraint` are those of `keras.layers.Conv1D`,
  with the same meaning and order; LoRA is missing. All are explained at
  `MixtureConv2D`.

  Args:
    filters: Output channels.
    kernel_size: Int, in steps.
    padding: 'valid', 'same' or 'causal'.
    bank: `TemplateBank` that owns the templates; shared, not copied.

  Call arguments:
    inputs: `[batch, steps, channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, steps', filters]`.

  Source: section 3.2.
  """

  stock = keras.layers.Conv1D

  def _convolve(self, inputs, kernel):
    if self.padding != 'causal':
      return super()._convolve(inputs, kernel)
    pad = [(0, 0)] * 3
    steps = 1 if self._channel_axis == -1 else 2
    pad[steps] = (self.dilation_rate[0] * (self.kernel_size[0] - 1), 0)
    return ops.conv(ops.pad(inputs, pad), kernel,
                    **{**self._options(), 'padding': 'valid'})


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureConv2D(_MixtureConv):
  """2D convolution whose kernel is a mixture of shared templates.

      y = activation(conv(x, sum_k xi[k] * theta[k]) + sum_k xi[k] * b[k])

  The arguments up to `bias_constraint` are those of `keras.layers.Conv2D`,
  with the same meaning and order; LoRA is missing.

  Args:
    filters: Output channels.
    kernel_size: Int or pair, in pixels.
    strides: Int or pair, in pixels.
    padding: 'valid' or 'same'.
    data_format: 'channels_last' or 'channels_first'. Default: Keras' setting.
    dilation_rate: Int or pair.
    groups: Groups of channels that are convolved apart.
    activation: Keras activation, or None.
    use_bias: Whether a mixed bias is added.
    kernel_initializer: Of each template's kernel. None: 'glorot_uniform'.
    bias_initializer: Of each template's bias. None: 'zeros'.
    kernel_regularizer: On the templates, not on the mixed kernel.
    bias_regularizer: On the templates' biases.
    activity_regularizer: On the output.
    kernel_constraint: On each template's kernel, after a step of the optimiser.
      Softmax mixtures keep what is convex, such as NonNeg and MaxNorm.
    bias_constraint: On each template's bias.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the kernel's
      shape, so that equal shapes share templates.
    signature: What mixes the templates: a kind, the number of a template,
      options of `Signature`, or a `Signature` of one row. Default: a trained
      softmax of the layer's own.
    **kwargs: As for any Keras layer, and `mixture_regularizer`, the weights
      of a `regularizers.MixtureRegularizer`.

  Call arguments:
    inputs: `[batch, height, width, channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, height', width', filters]`.

  Raises:
    ValueError: If `slot` holds templates of another shape, an argument is out
      of range, or the outputs would have no size.

  Source: section 3.2.
  """

  stock = keras.layers.Conv2D
