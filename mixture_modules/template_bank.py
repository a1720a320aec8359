"""The template bank: K versions of every parameter of a block (section 3.2).

A *slot* is one parameter of a block (`expand/kernel`, ...). The bank holds one
variable `[K, *shape]` for each slot: row k of all slots together is template
k. A layer computes with a mixture xi of the rows, `sum_k xi[k] * theta[k]`.
"""

import random
import zlib

import keras
from keras import ops
import numpy as np

from mixture_modules import checks
from mixture_modules import signatures
from mixture_modules import tracking
from mixture_modules import users


class ResolvedRow(dict):
  """The parameters of one layer, {slot: theta(xi)}: mixed, not to be mixed.

  `TemplateBank.resolve` makes them; mixture layers take one as `row=`.
  """

  def __missing__(self, slot):
    raise ValueError(f'Expected a resolved row with the slot {slot!r}, '
                     f'received one with {sorted(self)}: resolve a signature '
                     'over the bank of this layer, once it is built.')


@keras.saving.register_keras_serializable(package='mixture_modules')
class TemplateBank(keras.layers.Layer):
  """Owns the templates that mixture layers compute with.

      bank = TemplateBank(num_templates=4)
      for _ in range(8):
        x = x + MixtureConv2D(64, 3, padding='same', bank=bank)(x)

  Mixture layers ask for their slots when they are built; layers that ask for
  the same slot share its templates. A frozen layer passes no gradient to the
  bank, and a slot whose layers are all frozen is frozen. To freeze every slot,
  set `bank.trainable = False`; freezing a model that holds the bank as an
  attribute does so, too.

  Templates are mixed in float32, in float64 if they are of that type
  (`dtype='float64'`, or Keras set to it).

  `.keras` files, `clone_model`, `copy` and `pickle` keep one bank for all
  layers of a model. Keras' own limits for shared layers hold here, too: a bank
  on two levels of nested models does not load, and `Model.from_config` or
  `to_json` give every layer a bank of its own.

  Args:
    num_templates: K, the number of templates in every slot.
    **kwargs: As for any Keras layer.

  Raises:
    ValueError: If `num_templates` is not a positive integer.

  Source: section 3.2 ("mixture modules").
  """

  def __init__(self, num_templates, **kwargs):
    super().__init__(**kwargs)
    self.num_templates = checks.positive_integer(
        'num_templates (K in the paper)', num_templates)
    self._templates = {}  # slot -> Variable [K, *shape]
    self._slot_configs = {}
    self._users = users.Users()

  @property
  def slots(self):
    """Names of the slots, in the order in which they were added."""
    return tuple(self._templates)

  def templates(self, slot):
    """The variable `[K, *shape]` of `slot`."""
    if slot not in self._templates:
      raise ValueError(
          f'The bank has no slot {slot!r}; it has {sorted(self._templates)}. '
          'Add it with add_slot(), or build the layer that uses it.')
    return self._templates[slot]

  def add_slot(self, slot, shape, initializer='glorot_uniform',
               regularizer=None, constraint=None):
    """Makes sure that `slot` exists with these properties.

    Every template is initialised on its own shape (an initialiser that saw
    `[K, *shape]` would take K for a part of the receptive field), and each
    with its own seed, so that templates differ.

    Args:
      slot: Name of the slot, without colons, which stand for its slashes in
        saved files.
      shape: Shape of one template of this slot, without K.
      initializer: Keras initialiser of one template.
      regularizer: Keras regulariser of the variable `[K, *shape]`. It acts on
        the templates, once, however many layers use them.
      constraint: Keras constraint of one template. The optimiser applies it to
        each template after a step, as it does to the kernels of plain layers.

    Raises:
      ValueError: If the slot exists with another shape, initialiser,
        regulariser or constraint, or its name has a colon.
    """
    if ':' in slot:
      raise ValueError(f'Expected a name of a slot without a colon, received '
                       f'{slot!r}: choose another one.')
    config = {
        'slot': slot,
        'shape': [int(n) for n in shape],
        'initializer': _serialize(keras.initializers.get(initializer)),
        'regularizer': _serialize(keras.regularizers.get(regularizer)),
        'constraint': _serialize(keras.constraints.get(constraint)),
    }
    if slot in self._slot_configs:
      _check_same_slot(self._slot_configs[slot], config)
      return
    self._slot_configs[slot] = config
    self._add_templates(slot, _per_template(initializer, slot))
    self.built = True

  def _add_templates(self, slot, initializer):
    config = self._slot_configs[slot]
    with tracking.unlocked(self):
      self._templates[slot] = self.add_weight(
          name=slot.replace('/', '_'),
          shape=(self.num_templates, *config['shape']),
          initializer=initializer, autocast=False,
          regularizer=keras.regularizers.get(config['regularizer']),
          constraint=_each_template(config['constraint']))
    self.follow([slot])

  @property
  def trainable(self):
    """Whether slots train, those that none but frozen layers use excepted."""
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    self._trainable = bool(value)
    self.follow(self.slots)

  def join(self, layer, slot):
    """Counts a layer among the users of a slot."""
    self._users.add(slot, layer)
    self.follow([slot])

  def follow(self, slots):
    """Lets slots train as the bank and the layers that joined them do.

    A slot that no layer joined trains as the bank does.

    Args:
      slots: Names of slots.
    """
    for slot in slots:
      self._templates[slot].trainable = (
          self.trainable and not self._users.all_frozen(slot))

  def draw(self, num_templates, seed=None):
    """New templates as the slots' initialisers make them, not yet the bank's.

    Args:
      num_templates: How many.
      seed: Default: drawn, under Keras' global seed.

    Returns:
      {slot: array `[num_templates, *shape]`}.
    """
    if seed is None:
      seed = random.randint(1, 10**9)  # as Keras draws seeds
    return {slot: ops.convert_to_numpy(_per_template(
        config['initializer'], slot, seed)((num_templates, *config['shape'])))
            for slot, config in self._slot_configs.items()}

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
        slot for slot, config in self._slot_configs.items()
        if list(templates[slot].shape[1:]) != config['shape']}
    if wrong or len(counts) != 1 or counts == {0}:
      raise ValueError(
          'Expected arrays [K, *shape] of one K for all slots, received '
          f'{ {slot: rows.shape for slot, rows in templates.items()} }.')
    self.num_templates = counts.pop()
    for slot, rows in templates.items():
      tracking.forget(self, self._templates[slot])
      self._add_templates(slot, 'zeros')
      self._templates[slot].assign(rows)

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
    """Constructor arguments; the slots are in `get_build_config`."""
    return {**super().get_config(), 'num_templates': self.num_templates}

  def get_build_config(self):
    """The slots: name, shape, initialiser, regulariser, constraint."""
    return {'slots': list(self._slot_configs.values())}

  def build_from_config(self, config):
    """Makes the slots of a saved bank again."""
    for slot in config['slots']:
      self.add_slot(slot['slot'], slot['shape'],
                    keras.initializers.get(slot['initializer']),
                    keras.regularizers.get(slot['regularizer']),
                    keras.constraints.get(slot['constraint']))

  def save_own_variables(self, store):
    """Saves each slot under its name, so that order does not matter."""
    for slot, variable in self._templates.items():
      store[_store_key(slot)] = variable.numpy()

  def load_own_variables(self, store):
    """Loads each slot by name; refuses a store with other slots or K."""
    expected = {_store_key(slot): slot for slot in self._templates}
    saved = {key: np.asarray(store[key]) for key in set(store.keys())}
    self._check_saved(expected, saved)
    for key, slot in expected.items():
      self._templates[slot].assign(saved[key])

  def _check_saved(self, expected, saved):
    """Refuses saved templates that are not those of this bank's slots."""
    if expected and not saved:
      # Keras asks again, at another place, for what did not fit at the first.
      raise ValueError(
          f'Expected K = {self.num_templates} templates of the slots '
          f'{list(self.slots)} for the bank {self.name!r}, received a file '
          'without such: it is of a model with another number of templates, '
          'other slots or another structure.')
    if set(expected) != set(saved):
      raise ValueError(
          f'The saved bank {self.name!r} has other slots than this one: '
          f'missing {sorted(set(expected) - set(saved))}, '
          f'unexpected {sorted(set(saved) - set(expected))}. Build the layers '
          'that used the bank when it was saved before loading its weights, '
          'and no others.')
    counts = {len(rows) for rows in saved.values()}
    if counts - {self.num_templates}:
      raise ValueError(
          f'The saved bank {self.name!r} has K = '
          f'{", ".join(map(str, sorted(counts)))} templates, this one '
          f'{self.num_templates}: make it with that num_templates.')


def _serialize(value):
  """The Keras config of an initialiser or the like, to be compared."""
  if value is None:
    return None
  return _without_ids(keras.saving.serialize_keras_object(value))


def _without_ids(config):
  """A copy without the ids that Keras adds, even later, while it saves."""
  if isinstance(config, dict):
    return {key: _without_ids(value) for key, value in config.items()
            if key != 'shared_object_id'}
  return config


def _store_key(slot):
  return slot.replace('/', ':')  # '/' would open a group in HDF5


def _check_same_slot(existing, config):
  for key in ('shape', 'initializer', 'regularizer', 'constraint'):
    if existing[key] != config[key]:
      here, received = (_describe(c[key]) for c in (existing, config))
      raise ValueError(
          f'Slot {config["slot"]!r} holds templates with {key} {here}, '
          f'received {key} {received}. Layers on one slot share its '
          'templates: make them agree, or give this layer a slot of its own '
          'with slot=...')


def _describe(config):
  if not isinstance(config, dict):
    return config
  # A plain function has its name in place of arguments.
  return f'{config["class_name"]}({config["config"]})'


def _each_template(constraint):
  """A constraint of `[K, *shape]`, that of one template or None for each."""
  constraint = keras.constraints.get(constraint)
  if constraint is None:
    return None

  def constrain(templates):
    templates = ops.unstack(ops.convert_to_tensor(templates))
    return ops.stack([constraint(template) for template in templates])

  return constrain


def _per_template(initializer, slot, seed=None):
  """An initialiser of `[K, *shape]` that draws each template by itself.

  The slot is part of the seed: one initialiser often serves several slots,
  and would give them all the same random numbers. A `seed` stands for the
  initialiser's own.
  """
  initializer = keras.initializers.get(initializer)

  def initialize(shape, dtype=None):
    count, *shape = shape
    # A plain function draws by itself, whatever its randomness.
    config = getattr(initializer, 'get_config', dict)()
    own = config.get('seed', '')
    if seed is not None and 'seed' in config:
      own = seed
    if not isinstance(own, (int, type(None))):
      # A SeedGenerator moves on by itself; seedless initialisers are constant.
      draws = [initializer] * count
    else:
      entropy = [own or int(initializer.seed), zlib.crc32(slot.encode())]
      seeds = np.random.SeedSequence(entropy).generate_state(count)
      draws = [type(initializer).from_config({**config, 'seed': int(s >> 1)})
               for s in seeds]
    return ops.stack([draw(tuple(shape), dtype=dtype) for draw in draws])

  return initialize
