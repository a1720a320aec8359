"""What mixture layers of a kernel and a bias have in common (section 3.2)."""

import inspect

from keras import ops

from mixture_modules import checks
from mixture_modules import mixture_layer

# Of Keras' layers; a configuration may have them, at their default.
MISSING = ('lora_rank', 'lora_alpha', 'gptq_unpacked_column_size',
           'quantization_config')
_COUNTS = ('filters', 'units', 'groups', 'depth_multiplier')


class _ShownArguments:
  """The signature of a class, for `help`; instances have that of `call`."""

  def __get__(self, layer, layer_class):
    if layer is not None or layer_class.stock is None:
      raise AttributeError('__signature__')
    own = inspect.signature(MixtureKernelLayer.__init__).parameters
    return inspect.Signature([
        *_parameters(layer_class.stock),
        *(own[name] for name in ('bank', 'slot', 'signature', 'kwargs'))])


class MixtureKernelLayer(mixture_layer.MixtureLayer):
  """A mixture layer that takes the arguments of a layer of Keras.

      class MixtureDense(MixtureKernelLayer):
        stock = keras.layers.Dense

  Keras' layer of the same job, the stock layer, says which arguments there
  are, in which order and with which defaults. It checks them, normalises them
  and computes the outputs' shape. Regularisers and constraints of a kernel or a
  bias act on each template, not on the mixture. A softmax mixture keeps what is
  convex, such as NonNeg and MaxNorm. An initialiser of None is the default one.

  Args:
    *args: As for the stock layer.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the kernel's
      shape, so that equal shapes share templates.
    signature: What mixes the templates: a kind, the number of a template,
      options of `Signature`, or a `Signature` of one row. Default: a trained
      softmax of the layer's own.
    **kwargs: As for the stock layer, and `mixture_regularizer`, the weights of
      a `regularizers.MixtureRegularizer`; LoRA and quantisation are missing.

  Raises:
    ValueError: If an argument is out of range, or something that is missing is
      asked for.

  Source: section 3.2.
  """

  kernel_name = 'kernel'  # how its arguments are called: `{...}_initializer`
  __signature__ = _ShownArguments()

  def __init__(self, *args, bank, slot=None, signature=None, **kwargs):
    for name in MISSING:
      mixture_layer.refuse_all_but(None, name, kwargs.pop(name, None))
    arguments = _bind(self.stock, args, kwargs)
    if 'activity_regularizer' in arguments:  # what Keras' base class holds
      kwargs['activity_regularizer'] = arguments.pop('activity_regularizer')
    super().__init__(bank=bank, slot=slot, signature=signature, **kwargs)
    mixture_layer.refuse_all_but(
        None, 'quantization mode of dtype', self.quantization_mode)
    self._arguments = tuple(arguments)
    # With a name, it uses up none of those that Keras gives.
    stock = self.stock(**arguments, name=self.name)
    for name in self._arguments:
      setattr(self, _attribute(name), getattr(stock, _attribute(name)))
    self.input_spec = stock.input_spec
    self.supports_masking = stock.supports_masking

  def _stock_layer(self):
    """Keras' layer of the same arguments."""
    return self.stock(name=self.name, **{
        name: getattr(self, _attribute(name)) for name in self._arguments})

  def _add_kernel(self, shape, initializer=None):
    self._add_parameter(
        'kernel', shape,
        initializer or getattr(self, f'{self.kernel_name}_initializer'),
        getattr(self, f'{self.kernel_name}_regularizer'),
        getattr(self, f'{self.kernel_name}_constraint'))

  def _add_bias(self, shape):
    self._add_parameter('bias', shape, self.bias_initializer,
                        self.bias_regularizer, self.bias_constraint)

  @property
  def kernel(self):
    """The mixed kernel, a tensor: `bank.templates(slot)` is what trains."""
    return self._mixed('kernel')

  @property
  def bias(self):
    """The mixed bias, or None."""
    return self._mixed('bias')

  def _activate(self, outputs):
    return outputs if self.activation is None else self.activation(outputs)

  def compute_output_shape(self, input_shape):
    """Shape of the outputs, as for the stock layer."""
    return tuple(self._stock_layer().compute_output_shape(input_shape))

  def get_config(self):
    """Constructor arguments."""
    names = (*self._arguments, 'activity_regularizer')
    config = mixture_layer.serialize(self, map(_attribute, names))
    return {**super().get_config(),
            **{name: config[_attribute(name)] for name in names}}


def multiply(inputs, kernel):
  """`inputs @ kernel` along the last axis, as one product of two matrices.

  It is quicker on CPUs than a product of many, or a convolution.

  Args:
    inputs: `[..., channels]`.
    kernel: `[channels, units]`.

  Returns:
    `[..., units]`.
  """
  if len(inputs.shape) == 2:
    return ops.matmul(inputs, kernel)
  shape = ops.shape(inputs)
  outputs = ops.matmul(ops.reshape(inputs, (-1, shape[-1])), kernel)
  return ops.reshape(outputs, (*shape[:-1], kernel.shape[-1]))


def _parameters(stock):
  """Parameters of a stock layer's constructor that stand here, too."""
  return [parameter for name, parameter in
          inspect.signature(stock).parameters.items()
          if name not in MISSING and name != 'kwargs']


def _bind(stock, args, kwargs):
  """{name: value} of the stock layer's arguments, taken out of `kwargs`."""
  signature = inspect.Signature(_parameters(stock))
  bound = signature.bind(*args, **{
      name: kwargs.pop(name) for name in signature.parameters
      if name in kwargs})
  bound.apply_defaults()
  arguments = bound.arguments
  for name, value in arguments.items():
    if value is None and name.endswith('_initializer'):
      arguments[name] = signature.parameters[name].default
    elif name in _COUNTS and type(value) is not int:
      arguments[name] = checks.positive_integer(name, value)
  return arguments


def _attribute(name):
  """Name of the attribute that holds an argument of Keras' layers."""
  return {'output_shape': 'partial_output_shape'}.get(name, name)
