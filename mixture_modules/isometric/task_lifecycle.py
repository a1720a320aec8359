"""Tasks come, change their names and go (section 4.3).

The functions are methods of `IsometricModel`. An optimiser that was built
before does not know what they have changed: make a new one.
"""

from mixture_modules import checks
from mixture_modules import signatures
from mixture_modules import task_names
from mixture_modules import tracking
from mixture_modules.isometric import detaching
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import task_norms
from mixture_modules.isometric import tasks


def add_task(model, name, num_classes, init=None, head=None):
  """Adds a task; all older tasks' outputs stay bit-identical.

  Args:
    model: `IsometricModel`.
    name: Any text that is not yet a task's name.
    num_classes: Number of logits.
    init: Initial signature: None (the configuration's), 'random',
      'uniform', 'diagonal', 'copy:TASK' (copies the task's norm parameters
      and statistics too, and all else that is its own but the head), or
      {task: coefficient}, the weighted mean of tasks' mixtures (Eq. 1).
    head: Name of a head to share; made if there is none of that name.
      Default: a head of its own.

  Returns:
    The new `Task`.

  Raises:
    ValueError: If the name is taken, a task named by `init` is not there,
      or the head has another number of classes.
  """
  task_names.check_new(name, model.tasks)
  if not (init is None or isinstance(init, dict) or isinstance(init, str)
          and (init in signatures.INITIALIZERS or init.startswith('copy:'))):
    raise ValueError("init must be None, 'random', 'uniform', 'diagonal', "
                     f"'copy:TASK' or {{task: number}}, received {init!r}.")
  if not isinstance(head, (str, type(None))):
    raise ValueError(f'head must be the name of a head or None, received '
                     f'{head!r}.')
  num_classes = checks.positive_integer(
      f'num_classes of task {name!r}', num_classes)
  with tracking.changing(model):
    signature, source = _initial_signature(model, init)
    shapes = task_norms.shapes(model.config)
    affine = None
    if model.config.norm == 'private':
      affine = task_norms.NormAffine(shapes)
    task = tasks.Task(
        name, head or name,
        _head(model, head or name, num_classes, shared=bool(head)), signature,
        task_norms.NormStatistics(shapes), affine)
    model._tasks[name] = task
  if source is not None:
    detaching.copy_own_parts(model, task, source)
  return task


def remove_task(model, name):
  """Removes a task, and its head unless other tasks share it.

  All other tasks' outputs stay bit-identical.

  Args:
    model: `IsometricModel`.
    name: Name of the task.

  Raises:
    ValueError: If there is no such task.
  """
  task = model.task(name)
  with tracking.changing(model):
    model._tasks.pop(task.task_name)


def rename_task(model, old, new):
  """Gives a task another name, and its head where that is named like it.

  A head that other tasks share keeps its name. Nothing else changes; the
  order of the tasks stays.

  Args:
    model: `IsometricModel`.
    old: Name of the task.
    new: Any text that is not yet a task's name.

  Raises:
    ValueError: If there is no task `old`, or a task or head `new`.
  """
  task = model.task(old)
  if new == task.task_name:
    return
  task_names.check_new(new, model.tasks)
  named_alike = task.head_name == task.task_name
  if named_alike and len(detaching.sharers(model, task)) == 1:
    _check_new_head(model, new)
    task.head_name = new
    task.head.name = task_names.layer_name(new)
  task.task_name = new
  task.name = task_names.layer_name(new)
  with tracking.changing(model):
    model._tasks = {each.task_name: each for each in model._tasks.values()}


def _check_new_head(model, name):
  if name in model.heads:
    raise ValueError(f'There is a head {name!r} already; share it with '
                     f'head={name!r}, or choose another task name.')


def _head(model, name, num_classes, shared):
  """The head of this name: a new one, or one there is to share."""
  if not shared:
    _check_new_head(model, name)
  head = model.heads.get(name)
  if head is None:
    return tasks.make_head(name, num_classes, model.config.adapter_filters[1])
  if head.units != num_classes:
    raise ValueError(
        f'Head {name!r} has {head.units} classes, received a task of '
        f'{num_classes}: tasks that share a head have one label set.')
  return head


def _initial_signature(model, init):
  """(signature, task whose own parts are copied or None) for `add_task`."""
  options = {'shared': model.shared_signature,
             'shared_half': model.config.shared_half or 'first',
             'seed': _seed(model)}
  if model.config.signature not in signatures.TRAINED:
    if init is not None and not str(init).startswith('copy:'):
      raise ValueError(
          f'The signature is fixed ({model.config.signature}), the same for '
          f'all tasks, and cannot start from init={init!r}: leave it out.')
    # Fixed signatures are the same for all, random ones too.
    options = {}
  if isinstance(init, dict):
    means = signatures.mean_mixture(
        [model.task(name).signature for name in init], list(init.values()))
    signature = make_signature(model, **options)
    signature.assign(means)
    return signature, None
  if init is not None and init.startswith('copy:'):
    source = model.task(init.removeprefix('copy:'))
    if source.signature.shared is None:
      options.pop('shared', None)  # it has detached the shared half
    signature = make_signature(model, **options)
    if signature.kind != source.signature.kind:  # it was relaxed or hardened
      signature.become(source.signature.kind)
    if signature.sequence is None:
      signature.copy_from(source.signature)
    return signature, source
  if init is not None:
    options['initializer'] = init
  return make_signature(model, **options), None


def _seed(model):
  """A seed that no task's signature has yet, if the model is seeded."""
  if model.seed is None:
    return None
  used = {task.signature.seed for task in model.tasks.values()}
  seed = model.seed + 1 + len(model.tasks)
  while seed in used:
    seed += 1
  return seed


def make_signature(model, **changes):
  """A signature as the model's configuration says, with some changes."""
  config = model.config
  options = {
      'num_layers': config.num_layers, 'kind': config.signature,
      'initializer': config.signature_init, 'seed': model.seed,
      'spread': config.signature_spread, 'temperature': config.temperature}
  return signatures.Signature(
      num_templates=config.num_templates, **{**options, **changes})


def make_shared_signature(model):
  """The half of the rows that all tasks of a model share."""
  config = model.config
  rows = isometric_config.shared_rows(config.shared_half, config.num_layers)
  shared = make_signature(model, num_layers=len(rows))
  if (config.shared_half, config.signature_init) == ('second', 'diagonal'):
    # The last rows: their templates count from the model's first layer.
    whole = make_signature(model).mixture_weights()
    shared.assign(whole[rows.start:])
  return shared
