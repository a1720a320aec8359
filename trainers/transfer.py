"""A new task on a trained bank: how it starts, and what is tuned (4.3, C)."""

from keras import ops

from mixture_modules import signatures
from mixture_modules import tune_scopes
from trainers import initial_signatures
from trainers import supervised
from trainers.data import pipeline

STATISTICS_BATCHES = 100
_SCORED = ('best', 'accuracy')


def check(transfer, model, tasks, data):
  """Checks that a transfer can be made, before time is spent.

  Args:
    transfer: `TransferConfig`.
    model: `IsometricModel` of the source.
    tasks: {task of the model: facts of its data}, as of `SavedModel`.
    data: `TaskData` of the new task.

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
    if 'mixture' in (transfer.tune or ()):
      raise ValueError(
          f'The signature is fixed ({model.config.signature}): there is no '
          'mixture to tune. Leave it out of --tune.')
    if transfer.copied is None and transfer.init not in ('best', 'none'):
      raise ValueError(
          f'The signature is fixed ({model.config.signature}), the same for '
          f'all tasks, and cannot start from {transfer.init!r}: use copy:TASK '
          'or best, which take over norms and statistics, or none.')
  same = _same_classes(tasks, data)
  if transfer.score == 'path':
    others = [name for name in sources(transfer, model) if name not in same]
    if others:
      raise ValueError(
          f'Scores by path need sources with the classes of {data.name}, '
          f'which {others[0]} lacks: use probe, or name other --sources.')
  if transfer.head not in ('auto', 'own'):
    _named_head(transfer, model, tasks, data)
  if transfer.head == 'own' and transfer.name in model.heads:
    raise ValueError(
        f'{transfer.source} has a head {transfer.name!r} already: share it '
        f'with --head={transfer.name}, or give the task another --name.')


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
    or None), 'scores' {task: accuracy} or None, 'coefficients' {task: number}
    or None, 'copied' (name of a task, or None), 'statistics' ('copy' or
    'reestimate'), 'head' and 'head_shared_with' (names of tasks), 'tune'
    (names of scopes), 'added_parameters' (trained ones that the task brings,
    before any is detached).
  """
  before = model.parameter_report()['total']
  names = sources(transfer, model)
  scored_by = scores = coefficients = None
  if transfer.init in _SCORED:
    scored_by, scores = score(transfer, model, tasks, data, config)
  copied = transfer.copied
  if transfer.init == 'best':
    copied = max(scores, key=scores.get)
  head = choose_head(transfer, model, tasks, data, copied)
  init = f'copy:{copied}' if copied else None
  if transfer.init in signatures.INITIALIZERS:
    init = transfer.init
  task = model.add_task(transfer.name, data.num_classes, init, head)
  if transfer.init == 'random' or (
      transfer.init == 'none' and task.signature.logits is not None
      and model.config.signature_init == 'random'):
    initial_signatures.draw(task.signature, config.seed)
  if transfer.init == 'accuracy':
    coefficients = initial_signatures.accuracy_coefficients(scores)
    initial_signatures.Blend(model, transfer.name, names).assign(coefficients)
  if transfer.init == 'learned':
    coefficients = initial_signatures.learn_coefficients(
        initial_signatures.Blend(model, transfer.name, names), model,
        transfer.name, _batches(transfer, data, config, transfer.init_steps),
        transfer.init_learning_rate, tune_head=head is None)
  statistics = transfer.statistics
  if statistics == 'auto':
    statistics = 'copy' if copied else 'reestimate'
  if statistics == 'reestimate':
    initial_signatures.reestimate_statistics(
        model, transfer.name,
        _batches(transfer, data, config, STATISTICS_BATCHES))
  shared_with = [name for name, other in model.tasks.items()
                 if other.head is task.head and name != transfer.name]
  tune = transfer.tune
  if tune is None:
    tune = [scope for scope, left_out in (
        ('head', shared_with), ('norm', False),
        ('mixture', task.signature.logits is None)) if not left_out]
  return {
      'init': transfer.init, 'scored_by': scored_by, 'scores': scores,
      'coefficients': coefficients, 'copied': copied, 'statistics': statistics,
      'head': task.head_name, 'head_shared_with': shared_with,
      'tune': list(tune),
      'added_parameters': model.parameter_report()['total'] - before}


def score(transfer, model, tasks, data, config):
  """('path' or 'probe', {source: accuracy on the new validation data})."""
  names = sources(transfer, model)
  kind = transfer.score
  if kind == 'auto':
    same = set(names) <= set(_same_classes(tasks, data))
    kind = 'path' if same else 'probe'

  def batches(split, limit):
    every = -(-data.num_examples(split) // limit)
    return data.eval_batches(split, config.eval_batch_size, every=every)

  train, validation = transfer.score_examples
  if kind == 'path':
    return kind, initial_signatures.path_scores(
        model, names, batches('validation', validation))
  return kind, initial_signatures.probe_scores(
      model, names, batches('train', train), batches('validation', validation))


def _batches(transfer, data, config, count):
  size = config.task_batch_sizes()[transfer.name]
  return data.train_batches(size, config.seed).take(count)


def make_trainer(model, name, tune, data, config, strategy):
  """The trainer of the new task alone, and of nothing but what is tuned.

  Args:
    model: `IsometricModel` with the new task.
    name: Name of the new task.
    tune: Scopes, one or more.
    data: Its `TaskData`.
    config: `RunConfig` whose only task it is.
    strategy: `tf.distribute` strategy.

  Returns:
    (`SupervisedTrainer`, number of tuned parameters).
  """
  tuned = list(tune_scopes.tuned_variables(
      model, name, tune).values())
  steps = config.total_steps({name: data.num_examples('train')})
  trainer = supervised.SupervisedTrainer(
      model, {name: data}, config, steps, strategy, tuned)
  return trainer, sum(int(ops.size(variable)) for variable in tuned)


def load_data(transfer, config, data_dir=None):
  """(`TaskData` of the new task, its facts for run.json)."""
  data, = pipeline.load_tasks(
      [transfer.dataset], config.model.image_size, data_dir,
      config.augmentation, transfer.examples_per_class, config.seed).values()
  facts = data.describe()
  if transfer.name != transfer.dataset:
    facts['dataset'] = transfer.dataset
  if transfer.examples_per_class is not None:
    facts['examples_per_class'] = transfer.examples_per_class
    facts['examples_seed'] = config.seed
  return data, facts
