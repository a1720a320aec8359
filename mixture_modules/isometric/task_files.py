"""Task files: one small file with all that is a task's own (section 4.3).

    mm.save_task(model, 'usps', 'usps.task')
    mm.load_task(copy_of_the_model, 'usps.task')

The templates stay where they are: a file fits the bank that it was saved from
and copies of it. `tensor_files` has the format.
"""

import dataclasses
import unicodedata
import warnings

from keras import ops
import numpy as np

from mixture_modules import files
from mixture_modules import tensor_files
from mixture_modules import version
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_fit

FORMAT = 'mixture-modules task 1'
_EXPECTED = 'a task file that fits'
_MAX_NAME = 1000  # characters
_DTYPES = ('float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32')
# Type of what the header holds, besides `metadata`.
_HEADER = {'name': str, 'num_classes': int, 'head': (str, type(None)),
           'signature': dict, 'model': dict, 'shared': dict, 'precision': str,
           'metadata': dict}


@dataclasses.dataclass(frozen=True)
class TaskFile:
  """What a task file holds.

  Args:
    name: The task's name when it was saved; any text, never a path.
    tensors: {relative name: array}, as of `parameters.task_variables`.
    header: {'name', 'num_classes', 'head': name of the head that it shared,
      or None, 'signature': {'kind', 'temperature', 'sequence'}, 'model': what
      decides the function of the model, 'shared': {shared variable: digest},
      'precision': dtype policy, 'metadata': what the one who saved it gave,
      'version': of the package}.
  """

  name: str
  tensors: dict
  header: dict

  @property
  def fingerprint(self):
    """That of the model that the task was saved from."""
    return task_fit.combine(self.header['model'], self.header['shared'])


def save_task(model, task_name, path, metadata=None, overwrite=False):
  """Writes one task of a model to a file, whole or not at all.

  Signature, norm statistics, head (also one that it shares) and what else is
  the task's own; of what is shared, digests.

  Args:
    model: `IsometricModel`.
    task_name: The task; default of None: the only one.
    path: File to write.
    metadata: Dictionary that JSON can hold, to find again with
      `read_task_file`; 'class_names', where it is there, has one text for
      each class.
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
  task = model.task(task_name)
  variables = parameters.task_variables(model, task.task_name)
  # JAX has 32 bits for integers of 64: files are the same on all backends.
  tensors = {key: ops.convert_to_numpy(variable).astype(variable.dtype)
             for key, variable in variables.items()}
  signature = task.signature
  if signature.sequence is None and signature.kind != model.config.signature:
    raise ValueError(
        f'Expected a task with a signature of the kind '
        f'{model.config.signature!r}, as its model, or a fixed one, received '
        f'{signature.kind!r}: harden it, or save the whole model.')
  metadata = tensor_files.format_json(metadata or {})
  header = {
      'name': task.task_name, 'num_classes': task.num_classes,
      'head': _shared_head_name(model, task),
      'signature': task_fit.describe_signature(
          signature.kind, signature.temperature, signature.sequence),
      'model': task_fit.describe_model(model),
      'shared': task_fit.shared_digests(model),
      'precision': model.dtype_policy.name}
  with tensor_files.explain('a task to save', repr(task.task_name)):
    header['metadata'] = tensor_files.parse_json(metadata)
    _check_header(header)
    _check_values(tensors)
  return tensor_files.encode(tensors, {
      'format': FORMAT, 'version': version.__version__,
      'task': tensor_files.format_json(header)})


def read_task_file(path):
  """Reads a task file; needs no model.

  Args:
    path: The file.

  Returns:
    `TaskFile`.

  Raises:
    ValueError: If it is damaged, of another kind, or holds what no task does.
  """
  with tensor_files.explain(_EXPECTED, path):
    tensors, metadata = tensor_files.read(path, FORMAT)
    header = tensor_files.parse_json(metadata.get('task', ''))
    _check_header(header)
    _check_values(tensors)
  header['version'] = metadata.get('version', 'unknown')
  return TaskFile(header['name'], tensors, header)


def load_task(model, path, name=None, force=False):
  """Adds the task of a file to a model with the same bank.

  All is checked before anything of the model changes. An optimiser that was
  built before does not know the new variables.

  A task that shared its head when it was saved shares the model's head of
  that name if the two are equal, bit for bit, and makes it where there is none
  of that name; else the head is its own.

  Args:
    model: `IsometricModel`.
    path: File that `save_task` wrote.
    name: Name of the task in this model. Default: as in the file.
    force: Whether to load it, with a warning, where shared weights have other
      values than when the task was saved. Sizes and kinds must fit anyhow.

  Returns:
    The new `Task`.

  Raises:
    ValueError: If the file is damaged, does not fit the model, or the name is
      taken; the message says what differs. The model is as it was.
  """
  file = read_task_file(path)
  name = file.name if name is None else name
  with tensor_files.explain(_EXPECTED, path):
    changed = task_fit.check(model, file.header, file.tensors)
    if changed and not force:
      raise ValueError(
          'it was saved from a model whose shared weights had other values ('
          f'{task_fit.list_some(changed)}): load it into that model or a copy '
          'of it, or give force=True to try it with these')
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
  precision = model.dtype_policy.name
  if file.header['precision'] != precision:
    warnings.warn(
        f'Task {name!r} of {path} was trained in {file.header["precision"]}, '
        f'the model computes in {precision}: its outputs differ in the last '
        'digits.', stacklevel=2)
  if changed:
    warnings.warn(
        f'Task {name!r} of {path} was saved from a model whose shared weights '
        f'had other values ({task_fit.list_some(changed)}): its outputs are '
        'others.', stacklevel=2)
  return task


def _shared_head_name(model, task):
  users = [t.head_name for t in model.tasks.values()].count(task.head_name)
  return task.head_name if users > 1 else None


def _check_header(header):
  """Checks types and names of a header, as JSON gave it."""
  if not isinstance(header, dict) or set(header) != set(_HEADER):
    raise ValueError(f'its description does not consist of {list(_HEADER)}')
  for key, kind in _HEADER.items():
    if not isinstance(header[key], kind) or isinstance(header[key], bool):
      raise ValueError(f'{key} in its description is '
                       f'{tensor_files.shorten(header[key])}')
  for name in (header['name'], header['head']):
    if name is not None:
      _check_name(name)
  count = header['num_classes']
  names = header['metadata'].get('class_names')
  if names is not None and not (
      isinstance(names, list) and len(names) == count
      and all(isinstance(name, str) for name in names)):
    raise ValueError(
        f'class_names in its metadata is {tensor_files.shorten(names)}, '
        f'expected one text for each of {tensor_files.shorten(count)} classes')


def _check_name(name):
  """Any text is a name but what checkpoints and terminals could not hold."""
  if not 0 < len(name) <= _MAX_NAME or any(
      unicodedata.category(character) in ('Cc', 'Cs') for character in name):
    raise ValueError(
        f'the name {tensor_files.shorten(name)} is not text of 1 to '
        f'{_MAX_NAME} characters, none of them a control character')


def _check_values(tensors):
  """Checks that values are such as a trained task can have."""
  for name, array in tensors.items():
    if array.dtype.name not in _DTYPES or not array.size:
      raise ValueError(
          f'{tensor_files.shorten(name)} is {array.dtype.name}'
          f'{list(array.shape)}, expected one of {_DTYPES} that is not empty')
    if not np.isfinite(array).all():
      raise ValueError(f'{tensor_files.shorten(name)} holds infinities or what '
                       'is not a number')
    if (name.startswith('statistics/variance/') or name == 'num_updates') and (
        array < 0).any():
      raise ValueError(f'{name} is negative')


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
