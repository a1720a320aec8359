"""Squeeze-and-excite with mixed parameters (sections 3.2 and 4.1)."""

import keras
from keras import ops

from mixture_modules import checks
from mixture_modules import mixture_layer


def make_divisible(value, divisor=8):
  """The multiple of `divisor` nearest to `value`, at most 10 % below it."""
  rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
  return rounded + divisor if rounded < 0.9 * value else rounded


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureSE(mixture_layer.MixtureLayer):
  """Squeeze-and-excite whose two convolutions are mixtures of templates.

      s = activation(mean_hw(x) @ W1(xi) + b1(xi))
      y = x * gate_activation(s @ W2(xi) + b2(xi))

  with `theta(xi) = sum_k xi[k] * theta[k]` for all four parameters.

  Args:
    squeeze_ratio: Squeezed channels for each input channel; the number is
      rounded to a multiple of 8 (`make_divisible`).
    activation: After the first convolution.
    gate_activation: After the second one; 'hard_sigmoid' as in MobileNetV3.
    kernel_initializer: Of each template's kernels.
    bias_initializer: Of each template's biases.
    kernel_regularizer: On the templates, not on the mixed kernels.
    data_format: 'channels_last' or 'channels_first'. Default: Keras' setting.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the shapes.
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
    `[batch, height, width, channels]`.

  Raises:
    ValueError: If `squeeze_ratio` is not positive, `data_format` is no such
      format, or `slot` holds templates of another shape.

  Source: section 4.1 (the block); biases and the rounding are our choice, and
  come within 2.7 % of Table 7.
  """

  def __init__(self, squeeze_ratio=0.25, activation='relu',
               gate_activation='hard_sigmoid',
               kernel_initializer='glorot_uniform', bias_initializer='zeros',
               kernel_regularizer=None, data_format=None, *, bank, slot=None,
               signature=None, **kwargs):
    super().__init__(bank=bank, slot=slot, signature=signature, **kwargs)
    checks.positive('squeeze_ratio', squeeze_ratio)
    self.data_format = checks.one_of(
        'data_format', data_format or keras.config.image_data_format(),
        ('channels_last', 'channels_first'))
    first = self.data_format == 'channels_first'
    self._channel_axis = 1 if first else -1
    self._sizes = (2, 3) if first else (1, 2)
    self.squeeze_ratio = squeeze_ratio
    self.activation = keras.activations.get(activation)
    self.gate_activation = keras.activations.get(gate_activation)
    self.kernel_initializer = keras.initializers.get(kernel_initializer)
    self.bias_initializer = keras.initializers.get(bias_initializer)
    self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
    self.input_spec = keras.InputSpec(ndim=4)

  def build(self, input_shape):
    """Asks the bank for two kernels and two biases."""
    channels = input_shape[self._channel_axis]
    if channels is None:
      raise ValueError('The number of input channels must be known, received '
                       f'inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(
        ndim=4, axes={self._channel_axis: channels})
    squeezed = make_divisible(channels * self.squeeze_ratio)
    self._shape = (channels, squeezed)
    for name, shape in (('squeeze', (channels, squeezed)),
                        ('excite', (squeezed, channels))):
      self._add_parameter(f'{name}_kernel', shape, self.kernel_initializer,
                          self.kernel_regularizer)
      self._add_parameter(f'{name}_bias', shape[-1:], self.bias_initializer)

  def _default_slot(self):
    return 'se_' + 'x'.join(map(str, self._shape))

  def plain_layer(self):
    """A Keras model of the same job; there is no such layer."""
    channels, squeezed = self._shape
    shape = [None, None]
    shape.insert(-1 % 3 if self._channel_axis == -1 else 0, channels)
    dtype = {'dtype': self.dtype_policy}
    inputs = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D(
        data_format=self.data_format, **dtype)(inputs)
    for size, activation in ((squeezed, self.activation),
                             (channels, self.gate_activation)):
      x = keras.layers.Dense(size, activation=activation, **dtype)(x)
    gate = keras.layers.Reshape([n or 1 for n in shape], **dtype)(x)
    gated = keras.layers.Multiply(**dtype)([inputs, gate])
    return keras.Model(inputs, gated, name=self.name)

  def compute_output_shape(self, input_shape):
    """The inputs' shape."""
    return input_shape

  def call(self, inputs, mixture=None, row=None):
    """Gates every channel by the image's mean activations."""
    row = self._row(mixture, row)
    inputs = ops.cast(inputs, self.compute_dtype)
    squeezed = ops.mean(inputs, axis=self._sizes)  # [batch, channels]
    hidden = self.activation(
        ops.matmul(squeezed, self._parameter('squeeze_kernel', row))
        + self._parameter('squeeze_bias', row))
    gate = self.gate_activation(
        ops.matmul(hidden, self._parameter('excite_kernel', row))
        + self._parameter('excite_bias', row))
    return inputs * ops.expand_dims(gate, self._sizes)

  def get_config(self):
    """Constructor arguments."""
    return {**super().get_config(), **mixture_layer.serialize(self, (
        'squeeze_ratio', 'activation', 'gate_activation',
        'kernel_initializer', 'bias_initializer', 'kernel_regularizer',
        'data_format'))}
