"""Layers whose variable other layers compute with, and share."""

import weakref

import keras


class SharedLayer(keras.layers.Layer):
  """A layer that holds one variable for the layers that join it.

  The variable trains while this layer is trainable and one of those that
  joined it is. Keras' optimisers decay and regularise what is trainable,
  whether it gets a gradient or not: what none but frozen layers compute with
  must not be.

  Copies made from configurations are shared as the originals are: see
  `bank_sharing`.

  Args:
    **kwargs: As for any Keras layer.
  """

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self._users = weakref.WeakSet()

  @property
  def shared_variable(self):
    """The variable, or None where there is nothing to train."""
    raise NotImplementedError

  def users(self):  # no property: Keras' saving would walk into it
    """The living layers that joined, in no order."""
    return list(self._users)

  def join(self, layer):
    """Counts a layer, which has `trainable`, among the users."""
    if layer not in self._users:
      own = weakref.ref(self)
      weakref.finalize(layer, lambda: own() and own().follow()).atexit = False
    self._users.add(layer)
    self.follow()

  def leave(self, layer):
    """Counts a layer among the users no more."""
    self._users.discard(layer)
    self.follow()

  @property
  def trainable(self):
    """Whether the variable trains, unless none but frozen layers use it."""
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    keras.layers.Layer.trainable.fset(self, value)
    self.follow()

  def follow(self):
    """Lets the variable train as this layer and those that joined it do."""
    if self.shared_variable is not None:
      users = self.users()
      self.shared_variable.trainable = self._may_train() and (
          not users or any(layer.trainable for layer in users))

  def _may_train(self):
    return self._trainable
