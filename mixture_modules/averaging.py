"""Averages of the variables over the steps, for inference (section A.2)."""

import contextlib

import keras
from keras import ops

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
    check_decay(decay)
    if not variables:
      raise ValueError(
          'Expected variables to average, received none: build the model '
          'first, and pass its trainable variables by key.')
    for key, variable in variables.items():
      if not keras.backend.is_float_dtype(variable.dtype):
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
      n = ops.cast(self.counter, 'float32')
      decay = ops.minimum(decay, (1 + n) / (10 + n))
    for key, variable in self._variables.items():
      average = self.averages[key]
      new = _copy(variable)
      if not self.decay:  # exactly the variables, without rounding
        average.assign(new)
      else:
        old = _copy(average)
        average.assign(old - ops.cast(1 - decay, old.dtype) * (old - new))
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
    own = self.own_values()
    self._applied = True
    try:
      self.put(self.averages)
      yield
    finally:
      self.put(own)
      self._applied = False

  def own_values(self):
    """{key: copy of what the variable holds now}."""
    return {key: _copy(variable) for key, variable in self._variables.items()}

  def put(self, values):
    """Gives the variables the values of a dictionary with their keys."""
    for key, variable in self._variables.items():
      variable.assign(_copy(values[key]))

  def is_applied(self):
    """Whether the variables hold the averages, bit for bit."""
    return all(
        ops.convert_to_numpy(variable).tobytes()
        == ops.convert_to_numpy(self.averages[key]).tobytes()
        for key, variable in self._variables.items())

  def watches(self, variables):
    """Whether it averages these very variables, under these keys."""
    return variables.keys() == self._variables.keys() and all(
        variable is self._variables[key]
        for key, variable in variables.items())


def check_decay(decay):
  """Returns a decay that an average can have.

  Raises:
    ValueError: If it is not in [0, 1).
  """
  return checks.in_range('decay', decay, 0, 1,
                         'try 0.999, or 0 to take the weights as they are')


def _copy(variable):
  """What a variable or a tensor holds, in memory of its own."""
  return ops.stop_gradient(ops.copy(ops.convert_to_tensor(variable)))
