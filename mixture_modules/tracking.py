"""Changing the state of a built Keras layer, in the one place that does so.

Keras locks a layer's tracker once the layer is built; assigning a variable or
a sub-layer afterwards raises. Banks gain slots when mixture layers are built,
and models gain and lose tasks and templates after training, so all of them
open the lock here.
"""

import contextlib


@contextlib.contextmanager
def unlocked(layer):
  """Lets `layer` take new variables and sub-layers, then locks it again."""
  tracker = layer._tracker
  was_locked = tracker.locked
  tracker.unlock()
  try:
    yield layer
  finally:
    if was_locked:
      tracker.lock()


def forget(layer, part):
  """Makes `layer` hold a variable or sub-layer no more.

  Keras goes on tracking what an attribute held before it was assigned again.
  """
  layer._tracker.untrack(part)


@contextlib.contextmanager
def replacing(layer, variable):
  """Lets another variable take a variable's place, where it was made.

  Args:
    layer: Keras layer that holds the variable.
    variable: The variable, or None if there is none yet.
  """
  # What a `tf.distribute` scope has made says so.
  value = getattr(variable, 'value', None)
  with _scope_of(value), unlocked(layer):
    if variable is not None:
      forget(layer, variable)
    yield


@contextlib.contextmanager
def changing(model):
  """Lets the state of a built Keras model change, as it was built.

  Variables are made in the `tf.distribute` scope that the model was made in,
  if any. What `fit`, `evaluate` and `predict` have traced is forgotten: it
  would go on computing with the old variables.
  """
  model.train_function = model.test_function = model.predict_function = None
  with _scope_of(model), unlocked(model):
    yield model


def _scope_of(thing):
  """The `tf.distribute` scope that a model or variable was made in, if any."""
  strategy = getattr(thing, 'distribute_strategy', None)  # TensorFlow's alone
  return contextlib.nullcontext() if strategy is None else strategy.scope()
