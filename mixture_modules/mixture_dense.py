"""Densely connected layers with a mixed kernel (section 3.2)."""

import re

import keras
from keras import ops

from mixture_modules import kernel_layer


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureDense(kernel_layer.MixtureKernelLayer):
  """Dense layer whose kernel is a mixture of shared templates.

      y = activation(x @ sum_k xi[k] theta[k] + sum_k xi[k] b[k])

  The arguments up to `bias_constraint` are those of `keras.layers.Dense`, with
  the same meaning and order; LoRA and quantisation are missing. Those that are
  not listed here are explained at `MixtureConv2D`.

  Args:
    units: Output channels.
    bank: `TemplateBank` that owns the templates; shared, not copied.

  Call arguments:
    inputs: `[batch, ..., channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    `[batch, ..., units]`.

  Raises:
    ValueError: If `slot` holds templates of another shape, or an argument is
      out of range.

  Source: section 3.2.
  """

  stock = keras.layers.Dense

  def build(self, input_shape):
    """Asks the bank for kernel and bias."""
    channels = input_shape[-1]
    if channels is None:
      raise ValueError('The number of input channels must be known, received '
                       f'inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: channels})
    self._kernel_shape = (channels, self.units)
    self._add_kernel(self._kernel_shape)
    if self.use_bias:
      self._add_bias((self.units,))

  def _default_slot(self):
    return 'dense_' + 'x'.join(map(str, self._kernel_shape))

  def call(self, inputs, mixture=None, row=None):
    """Multiplies by the mixed kernel."""
    row = self._row(mixture, row)
    outputs = kernel_layer.multiply(
        ops.cast(inputs, self.compute_dtype), self._parameter('kernel', row))
    if self.use_bias:
      outputs = ops.add(outputs, self._parameter('bias', row))
    return self._activate(outputs)


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureEinsumDense(kernel_layer.MixtureKernelLayer):
  """Einsum with a kernel that is a mixture of shared templates.

      y = activation(einsum(equation, x, sum_k xi[k] theta[k])
                     + sum_k xi[k] b[k])

  The projections of attention are such layers: 'abc,cde->abde' to queries, keys
  and values of d heads, 'abde,dec->abc' back. The arguments up to
  `bias_constraint` are those of `keras.layers.EinsumDense`, with the same
  meaning and order; LoRA and quantisation are missing. Those that are not
  listed here are explained at `MixtureConv2D`.

  Args:
    equation: As 'abc,cd->abd', '...c,cd->...d' or 'ab...,bc->ac...'.
    output_shape: Int or tuple, without the batch and what `...` stands for.
    bias_axes: The axes of the outputs that a mixed bias has, as 'd'. None: no
      bias.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the shapes of
      kernel and bias and the kernel's axes that are summed over, so that equal
      ones share templates.

  Call arguments:
    inputs: Tensor of the shape that the equation says.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    Tensor of the shape that the equation says.

  Raises:
    ValueError: If `slot` holds templates of another shape, or shapes and
      equation do not fit.

  Source: section 3.2.
  """

  stock = keras.layers.EinsumDense

  def build(self, input_shape):
    """Asks the bank for kernel and bias."""
    # The stock layer refuses what does not fit.
    output_shape = self.compute_output_shape(input_shape)
    inputs, kernel, outputs = re.split(',|->', self.equation)
    sizes = {**_sizes(inputs, input_shape), **_sizes(outputs, output_shape)}
    self._kernel_shape = tuple(sizes[letter] for letter in kernel)
    if None in self._kernel_shape:
      raise ValueError(
          'The number of input channels must be known, and all sizes that the '
          f'kernel has in {self.equation!r}, received inputs of shape '
          f'{input_shape}.')
    self.input_spec = keras.InputSpec(
        ndim=len(input_shape),
        axes={axis: input_shape[axis] for axis in _axes_of(inputs, kernel)})
    self._summed = tuple(axis for axis, letter in enumerate(kernel)
                         if letter not in outputs)
    self._bias_shape = (
        _bias_shape(outputs, output_shape, self.bias_axes)
        if self.bias_axes else None)
    self._add_kernel(
        self._kernel_shape, self._initializer(range(len(kernel))))
    if self._bias_shape:
      self._add_bias(self._bias_shape)

  def _initializer(self, axes):
    """The kernel's, which takes summed axes for the inputs, others for not."""
    initializer = self.kernel_initializer
    config = getattr(initializer, 'get_config', dict)()
    if {'input_axes', 'output_axes'} <= set(config) and None in (
        config['input_axes'], config['output_axes']):
      config['input_axes'] = list(self._summed)
      config['output_axes'] = [a for a in axes if a not in self._summed]
      return type(initializer).from_config(config)
    return initializer

  def compute_output_shape(self, input_shape):
    """Shape of the outputs, as the equation says."""
    shape = super().compute_output_shape(input_shape)
    if self.equation.startswith('...'):
      # Keras' layer reverses the axes that `...` stands for.
      elided = len(input_shape) - self.equation.index(',') + len('...')
      shape = (*input_shape[:elided], *shape[elided:])
    return shape

  def _default_slot(self):
    parts = [self._kernel_shape, self._summed, self._bias_shape or ()]
    return 'einsum_dense_' + '_'.join('x'.join(map(str, p)) for p in parts if p)

  def call(self, inputs, mixture=None, row=None):
    """Sums products of the inputs and the mixed kernel."""
    row = self._row(mixture, row)
    outputs = ops.einsum(self.equation, ops.cast(inputs, self.compute_dtype),
                         self._parameter('kernel', row))
    if self._bias_shape:
      outputs = ops.add(outputs, self._parameter('bias', row))
    return self._activate(outputs)


def _sizes(term, shape):
  """{letter: size} of a term of an equation, such as '...ab'."""
  letters = term.replace('...', '')
  if term.startswith('...'):
    shape = shape[len(shape) - len(letters):]
  return dict(zip(letters, shape))


def _axes_of(term, letters):
  """Axes of a tensor whose letters are among `letters`."""
  if term.startswith('...'):
    count = len(term) - 3
    return [axis - count for axis, letter in enumerate(term[3:])
            if letter in letters]
  return [axis for axis, letter in enumerate(term) if letter in letters]


def _bias_shape(term, shape, bias_axes):
  """The shape that broadcasts a bias of some axes to the outputs."""
  letters = term.replace('...', '')
  sizes = _sizes(term, shape)
  first = min(letters.index(letter) for letter in bias_axes)
  elided = len(shape) - len(letters) if term.endswith('...') else 0
  return (*(sizes[letter] if letter in bias_axes else 1
            for letter in letters[first:]), *[1] * elided)
