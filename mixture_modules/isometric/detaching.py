"""Giving a task its own copy of what it shares (section 4.3).

Tuning a shared part for one task would move the others. So it is *detached*
first: the task gets a copy, and its outputs are what they were.
"""

import functools

import numpy as np

from mixture_modules import tracking
from mixture_modules.isometric import adapters
from mixture_modules.isometric import task_norms
from mixture_modules.isometric import tasks


def detach(model, task, part):
  """Gives a task its own copy of a part that it shares.

  Its outputs are what they were, and no other task changes. Nothing happens
  where the task has its own already. Moving statistics are always its own.

  An optimiser built before does not know the new variables: make a new one.

  Args:
    model: `IsometricModel`.
    task: Name of the task.
    part: What is copied:
      'norm': gamma and beta of all norms; mixed ones become one set for each
        layer, no longer moved by the signature;
      'input_adapter': its convolution, with gamma and beta of its norm;
      'output_adapter': both convolutions, with gamma and beta of their norms;
      'mixture': the shared half of the signature;
      'head': a head that several tasks share. The copy is called like the
        task, with apostrophes after it where that name is taken.

  Raises:
    ValueError: If there is no such task or part.

  Source: our choice; section 4.3 has private norms ("linear patches") and
    heads.
  """
  if part not in PARTS:
    raise ValueError(f'Expected a part to detach, one of {list(PARTS)}, '
                     f'received {part!r}.')
  task = model.task(task)
  with tracking.changing(model), tracking.unlocked(task):
    PARTS[part](model, task)


def detached_parts(model, task):
  """Parts that a task has its own copy of, where the model has one to share.

  `detach` makes them again, on a fresh model; heads are known by name.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
  """
  own = {
      'norm': (model.config.norm != 'private' and task.affine is not None
               and task_norms.BODY_SITES[0] in task.affine),
      'input_adapter': task.input_adapter is not None,
      'output_adapter': task.output_adapter is not None,
      'mixture': (model.shared_signature is not None
                  and task.signature.shared is None)}
  return [part for part, is_own in own.items() if is_own]


def copy_own_parts(model, task, source):
  """Copies norms, statistics and adapters that are another task's own.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model, just made, with a copy of the signature.
    source: `Task` of the model to copy from.
  """
  for part in detached_parts(model, source):
    detach(model, task.task_name, part)
  tasks.copy_variables(task.statistics, source.statistics)
  if source.affine is not None:
    task.affine.assign(source.affine.values())
  for own, copied in zip(_convolutions(task), _convolutions(source)):
    tasks.copy_variables(own, copied)


def sharers(model, task):
  """Names of the tasks with this task's head, itself among them."""
  return [name for name, other in model.tasks.items()
          if other.head is task.head]


def _convolutions(task):
  first = [task.input_adapter] if task.input_adapter else []
  return first + list(task.output_adapter or ())


def _detach_norms(model, task, sites):
  missing = [site for site in sites
             if task.affine is None or site not in task.affine]
  values = task_norms.affine_values(model, task, missing)
  if task.affine is None:
    task.affine = task_norms.NormAffine({})
  task.affine.add_sites(task_norms.shapes(model.config, missing))
  task.affine.assign(values)


def _detach_input_adapter(model, task):
  _detach_norms(model, task, INPUT_SITES)
  if task.input_adapter is None:
    task.input_adapter = adapters.input_adapter(
        model.config, model.dtype_policy)
    tasks.copy_variables(task.input_adapter, model.input_adapter)


def _detach_output_adapter(model, task):
  _detach_norms(model, task, OUTPUT_SITES)
  if task.output_adapter is None:
    task.output_adapter = adapters.output_adapter(
        model.config, model.dtype_policy)
    for own, shared in zip(task.output_adapter, model.output_adapter):
      tasks.copy_variables(own, shared)


def _detach_mixture(model, task):
  del model
  old = task.signature
  if old.shared is None:
    return
  logits = [old.shared.logits.numpy(), old.logits.numpy()]
  if old.shared_half == 'second':
    logits.reverse()
  tracking.forget(task, old)
  task.signature = old.another(shared=None)
  task.signature.logits.assign(np.concatenate(logits))


def _detach_head(model, task):
  if len(sharers(model, task)) == 1:
    return
  name = task.task_name
  while name in model.heads:
    name += "'"
  old = task.head
  tracking.forget(task, old)
  task.head_name = name
  task.head = tasks.make_head(
      name, old.units, model.config.adapter_filters[1])
  tasks.copy_variables(task.head, old)


INPUT_SITES = ('input',)
OUTPUT_SITES = ('hidden', 'embedding')
PARTS = {
    'norm': functools.partial(_detach_norms, sites=task_norms.SITES),
    'input_adapter': _detach_input_adapter,
    'output_adapter': _detach_output_adapter,
    'mixture': _detach_mixture,
    'head': _detach_head}
