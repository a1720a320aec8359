"""Several tasks in Keras' `compile`, `fit`, `evaluate` and `predict` (4.3).

    model.compile('rmsprop', loss={'a': 'mse', 'b': 'mse'})
    model.fit({'a': xa, 'b': xb}, {'a': ya, 'b': yb})
"""

import types

import keras

from mixture_modules.isometric import parameters


class SeveralTasksModel(keras.Model):
  """What `IsometricModel` adds to Keras' training: dictionaries of tasks.

  The loss is the weighted sum of the tasks' losses, plus what the layers add,
  once. A step takes a batch of every task that the model was compiled for.
  """

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self._compiled_tasks = None  # names; None if compiled for one output
    self._evaluators = types.SimpleNamespace(by_tasks={}, variables=None)

  def compile(self, optimizer='rmsprop', loss=None, loss_weights=None,
              metrics=None, weighted_metrics=None, **kwargs):
    """Configures the training, as for any Keras model.

    Args:
      optimizer: As for any Keras model.
      loss: {task: loss} of the tasks to be trained; all others stay as they
        are. One loss serves all tasks of the model.
      loss_weights: {task: number}. Default: 1 for each.
      metrics: {task: metrics}, or a list for each task.
      weighted_metrics: As `metrics`.
      **kwargs: As for any Keras model.

    Raises:
      ValueError: If a task is not there, or has metrics or a weight but no
        loss.
    """
    given = (loss, loss_weights, metrics, weighted_metrics)
    several = len(self.tasks) > 1 or any(isinstance(g, dict) for g in given)
    if self._compiled_tasks:  # Keras would keep the old metrics
      metrics = [] if metrics is None else metrics
    self._compiled_tasks = None
    if loss is not None and several:
      self._compiled_tasks = _compiled(self.tasks, loss)
      loss, loss_weights, metrics, weighted_metrics = (
          _by_task(self._compiled_tasks, name, value, default)
          for name, value, default in (
              ('loss', loss, None), ('loss_weights', loss_weights, 1.0),
              ('metrics', metrics or [], []),
              ('weighted_metrics', weighted_metrics or [], [])))
    self._evaluators.by_tasks.clear()
    super().compile(
        optimizer=optimizer, loss=loss, loss_weights=loss_weights,
        metrics=metrics, weighted_metrics=weighted_metrics, **kwargs)
    self._own_compile_arguments = types.SimpleNamespace(
        loss=loss, loss_weights=loss_weights, metrics=metrics,
        weighted_metrics=weighted_metrics)

  def compile_from_config(self, config):
    """Compiles a model that is loaded as it was when it was saved."""
    self.compile(**keras.saving.deserialize_keras_object(config))
    if self.optimizer is not None:
      self.optimizer.build(self.trainable_variables)

  def fit(self, x=None, y=None, *args, **kwargs):
    """As for any Keras model; of all compiled tasks in every batch.

    Args:
      x: {task: images}, or a data set of such dictionaries and of labels.
      y: {task: labels}.
      *args: As for any Keras model.
      **kwargs: As for any Keras model. `validation_data` can be of some of the
        compiled tasks, and `sample_weight` is {task: weights}.

    Returns:
      As for any Keras model.

    Raises:
      ValueError: If images, labels and compiled tasks do not agree.
    """
    # Here, too: an error within a step would cost a JAX model its variables.
    self._check_data(x, y, kwargs.get('sample_weight'), every=True)
    validation = kwargs.get('validation_data')
    if validation is not None:
      validation = (
          validation if isinstance(validation, (list, tuple)) else [validation])
      self._check_data(*validation)
    return super().fit(x, y, *args, **kwargs)

  def evaluate(self, x=None, y=None, *args, **kwargs):
    """As for any Keras model; of the compiled tasks, all or some.

    Args:
      x: As for `fit`.
      y: As for `fit`.
      *args: As for any Keras model.
      **kwargs: As for any Keras model.

    Returns:
      As for any Keras model.

    Raises:
      ValueError: As for `fit`.
    """
    names = self._check_data(x, y, kwargs.get('sample_weight'))
    if names is None or names == set(self._compiled_tasks):
      return super().evaluate(x, y, *args, **kwargs)
    kwargs.pop('_use_cached_eval_dataset', None)  # `fit` has one for itself
    return self._evaluator(names).evaluate(x, y, *args, **kwargs)

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None,
                   training=True):
    """The sum of the tasks' losses, after a look at what is there."""
    self._check_batch(x, y, sample_weight)
    return super().compute_loss(x, y, y_pred, sample_weight, training)

  def compute_metrics(self, x, y, y_pred, sample_weight=None):
    """Results by their names, such as 'svhn_accuracy'."""
    self._check_batch(x, y, sample_weight)
    return super().compute_metrics(x, y, y_pred, sample_weight)

  def get_metrics_result(self):
    """Results by their names; also those of a single task have its name."""
    return _with_task(super().get_metrics_result(), self._compiled_tasks)

  # What is trained: all else gets no gradients, but some optimisers decay it.

  @property
  def trainable_variables(self):
    """Variables that `fit` trains: none that uncompiled tasks have alone."""
    variables = super().trainable_variables
    if not self._compiled_tasks:
      return variables
    used = {id(variable) for variable in self.block.variables}.union(*(
        parameters.used_variable_ids(self, self.tasks[name])
        for name in self._compiled_tasks if name in self.tasks))
    return [variable for variable in variables if id(variable) in used]

  @property
  def trainable_weights(self):
    """Keras' other name for `trainable_variables`."""
    return self.trainable_variables

  @property
  def non_trainable_variables(self):
    """All variables but those that `fit` trains."""
    trained = {id(variable) for variable in self.trainable_variables}
    return [v for v in self.variables if id(v) not in trained]

  @property
  def non_trainable_weights(self):
    """Variables but those that `fit` trains, and the states of seeds."""
    trained = {id(variable) for variable in self.trainable_variables}
    return [v for v in self.weights if id(v) not in trained]

  def _evaluator(self, names):
    """A model that evaluates some of the compiled tasks."""
    cache, variables = self._evaluators, [id(v) for v in self.variables]
    if cache.variables != variables:  # traced functions would read old ones
      cache.by_tasks.clear()
      cache.variables = variables
    names = tuple(sorted(names))
    if names not in cache.by_tasks:
      cache.by_tasks[names] = _SomeTasks(
          self, names, self._own_compile_arguments)
    return cache.by_tasks[names]

  def _check_data(self, x, y=None, sample_weight=None, every=False):
    """Checks data whose tasks are known before the first batch is.

    Args:
      x: Arrays, or a `tf.data.Dataset`; all else is taken as it is.
      y: As for `fit`.
      sample_weight: As for `fit`.
      every: Whether all compiled tasks must be there.

    Returns:
      Names of the tasks, or None if the model was not compiled by tasks, or
      the data does not tell.
    """
    if hasattr(x, 'element_spec'):
      parts = x.element_spec
      parts = parts if isinstance(parts, tuple) else (parts,)
      x, y, sample_weight = (*parts, None, None)[:3]
    elif not isinstance(x, dict) and not hasattr(x, 'shape'):
      return None
    if not self._compiled_tasks:
      return None
    self._check_batch(x, y, sample_weight, every)
    return set(x)

  def _check_batch(self, x, y, sample_weight, every=True):
    """Raises ValueError unless a batch is of the compiled tasks."""
    compiled = self._compiled_tasks
    if not compiled:
      return
    gone = [name for name in compiled if name not in self.tasks]
    if gone:
      raise ValueError(
          f'Expected a model compiled for some of its tasks '
          f'{list(self.tasks)}, received one compiled for {gone}: compile it '
          'again.')
    if not isinstance(x, dict):
      raise ValueError(
          f'Expected images as a dictionary of the tasks {list(compiled)}, '
          f'which the model is compiled for, received {type(x).__name__}: '
          'give {task: images}, and labels alike.')
    if set(x) - set(compiled):
      raise ValueError(
          f'Expected images of the tasks {list(compiled)}, which the model is '
          f'compiled for, received those of {list(x)}: give each a loss in '
          'compile, or leave it out.')
    if every and set(x) != set(compiled):
      raise ValueError(
          f'Expected images of all tasks {list(compiled)} that the model is '
          f'compiled for, received those of {list(x)}: give the rest, or '
          'compile for these alone.')
    check_labels(x, y, sample_weight)


class _SomeTasks(keras.Model):
  """Evaluates some of the tasks that a model is compiled for."""

  def __init__(self, model, names, arguments):
    super().__init__(name=model.name)
    self.model = model
    self.names = names
    self.built = True
    self.compile(optimizer=None, run_eagerly=model.run_eagerly,
                 jit_compile=model.jit_compile, **{
                     key: value and {name: value[name] for name in names}
                     for key, value in vars(arguments).items()})

  def call(self, images, training=False):
    """Logits of the tasks."""
    return self.model(images, training=training)

  def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None,
                   training=True):
    """As `SeveralTasksModel.compute_loss`."""
    check_labels(x, y, sample_weight)
    return super().compute_loss(x, y, y_pred, sample_weight, training)

  def get_metrics_result(self):
    """As `SeveralTasksModel.get_metrics_result`."""
    return _with_task(super().get_metrics_result(), self.names)


def check_labels(x, y, sample_weight):
  """Checks that images, labels and their weights are of the same tasks.

  Args:
    x: {task: images}.
    y: {task: labels}.
    sample_weight: {task: weights}, or None.

  Raises:
    ValueError: If they are not.
  """
  for what, values in (('labels', y), ('sample_weight', sample_weight)):
    if what == 'sample_weight' and values is None:
      continue
    if not isinstance(values, dict) or set(values) != set(x):
      received = (f'those of {list(values)}' if isinstance(values, dict)
                  else type(values).__name__)
      raise ValueError(
          f'Expected {what} as a dictionary of the tasks {list(x)}, like the '
          f'images, received {received}: give them for each task.')


def _compiled(tasks, loss):
  """Names of the tasks that a loss is given for, in the model's order."""
  if not isinstance(loss, dict):
    return tuple(tasks)
  _check_names('loss', loss, tasks, 'there are')
  names = tuple(name for name in tasks if loss.get(name) is not None)
  if not names:
    raise ValueError('Expected a loss for one task or more, received none in '
                     f'{loss!r}: give one for each task to be trained.')
  return names


def _check_names(what, given, allowed, state):
  unknown = [name for name in given if name not in allowed]
  if unknown:
    raise ValueError(f'Expected {what} by task, of which {state} '
                     f'{list(allowed)}, received {unknown}: name one of '
                     'these.')


def _by_task(names, what, value, default):
  """{task: value} of an argument of `compile`, or None for none at all."""
  if value is None:
    return None
  if isinstance(value, dict):
    if what != 'loss':
      _check_names(what, value, names, 'with a loss')
    return {name: value.get(name, default) for name in names}
  return {name: _another(value) for name in names}


def _another(value):
  """A metric for one task, not the same object as another's."""
  if isinstance(value, (list, tuple)):
    return [_another(each) for each in value]
  if isinstance(value, keras.metrics.Metric):
    return type(value).from_config(value.get_config())
  return value


def _with_task(results, names):
  """Results of one task with its name, as Keras has them of several."""
  if not names or len(names) > 1:
    return results
  return {name if name == 'loss' else f'{names[0]}_{name}': result
          for name, result in results.items()}
