"""Trained models as work directories hold them (our choice).

Every checkpoint says which model it is of, so that a model can be had from
any work directory, whatever command made it, and without an optimiser.
"""

import dataclasses
import json
import pathlib

from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import task_fit
from trainers.data import catalog
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import work_lock

WEIGHTS = ('ema', 'raw')


@dataclasses.dataclass(frozen=True)
class SavedModel:
  """A model that a work directory holds, and what is known of it.

  Args:
    workdir: The directory.
    model: `IsometricModel`, with its weights.
    run: Content of run.json.
    config: Its `RunConfig`, with the tasks and the configuration of `model`.
    step: Steps trained.
    seconds: Seconds of training.
    path: The checkpoint.
    tasks: {name of each task of the model: facts of its data}, as run.json's
      'data' has them: 'class_names' and 'splits', as of `TaskData.describe`;
      'dataset', the name of its data set, where the task is called otherwise,
      or None where none is known; 'examples_per_class' and 'examples_seed',
      where it learnt from few images; 'view', as of `view`. Empty where nothing
      is known.
    weights: Which of the checkpoint's weights these are, of `WEIGHTS`.
    heads: {target: arrays for `Method.saved_predictor`} where the run predicts
      a task by heads of its trainer, not by that of the model.
  """

  workdir: pathlib.Path
  model: isometric_model.IsometricModel
  run: dict
  config: run_config.RunConfig
  step: int
  seconds: float
  path: pathlib.Path
  tasks: dict
  weights: str
  heads: dict

  @property
  def is_smoke(self):
    """Whether the run, or one before it, saw made-up images alone."""
    return self.run['kind'] == 'smoke'

  @property
  def is_finished(self):
    """Whether the run has come to its end, so far as records tell.

    Directories of models whose tasks were changed have no results.
    """
    return ('tasks_command' in self.run['config']
            or (self.workdir / records.RESULTS).exists())

  def origin(self):
    """What a run that begins from this model records of it, for JSON.

    Returns:
      {'step': number, 'weights': of `WEIGHTS`, 'fingerprint': as of
      `task_fit.fingerprint`}.
    """
    return {'step': self.step, 'weights': self.weights,
            'fingerprint': task_fit.fingerprint(self.model)}

  def labelled_tasks(self):
    """Names of the tasks whose images have labels, so far as is known."""
    return [name for name, facts in self.tasks.items()
            if catalog.is_labelled(facts.get('dataset') or name)]

  def view(self, name):
    """What is seen of a task's images, of `image_task.VIEWS`."""
    return self.tasks.get(name, {}).get('view', 'centre')

  def load_data(self, data_dir=None, tasks=None, splits=(), labelled=True,
                made_up=False):
    """The data of tasks, checked to be what the run began with.

    Where those of the run were made up, these are, too.

    Args:
      data_dir: TFDS's data directory. Default None: TFDS's own default.
      tasks: Names of tasks of the model. Default: all.
      splits: Splits that are read and compared.
      labelled: Whether tasks whose images have no labels are refused.
      made_up: Whether the images are made up, whatever the run began with.

    Returns:
      {task: `TaskData`}.

    Raises:
      ValueError: If the data of a task is not known, not there, or other data
        than the run began with.
    """
    data = {name: self._load_task(name, data_dir, labelled,
                                  made_up or self.is_smoke)
            for name in tasks or self.model.tasks}
    known = {name: task_data for name, task_data in data.items()
             if self.tasks[name].get('splits') and not made_up}
    records.check_data(self.workdir, {
        name: task_data.describe(splits)
        for name, task_data in known.items()})
    return data

  def _load_task(self, name, data_dir, labelled, made_up):
    classes = self.model.task(name).num_classes
    facts = self.tasks[name]
    dataset = facts.get('dataset', name)
    if not dataset:
      raise ValueError(
          f'Expected the name of the data set of task {name!r}, which '
          f'{self.workdir} does not know: its images cannot be read.')
    data, = pipeline.load_tasks(
        [dataset], self.model.config.image_size, data_dir,
        self.config.augmentation, facts.get('examples_per_class'),
        facts.get('examples_seed', 0), labelled, made_up,
        self.view(name)).values()
    if data.num_classes not in (None, classes):
      raise ValueError(
          f'Expected data of {classes} classes for task {name!r}, received '
          f'{dataset} with {data.num_classes}: bring the data back as it was.')
    return data


def load(workdir, weights='ema'):
  """The model of a work directory's last checkpoint.

  Args:
    workdir: Directory that any of the commands made.
    weights: 'ema', averaged where averages were kept, or 'raw'.

  Returns:
    `SavedModel`.

  Raises:
    ValueError: If there is no run or no checkpoint, one is damaged or of
      another run, or it is of another version of the package.
  """
  if weights not in WEIGHTS:
    raise ValueError(f'weights must be one of {WEIGHTS}, received {weights!r}.')
  workdir = pathlib.Path(workdir)
  run = records.read_run(workdir)
  config = parse_config(run['config'])
  store = checkpoints.of_run(workdir)
  path = store.latest()
  step, arrays, metadata = store.load(path)
  checkpoints.check_same_run(path, metadata, run['config'])
  model = build(metadata.get('model'), path)
  checkpoints.restore(model.named_variables(), _weights(arrays, weights))
  config = dataclasses.replace(
      config, tasks=tuple(model.tasks), model=model.config,
      **_one_number(config, tuple(model.tasks)))
  facts = run.get('data') or {}
  heads = _part(arrays, 'predictor/')
  return SavedModel(
      workdir, model, run, config, step, metadata['seconds'], path,
      {name: facts.get(name, {}) for name in model.tasks}, weights,
      {run['config']['adaptation']['target']: heads} if heads else {})


def save(workdir, model, kind, config, data, step=0, seconds=0.0):
  """Makes a work directory that holds a model, without training.

  Args:
    workdir: Directory of the run, checked by `records.check`.
    model: `IsometricModel`.
    kind: Kind of run, such as 'tasks'; 'smoke' where its model has only seen
      made-up images.
    config: What made it, as JSON: that of a `RunConfig`, and maybe more.
    data: {task: facts}, as of `SavedModel.tasks`.
    step: Steps that the model has been trained.
    seconds: Seconds of training.

  Returns:
    The path of the checkpoint.

  Raises:
    ValueError: If the directory is taken, or a weight is not finite.
  """
  with work_lock.WorkLock() as lock:
    lock.take(workdir)
    records.claim(workdir, config, kind, data=data)
    return write_checkpoint(workdir, model, config, step, seconds)


def write_checkpoint(workdir, model, config, step=0, seconds=0.0):
  """Writes a checkpoint of a model without an optimiser.

  Args:
    workdir: Directory of a run, claimed.
    model: `IsometricModel`.
    config: What made it, as in its run.json.
    step: Steps that the model has been trained.
    seconds: Seconds of training.

  Returns:
    The path of the checkpoint.

  Raises:
    ValueError: If a weight is not finite.
  """
  state = {f'model/{key}': variable
           for key, variable in model.named_variables().items()}
  return checkpoints.save(checkpoints.of_run(workdir), step, state, {
      'seconds': seconds, 'config': config, 'model': describe(model)})


def describe(model):
  """The description of a model, for JSON; `build` takes it back."""
  config = {**model.get_config(), 'dtype': model.dtype_policy.name}
  config.pop('name')  # Keras counts models of a process
  return json.loads(json.dumps(config))


def build(description, source='its description'):
  """The model of a description, with fresh weights.

  Args:
    description: As from `describe`.
    source: Where it is from, for the message.

  Raises:
    ValueError: If it is damaged, or of another version.
  """
  try:
    return isometric_model.IsometricModel.from_config(description)
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(
        f'Expected the description of a model in {source}, received one that '
        f'is damaged or of another version ({error!r}): use the version of '
        'the package that run.json names.') from error


def parse_config(values):
  """The `RunConfig` in run.json's 'config', which may say more than that."""
  names = {field.name for field in dataclasses.fields(run_config.RunConfig)}
  return run_config.RunConfig.from_json(
      {name: value for name, value in values.items() if name in names})


def _one_number(config, tasks):
  """What a `RunConfig` says of each task, for the tasks of the model."""
  sizes, weights = config.task_batch_sizes(), config.task_loss_weights()
  if set(tasks) == set(sizes):
    return {'batch_size': tuple(sizes[name] for name in tasks),
            'loss_weights': tuple(weights[name] for name in tasks)}
  return {'batch_size': max(sizes.values()), 'loss_weights': 1.0}


def _weights(arrays, weights):
  """{name of variable: array} of a checkpoint's model."""
  averages = _part(arrays, 'ema/') if weights == 'ema' else {}
  return {**_part(arrays, 'model/'), **averages}


def _part(arrays, prefix):
  return {key.removeprefix(prefix): array for key, array in arrays.items()
          if key.startswith(prefix)}
