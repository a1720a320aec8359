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
def changing(model):
  """Lets the state of a built Keras model change, as it was built.

  Variables are made in the `tf.distribute` scope that the model was made in,
  if any. What `fit`, `evaluate` and `predict` have traced is forgotten: it
  would go on computing with the old variables.
  """
  strategy = getattr(model, 'distribute_strategy', None)  # TensorFlow's alone
  scope = contextlib.nullcontext() if strategy is None else strategy.scope()
  model.train_function = model.test_function = model.predict_function = None
  with scope, unlocked(model):
    yield model
