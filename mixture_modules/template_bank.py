"""The template bank: K versions of every parameter of a block (section 3.2).

A *slot* is one parameter of a block (`expand/kernel`, ...). The bank holds one
variable `[K, *shape]` for each slot: row k of all slots together is template
k. A layer computes with a mixture xi of the rows, `sum_k xi[k] * theta[k]`.
"""

import threading
import weakref

import keras
from keras import ops
import numpy as np

from mixture_modules import bank_sharing
from mixture_modules import checks
from mixture_modules import signatures
from mixture_modules import template_slot


class ResolvedRow(dict):
  """The parameters of one layer, {slot: theta(xi)}: mixed, not to be mixed.

  `TemplateBank.resolve` makes them; mixture layers take one as `row=`.
  """

  def __missing__(self, slot):
    raise ValueError(f'Expected a resolved row with the slot {slot!r}, '
                     f'received one with {sorted(self)}: resolve a signature '
                     'over the bank of this layer, once it is built.')


@keras.saving.register_keras_serializable(package='mixture_modules')
class TemplateBank(bank_sharing.Shareable):
  """The templates that mixture layers compute with.

      bank = TemplateBank(num_templates=4)
      for _ in range(8):
        x = x + MixtureConv2D(64, 3, padding='same', bank=bank)(x)

  Mixture layers ask for their slots when they are built; layers that ask for
  the same slot share its templates. A model has, counts, saves and trains the
  slots of its own layers, so that several models can use one bank.

  A frozen layer passes no gradient to the bank, and a slot whose layers are
  all frozen is frozen. To freeze every slot, set `bank.trainable = False`.

  Templates are mixed in float32, in float64 if they are of that type
  (`dtype='float64'`, or Keras set to it).

  `.keras` files, `copy` and `pickle` keep one bank for all layers of a model;
  so does `copy_model`. Read other configurations within `sharing`.

  Args:
    num_templates: K, the number of templates in every slot.
    dtype: Type or Keras dtype policy of the templates. Default: Keras' own.
    trainable: Whether slots train, those that none but frozen layers use
      excepted.
    name: What errors call the bank.

  Raises:
    ValueError: If `num_templates` is not a positive integer.

  Source: section 3.2 ("mixture modules").
  """

  def __init__(self, num_templates, dtype=None, trainable=True,
               name='template_bank'):
    self.num_templates = checks.positive_integer(
        'num_templates (K in the paper)', num_templates)
    self.dtype_policy = keras.dtype_policies.get(dtype)
    self.name = name
    self._trainable = bool(trainable)
    self._slots = {}  # slot -> `TemplateSlot`
    self._layers = weakref.WeakSet()
    self._lock = threading.Lock()  # models may be built side by side

  @property
  def slots(self):
    """Names of the slots, in the order in which they were added."""
    return tuple(self._slots)

  @property
  def variables(self):
    """The variables `[K, *shape]` of all slots."""
    return [slot.templates for slot in self._slots.values()]

  def slot(self, name):
    """The `TemplateSlot` of this name.

    Raises:
      ValueError: If there is none.
    """
    if name not in self._slots:
      raise ValueError(
          f'The bank has no slot {name!r}; it has {sorted(self._slots)}. '
          'Add it with add_slot(), or build the layer that uses it.')
    return self._slots[name]

  def templates(self, slot):
    """The variable `[K, *shape]` of `slot`."""
    return self.slot(slot).templates

  def add_slot(self, slot, shape, initializer='glorot_uniform',
               regularizer=None, constraint=None, scale=1.0, layer=None):
    """Makes sure that `slot` exists with these properties.

    A layer that computes with the slot itself, by `mix`, keeps what this
    returns as an attribute, so that models find the templates:

        self.kernel_slot = bank.add_slot('own/kernel', (3, 8), layer=self)

    Args:
      slot: Name of the slot, without colons, which stand for its slashes in
        saved files.
      shape: Shape of one template of this slot, without K.
      initializer: Keras initialiser of one template.
      regularizer: Keras regulariser of the variable `[K, *shape]`. It acts on
        the templates, once, however many layers use them.
      constraint: Keras constraint of one template. The optimiser applies it to
        each template after a step, as it does to the kernels of plain layers.
      scale: Multiplies random templates as they are drawn, if the slot is new.
        `Signature.initial_scale` gives mixtures the variance of the
        initialiser. Constant initialisers need none.
      layer: The Keras layer that computes with the slot. The templates train
        while the bank and one of their layers do.

    Returns:
      The `template_slot.TemplateSlot`, a Keras layer.

    Raises:
      ValueError: If the slot exists with another shape, initialiser,
        regulariser or constraint, or its name has a colon.
    """
    if ':' in slot:
      raise ValueError(f'Expected a name of a slot without a colon, received '
                       f'{slot!r}: choose another one.')
    with self._lock:
      if slot in self._slots:
        _check_same_slot(self._slots[slot], template_slot.describe(
            shape, initializer, regularizer, constraint))
      else:
        self._slots[slot] = template_slot.TemplateSlot(
            self, slot, shape, initializer, regularizer, constraint, scale,
            dtype=self.dtype_policy)
      slot = self._slots[slot]
      if layer is not None:
        self.join(layer)
        slot.join(layer)
      return slot

  def join(self, layer):
    """Counts a layer among those that share the bank."""
    self._layers.add(layer)

  @property
  def trainable(self):
    """Whether slots train, those that none but frozen layers use excepted."""
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    self._trainable = bool(value)
    for slot in self._slots.values():
      slot.follow()

  @property
  def trainable_variables(self):
    """The variables of the slots that train."""
    return [v for v in self.variables if v.trainable]

  def draw(self, num_templates, seed=None):
    """New templates as the slots' initialisers make them, not yet the bank's.

    Args:
      num_templates: How many.
      seed: Default: drawn, under Keras' global seed.

    Returns:
      {slot: array `[num_templates, *shape]`}.
    """
    if seed is None:
      seed = template_slot.draw_seed()
    return {name: slot.draw(num_templates, seed)
            for name, slot in self._slots.items()}

  def resize(self, templates):
    """Holds other templates, and perhaps another number, from now on.

    The variables are new ones. Signatures over the bank must follow:
    `growing` changes both.

    Args:
      templates: {slot: array `[K, *shape]`} for every slot, with the new K.

    Raises:
      ValueError: If slots or shapes do not fit.
    """
    counts = {len(rows) for rows in templates.values()}
    wrong = set(templates) ^ set(self.slots) or {
        name for name, slot in self._slots.items()
        if templates[name].shape[1:] != slot.shape}
    if wrong or len(counts) != 1 or counts == {0}:
      raise ValueError(
          'Expected arrays [K, *shape] of one K for all slots, received '
          f'{ {slot: rows.shape for slot, rows in templates.items()} }.')
    self.num_templates = counts.pop()
    for name, rows in templates.items():
      self._slots[name].resize(rows)

  def mix(self, slot, mixture):
    """`sum_k mixture[k] * templates[k]` of one slot, in float32 or float64.

    Args:
      slot: Name of the slot.
      mixture: `[K]` mixture weights, or the index of one template (a Python
        int), which is then looked up without arithmetic.

    Returns:
      Tensor with the slot's shape.
    """
    templates = self._float_templates(slot)
    if isinstance(mixture, (int, np.integer)):
      if not 0 <= mixture < self.num_templates:
        raise ValueError(f'Expected the index of one of {self.num_templates} '
                         f'templates, from 0, received {mixture}.')
      return templates[int(mixture)]
    mixture = ops.cast(mixture, templates.dtype)
    if tuple(mixture.shape) not in ((self.num_templates,), (None,)):
      raise ValueError(
          f'Expected a mixture of shape [{self.num_templates}], one weight for '
          f'each template, received {list(mixture.shape)}.')
    return ops.tensordot(mixture, templates, axes=1)

  def resolve(self, signature):
    """Mixes whole slots for all rows of a signature at once.

    One matrix product `Xi @ Theta` per slot; for a fixed one-hot signature
    no product at all, the templates are unstacked once and picked.

    Args:
      signature: `Signature` of L rows over this bank's K templates.

    Returns:
      List of L `ResolvedRow`s {slot: tensor of the slot's shape}.
    """
    if signature.num_templates != self.num_templates:
      raise ValueError(
          f'The signature mixes {signature.num_templates} templates, the bank '
          f'has {self.num_templates}: make both with the same num_templates.')
    sequence = signature.sequence
    xi = None if sequence else signature.mixture_weights()  # [L, K]
    rows = [ResolvedRow() for _ in range(signature.num_layers)]
    for slot in self.slots:
      theta = self._float_templates(slot)  # [K, *shape]
      if sequence:
        mixed = ops.unstack(theta, self.num_templates)
        mixed = [mixed[k] for k in sequence]
      else:
        flat = ops.matmul(ops.cast(xi, theta.dtype),
                          ops.reshape(theta, (self.num_templates, -1)))
        mixed = ops.reshape(flat, (signature.num_layers, *theta.shape[1:]))
        mixed = ops.unstack(mixed, signature.num_layers)
      for row, value in zip(rows, mixed):
        row[slot] = value
    return rows

  def _float_templates(self, slot):
    templates = self.templates(slot)
    return ops.cast(templates, signatures.wide(templates.dtype))

  def get_config(self):
    """Constructor arguments; layers make the slots again."""
    return {
        'num_templates': self.num_templates, 'trainable': self.trainable,
        'dtype': keras.dtype_policies.serialize(self.dtype_policy),
        'name': self.name, **bank_sharing.describe(self, len(self._layers))}

  @classmethod
  def from_config(cls, config):
    """The bank of `get_config`: one for all layers that shared it."""
    return bank_sharing.restore(cls, config)

  def __reduce__(self):
    """Makes `copy.deepcopy` and `pickle` keep the templates, not the layers."""
    options = {'num_templates': self.num_templates, 'dtype': self.dtype_policy,
               'trainable': self.trainable, 'name': self.name}
    slots = {name: (slot.shape, slot.initializer, slot.regularizer,
                    slot.constraint, slot.scale)
             for name, slot in self._slots.items()}
    templates = {name: slot.templates.numpy()
                 for name, slot in self._slots.items()}
    return _remake, (options, slots, templates)


def _remake(options, slots, templates):
  """The bank of which `TemplateBank.__reduce__` tells."""
  bank = TemplateBank(**options)
  for name, properties in slots.items():
    bank.add_slot(name, *properties).templates.assign(templates[name])
  return bank


def _check_same_slot(slot, properties):
  for key, here in slot.properties.items():
    value = properties[key]
    if here != value:
      raise ValueError(
          f'Slot {slot.slot!r} holds templates with {key} {_describe(here)}, '
          f'received {key} {_describe(value)}. Layers on one slot share its '
          'templates: make them agree, or give this layer a slot of its own '
          'with slot=...')


def _describe(config):
  if not isinstance(config, dict):
    return config
  # A plain function has its name in place of arguments.
  return f'{config["class_name"]}({config["config"]})'
