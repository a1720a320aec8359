"""Banks and signatures that stay shared in copies of a model.

Layers that share a bank share it again after `load_model`, `copy` and
`pickle`. Keras reads other configurations layer by layer. Then this scope
keeps one bank:

    with mm.sharing():
      model = keras.models.model_from_json(text)

Without it, a bank that several layers share is refused.
"""

import contextlib
import threading
import uuid

import keras

from mixture_modules import rebuilding

_KEY = 'sharing'  # of a configuration


class Shareable:
  """What layers hold as one object: banks and signatures."""


class _Scope(threading.local):
  """The innermost `sharing` of a thread."""

  holders = None  # {identity: `Holder`}


_scope = _Scope()


@contextlib.contextmanager
def sharing():
  """Lets layers that are made from configurations share as the originals did.

      with mm.sharing():
        model = keras.Model.from_config(other.get_config())

  One scope makes one copy of each bank and of each shared signature, and
  copies those that a configuration holds as objects, too. It serves
  `from_config`, `model_from_json`, `deserialize_keras_object`, `clone_model`
  and `load_model` of `.h5` files.
  """
  before = _scope.holders
  _scope.holders = {}
  try:
    yield
  finally:
    _scope.holders = before


def load_model(path, **kwargs):
  """Loads a `.keras` or `.h5` file of a model with layers of this package.

      model = mm.load_model('model.keras')

  `keras.saving.load_model` does the same for `.keras` files once this package
  is imported; of `.h5` files it knows no shared banks.

  Args:
    path: The file.
    **kwargs: As for `keras.saving.load_model`.

  Returns:
    The Keras model.
  """
  with sharing():
    return keras.saving.load_model(path, **kwargs)


def copy_model(model):
  """An independent copy of a model, with its weights and banks of its own.

      teacher = mm.copy_model(student)

  What layers of the model share, layers of the copy share. What is frozen
  stays frozen. The copy is not compiled.

  Args:
    model: Keras model, functional, Sequential or one with `get_config` and
      `from_config`; nested ones, too.

  Returns:
    The copy.

  Raises:
    ValueError: If the model is not built, or the copy of a layer keeps a
      variable of the original.
  """
  rebuilding.check_built(model)
  with sharing():
    if rebuilding.is_model_of_layers(model):
      copy, _ = rebuilding.rebuild(
          model, lambda layer: rebuilding.copy_layer(layer, copies))
    else:
      copy = keras.models.clone_model(model)
  if not copy.built:
    copy.build_from_config(model.get_build_config())
  kept = {id(v) for v in model.variables} & {id(v) for v in copy.variables}
  if kept:
    names = [v.path for v in model.variables if id(v) in kept]
    raise ValueError(
        f'Expected a copy with variables of its own, received one that keeps '
        f'{names} of {model.name!r}: let from_config of their layers make '
        'them anew.')
  copy.set_weights(model.get_weights())
  for ours, theirs in zip(copy._flatten_layers(), model._flatten_layers()):
    ours._trainable = theirs._trainable
    rebuilding.settle(ours)
  for ours, theirs in zip(copy.variables, model.variables):
    ours.trainable = theirs.trainable
  return copy


@contextlib.contextmanager
def apart():
  """Keeps `sharing` from copying banks within."""
  before, _scope.holders = _scope.holders, None
  try:
    yield
  finally:
    _scope.holders = before


def describe(shared, num_layers):
  """What a configuration says of something that layers share.

  Args:
    shared: The bank or the like.
    num_layers: How many layers have it.
  """
  return {_KEY: {'identity': _identity(shared), 'num_layers': num_layers}}


def without(config):
  """A configuration without what `describe` says."""
  return {key: value for key, value in config.items() if key != _KEY}


def restore(cls, config):
  """The object of a configuration: one for all layers that shared it.

  Args:
    cls: Its class, or a function that makes it.
    config: Arguments of the class, and perhaps what `describe` says.

  Raises:
    ValueError: If several layers shared it, and neither Keras reads a file
      nor `sharing` is there.
  """
  config = dict(config)
  facts = config.pop(_KEY, None)
  if facts is None:
    return cls(**config)
  holder = _find_holder(facts['identity'])
  if holder is None:
    if facts['num_layers'] > 1:
      raise ValueError(
          f'Expected one {cls.__name__} for all of the {facts["num_layers"]} '
          'layers that share it, received the configuration of one layer '
          'alone, from which each would get its own: read it in `with '
          'mm.sharing():`, or copy a model by mm.copy_model().')
    return cls(**config)
  if holder.held is None:
    holder.held = cls(**config)
  return holder.held


def copies(config):
  """A layer's configuration, in `sharing` with copies of what it shares.

  Args:
    config: Arguments of the layer.
  """
  holders = _scope.holders
  if holders is None:
    return config
  made = [holder.held for holder in holders.values()]

  def copy(value):
    if not isinstance(value, Shareable) or any(value is one for one in made):
      return value  # JSON gives objects that were made in this scope
    holder = _find_holder(_identity(value))
    if holder.held is None:
      holder.held = type(value).from_config(without(value.get_config()))
    return holder.held

  return {key: copy(value) for key, value in config.items()}


def _identity(shared):
  if not hasattr(shared, '_identity'):
    shared._identity = uuid.uuid4().hex
  return shared._identity


@keras.saving.register_keras_serializable(package='mixture_modules')
class Holder:
  """Holds the one object of an identity while Keras reads a file."""

  def __init__(self):
    self.held = None

  def get_config(self):
    """Nothing: it is never saved."""
    return {}

  @classmethod
  def from_config(cls, config):
    """A new one."""
    return cls(**config)


def _find_holder(identity):
  holders = _scope.holders
  if holders is not None:
    return holders.setdefault(identity, Holder())
  # While Keras reads a file, it gives one object for one id of this kind.
  config = {**keras.saving.serialize_keras_object(Holder()),
            'shared_object_id': f'mixture_modules {identity}'}
  first, second = (
      keras.saving.deserialize_keras_object(config) for _ in range(2))
  return first if first is second else None
