"""The format of task files, which `tensor_files` writes (section 4.3).

A file holds what is a task's own, and of what it shares a description and
digests. Whose task it is, an `IsometricModel`'s or a `TaskFamily`'s, is the
affair of `task_files` and `family_files`.
"""

import dataclasses
import hashlib
import json
import unicodedata
import warnings

from keras import ops
import numpy as np

from mixture_modules import tensor_files
from mixture_modules import version

FORMAT = 'mixture-modules task 1'
_EXPECTED = 'a task file that fits'
_MAX_NAME = 1000  # characters
_DTYPES = ('float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32')
_SHOWN = 5  # differences named in an error
# Type of what the header holds, besides `metadata`.
_HEADER = {'name': str, 'num_classes': int, 'head': (str, type(None)),
           'signature': dict, 'model': dict, 'shared': dict, 'precision': str,
           'metadata': dict}


@dataclasses.dataclass(frozen=True)
class TaskFile:
  """What a task file holds.

  Args:
    name: The task's name when it was saved; any text, never a path.
    tensors: {relative name: array} of what is the task's own.
    header: {'name', 'num_classes', 'head': name of the head that it shared,
      or None, 'signature': as of `describe_signature`, 'model': what decides
      the function of the model, 'shared': {shared variable: digest},
      'precision': dtype policy, 'metadata': what the one who saved it gave,
      'version': of the package}.
  """

  name: str
  tensors: dict
  header: dict

  @property
  def fingerprint(self):
    """That of the model that the task was saved from."""
    return combine(self.header['model'], self.header['shared'])


def encode(header, variables, metadata):
  """The bytes of a task file.

  Args:
    header: As of `TaskFile`, without metadata and version.
    variables: {relative name: variable} of what is the task's own.
    metadata: Dictionary that JSON can hold, or None.

  Raises:
    ValueError: If the task holds what is not finite, or the metadata does not
      fit.
  """
  # JAX has 32 bits for integers of 64: files are the same on all backends.
  tensors = {key: ops.convert_to_numpy(variable).astype(variable.dtype)
             for key, variable in variables.items()}
  metadata = tensor_files.format_json(metadata or {})
  with tensor_files.explain('a task to save', repr(header['name'])):
    header = {**header, 'metadata': tensor_files.parse_json(metadata)}
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


def combine(description, digests):
  """The fingerprint of a model of this description and these digests."""
  return hashlib.sha256(
      json.dumps([description, digests], sort_keys=True).encode()).hexdigest()


def describe_signature(kind, temperature, sequence):
  """What decides a signature besides its logits, for JSON."""
  return {'kind': 'fixed' if sequence else kind,
          'temperature': temperature if kind == 'softmax' else None,
          'sequence': sequence and list(sequence)}


def digests(variables):
  """{name: dtype, shape and SHA-256} of variables.

  Args:
    variables: {name: variable}.
  """
  found = {}
  for name, variable in variables.items():
    value = ops.convert_to_numpy(variable)
    digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    found[name] = f'{value.dtype}{list(value.shape)} {digest}'
  return found


def digest_faults(ours, theirs):
  """Texts on how names, dtypes and shapes of two `digests` differ."""
  return differences(*(
      {name: str(digest).rpartition(' ')[0] for name, digest in each.items()}
      for each in (ours, theirs)), 'shared ')


def shape_faults(required, optional, tensors):
  """Texts on what is wrong with names, shapes and dtypes of a task's tensors.

  Args:
    required: {name: (shape, dtype)} of what a task must have.
    optional: The same of what it may have, beside it or in its place.
    tensors: {name: array} of the file.
  """
  faults = [f'it lacks {name}' for name in required if name not in tensors]
  for name, array in tensors.items():
    allowed = list(dict.fromkeys(
        shapes[name] for shapes in (required, optional) if name in shapes))
    received = (array.shape, array.dtype.name)
    if not allowed:
      faults.append(f'{tensor_files.shorten(name)} is in no task of the model')
    elif received not in allowed:
      faults.append(f'{name} is {received[1]}{list(received[0])}, expected '
                    + ' or '.join(f'{d}{list(s)}' for s, d in allowed))
  return faults


def refuse_faults(faults):
  """Raises ValueError if there are texts on what does not fit."""
  if faults:
    raise ValueError(f'it does not fit the model: {_list_some(faults, "; ")}')


def read_fitting(path, check, force):
  """A task file, once it fits.

  Args:
    path: The file.
    check: Function from a `TaskFile` to the names of the shared variables that
      have other values now. It raises ValueError for all else that differs.
    force: Whether other values are accepted.

  Returns:
    (`TaskFile`, those names).

  Raises:
    ValueError: As of `read_task_file`, or if it does not fit.
  """
  file = read_task_file(path)
  with tensor_files.explain(_EXPECTED, path):
    changed = check(file)
    if changed and not force:
      raise ValueError(
          'it was saved from a model whose shared weights had other values ('
          f'{_list_some(changed)}): load it into that model or a copy of it, '
          'or give force=True to try it with these')
  return file, changed


def warn(file, name, path, precision, changed):
  """Warns of what makes a loaded task compute otherwise than when saved.

  Args:
    file: `TaskFile`.
    name: The task's name now.
    path: Of the file.
    precision: Name of the dtype policy that the model computes in.
    changed: Names of the shared variables that have other values now.
  """
  if file.header['precision'] != precision:
    warnings.warn(
        f'Task {name!r} of {path} was trained in {file.header["precision"]}, '
        f'the model computes in {precision}: its outputs differ in the last '
        'digits.', stacklevel=3)
  if changed:
    warnings.warn(
        f'Task {name!r} of {path} was saved from a model whose shared weights '
        f'had other values ({_list_some(changed)}): its outputs differ.',
        stacklevel=3)


def differences(ours, theirs, what=''):
  """Texts on how a file's description differs from the model's."""
  def show(described, key):
    if key not in described:
      return 'not there'
    return tensor_files.shorten(described[key])

  return [
      f'{what}{tensor_files.shorten(key)} is {show(theirs, key)}, in the model '
      f'{show(ours, key)}' for key in {**ours, **theirs}
      if key not in ours or key not in theirs or ours[key] != theirs[key]]


def _list_some(texts, separator=', '):
  """The first few of a list, for an error."""
  more = len(texts) - _SHOWN
  return separator.join(texts[:_SHOWN]) + (
      f'{separator}and {more} more' if more > 0 else '')


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
    if (name.startswith('statistics/variance/') or name == 'num_updates'
        or name.endswith('/moving_variance')) and (array < 0).any():
      raise ValueError(f'{name} is negative')
