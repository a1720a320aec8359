"""K versions of one parameter of a block: what models hold and train.

A `TemplateBank` makes slots and hands them to the layers that ask for them.
"""

import contextlib
import itertools
import random
import warnings
import zlib

import keras
from keras import ops
import numpy as np

from mixture_modules import shared_layer
from mixture_modules import tracking


class TemplateSlot(shared_layer.SharedLayer):
  """The templates of one parameter, a variable `[K, *shape]`.

  Every template is initialised on its own shape (an initialiser that saw
  `[K, *shape]` would take K for a part of the receptive field), and each
  with its own seed, so that templates differ.

  Args:
    bank: `TemplateBank` of the slot; it says K, and whether slots train.
    slot: Name of the slot.
    shape: Shape of one template, without K.
    initializer: Keras initialiser of one template.
    regularizer: Keras regulariser of the variable, or None.
    constraint: Keras constraint of one template, or None.
    scale: Multiplies random templates: see `Signature.initial_scale`.
    **kwargs: As for any Keras layer.

  Source: section 3.2.
  """

  def __init__(self, bank, slot, shape, initializer, regularizer=None,
               constraint=None, scale=1.0, **kwargs):
    super().__init__(**kwargs)
    self.bank = bank
    self.slot = slot
    self.shape = tuple(int(n) for n in shape)
    self.initializer = keras.initializers.get(initializer)
    self.regularizer = keras.regularizers.get(regularizer)
    self.constraint = keras.constraints.get(constraint)
    self.scale = scale
    self.templates = None
    self._hold(bank.num_templates, self._draws())
    self.built = True

  def _hold(self, num_templates, initializer):
    with tracking.replacing(self, self.templates):
      # Optimisers leave out variables by their names: 'bias', say.
      self.templates = self.add_weight(
          name=self.slot.replace('/', '_'),
          shape=(num_templates, *self.shape), initializer=initializer,
          autocast=False, regularizer=self.regularizer,
          constraint=_each_template(self.constraint))
    self.follow()

  @property
  def trainable(self):
    """Whether the templates train: the bank does, and a layer on the slot.

    Keras sets it as it freezes one of these layers. The others may go on.
    """
    return self.templates is None or self.templates.trainable

  @trainable.setter
  def trainable(self, value):
    del value
    self.follow()

  def _may_train(self):
    return self.bank.trainable

  @property
  def shared_variable(self):
    """The variable `[K, *shape]`."""
    return self.templates

  @property
  def num_templates(self):
    """K."""
    return self.templates.shape[0]

  @property
  def properties(self):
    """What layers on one slot agree on, {argument: its configuration}."""
    return describe(
        self.shape, self.initializer, self.regularizer, self.constraint)

  def draw(self, num_templates, seed):
    """New templates as the initialiser makes them, an array `[n, *shape]`.

    Args:
      num_templates: n.
      seed: Integer.
    """
    return ops.convert_to_numpy(
        self._draws(seed)((num_templates, *self.shape)))

  def _draws(self, seed=None):
    return _per_template(self.initializer, self.slot, self.scale, seed)

  def resize(self, rows):
    """Holds other templates from now on, in a new variable.

    Args:
      rows: Array `[K, *shape]` with the new K.
    """
    self._hold(len(rows), 'zeros')
    self.templates.assign(rows)

  def save_own_variables(self, store):
    """Saves the templates under the slot's name."""
    store[_store_key(self.slot)] = self.templates.numpy()

  def load_own_variables(self, store):
    """Loads the templates; refuses those of another slot or number."""
    saved = {key: np.asarray(store[key]) for key in set(store.keys())}
    key = _store_key(self.slot)
    if set(saved) != {key}:
      # Keras asks again, at another place, for what did not fit at the first.
      raise ValueError(
          f'Expected templates of the slot {self.slot!r}, received '
          f'{sorted(saved) or "none"}: the file is of a model with another '
          'number of templates or other layers. Build the same layers on banks '
          'of the same num_templates.')
    if saved[key].shape != tuple(self.templates.shape):
      raise ValueError(
          f'Expected [K, *shape] = {list(self.templates.shape)} of the slot '
          f'{self.slot!r}, received {list(saved[key].shape)}: make the bank '
          'with the num_templates (K) of the file, and the same layers.')
    self.templates.assign(saved[key])


def draw_seed():
  """A seed under Keras' global one, as Keras draws them."""
  return random.randint(1, 10**9)


def describe(shape, initializer, regularizer, constraint):
  """Configurations of a slot's properties, to be compared."""
  return {
      'shape': [int(n) for n in shape],
      'initializer': _serialize(keras.initializers.get(initializer)),
      'regularizer': _serialize(keras.regularizers.get(regularizer)),
      'constraint': _serialize(keras.constraints.get(constraint))}


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


def _each_template(constraint):
  """A constraint of `[K, *shape]`, that of one template or None for each."""
  if constraint is None:
    return None

  def constrain(templates):
    templates = ops.unstack(ops.convert_to_tensor(templates))
    return ops.stack([constraint(template) for template in templates])

  return constrain


def _per_template(initializer, slot, scale=1.0, seed=None):
  """An initialiser of `[K, *shape]` that draws each template by itself.

  The slot is part of the seed: one initialiser often serves several slots,
  and would give them all the same random numbers. A `seed` stands for the
  initialiser's own. `scale` multiplies what is drawn about a mean of 0.
  """

  def initialize(shape, dtype=None):
    count, *shape = shape
    # A plain function draws by itself, whatever its randomness.
    config = getattr(initializer, 'get_config', dict)()
    own = list(_seeds(config))  # none of constants, nor of a SeedGenerator
    draws = [initializer] * count
    if own:
      entropy = [_entropy(initializer, own) if seed is None else seed,
                 zlib.crc32(slot.encode())]
      seeds = np.random.SeedSequence(entropy).generate_state(count)
      with contextlib.suppress(TypeError, ValueError):  # not to be made again
        draws = [type(initializer).from_config(
            _with_seeds(config, itertools.count(int(s >> 1)))) for s in seeds]
    templates = ops.stack([draw(tuple(shape), dtype=dtype) for draw in draws])
    if not type(initializer).__module__.startswith('keras.'):
      _warn_of_equal(templates, initializer)
    return templates * scale if _is_centred(config) else templates

  return initialize


def _seeds(config):
  """The seeds that a configuration says, inner ones too: integers or None."""
  if isinstance(config, (list, tuple)):
    config = dict(enumerate(config))
  if isinstance(config, dict):
    for key, value in config.items():
      if _is_seed(key, value):
        yield value
      elif key != 'seed':  # a SeedGenerator moves on by itself
        yield from _seeds(value)


def _with_seeds(config, seeds):
  """A copy of a configuration with other seeds, of an iterator, for its own."""
  if isinstance(config, (list, tuple)):
    return type(config)(_with_seeds(value, seeds) for value in config)
  if not isinstance(config, dict):
    return config
  return {key: next(seeds) if _is_seed(key, value) else
          value if key == 'seed' else _with_seeds(value, seeds)
          for key, value in config.items()}


def _is_seed(key, value):
  return key == 'seed' and isinstance(value, (int, type(None)))


def _entropy(initializer, own):
  """The seed that an initialiser draws by; `own` are those it was given."""
  drawn = getattr(initializer, 'seed', None)  # Keras', where it was given none
  given = [seed for seed in (*own, drawn) if isinstance(seed, int)]
  return given[0] if given else draw_seed()


def _warn_of_equal(templates, initializer):
  """Warns if an initialiser that looks random drew the same every time."""
  try:
    first, *others = ops.convert_to_numpy(templates)
  except (NotImplementedError, TypeError):
    return  # a trace has no values
  # Zeros, ones and unit matrices are meant to be equal.
  if (others and all(np.array_equal(first, each) for each in others)
      and len(np.unique(first)) > 2):
    name = getattr(initializer, '__name__', type(initializer).__name__)
    warnings.warn(
        f'Expected {name} to draw {len(templates)} different templates, '
        'received equal ones, whose mixtures are all one kernel: give the '
        'initialiser a `seed` that its get_config returns, or a '
        'keras.random.SeedGenerator of its own.', stacklevel=2)


def _is_centred(config):
  """Whether an initialiser draws at random, and about 0."""
  centre = config.get('minval', 0) + config.get('maxval', 0)
  return 'seed' in config and config.get('mean', 0) == centre == 0
