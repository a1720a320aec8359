"""Depthwise 2D convolution with a mixed kernel (section 3.2)."""

import keras
from keras import ops

from mixture_modules import checks
from mixture_modules import mixture_layer


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureDepthwise(mixture_layer.MixtureLayer):
  """Depthwise convolution whose kernel is a mixture of shared templates.

      y = activation(depthwise(x, sum_k xi[k] * theta[k]) + sum_k xi[k] b[k])

  The arguments up to `bias_constraint` are those of
  `keras.layers.DepthwiseConv2D`, with the same meaning and order.

  Args:
    kernel_size: Int or pair, in pixels.
    strides: Int or pair, in pixels.
    padding: 'valid' or 'same'.
    depth_multiplier: Output channels for each input channel.
    data_format: 'channels_last' or 'channels_first'. Default: Keras' setting.
    dilation_rate: Int or pair.
    activation: Keras activation, or None.
    use_bias: Whether a mixed bias is added.
    depthwise_initializer: Of each template's kernel. None: 'glorot_uniform'.
    bias_initializer: Of each template's bias. None: 'zeros'.
    depthwise_regularizer: On the templates, not on the mixed kernel.
    bias_regularizer: On the templates' biases.
    activity_regularizer: On the output.
    depthwise_constraint: On each template's kernel, after a step of the
      optimiser. Softmax mixtures keep what is convex, such as NonNeg
      and MaxNorm.
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
    `[batch, height', width', channels * depth_multiplier]`.

  Raises:
    ValueError: If `slot` holds templates of another shape, an argument is out
      of range, or the outputs would have no size.

  Source: section 3.2.
  """

  def __init__(self, kernel_size, strides=1, padding='valid',
               depth_multiplier=1, data_format=None, dilation_rate=1,
               activation=None, use_bias=True,
               depthwise_initializer='glorot_uniform',
               bias_initializer='zeros', depthwise_regularizer=None,
               bias_regularizer=None, activity_regularizer=None,
               depthwise_constraint=None, bias_constraint=None, *, bank,
               slot=None, signature=None, **kwargs):
    super().__init__(bank=bank, slot=slot, signature=signature,
                     activity_regularizer=activity_regularizer, **kwargs)
    self.depth_multiplier = checks.positive_integer(
        'depth_multiplier', depth_multiplier)
    # The plain layer checks the other arguments and normalises them.
    plain = _plain_layer(self.name, kernel_size, strides, padding,
                         depth_multiplier, data_format, dilation_rate)
    self.kernel_size = plain.kernel_size
    self.strides = plain.strides
    self.padding = plain.padding
    self.data_format = plain.data_format
    self.dilation_rate = plain.dilation_rate
    self.activation = keras.activations.get(activation)
    self.use_bias = use_bias
    self.depthwise_initializer = mixture_layer.initializer(
        depthwise_initializer, 'glorot_uniform')
    self.bias_initializer = mixture_layer.initializer(
        bias_initializer, 'zeros')
    self.depthwise_regularizer = keras.regularizers.get(depthwise_regularizer)
    self.bias_regularizer = keras.regularizers.get(bias_regularizer)
    self.depthwise_constraint = keras.constraints.get(depthwise_constraint)
    self.bias_constraint = keras.constraints.get(bias_constraint)
    self._channel_axis = -1 if self.data_format == 'channels_last' else 1
    self.input_spec = keras.InputSpec(ndim=4)

  def build(self, input_shape):
    """Asks the bank for kernel and bias."""
    channels = input_shape[self._channel_axis]
    if channels is None:
      raise ValueError('The number of input channels must be known, received '
                       f'inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(
        ndim=4, axes={self._channel_axis: channels})
    mixture_layer.refuse_empty(self, input_shape)
    self._kernel_shape = (*self.kernel_size, channels, self.depth_multiplier)
    self._add_parameter('kernel', self._kernel_shape,
                        self.depthwise_initializer, self.depthwise_regularizer,
                        self.depthwise_constraint)
    if self.use_bias:
      self._add_parameter('bias', (channels * self.depth_multiplier,),
                          self.bias_initializer, self.bias_regularizer,
                          self.bias_constraint)

  def _default_slot(self):
    return 'depthwise_' + 'x'.join(map(str, self._kernel_shape))

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
        self.name, self.kernel_size, self.strides, self.padding,
        self.depth_multiplier, self.data_format,
        self.dilation_rate).compute_output_shape(input_shape)

  def call(self, inputs, mixture=None, row=None):
    """Convolves every channel with its mixed kernel."""
    row = self._row(mixture, row)
    mixture_layer.refuse_empty(self, inputs.shape)
    outputs = ops.depthwise_conv(
        ops.cast(inputs, self.compute_dtype),
        self._parameter('kernel', row), strides=self.strides,
        padding=self.padding, dilation_rate=self.dilation_rate,
        data_format=self.data_format)
    if self.use_bias:
      outputs = mixture_layer.add_bias(
          outputs, self._parameter('bias', row), self._channel_axis)
    return self.activation(outputs)

  def get_config(self):
    """Constructor arguments."""
    return {**super().get_config(), **mixture_layer.serialize(self, (
        'kernel_size', 'strides', 'padding', 'depth_multiplier',
        'data_format', 'dilation_rate', 'activation', 'use_bias',
        'depthwise_initializer', 'bias_initializer', 'depthwise_regularizer',
        'bias_regularizer', 'activity_regularizer', 'depthwise_constraint',
        'bias_constraint'))}


def _plain_layer(name, *arguments):
  """Keras' layer of these arguments; with a name, it uses up none of theirs."""
  return keras.layers.DepthwiseConv2D(*arguments, name=name)
