"""Who computes with a shared variable, and so whether it trains."""

import weakref


class Users:
  """The layers that compute with shared variables, by name; held weakly.

  Keras' optimisers decay and regularise what is trainable, whether it gets a
  gradient or not: a variable that only frozen layers use must not be.
  """

  def __init__(self):
    self._layers = {}

  def add(self, name, layer):
    """Counts a layer, which has `trainable`, among the users of a variable."""
    self._layers.setdefault(name, weakref.WeakSet()).add(layer)

  def all_frozen(self, name):
    """Whether a variable has users, and none of them trains."""
    layers = list(self._layers.get(name, ()))
    return bool(layers) and not any(layer.trainable for layer in layers)
