"""How a new task starts on a trained bank (sections 4.3, C)."""

from mixture_modules import checks
from mixture_modules import signatures
from mixture_modules.isometric import tune_scopes
from trainers import moving_statistics
from trainers.runs import results
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
        f'Expected a name that no task of {transfer.source} has, received '
        f'{transfer.name!r}: give the new task another name.')
  for name in transfer.sources or ():
    checks.one_of('sources', name, list(model.tasks), 'use some of these')
  if transfer.copied:
    checks.one_of('init', transfer.init,
                  [f'copy:{name}' for name in model.tasks])
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
          f'Expected sources with the classes of {data.name} for score=path, '
          f'received {others[0]}, which lacks them: use score=probe, or other '
          'sources.')
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
        'Expected a trained signature to tune the mixture of, received a '
        f'model whose signatures are fixed ({model.config.signature}): leave '
        'mixture out of tune.')
  if transfer.copied is None and transfer.init not in ('best', 'none'):
    raise ValueError(
        'Expected init of copy:TASK, best or none, as signatures are fixed '
        f'({model.config.signature}), received {transfer.init}: copy:TASK and '
        'best take over norms and statistics.')


def _check_beginnings(transfer, model, tasks, data):
  """Adds the task in each way that it may begin, and removes it again."""
  copies = [transfer.copied]
  if transfer.init == 'best':
    copies = sources(transfer, model)
  for copied in copies:
    head = choose_head(transfer, model, tasks, data, copied)
    if head is None and transfer.name in model.heads:
      raise ValueError(
          f'Expected a name that no head of {transfer.source} has, received '
          f'{transfer.name!r}: share that head with head={transfer.name}, or '
          'give the task another name.')
    if head is None and transfer.tune and not (
        {'head', 'all'} & set(transfer.tune)):
      why = '' if transfer.head == 'own' else (
          f' (no one head of {transfer.source} is known to have the classes of '
          f'{data.name})')
      raise ValueError(
          f'Expected the head in tune, since it is the new task\'s own{why}, '
          f'received tune={",".join(transfer.tune)}, which leaves it '
          'untrained: tune the head too, or give as head one to share, of '
          f'{list(model.heads)}.')
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
  """The head that is asked to be shared; an error if it does not fit."""
  heads = {model.task(name).head_name for name in _same_classes(tasks, data)}
  if transfer.copied in _same_classes(tasks, data):
    heads = {model.task(transfer.copied).head_name}
  if transfer.head == 'shared' and 'shared' not in model.heads:
    if len(heads) != 1:
      raise ValueError(
          f'Expected one head of tasks with the classes of {data.name} to '
          f'share, received {sorted(heads) or "none"}: give its name as head, '
          'or use head=own.')
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
        f'Expected the {units} classes of {users[0]} for head '
        f'{transfer.head!r}, received {data.name} with {data.num_classes} '
        'others: use head=own.')
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
    `results.TransferStart`, as all is after what is tuned was detached.
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
  return results.TransferStart(
      init=transfer.init, scored_by=scored_by, scores=scores,
      score_images=images, coefficients=coefficients, copied=copied,
      statistics=statistics, tune=tuple(tune), head=task.head_name,
      head_shared_with=tuple(
          name for name, other in model.tasks.items()
          if other.head is task.head and other is not task),
      initial_head='shared' if head else 'untrained')


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
