"""What every mixture layer does: ask the bank for slots and mix them."""

import keras
from keras import ops

from mixture_modules import signatures
from mixture_modules import template_bank


class MixtureLayer(keras.layers.Layer):
  """A layer that owns no weights but a mixture of the bank's templates.

  Subclasses say in `build` which parameters they have (`_add_parameter`) and
  compute with `_parameter(name, mixture)`.

  Args:
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the group of slots. Layers that name the same slot share
      templates. Default: derived from the shapes, so that layers of equal
      shapes share.
    signature: Optional one-row `Signature`, to share a mixture between
      layers. Default: one of the layer's own.
    **kwargs: As for any Keras layer.

  Call arguments:
    mixture: `[K]` mixture weights, the index of a template, or one row of
      `bank.resolve(...)`. Default: the layer's own signature. Meant for calls
      inside a model's own `call`: a functional model would keep a tensor as a
      constant that does not train; hand `signature=` to the constructor there.

  Raises:
    ValueError: If `bank` is not a `TemplateBank`, or `signature` does not
      have one row over its K templates.

  Source: section 3.2.
  """

  def __init__(self, *, bank, slot=None, signature=None, **kwargs):
    # Keras would cast the mixture to the compute dtype before it is used;
    # mixing is float32, so inputs are cast in `call` instead.
    super().__init__(autocast=False, **kwargs)
    bank = signatures.deserialize(bank)
    signature = signatures.deserialize(signature)
    if not isinstance(bank, template_bank.TemplateBank):
      raise ValueError(
          'bank must be a TemplateBank, for example '
          f'TemplateBank(num_templates=4), received {bank!r}.')
    if not isinstance(signature, (signatures.Signature, type(None))):
      raise ValueError(
          'signature must be a Signature of one row, for example '
          f'Signature(1, {bank.num_templates}, kind="1"), received '
          f'{signature!r}.')
    if signature is not None and (
        signature.num_layers, signature.num_templates) != (
            1, bank.num_templates):
      raise ValueError(
          f'A mixture layer takes a signature of shape [1, '
          f'{bank.num_templates}], received [{signature.num_layers}, '
          f'{signature.num_templates}].')
    self.bank = bank
    self.slot = slot
    self._given_signature = signature is not None
    self.signature = signature or signatures.Signature(
        1, bank.num_templates, trainable=self._trainable)
    self._parameter_names = ()

  @property
  def trainable(self):
    """Whether the layer's own signature trains.

    Neither the bank nor a signature that was handed in is touched: other
    layers may be training them.
    """
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    self._trainable = bool(value)
    if not self._given_signature:
      self.signature.trainable = bool(value)

  def _default_slot(self):
    """Name of the slot when the user gave none; after the shapes are known."""
    raise NotImplementedError

  def _add_parameter(self, name, shape, initializer, regularizer=None):
    """Makes sure that the bank has templates for a parameter."""
    self.bank.add_slot(self._slot_of(name), shape, initializer, regularizer)
    self._parameter_names += (name,)

  def _slot_of(self, name):
    return f'{self.slot or self._default_slot()}/{name}'

  @property
  def slots(self):
    """Names of the slots that this layer computes with."""
    return tuple(self._slot_of(name) for name in self._parameter_names)

  def _mixture(self, mixture):
    """The mixture of a call: the one given, or that of the own signature."""
    if mixture is not None:
      return mixture
    sequence = self.signature.sequence
    return sequence[0] if sequence else self.signature.mixture_weights()[0]

  def _parameter(self, name, mixture, dtype=None):
    """theta(xi) of one parameter; `dtype` defaults to the compute dtype."""
    slot = self._slot_of(name)
    if not isinstance(mixture, dict):
      value = self.bank.mix(slot, mixture)
    elif slot in mixture:
      value = mixture[slot]
    else:
      raise ValueError(f'Expected a row of bank.resolve with slot {slot!r}, '
                       f'received one with {sorted(mixture)}.')
    return ops.cast(value, dtype or self.compute_dtype)

  def get_config(self):
    """Constructor arguments; the bank is passed as the object itself.

    Keras then writes a bank that several layers share once, and
    `clone_model` gives clones that share the original bank.
    """
    return {
        **super().get_config(), 'bank': self.bank, 'slot': self.slot,
        'signature': self.signature if self._given_signature else None}


def serialize(layer, names):
  """Config entries of initialisers, regularisers, activations and the rest.

  Args:
    layer: The layer.
    names: Names of its attributes that are constructor arguments.
  """
  kinds = {'initializer': keras.initializers, 'regularizer':
           keras.regularizers, 'activation': keras.activations}
  config = {}
  for name in names:
    module = kinds.get(name.rsplit('_', 1)[-1])
    value = getattr(layer, name)
    config[name] = module.serialize(value) if module and value else value
  return config


def add_bias(outputs, bias, channel_axis):
  """Adds a `[channels]` bias along `channel_axis` of a 4D tensor."""
  shape = [1, 1, 1, 1]
  shape[channel_axis] = -1
  return ops.add(outputs, ops.reshape(bias, shape))
