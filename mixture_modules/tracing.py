"""Functions that a graph calls many times and traces once (our choice).

All layers of all tasks are one computation on other tensors. Traced anew for
each, its Python is most of the time to the end of the first step. TensorFlow
puts the calls in line before it runs them: a step is as quick as it was.
"""

import keras


class TracedOnce:
  """A function of tensors, traced once for all calls of the same shapes.

  Outside of a graph, and where Keras' backend is another than TensorFlow, it
  is called as it is.

  Args:
    function: Of tensors, nests of tensors, and Python values that tell its
      traces apart. It reads no other tensor or variable, and changes nothing.
  """

  def __init__(self, function):
    self._function = function
    self._traced = None

  def __call__(self, *args):
    """What the function returns."""
    if keras.backend.backend() != 'tensorflow':
      return self._function(*args)
    import tensorflow as tf  # only here: other backends do without

    if not tf.inside_function():
      return self._function(*args)
    if self._traced is None:
      self._traced = tf.function(
          self._function, autograph=False, jit_compile=False)
    return self._traced(*args)
