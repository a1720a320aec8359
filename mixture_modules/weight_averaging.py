"""A Keras callback that averages the weights in `fit` (section A.2)."""

import contextlib
import pathlib

import keras
from keras import ops

from mixture_modules import averaging
from mixture_modules import checks
from mixture_modules import files
from mixture_modules import tensor_files

_FORMAT = 'mixture-modules averages 1'
_COUNTER = 'counter'


class WeightAveraging(keras.callbacks.Callback):
  """Averages the weights in `fit`; validates, saves and ends with averages.

      averages = mm.WeightAveraging(0.999, callbacks=[
          keras.callbacks.ModelCheckpoint('best.keras', save_best_only=True)])
      model.fit(x, y, validation_data=(x2, y2), callbacks=[averages])

  Training itself goes on with the model's own weights, as if the callback were
  not there. The averages are in the model

  - while `fit` validates;
  - while one of `callbacks` acts, such as one that saves the model;
  - after `fit`. `restore` takes them out again. Another `fit` with the same
    callback does so, too, and goes on averaging.

  Own weights come back bit for bit, also if validation or one of `callbacks`
  raises. Other callbacks of `fit` see the model's own weights. To resume an
  interrupted training, give `fit` a `keras.callbacks.BackupAndRestore` beside
  this callback, and this one a `backup`.

  With `steps_per_execution`, one execution counts as one step.

  Args:
    decay: In [0, 1); as for `averaging.ExponentialMovingAverage`.
    warmup: Whether the first averages forget faster.
    statistics: Whether moving statistics are averaged, too, and all other
      floating-point variables that are not trained. Default: they stay what
      they are.
    callbacks: Callbacks that are to see the averages, where epochs and the
      training begin and end. Their methods for single batches are not called.
    backup: Path of a file that holds the averages after every epoch. A
      training that is resumed reads it; one that ends deletes it. Default:
      none.

  Raises:
    ValueError: If the decay is out of range, one of `callbacks` acts between
      batches or resumes, or a backup belongs to another step than the model.

  Source: section A.2 averages the weights. `keras.callbacks.SwapEMAWeights`
    does not bring own weights back exactly, and loses them at the end.
  """

  def __init__(self, decay=0.999, warmup=True, statistics=False, callbacks=(),
               backup=None):
    super().__init__()
    self.decay = averaging.check_decay(decay)
    self.warmup = warmup
    self.statistics = statistics
    self.callbacks = list(callbacks)
    self._backup = None if backup is None else pathlib.Path(backup)
    self._unread = False  # whether there is a backup that was not read yet
    self._average = None
    self._update = None
    self._own = None  # the model's own weights, while it keeps the averages
    for callback in self.callbacks:
      _check_inner(callback)

  def set_params(self, params):
    """Tells the callbacks, too, what `fit` was asked for."""
    super().set_params(params)
    for callback in self.callbacks:
      callback.set_params(params)

  def set_model(self, model):
    """Tells the callbacks, too, which model is trained."""
    super().set_model(model)
    for callback in self.callbacks:
      callback.set_model(model)

  @contextlib.contextmanager
  def applied(self):
    """Puts the averages into the model for the length of a `with`.

    Raises:
      ValueError: If the model was not trained with this callback yet, or it
        holds the averages.
    """
    if self._average is None or self._own is not None:
      state = 'before fit' if self._average is None else 'with the averages'
      raise ValueError(
          f'Expected a model with its own weights, after fit or in it, '
          f'received one {state}: call fit or restore first.')
    _ = self.model  # under JAX, this brings the variables up to date
    with self._average.applied():
      try:
        yield
      finally:
        _ = self.model

  def restore(self):
    """Gives the model its own weights again, after `fit`.

    Raises:
      ValueError: If it has them.
    """
    if self._own is None:
      raise ValueError('Expected a model that holds the averages, as after '
                       'fit, received one with its own weights: fit first.')
    self._average.put(self._own)
    self._own = None

  def on_train_begin(self, logs=None):
    """Begins to average, or goes on after an earlier `fit`."""
    variables = _variables(self.model, self.statistics)
    if self._average is None or not self._average.watches(variables):
      self._start(variables)
    elif self._own is not None:
      if self._average.is_applied():
        self.restore()
      else:  # the model was given other weights in the meantime
        self._start(variables)
    self._unread = self._backup is not None and self._backup.exists()
    _AveragedEvaluation.install(self.model, self)
    self._tell('on_train_begin', logs)

  def on_train_batch_begin(self, batch, logs=None):
    """Reads the backup, after all callbacks have resumed."""
    if self._unread:
      self._read_backup()
      self._unread = False

  def on_train_batch_end(self, batch, logs=None):
    """Moves the averages towards the weights."""
    _ = self.model  # under JAX, this brings the variables up to date
    self._update()

  def on_epoch_begin(self, epoch, logs=None):
    """Lets the callbacks act."""
    self._tell('on_epoch_begin', epoch, logs)

  def on_epoch_end(self, epoch, logs=None):
    """Lets the callbacks act with the averages, and writes the backup."""
    self._tell('on_epoch_end', epoch, logs)
    if self._backup is not None:
      self._write_backup()

  def on_train_end(self, logs=None):
    """Leaves the averages in the model."""
    _AveragedEvaluation.remove(self.model, self)
    own = self._average.own_values()
    self._average.put(self._average.averages)
    self._own = own
    for callback in self.callbacks:
      callback.on_train_end(logs)
    if self._backup is not None:
      self._backup.unlink(missing_ok=True)

  def _start(self, variables):
    self._own = None
    with _scope(self.model):
      self._average = averaging.ExponentialMovingAverage(
          variables, self.decay, self.warmup)
    self._update = _traced(self._average.update)

  def _tell(self, method, *args):
    if self.callbacks:
      with self.applied():
        for callback in self.callbacks:
          getattr(callback, method)(*args)

  def _state(self):
    return {_COUNTER: self._average.counter, **self._average.averages}

  def _write_backup(self):
    tensors = {key: ops.convert_to_numpy(variable)
               for key, variable in self._state().items()}
    files.write(self._backup, tensor_files.encode(
        tensors, {'format': _FORMAT, 'step': self._step()}))

  def _read_backup(self):
    tensors, metadata = tensor_files.read(self._backup, _FORMAT)
    state = self._state()
    if metadata.get('step') != self._step() or set(tensors) != set(state):
      raise ValueError(
          f'Expected averages of step {self._step()} of this model, received '
          f'those of step {metadata.get("step")} in {self._backup}: resume '
          'with keras.callbacks.BackupAndRestore, or delete the file.')
    for key, variable in state.items():
      variable.assign(tensors[key])

  def _step(self):
    return str(int(ops.convert_to_numpy(self.model.optimizer.iterations)))


class _AveragedEvaluation:
  """Stands for `model.evaluate`: of averages, in a `fit` with the callback.

  A method of the callback would not do: after validation has failed, `fit`
  calls none that could take the averages out.
  """

  def __init__(self, model, callback):
    self._evaluate = model.evaluate
    self._callback = callback
    self._replaced = vars(model).get('evaluate')

  def __call__(self, *args, **kwargs):
    # `fit` hands its `CallbackList` on.
    active = getattr(kwargs.get('callbacks'), 'callbacks', ())
    if self._callback not in active:
      return self._evaluate(*args, **kwargs)
    with self._callback.applied():
      return self._evaluate(*args, **kwargs)

  @classmethod
  def install(cls, model, callback):
    cls.remove(model, callback)  # a `fit` that failed leaves it there
    model.evaluate = cls(model, callback)

  @staticmethod
  def remove(model, callback):
    ours = vars(model).get('evaluate')
    if getattr(ours, '_callback', None) is not callback:
      return
    del model.evaluate
    if ours._replaced is not None:
      model.evaluate = ours._replaced


def _check_inner(callback):
  frequency = getattr(callback, 'save_freq', 'epoch')
  checks.require(frequency == 'epoch', 'save_freq of callbacks', "'epoch'",
                 frequency, 'averages are lent between epochs')
  checks.require(
      not isinstance(callback, keras.callbacks.BackupAndRestore), 'callbacks',
      'such as act on averages', callback, 'give BackupAndRestore to fit')


def _variables(model, statistics):
  """{key: variable} to be averaged; the keys are equal in every process."""
  trained = {id(variable) for variable in model.trainable_variables}
  return {
      f'{index:04d}/{variable.name}': variable
      for index, variable in enumerate(model.variables)
      if id(variable) in trained or (
          statistics and keras.backend.is_float_dtype(variable.dtype))}


def _scope(model):
  """Where the model's variables were made; TensorFlow alone has such."""
  strategy = getattr(model, 'distribute_strategy', None)
  return contextlib.nullcontext() if strategy is None else strategy.scope()


def _traced(update):
  if keras.backend.backend() != 'tensorflow':
    return update
  import tensorflow as tf  # only here: other backends do without

  return tf.function(update, autograph=False, jit_compile=False)
