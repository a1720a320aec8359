"""Task files: one small file with all that is a task's own (section 4.3).

    mm.save_task(model, 'usps', 'usps.task')
    mm.load_task(copy_of_the_model, 'usps.task')

The templates stay where they are: a file fits the bank that it was saved from
and copies of it. `task_format` has the format.
"""

from keras import ops

from mixture_modules import families
from mixture_modules import family_files
from mixture_modules import files
from mixture_modules import task_format
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_fit


def save_task(model, task_name, path, metadata=None, overwrite=False):
  """Writes one task of a model to a file, whole or not at all.

  Signature, norm statistics, head (also one that it shares) and what else is
  the task's own; of what is shared, digests.

  Args:
    model: `IsometricModel` or `TaskFamily`.
    task_name: The task; default of None: the only one.
    path: File to write.
    metadata: Dictionary that JSON can hold, to find again with
      `task_format.read_task_file`; 'class_names', where it is there, has one
      text for each class.
    overwrite: Whether a file of that name is replaced.

  Returns:
    Number of bytes of the file.

  Raises:
    ValueError: If the file exists, the task is not there or holds what is not
      finite, the metadata does not fit, or no model would take the task, whose
      signature was relaxed.
  """
  data = encode_task(model, task_name, metadata)
  files.write(path, data, overwrite)
  return len(data)


def encode_task(model, task_name=None, metadata=None):
  """The bytes of a task file; arguments and errors as of `save_task`."""
  if isinstance(model, families.TaskFamily):
    return family_files.encode_task(model, task_name, metadata)
  task = model.task(task_name)
  signature = task.signature
  if signature.sequence is None and signature.kind != model.config.signature:
    raise ValueError(
        f'Expected a task with a signature of the kind '
        f'{model.config.signature!r}, as its model, or a fixed one, received '
        f'{signature.kind!r}: harden it, or save the whole model.')
  header = {
      'name': task.task_name, 'num_classes': task.num_classes,
      'head': _shared_head_name(model, task),
      'signature': task_format.describe_signature(
          signature.kind, signature.temperature, signature.sequence),
      'model': task_fit.describe_model(model),
      'shared': task_fit.shared_digests(model),
      'precision': model.dtype_policy.name}
  variables = parameters.task_variables(model, task.task_name)
  return task_format.encode(header, variables, metadata)


def load_task(model, path, name=None, force=False):
  """Adds the task of a file to a model with the same bank.

  All is checked before anything of the model changes. An optimiser that was
  built before does not know the new variables.

  A task that shared its head when it was saved shares the model's head of
  that name if the two are equal, bit for bit, and makes it where there is none
  of that name; else the head is its own.

  Args:
    model: `IsometricModel` or `TaskFamily`.
    path: File that `save_task` wrote.
    name: Name of the task in this model. Default: as in the file.
    force: Whether to load it, with a warning, where shared weights have other
      values than when the task was saved. Sizes and kinds must fit anyhow.

  Returns:
    The new `Task`; of a family its Keras model.

  Raises:
    ValueError: If the file is damaged, does not fit the model, or the name is
      taken; the message says what differs. The model is as it was.
  """
  if isinstance(model, families.TaskFamily):
    return family_files.load_task(model, path, name, force)
  file, changed = task_format.read_fitting(
      path, lambda file: task_fit.check(model, file.header, file.tensors),
      force)
  name = file.name if name is None else name
  head = _find_head(model, file, name)
  task = model.add_task(name, file.header['num_classes'], head=head)
  try:
    _detach(model, name, file.tensors)
    task_fit.harden_alike(model, task, file.header)
    variables = parameters.task_variables(model, name)
    if set(variables) != set(file.tensors):
      raise ValueError(
          f'Expected a task file of {sorted(variables)}, received '
          f'{sorted(file.tensors)} in {path}: save it again.')
    for key, variable in variables.items():
      variable.assign(file.tensors[key])
  except BaseException:
    model.remove_task(name)
    raise
  task_format.warn(file, name, path, model.dtype_policy.name, changed)
  return task


def _shared_head_name(model, task):
  users = [t.head_name for t in model.tasks.values()].count(task.head_name)
  return task.head_name if users > 1 else None


def _find_head(model, file, name):
  """Name of the head that a task is to share, or None for one of its own."""
  shared = file.header['head']
  if shared is not None and (
      shared not in model.heads or _is_equal(model.heads[shared], file)):
    return shared
  if name in model.heads and name not in model.tasks:
    raise ValueError(
        f'The model has a head {name!r}, of another task, which is not that '
        'of the file: load the task under another name.')
  return None


def _is_equal(head, file):
  return all(
      ops.convert_to_numpy(variable).tobytes()  # -0. is not 0. here
      == file.tensors[f'head/{variable.name}'].tobytes()
      for variable in head.variables)


def _detach(model, name, tensors):
  """Gives a new task its own of all that the file's has its own of."""
  for prefix, part in (
      ('input_adapter/', 'input_adapter'),
      ('output_adapter/', 'output_adapter'),
      ('affine/', 'norm'), ('signature/', 'mixture')):
    variables = parameters.task_variables(model, name)
    if any(key not in variables or array.shape != tuple(variables[key].shape)
           for key, array in tensors.items() if key.startswith(prefix)):
      model.detach(name, part)
