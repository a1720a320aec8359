"""Averages of the variables over the steps, for inference (section A.2)."""

import contextlib

import keras
import tensorflow as tf

from mixture_modules import checks


class ExponentialMovingAverage:
  """Averages variables exponentially, and lends the averages to a model.

  With n updates done before, `update` computes, for a variable w,

      d = min(decay, (1 + n) / (10 + n))    with warm-up, else decay
      average <- average - (1 - d) (average - w)

  Which variables are averaged is the caller's choice: pass moving statistics
  of batch norms or leave them out, and `applied` leaves them as they are.

  Under a `tf.distribute` strategy, make the object in its scope; `update`
  works in and outside `strategy.run`, and keeps the replicas equal.

  Args:
    variables: Dictionary of floating-point Keras variables.
    decay: In [0, 1).
    warmup: Whether the first averages forget faster. Default true: else a
      short run would mostly average the initialisation.

  Attributes:
    averages: Dictionary of variables, with the keys of `variables`.
    counter: Variable, the number of updates done. With `averages`, this is
      all that a checkpoint needs.

  Raises:
    ValueError: If there are no variables, one is not floating-point, or the
      decay is out of range.

  Source: section A.2 averages all trained variables; warm-up is our choice.
  """

  def __init__(self, variables, decay, warmup=True):
    checks.in_range('decay', decay, 0, 1,
                    'try 0.999, or 0 to take the weights as they are')
    if not variables:
      raise ValueError(
          'Expected variables to average, received none: build the model '
          'first, and pass its trainable variables by key.')
    for key, variable in variables.items():
      if not tf.as_dtype(variable.dtype).is_floating:
        raise ValueError(
            'Expected floating-point variables to average, received '
            f'{key!r} of {variable.dtype}: leave it out.')
    self.decay = decay
    self.warmup = warmup
    self._variables = dict(variables)
    self._applied = False
    # The first replica's value serves them all: equal to the last bit.
    options = {'trainable': False, 'aggregation': 'only_first_replica'}
    self.counter = keras.Variable(0, dtype='int64', name='counter', **options)
    self.averages = {
        key: keras.Variable(variable.numpy(), dtype=variable.dtype,
                            name='average', **options)
        for key, variable in self._variables.items()}

  def update(self):
    """Moves the averages towards the variables; works in `tf.function`."""
    decay = self.decay
    if self.warmup:
      n = tf.cast(self.counter.value, tf.float32)
      decay = tf.minimum(decay, (1 + n) / (10 + n))
    for key, variable in self._variables.items():
      average = self.averages[key]
      old = tf.convert_to_tensor(average.value)
      new = tf.convert_to_tensor(variable.value)
      if not self.decay:  # exactly the variables, without rounding
        average.assign(new)
      else:
        average.assign(old - tf.cast(1 - decay, old.dtype) * (old - new))
    self.counter.assign_add(1)

  @contextlib.contextmanager
  def applied(self):
    """Puts the averages into the variables for the length of a `with`.

    The variables come back bit for bit, whatever happens in between: what was
    there is copied, and nothing is computed.

    Yields:
      Nothing.

    Raises:
      ValueError: If the averages are in the variables already.
    """
    if self._applied:
      raise ValueError(
          'Expected the variables to hold their own values, received a second '
          'applied() inside the first: leave the first before.')
    own = {key: tf.identity(variable.value)
           for key, variable in self._variables.items()}
    self._applied = True
    try:
      for key, variable in self._variables.items():
        variable.assign(tf.identity(self.averages[key].value))
      yield
    finally:
      for key, variable in self._variables.items():
        variable.assign(own[key])
      self._applied = False
