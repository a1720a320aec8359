"""Checkpoints: flat maps of arrays, written whole or not at all (our choice).

A file is an uncompressed `.npz` with an entry `checkpoint.json` (step,
metadata, dtypes that NumPy's format lacks). Its zip comment, which ends the
file, is the SHA-256 of all bytes before: no damage goes unnoticed.
"""

import hashlib
import io
import json
import pathlib
import re
import zipfile

import numpy as np
import tensorflow as tf

from mixture_modules import files

_FORMAT = 'mixture-modules checkpoint 1'
_HEADER = 'checkpoint.json'
_DIGEST_LENGTH = 64  # hexadecimal digits
_SHOWN = 3  # keys named in an error


class Checkpoints:
  """The checkpoints of one run, in one directory.

  Any number of processes may read; one writes.

  Args:
    directory: Made where it is not there. What an interrupted write has left
      in it is ignored, and removed by the next `save`.
    keep: Number of checkpoints that stay, besides the best. Default 2: one
      more than needed, should the last be damaged.

  Raises:
    ValueError: If `keep` is below 1.

  Source: our choice.
  """

  def __init__(self, directory, keep=2):
    if keep < 1:
      raise ValueError(
          f'Expected to keep 1 checkpoint or more; received keep={keep!r}.'
          ' Without one, nothing could be resumed: try 2.'
      )
    self.directory = pathlib.Path(directory)
    self.keep = keep

  def save(self, step, arrays, metadata=None, best=False):
    """Writes a checkpoint, then removes those that are no longer kept.

    Args:
      step: Number of steps done; not below that of the last checkpoint. An
        equal one replaces it.
      arrays: Dictionary of arrays, e.g. a `snapshot`.
      metadata: Dictionary that JSON can hold. Tuples come back as lists.
      best: Whether to keep a copy until a better one is saved.

    Returns:
      The path of the file.

    Raises:
      ValueError: If the step is below the last, an array holds objects, or
        JSON cannot hold the metadata. Nothing is written then.
    """
    latest = self.latest()
    if latest is not None and step < _step(latest):
      raise ValueError(
          f'Expected a step of {_step(latest)} or more, that of {latest};'
          f' received {step}. Move the later checkpoint away, or save to'
          ' another directory.'
      )
    data = _encode(int(step), arrays, metadata or {})
    self.directory.mkdir(parents=True, exist_ok=True)
    for leftover in self.directory.glob('.*.npz.tmp'):
      leftover.unlink(missing_ok=True)
    path = self.directory / f'checkpoint-{step:08d}.npz'
    files.write(path, data)
    for old in self._paths('checkpoint')[: -self.keep]:
      old.unlink()
    if best:
      new_best = self.directory / f'best-{step:08d}.npz'
      files.write(new_best, data)
      for old in self._paths('best'):
        if old != new_best:
          old.unlink()
    return path

  def latest(self):
    """Returns the path of the last checkpoint, or None."""
    return next(iter(self._paths('checkpoint')[::-1]), None)

  def best(self):
    """Returns the path of the best checkpoint, or None."""
    # After a kill between write and removal there are two: the later is it.
    return next(iter(self._paths('best')[::-1]), None)

  def load(self, path=None):
    """Reads a checkpoint.

    Args:
      path: Default: the last one.

    Returns:
      The step, the dictionary of arrays, and the metadata.

    Raises:
      ValueError: If there is none, or the file is damaged or not ours.
    """
    path = self.latest() if path is None else pathlib.Path(path)
    if path is None or not path.is_file():
      raise ValueError(
          f'Expected a checkpoint {path or f"in {self.directory}"}; received'
          f' none. There is: {self._names()}. Name one of these, or start a'
          ' new run.'
      )
    data = path.read_bytes()
    if not _is_intact(data):
      raise ValueError(
          'Expected a checkpoint that this package has written; received'
          f' {path}, which is damaged or foreign. {self._remedy(path)}'
      )
    return _decode(path, data)

  def _paths(self, kind):
    pattern = re.compile(kind + r'-(\d{8,})\.npz')
    paths = self.directory.glob(f'{kind}-*.npz')
    return sorted((p for p in paths if pattern.fullmatch(p.name)), key=_step)

  def _names(self):
    paths = self._paths('checkpoint') + self._paths('best')
    return ', '.join(path.name for path in paths) or 'nothing'

  def _remedy(self, damaged):
    for path in self._paths('checkpoint')[::-1] + self._paths('best'):
      if path != damaged and _is_intact(path.read_bytes()):
        return f'Move it away to go on from {path}, which is whole.'
    return 'No other is left here: move it away and start a new run.'


def snapshot(variables):
  """Copies the values of variables.

  Args:
    variables: Dictionary of Keras or TensorFlow variables.

  Returns:
    Dictionary of arrays with the same keys.

  Source: our choice.
  """
  return {key: np.array(value.numpy()) for key, value in variables.items()}


def restore(variables, arrays):
  """Sets all variables to the values of a snapshot, or none of them.

  Args:
    variables: Dictionary of Keras or TensorFlow variables.
    arrays: Dictionary of arrays with the same keys, shapes and dtypes.

  Raises:
    ValueError: If keys, shapes or dtypes differ; no variable has changed.

  Source: our choice.
  """
  faults = []
  for word, keys in (
      ('lacks', [key for key in variables if key not in arrays]),
      ('has besides', [key for key in arrays if key not in variables]),
      ('differs in', _mismatches(variables, arrays)),
  ):
    if keys:
      more = len(keys) - _SHOWN
      shown = ', '.join(keys[:_SHOWN]) + (f' and {more} more' * (more > 0))
      faults.append(f'{word} {shown}')
  if faults:
    raise ValueError(
        f'Expected a checkpoint of these {len(variables)} variables; received'
        f' {len(arrays)} arrays, which: {"; ".join(faults)}. Build the model'
        ' with the options of the run that wrote the checkpoint.'
    )
  for key, variable in variables.items():
    variable.assign(arrays[key])


def optimizer_variables(optimizer):
  """Names the variables of an optimizer, equally in every process.

  Keras' own paths hold counters of the process (`rmsprop_3`, `dense_7`) and
  can collide. The key here is the place and the name without counters, e.g.
  `0007/dense_kernel_velocity`.

  Args:
    optimizer: A Keras optimizer that is built.

  Returns:
    Dictionary of variables.

  Raises:
    ValueError: If the optimizer is not built.

  Source: our choice.
  """
  if not optimizer.built:
    raise ValueError(
        'Expected an optimizer that is built; received one without its'
        ' variables. Call `optimizer.build(trainable_variables)` before.'
    )
  return {
      f'{i:04d}/' + re.sub(r'_\d+(?=_|$)', '', variable.name): variable
      for i, variable in enumerate(optimizer.variables)
  }


def _mismatches(variables, arrays):
  mismatches = []
  for key, variable in variables.items():
    if key not in arrays:
      continue
    expected = (tuple(variable.shape), tf.as_dtype(variable.dtype).name)
    received = (arrays[key].shape, arrays[key].dtype.name)
    if expected != received:
      mismatches.append(
          f'{key} (expected {expected[1]}{list(expected[0])}, received'
          f' {received[1]}{list(received[0])})'
      )
  return mismatches


def _step(path):
  return int(path.stem.split('-')[1])


def _encode(step, arrays, metadata):
  """Returns the bytes of a file."""
  arrays = {key: np.asarray(array) for key, array in arrays.items()}
  for key, array in arrays.items():
    if array.dtype.hasobject:
      raise ValueError(
          f'Expected arrays of numbers; received objects for {key!r}. Put what'
          ' is not a number into the metadata.'
      )
  header = {
      'format': _FORMAT,
      'step': step,
      'metadata': metadata,
      # bfloat16 and its like, which are written as unsigned integers.
      'dtypes': {
          key: array.dtype.name
          for key, array in arrays.items()
          if _writable(array) is not array
      },
  }
  try:
    header = json.dumps(header)
  except TypeError as error:
    raise ValueError(
        'Expected metadata of numbers, strings, lists and dictionaries;'
        f' received {metadata!r} ({error}). Convert it before.'
    ) from error
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w') as archive:
    archive.writestr(_HEADER, header)
    for key, array in arrays.items():
      with archive.open(key + '.npy', 'w', force_zip64=True) as file:
        np.lib.format.write_array(file, _writable(array), allow_pickle=False)
    archive.comment = b'0' * _DIGEST_LENGTH
  content = buffer.getvalue()[:-_DIGEST_LENGTH]
  return content + _digest(content)


def _writable(array):
  """Returns an array of one of NumPy's own dtypes, with the same bits."""
  if array.dtype.isbuiltin == 2:  # registered by another package
    return array.view(f'u{array.dtype.itemsize}')
  return array


def _digest(content):
  return hashlib.sha256(content).hexdigest().encode()


def _is_intact(data):
  content = memoryview(data)[:-_DIGEST_LENGTH]
  return _digest(content) == data[-_DIGEST_LENGTH:]


def _decode(path, data):
  """Returns step, arrays and metadata of the bytes of an intact file."""
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    header = json.loads(archive.read(_HEADER))
    if header['format'] != _FORMAT:
      raise ValueError(
          f'Expected the format {_FORMAT!r}; received {header["format"]!r} in'
          f' {path}. Read it with the version of the package that wrote it.'
      )
    arrays = {}
    for name in archive.namelist():
      if name == _HEADER:
        continue
      key = name.removesuffix('.npy')
      with archive.open(name) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
      if key in header['dtypes']:
        dtype = tf.as_dtype(header['dtypes'][key])
        array = array.view(dtype.as_numpy_dtype)
      arrays[key] = array
  return header['step'], arrays, header['metadata']
