"""What every mixture layer does: ask the bank for slots and mix them."""

import keras
from keras import ops

from mixture_modules import bank_sharing
from mixture_modules import checks
from mixture_modules import regularizers
from mixture_modules import signatures
from mixture_modules import template_bank

_LORA = ('lora_rank', 'lora_alpha')


class MixtureLayer(keras.layers.Layer):
  """A layer that owns no weights but a mixture of the bank's templates.

  Subclasses say in `build` which parameters they have (`_add_parameter`) and
  compute with `_parameter(name, self._row(mixture, row))`.

  Args:
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the group of slots. Layers that name the same slot share
      templates. Default: derived from the shapes, so that layers of equal
      shapes share.
    signature: What mixes the templates. Default None: a trained softmax of
      the layer's own. A kind ('linear', 'tanh'), the number of a template
      from 1 (fixed), or a dictionary of options of `Signature`, such as
      {'temperature': 2, 'spread': 1}: one of the layer's own of this kind. A
      one-row `Signature`: that one, which layers can share. False: none at
      all; every call then brings a `mixture` or a `row`.
    mixture_regularizer: `regularizers.MixtureRegularizer`, or a dictionary of
      its arguments, such as {'entropy': 0.01}. Its loss is added where the
      layer computes with its signature, once a step for one that layers
      share. Default: none.
    **kwargs: As for any Keras layer.

  Call arguments:
    mixture: xi, `[K]` mixture weights, or the index of a template. Default:
      the layer's own signature. Meant for calls inside a model's own `call`:
      a functional model would keep a tensor as a constant that does not train;
      hand `signature=` to the constructor there.
    row: theta(xi), one of `bank.resolve(...)`, in the place of `mixture`.

  Raises:
    ValueError: If `bank` is not a `TemplateBank`, LoRA is asked for,
      `signature` does not have one row over its K templates, layers that share
      one differ in `mixture_regularizer`, or a call has both `mixture` and
      `row`, or neither where the layer has no signature.

  Source: section 3.2.
  """

  stock = None  # Keras' layer of the same job

  def __init__(self, *, bank, slot=None, signature=None,
               mixture_regularizer=None, **kwargs):
    for name in _LORA:
      refuse_all_but(None, name, kwargs.pop(name, None))
    # Keras would cast the mixture to the compute dtype before it is used;
    # mixing is float32 or wider, so inputs are cast in `call` instead.
    super().__init__(autocast=False, **kwargs)
    bank = signatures.deserialize(bank)
    signature = signatures.deserialize(signature)
    if not isinstance(bank, template_bank.TemplateBank):
      raise ValueError(
          'bank must be a TemplateBank, for example '
          f'TemplateBank(num_templates=4), received {bank!r}.')
    self._owns_signature = _are_options(signature)
    if self._owns_signature:
      signature = signatures.make(
          signature, bank.num_templates, bank.dtype_policy)
    self.mixture_regularizer = regularizers.get(mixture_regularizer)
    if signature is not False:
      _check_signature(signature, bank)
      signature.regularize_by(self.mixture_regularizer)
      signature.join(self)
    bank.join(self)
    self.bank = bank
    self.slot = slot
    self.signature = signature or None
    self._slots = {}  # parameter -> `TemplateSlot`

  @property
  def trainable(self):
    """Whether the layer takes part in training.

    A frozen layer passes no gradient to the bank nor to its signature. Other
    layers may be training them; what no layer trains is frozen.
    """
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    self._trainable = bool(value)
    for slot in self._slots.values():
      slot.follow()
    if self.signature:
      self.signature.follow()

  def _default_slot(self):
    """Name of the slot when the user gave none; after the shapes are known."""
    raise NotImplementedError

  def _add_parameter(self, name, shape, initializer, regularizer=None,
                     constraint=None):
    """Makes sure that the bank has templates for a parameter."""
    slot = self.bank.add_slot(
        f'{self.slot or self._default_slot()}/{name}', shape, initializer,
        regularizer, constraint,
        scale=self.signature.initial_scale() if self.signature else 1.0,
        layer=self)
    self._slots[name] = slot
    setattr(self, f'{name}_slot', slot)  # where TensorFlow's checkpoints look

  def leave(self):
    """Lets slots and signature train without regard to this layer."""
    for shared in (*self._slots.values(), self.signature):
      if shared is not None:
        shared.leave(self)

  def _slot_of(self, name):
    return self._slots[name].slot

  @property
  def slots(self):
    """Names of the slots that this layer computes with."""
    return tuple(slot.slot for slot in self._slots.values())

  def _row(self, mixture, row):
    """The `ResolvedRow` that a call computes with."""
    if row is not None:
      if mixture is not None:
        raise ValueError(f'{self.name}: expected a mixture or a row, received '
                         'both: leave one out.')
      return row
    if mixture is None:
      if self.signature is None:
        raise ValueError(f'{self.name}: expected a mixture or a row, for the '
                         'layer has no signature, received neither: pass one.')
      mixture = self._own_mixture()
      self.signature.add_regularization()
    return template_bank.ResolvedRow(
        {slot: self.bank.mix(slot, mixture) for slot in self.slots})

  def _own_mixture(self):
    """xi of the layer's signature, or the index of a template."""
    sequence = self.signature.sequence
    return sequence[0] if sequence else self.signature.mixture_weights()[0]

  def _mixed(self, name):
    """theta(xi) of one parameter by the layer's own signature, to be read.

    None where the layer has no such parameter, as Keras has it.
    """
    if not self.built or self.signature is None:
      raise AttributeError(
          f'{self.name}: expected a built layer with a signature to mix {name} '
          'by: build it first, or mix with bank.mix().')
    if name not in self._slots:
      return None
    return self.bank.mix(self._slot_of(name), self._own_mixture())

  def _parameter(self, name, row, dtype=None):
    """theta(xi) of one parameter; `dtype` defaults to the compute dtype."""
    value = row[self._slot_of(name)]
    if not self.trainable:
      value = ops.stop_gradient(value)
    return ops.cast(value, dtype or self.compute_dtype)

  def plain_layer(self):
    """Keras' layer of the same job and arguments, not yet built."""
    config = self.get_config()
    for name in ('bank', 'slot', 'signature', 'mixture_regularizer'):
      config.pop(name)
    return self.stock.from_config(config)

  def plain_weights(self):
    """The present weights for `plain_layer`, arrays."""
    return [ops.convert_to_numpy(self._mixed(name)) for name in self._slots]

  def get_config(self):
    """Constructor arguments; the bank is passed as the object itself.

    A copy made by `from_config` shares the bank, outside of `sharing`.
    """
    signature = self.signature or False
    if self._owns_signature and len(signature.users()) == 1:
      signature = signature.options() or None
    return {
        **super().get_config(), 'bank': self.bank, 'slot': self.slot,
        'signature': signature,
        'mixture_regularizer': regularizers.serialize(
            self.mixture_regularizer)}

  @classmethod
  def from_config(cls, config):
    """A layer of these arguments; `bank` and `signature` as `sharing` says."""
    return super().from_config(bank_sharing.copies(config))


def _are_options(signature):
  """Whether they say what signature a layer is to have of its own."""
  return signature is None or isinstance(signature, (str, dict)) or (
      isinstance(signature, int) and not isinstance(signature, bool))


def _check_signature(signature, bank):
  if not isinstance(signature, signatures.Signature):
    raise ValueError(
        'signature must be a kind, options or a Signature of one row, for '
        f'example Signature(1, {bank.num_templates}, kind="1"), received '
        f'{signature!r}.')
  shape = [signature.num_layers, signature.num_templates]
  if shape != [1, bank.num_templates]:
    raise ValueError(f'A mixture layer takes a signature of shape [1, '
                     f'{bank.num_templates}], received {shape}.')


def initializer(value, default):
  """The Keras initialiser; None is the default one, as Keras documents it."""
  return keras.initializers.get(default if value is None else value)


def refuse_all_but(default, name, value):
  """Refuses an argument of Keras' layer that mixtures have no use for."""
  checks.require(
      value == default, name, default, value,
      'mixture layers do without, leave it out or use the layer of Keras')


def serialize(layer, names):
  """Config entries of initialisers, regularisers, activations and the rest.

  Args:
    layer: The layer.
    names: Names of its attributes that are constructor arguments.
  """
  kinds = {'initializer': keras.initializers, 'constraint': keras.constraints,
           'regularizer': keras.regularizers, 'activation': keras.activations}
  config = {}
  for name in names:
    module = kinds.get(name.rsplit('_', 1)[-1])
    value = getattr(layer, name)
    config[name] = module.serialize(value) if module and value else value
  return config
