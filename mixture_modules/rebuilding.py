"""Functional and Sequential models, made again with other layers.

Copies, folding, conversion and the tasks of a family all go through here.
"""

import contextlib

import keras

_STATISTICS = ('moving_mean', 'moving_variance')


def is_model_of_layers(layer):
  """Whether it is a functional or Sequential model, which can be rebuilt.

  One with a `call` of its own may compute something else than its layers.
  """
  for kind in type(layer).__mro__:
    if kind is keras.Sequential or kind.__name__ == 'Functional':
      return type(layer).call is kind.call
  return False


def check(model):
  """Refuses what cannot be rebuilt.

  Args:
    model: What a user gave.

  Raises:
    ValueError: If it is not a functional or Sequential model, or not built.
  """
  if not is_model_of_layers(model):
    raise ValueError(
        'Expected a functional or Sequential model without a call of its own, '
        f'received {model!r}: write it as one, or as a part of one.')
  check_built(model)


def check_built(model):
  """Raises ValueError if a Keras model has no weights yet."""
  if not model.built:
    raise ValueError(f'Expected a built model, received {model.name!r}, which '
                     'has no weights yet: call it, or build it first.')


def input_of(model):
  """The inputs as the model takes them; a Sequential one need not be called."""
  if isinstance(model, keras.Sequential):
    return model.inputs[0]
  return model.input


def leaves(model):
  """The layers that models are made of, those of nested models among them.

  Each stands once, in the order of the model's layers. Of a `TimeDistributed`
  it is the layer inside.

  Args:
    model: Functional or Sequential model.
  """
  def inside(layer):
    if is_model_of_layers(layer):
      for each in layer.layers:
        yield from inside(each)
    elif type(layer) is keras.layers.TimeDistributed:
      yield from inside(layer.layer)
    else:
      yield layer

  return list(dict.fromkeys(inside(model)))


def parameters_of(layer):
  """The variables of a plain layer that training moves, unless it is frozen."""
  return [v for v in layer.weights if v.name not in _STATISTICS]


def statistics_of(layer):
  """The variables of a norm that follow its batches."""
  return [v for v in layer.weights if v.name in _STATISTICS]


def copy_layer(layer, change=lambda config: config):
  """A leaf made again, not built; itself where it has only what it was told.

  Args:
    layer: Keras layer. A vocabulary or a Python function stays with its layer.
    change: Function from its configuration to that of the copy.
  """
  told = hasattr(layer, 'adapt') or isinstance(layer, keras.layers.Lambda)
  if told and not layer.weights:
    return layer
  return type(layer).from_config(change(layer.get_config()))


def copy_state(target, source):
  """Copies the weights of a layer to its built copy, and what follows them."""
  target.set_weights(source.get_weights())
  settle(target)


def settle(layer):
  """Lets a layer follow weights that were set: a `Normalization` keeps more."""
  if layer.weights and hasattr(layer, 'finalize_state'):
    layer.finalize_state()


def rebuild(model, make):
  """A model with other layers in the places of its own, not compiled.

  Nested models and `TimeDistributed` are made again around their new layers.
  A layer that is called at several places is made once. Operations without
  weights stay.

  Args:
    model: Functional or Sequential model that is built.
    make: Function from a leaf to the layer for its place. That may be the leaf
      itself, or None: inputs then pass the place unchanged.

  Returns:
    (the model, list of (leaf, layer in its place)).

  Raises:
    ValueError: As for `check`.
  """
  check(model)
  made = {}  # id of a layer -> (layer, the one in its place)

  def again(layer):
    if not isinstance(layer, keras.Layer):
      return layer
    if id(layer) not in made:
      if is_model_of_layers(layer):
        new = remake(layer)
      elif type(layer) is keras.layers.TimeDistributed:
        new = _around(layer, again(layer.layer))
      else:
        new = make(layer)
      made[id(layer)] = layer, new
    return made[id(layer)][1]

  def remake(model):
    if isinstance(model, keras.Sequential):
      inputs = input_of(model)
      layers = [again(layer) for layer in model.layers]
      new = keras.Sequential(
          [keras.Input(batch_shape=inputs.shape, dtype=inputs.dtype,
                       name=inputs.name),
           *(layer for layer in layers if layer is not None)],
          name=model.name)
    else:
      with _uncompiled(model):
        new = keras.models.clone_model(
            model, clone_function=again, call_function=_call)
    return new

  new = remake(model)
  return new, [
      pair for pair in made.values()
      if not is_model_of_layers(pair[0]) and pair[1] is not None
      and type(pair[0]) is not keras.layers.TimeDistributed]


def _call(layer, *args, **kwargs):
  return args[0] if layer is None else layer(*args, **kwargs)


def _around(wrapper, layer):
  """A `TimeDistributed` of another layer."""
  if layer is None or layer is wrapper.layer:
    return layer and wrapper
  config = wrapper.get_config()
  del config['layer']
  return type(wrapper)(layer, **config)


@contextlib.contextmanager
def _uncompiled(model):
  """Keeps Keras from compiling a clone: its losses may be no one's to read."""
  compiled, model.compiled = model.compiled, False
  try:
    yield
  finally:
    model.compiled = compiled
