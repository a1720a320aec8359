"""A new task on a trained bank: how it starts, and what is tuned (4.3, C)."""

import contextlib

from keras import ops

from mixture_modules import signatures
from mixture_modules.isometric import tune_scopes
from trainers import loop
from trainers import moving_statistics
from trainers import strategies
from trainers import supervised
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import saved_models
from trainers.transfer import initial_signatures
from trainers.transfer import source_scores

STATISTICS_BATCHES = 100
_SCORED = ('best', 'accuracy')


def check(transfer, model, tasks, data, config):
  """Checks that a transfer can be made, before time is spent.

  Args:
    transfer: `TransferConfig`.
    model: `IsometricModel` of the source; it is as before afterwards.
    tasks: {task of the model: facts of its data}, as of `SavedModel`.
    data: `TaskData` of the new task.
    config: `RunConfig` of the transfer.

  Raises:
    ValueError: If it cannot.
  """
  if transfer.name in model.tasks:
    raise ValueError(
        f'{transfer.source} has a task {transfer.name!r} already: give the new '
        'one another name with --name.')
  for name in (*(transfer.sources or ()), *filter(None, [transfer.copied])):
    model.task(name)
  if not sources(transfer, model):
    raise ValueError(f'Expected tasks in {transfer.source} to begin from, '
                     'received a model without any.')
  if model.config.signature not in signatures.TRAINED:
    _check_fixed(transfer, model)
  same = _same_classes(tasks, data)
  if transfer.score == 'path':
    others = [name for name in sources(transfer, model) if name not in same]
    if others:
      raise ValueError(
          f'Scores by path need sources with the classes of {data.name}, '
          f'which {others[0]} lacks: use probe, or name other --sources.')
  if transfer.head not in ('auto', 'own'):
    _named_head(transfer, model, tasks, data)
  _check_beginnings(transfer, model, tasks, data)
  if transfer.tune != ():
    config.optimizer.make_schedule(
        config.total_steps({transfer.name: data.num_examples('train')}))


def _check_fixed(transfer, model):
  """Checks what is asked of a model whose signatures are fixed."""
  if 'mixture' in (transfer.tune or ()):
    raise ValueError(
        f'The signature is fixed ({model.config.signature}): there is no '
        'mixture to tune. Leave it out of --tune.')
  if transfer.copied is None and transfer.init not in ('best', 'none'):
    raise ValueError(
        f'The signature is fixed ({model.config.signature}), the same for '
        f'all tasks, and cannot start from {transfer.init!r}: use copy:TASK '
        'or best, which take over norms and statistics, or none.')


def _check_beginnings(transfer, model, tasks, data):
  """Adds the task in each way that it may begin, and removes it again."""
  copies = [transfer.copied]
  if transfer.init == 'best':
    copies = sources(transfer, model)
  for copied in copies:
    head = choose_head(transfer, model, tasks, data, copied)
    if head is None and transfer.name in model.heads:
      raise ValueError(
          f'{transfer.source} has a head {transfer.name!r} already: share it '
          f'with --head={transfer.name}, or give the task another --name.')
    if head is None and transfer.tune and not (
        {'head', 'all'} & set(transfer.tune)):
      why = '' if transfer.head == 'own' else (
          f' (no one head of {transfer.source} is known to have the classes of '
          f'{data.name})')
      raise ValueError(
          f'The new task would get a head of its own{why}, which --tune='
          f'{",".join(transfer.tune)} leaves untrained: tune the head too, or '
          f'share one with --head, of {list(model.heads)}.')
    _add(transfer, model, data, copied, head)
    model.remove_task(transfer.name)


def _add(transfer, model, data, copied, head):
  """Adds the new task to the model, and returns it."""
  init = f'copy:{copied}' if copied else None
  if transfer.init in signatures.INITIALIZERS:
    init = transfer.init
  return model.add_task(transfer.name, data.num_classes, init, head)


def sources(transfer, model):
  """Names of the older tasks that are scored or mixed."""
  return list(dict.fromkeys(transfer.sources or model.tasks))


def _same_classes(tasks, data):
  """Names of tasks whose classes are known to be those of the data."""
  names = data.class_names and list(data.class_names)
  return [name for name, facts in tasks.items()
          if names and facts.get('class_names') == names]


def _named_head(transfer, model, tasks, data):
  """The head that --head asks to share; an error if it does not fit."""
  heads = {model.task(name).head_name for name in _same_classes(tasks, data)}
  if transfer.copied in _same_classes(tasks, data):
    heads = {model.task(transfer.copied).head_name}
  if transfer.head == 'shared' and 'shared' not in model.heads:
    if len(heads) != 1:
      raise ValueError(
          f'Expected one head of tasks with the classes of {data.name} to '
          f'share, received {sorted(heads) or "none"}: give its name with '
          '--head, or use --head=own.')
    return heads.pop()
  if transfer.head not in model.heads:
    raise ValueError(
        f'Expected a head to share, of {sorted(model.heads)}, received '
        f'{transfer.head!r}.')
  users = [name for name, task in model.tasks.items()
           if task.head_name == transfer.head]
  units = model.heads[transfer.head].units
  known = [tasks[name].get('class_names') for name in users]
  if units != data.num_classes or any(
      names != list(data.class_names or ()) for names in known
      if names and data.class_names):
    raise ValueError(
        f'Head {transfer.head!r} has the {units} classes of {users[0]}, '
        f'received {data.name} with {data.num_classes} others: use '
        '--head=own.')
  return transfer.head


def choose_head(transfer, model, tasks, data, copied):
  """Name of the head that the new task shares, or None for one of its own.

  'auto' shares a head only where the names of the classes agree: that of the
  task that is copied, or else the one that all such tasks have.

  Args:
    transfer: `TransferConfig`, checked.
    model: `IsometricModel` of the source.
    tasks: {task: facts}, as for `check`.
    data: `TaskData` of the new task.
    copied: Name of the task that is copied, or None.
  """
  if transfer.head == 'own':
    return None
  if transfer.head != 'auto':
    return _named_head(transfer, model, tasks, data)
  same = _same_classes(tasks, data)
  heads = {model.task(name).head_name
           for name in ([copied] if copied in same else same)}
  return heads.pop() if len(heads) == 1 else None


def begin(transfer, model, tasks, data, config):
  """Adds the new task to a model, as it starts.

  Args:
    transfer: `TransferConfig`, checked.
    model: `IsometricModel` of the source.
    tasks: {task: facts}, as for `check`.
    data: `TaskData` of the new task.
    config: `RunConfig` of the transfer: batch sizes and seed.

  Returns:
    What the records say of it, for JSON: 'init', 'scored_by' ('path', 'probe'
    or None), 'scores' {task: accuracy} or None, 'score_images' {split: number
    of labelled images that scores were read from} or None, 'coefficients'
    {task: number} or None, 'copied' (name of a task, or None), 'statistics'
    ('copy' or 'reestimate'), 'tune' (names of scopes), 'head',
    'head_shared_with' (names of tasks, after what is tuned was detached) and
    'initial_head' ('shared', also of what begins as a copy, or 'untrained').
  """
  names = sources(transfer, model)
  scored_by = scores = images = None
  if transfer.init in _SCORED:
    scored_by = score_kind(transfer, model, tasks, data)
    scores, images = source_scores.score(
        model, names, scored_by, data, config.eval_batch_size,
        transfer.score_examples, config.seed, transfer.examples_per_class)
  copied = transfer.copied
  if transfer.init == 'best':
    copied = max(scores, key=scores.get)
  head = choose_head(transfer, model, tasks, data, copied)
  task = _add(transfer, model, data, copied, head)
  coefficients = _set_mixture(
      transfer, model, names, scores, data, config, train_head=head is None)
  statistics = transfer.statistics
  if statistics == 'auto':
    statistics = 'copy' if copied else 'reestimate'
  if statistics == 'reestimate':
    moving_statistics.reestimate(
        model, transfer.name,
        _batches(transfer, data, config, STATISTICS_BATCHES))
  tune = transfer.tune
  if tune is None:
    tune = [scope for scope, left_out in (
        ('head', head), ('norm', False),
        ('mixture', task.signature.logits is None)) if not left_out]
  if tune:
    tune_scopes.tuned_variables(model, transfer.name, tune)  # detaches
  return {
      'init': transfer.init, 'scored_by': scored_by, 'scores': scores,
      'score_images': images, 'coefficients': coefficients, 'copied': copied,
      'statistics': statistics, 'tune': list(tune), 'head': task.head_name,
      'head_shared_with': [
          name for name, other in model.tasks.items()
          if other.head is task.head and other is not task],
      'initial_head': 'shared' if head else 'untrained'}


def _set_mixture(transfer, model, names, scores, data, config, train_head):
  """Draws or mixes the new task's signature; {source: coefficient} or None."""
  name, signature = transfer.name, model.task(transfer.name).signature
  is_drawn = transfer.init == 'random' or (
      transfer.init == 'none' and signature.logits is not None
      and model.config.signature_init == 'random')
  if is_drawn:
    initial_signatures.draw(signature, name, config.seed)
  if transfer.init not in ('accuracy', 'learned'):
    return None
  blend = initial_signatures.Blend(model, name, names)
  if transfer.init == 'learned':
    return initial_signatures.learn_coefficients(
        blend, model, name,
        _batches(transfer, data, config, transfer.init_steps),
        transfer.init_learning_rate, train_head)
  coefficients = initial_signatures.accuracy_coefficients(scores)
  blend.assign(coefficients)
  return coefficients


def score_kind(transfer, model, tasks, data):
  """How sources are scored: 'path' or 'probe'; arguments as for `begin`."""
  if transfer.score != 'auto':
    return transfer.score
  same = _same_classes(tasks, data)
  return ('path' if set(sources(transfer, model)) <= set(same) else 'probe')


def _batches(transfer, data, config, count):
  size = config.task_batch_sizes()[transfer.name]
  return data.train_batches(size, config.seed).take(count)


class Tuning:
  """The training of the new task alone, and of nothing but what is tuned.

  Args:
    model: `IsometricModel` with the new task.
    name: Name of the new task.
    scopes: What is tuned, of `tune_scopes.SCOPES`; none: nothing is trained.
    data: Its `TaskData`.
    config: `RunConfig` whose only task it is.

  Attributes:
    trainer: `SupervisedTrainer`, or None.
    steps: Number of steps.
    num_parameters: Number of tuned parameters.
  """

  def __init__(self, model, name, scopes, data, config):
    self._model = model
    self.trainer, self.steps, self.num_parameters = None, 0, 0
    if scopes:
      tuned = list(tune_scopes.tuned_variables(model, name, scopes).values())
      self.steps = config.total_steps({name: data.num_examples('train')})
      self.trainer = supervised.SupervisedTrainer(
          model, {name: data}, config, self.steps,
          strategies.make_strategy('default'), tuned)
      self.num_parameters = sum(int(ops.size(variable)) for variable in tuned)

  def save_start(self, workdir, decides):
    """Writes the checkpoint of how the task begins.

    Args:
      workdir: Directory of the run.
      decides: What decides the run, as in its run.json.
    """
    if self.trainer:
      checkpoints.save_start(self.trainer, workdir, decides)
    else:
      saved_models.write_checkpoint(workdir, self._model, decides)

  def run(self, workdir, options, decides):
    """Trains on from the last checkpoint; returns seconds of training.

    Args:
      workdir: Directory of the run.
      options: `RunOptions`.
      decides: What decides the run, as in its run.json.
    """
    if not self.trainer:
      return 0.0
    return loop.run(self.trainer, workdir, options, True, True, decides)

  def averaged(self):
    """A context in which the model has its averaged weights."""
    if not self.trainer:
      return contextlib.nullcontext()
    return self.trainer.ema.applied()


def load_data(transfer, config, data_dir=None, made_up=False):
  """(`TaskData` of the new task, its facts for run.json)."""
  data, = pipeline.load_tasks(
      [transfer.dataset], config.model.image_size, data_dir,
      config.augmentation, transfer.examples_per_class, config.seed,
      made_up=made_up).values()
  facts = data.describe()
  if transfer.name != transfer.dataset:
    facts['dataset'] = transfer.dataset
  if transfer.examples_per_class is not None:
    facts['examples_per_class'] = transfer.examples_per_class
    facts['examples_seed'] = config.seed
  return data, facts
