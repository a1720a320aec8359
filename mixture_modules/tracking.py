"""Adding state to a built Keras layer, in the one place that does so.

Keras locks a layer's tracker once the layer is built; assigning a variable or
a sub-layer afterwards raises. Banks gain slots when mixture layers are built
and models gain tasks after training, so both open the lock here.
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
