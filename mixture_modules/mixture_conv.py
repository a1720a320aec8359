"""2D convolution with a mixed kernel (section 3.2)."""

import keras
from keras import ops

from mixture_modules import checks
from mixture_modules import mixture_layer


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureConv2D(mixture_layer.MixtureLayer):
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
    signature: Optional one-row `Signature`. Default: the layer's own.
    **kwargs: As for any Keras layer.

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

  def __init__(self, filters, kernel_size, strides=1, padding='valid',
               data_format=None, dilation_rate=1, groups=1, activation=None,
               use_bias=True, kernel_initializer='glorot_uniform',
               bias_initializer='zeros', kernel_regularizer=None,
               bias_regularizer=None, activity_regularizer=None,
               kernel_constraint=None, bias_constraint=None, *, bank,
               slot=None, signature=None, **kwargs):
    super().__init__(bank=bank, slot=slot, signature=signature,
                     activity_regularizer=activity_regularizer, **kwargs)
    self.filters = checks.positive_integer('filters', filters)
    self.groups = checks.positive_integer('groups', groups)
    # The plain layer checks the other arguments and normalises them.
    plain = _plain_layer(self.name, filters, kernel_size, strides, padding,
                         data_format, dilation_rate, groups)
    self.kernel_size = plain.kernel_size
    self.strides = plain.strides
    self.padding = plain.padding
    self.data_format = plain.data_format
    self.dilation_rate = plain.dilation_rate
    self.activation = keras.activations.get(activation)
    self.use_bias = use_bias
    self.kernel_initializer = mixture_layer.initializer(
        kernel_initializer, 'glorot_uniform')
    self.bias_initializer = mixture_layer.initializer(
        bias_initializer, 'zeros')
    self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
    self.bias_regularizer = keras.regularizers.get(bias_regularizer)
    self.kernel_constraint = keras.constraints.get(kernel_constraint)
    self.bias_constraint = keras.constraints.get(bias_constraint)
    self._channel_axis = -1 if self.data_format == 'channels_last' else 1
    self.input_spec = keras.InputSpec(ndim=4)

  def build(self, input_shape):
    """Asks the bank for kernel and bias."""
    channels = input_shape[self._channel_axis]
    if channels is None or channels % self.groups:
      raise ValueError(
          'The number of input channels must be known and divisible by '
          f'groups={self.groups}, received inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(
        ndim=4, axes={self._channel_axis: channels})
    mixture_layer.refuse_empty(self, input_shape)
    self._kernel_shape = (
        *self.kernel_size, channels // self.groups, self.filters)
    self._add_parameter('kernel', self._kernel_shape, self.kernel_initializer,
                        self.kernel_regularizer, self.kernel_constraint)
    if self.use_bias:
      self._add_parameter('bias', (self.filters,), self.bias_initializer,
                          self.bias_regularizer, self.bias_constraint)

  def _default_slot(self):
    kind = 'conv' if self.groups == 1 else f'conv_groups{self.groups}'
    return f'{kind}_' + 'x'.join(map(str, self._kernel_shape))

  @property
  def kernel(self):
    """The mixed kernel, a tensor: `bank.templates(slot)` is what trains."""
    return self._mixed('kernel')

  @property
  def bias(self):
    """The mixed bias, or None."""
    return self._mixed('bias')

  def compute_output_shape(self, input_shape):
    """Shape of the outputs, as for the plain layer."""
    return _plain_layer(
        self.name, self.filters, self.kernel_size, self.strides, self.padding,
        self.data_format, self.dilation_rate,
        self.groups).compute_output_shape(input_shape)

  def call(self, inputs, mixture=None, row=None):
    """Convolves with the mixed kernel."""
    row = self._row(mixture, row)
    mixture_layer.refuse_empty(self, inputs.shape)
    inputs = ops.cast(inputs, self.compute_dtype)
    kernel = self._parameter('kernel', row)
    if self._is_pointwise():
      outputs = _pointwise(inputs, kernel)
    else:
      outputs = ops.conv(
          inputs, kernel, strides=list(self.strides), padding=self.padding,
          dilation_rate=self.dilation_rate, data_format=self.data_format)
    if self.use_bias:
      outputs = mixture_layer.add_bias(
          outputs, self._parameter('bias', row), self._channel_axis)
    return self.activation(outputs)

  def _is_pointwise(self):
    return (self.kernel_size == self.strides == (1, 1) and self.groups == 1
            and self.data_format == 'channels_last')

  def get_config(self):
    """Constructor arguments."""
    return {**super().get_config(), **mixture_layer.serialize(self, (
        'filters', 'kernel_size', 'strides', 'padding', 'data_format',
        'dilation_rate', 'groups', 'activation', 'use_bias',
        'kernel_initializer', 'bias_initializer', 'kernel_regularizer',
        'bias_regularizer', 'activity_regularizer', 'kernel_constraint',
        'bias_constraint'))}


def _pointwise(inputs, kernel):
  """A 1x1 convolution as the matrix product that it is: quicker on CPUs."""
  shape = ops.shape(inputs)
  outputs = ops.matmul(ops.reshape(inputs, (-1, shape[-1])), kernel[0, 0])
  return ops.reshape(outputs, (*shape[:-1], kernel.shape[-1]))


def _plain_layer(name, *arguments):
  """Keras' layer of these arguments; with a name, it uses up none of theirs."""
  return keras.layers.Conv2D(*arguments, name=name)
