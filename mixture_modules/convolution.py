"""What mixture layers that convolve have in common (section 3.2)."""

import keras
from keras import ops

from mixture_modules import kernel_layer


class MixtureConvolution(kernel_layer.MixtureKernelLayer):
  """A convolution whose kernel is a mixture of shared templates.

      y = activation(convolve(x, sum_k xi[k] theta[k]) + sum_k xi[k] b[k])

  Subclasses say which layer of Keras they replace (`stock`), the shapes of
  their kernel and bias, and how they convolve.

  Call arguments:
    inputs: `[batch, *sizes, channels]`, or `[batch, channels, *sizes]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, *sizes', filters]`, or `[batch, filters, *sizes']`.

  Raises:
    ValueError: If `slot` holds templates of another shape, or the outputs
      would have no size.
  """

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._rank = len(self.kernel_size)
    self._channel_axis = -1 if self.data_format == 'channels_last' else 1
    self.input_spec = keras.InputSpec(ndim=self._rank + 2)

  def _shapes(self, channels):
    """Shapes of kernel and bias for a number of input channels."""
    raise NotImplementedError

  def _convolve(self, inputs, kernel):
    raise NotImplementedError

  def build(self, input_shape):
    """Asks the bank for kernel and bias."""
    channels = input_shape[self._channel_axis]
    groups = getattr(self, 'groups', 1)
    if channels is None or channels % groups:
      raise ValueError(
          'The number of input channels must be known and divisible by '
          f'groups={groups}, received inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(
        ndim=self._rank + 2, axes={self._channel_axis: channels})
    self._refuse_empty(input_shape)
    self._kernel_shape, bias_shape = self._shapes(channels)
    self._add_kernel(self._kernel_shape)
    if self.use_bias:
      self._add_bias(bias_shape)

  def _refuse_empty(self, shape):
    """Refuses inputs whose outputs have no size, in the words of Keras' layer.

    Keras looks when it builds; of outputs without size, of sizes that it learns
    later, TensorFlow returns whatever the memory holds.
    """
    first = 1 if self._channel_axis == -1 else 2
    for size, window in zip(shape[first:], self._windows()):
      if size is not None and size < window:
        self.compute_output_shape(tuple(shape))

  def _windows(self):
    """The least sizes of inputs."""
    if self.padding != 'valid':
      return (1,) * self._rank
    return [(kernel - 1) * rate + 1
            for kernel, rate in zip(self.kernel_size, self.dilation_rate)]

  def call(self, inputs, mixture=None, row=None):
    """Convolves with the mixed kernel."""
    row = self._row(mixture, row)
    self._refuse_empty(inputs.shape)
    outputs = self._convolve(ops.cast(inputs, self.compute_dtype),
                             self._parameter('kernel', row))
    if self.use_bias:
      shape = [1] * (self._rank + 2)
      shape[self._channel_axis] = -1
      outputs = ops.add(
          outputs, ops.reshape(self._parameter('bias', row), shape))
    return self._activate(outputs)

  def _options(self):
    """How `ops` convolve."""
    return {'strides': self.strides, 'padding': self.padding,
            'dilation_rate': self.dilation_rate,
            'data_format': self.data_format}
