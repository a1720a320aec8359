"""Checkpoints: flat maps of arrays, written whole or not at all (our choice).

`tensor_files` has the format. Its metadata holds the step and, as JSON, what
the run says besides.
"""

import json
import pathlib
import re

import numpy as np
import tensorflow as tf

from mixture_modules import files
from mixture_modules import tensor_files
from trainers.runs import records

_FORMAT = 'mixture-modules checkpoint 1'
_SUFFIX = '.safetensors'
_MAX_BYTES = 2 ** 36
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
      metadata: Dictionary of finite numbers, text, lists and dictionaries.
        Tuples come back as lists.
      best: Whether to keep a copy until a better one is saved.

    Returns:
      The path of the file.

    Raises:
      ValueError: If the step is below the last, an array is not of numbers,
        or JSON cannot hold the metadata. Nothing is written then.
    """
    latest = self.latest()
    if latest is not None and step < _step(latest):
      raise ValueError(
          f'Expected a step of {_step(latest)} or more, that of {latest};'
          f' received {step}. Move the later checkpoint away, or save to'
          ' another directory.'
      )
    data = tensor_files.encode(arrays, {
        'format': _FORMAT, 'step': str(step),
        'metadata': tensor_files.format_json(metadata or {})}, _MAX_BYTES)
    self.directory.mkdir(parents=True, exist_ok=True)
    for leftover in self.directory.glob(f'.*{_SUFFIX}.tmp'):
      leftover.unlink(missing_ok=True)
    path = self.directory / f'checkpoint-{step:08d}{_SUFFIX}'
    files.write(path, data)
    for old in self._paths('checkpoint')[: -self.keep]:
      old.unlink()
    if best:
      new_best = self.directory / f'best-{step:08d}{_SUFFIX}'
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
    with tensor_files.explain(
        'a checkpoint that this package has written',
        f'{path}, which is damaged or foreign', lambda: self._remedy(path)):
      return _read(path)

  def _paths(self, kind):
    pattern = re.compile(rf'{kind}-\d{{8,}}{re.escape(_SUFFIX)}')
    paths = self.directory.glob(f'{kind}-*{_SUFFIX}')
    return sorted((p for p in paths if pattern.fullmatch(p.name)), key=_step)

  def _names(self):
    paths = self._paths('checkpoint') + self._paths('best')
    return ', '.join(path.name for path in paths) or 'nothing'

  def _remedy(self, damaged):
    for path in self._paths('checkpoint')[::-1] + self._paths('best'):
      if path != damaged and _is_whole(path):
        return f'Move it away to go on from {path}, which is whole.'
    return 'No other is left here: move it away and start a new run.'


def snapshot(variables):
  """Copies the values of variables.

  Args:
    variables: Dictionary of Keras or TensorFlow variables.

  Returns:
    Dictionary of arrays with the same keys.
  """
  return {key: np.array(value.numpy()) for key, value in variables.items()}


def restore(variables, arrays):
  """Sets all variables to the values of a snapshot, or none of them.

  Args:
    variables: Dictionary of Keras or TensorFlow variables.
    arrays: Dictionary of arrays with the same keys, shapes and dtypes.

  Raises:
    ValueError: If keys, shapes or dtypes differ; no variable has changed.
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


def _read(path):
  """Step, arrays and metadata of a file."""
  arrays, metadata = tensor_files.read(path, _FORMAT, _MAX_BYTES)
  values = tensor_files.parse_json(metadata.get('metadata', ''))
  if not isinstance(values, dict):
    raise ValueError('its metadata is no dictionary')
  return int(metadata.get('step', '')), arrays, values


def _is_whole(path):
  try:
    _read(path)
  except ValueError:
    return False
  return True


class NonFiniteLossError(ValueError):
  """The loss, or a weight, became infinite or not a number."""


def of_run(workdir):
  """The `Checkpoints` of the run in a work directory."""
  return Checkpoints(pathlib.Path(workdir) / records.CHECKPOINTS)


def check_same_run(path, metadata, config):
  """Checks that a checkpoint is that of a run, not one of equal shapes.

  Args:
    path: The checkpoint, for the message.
    metadata: Its metadata.
    config: The run's configuration, as JSON.

  Raises:
    ValueError: If it was written with another configuration.
  """
  # As JSON has it: tuples become lists.
  if ('seconds' not in metadata
      or metadata.get('config') != json.loads(json.dumps(config))):
    raise ValueError(
        f'Expected a checkpoint of this run, received {path}, which was '
        'written with another configuration: move it away, or choose another '
        'work directory.')


def save(store, step, state, metadata, writes=True, explain=None):
  """Writes a checkpoint, unless the model is broken.

  Args:
    store: `Checkpoints`.
    step: Number of steps done.
    state: {key: variable}.
    metadata: For JSON: 'seconds', 'config' as in run.json, and 'model'.
    writes: False for workers that only check.
    explain: Function from names of broken variables to the error's message.

  Returns:
    The path of the checkpoint, or None.

  Raises:
    NonFiniteLossError: If a variable holds infinities or what is not a number;
      nothing is written then.
  """
  arrays = snapshot(state)
  bad = [key for key, array in arrays.items()
         if not np.isfinite(array.astype('float64')).all()]
  if bad:
    raise NonFiniteLossError((explain or _explain)(bad))
  return store.save(step, arrays, metadata) if writes else None


def _explain(names):
  return (f'Expected finite weights, received others in {", ".join(names[:4])}:'
          ' nothing is written. Look for bad values in the data, or begin from '
          'another model.')


def save_start(trainer, workdir, config):
  """Writes a checkpoint before step 1, of a run whose start is costly.

  Args:
    trainer: `loop.Trainer`.
    workdir: Directory of the run.
    config: 'config' of its run.json.
  """
  save(of_run(workdir), 0, trainer.state(),
       {'seconds': 0.0, 'config': config, **trainer.metadata()})
