"""A run's records: run.json, metrics.jsonl and TensorBoard's copy of it.

All numbers and pictures that are shown anywhere are made from these files.
"""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

RUN = 'run.json'
METRICS = 'metrics.jsonl'
SIGNATURES = 'signatures.jsonl'
RESULTS = 'results.json'


def write_json(path, value):
  """Writes a JSON file whole or not at all."""
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.name}.tmp')
  with open(temporary, 'w') as file:
    json.dump(value, file, indent=2)
    file.write('\n')
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def read_json(path):
  """Reads a JSON file; a clear error if it is damaged."""
  try:
    return json.loads(pathlib.Path(path).read_text())
  except ValueError as error:
    raise ValueError(f'Expected JSON in {path}, received a damaged file '
                     f'({error}): restore it, or use another directory.'
                     ) from error


def check(workdir, config, kind, resume):
  """Checks that a work directory is free, or holds the run to resume.

  Args:
    workdir: Directory of the run.
    config: What decides the run, as JSON; compared when resuming.
    kind: Kind of run, such as 'train'.
    resume: Whether to go on with the run that is there.

  Raises:
    ValueError: If there is another run, or files that are none.
  """
  workdir = pathlib.Path(workdir)
  path = workdir / RUN
  if path.exists():
    if not resume:
      raise ValueError(
          f'{workdir} holds a run already, which is never overwritten: '
          'continue it with --resume, or choose another --workdir.')
    _check_same_run(workdir, read_json(path), config, kind)
  elif workdir.exists() and any(workdir.iterdir()):
    raise ValueError(
        f'{workdir} holds files but no {RUN}: expected an empty or new '
        'directory, choose another --workdir.')


def claim(workdir, config, kind):
  """Writes run.json, before step 1, if the directory has none yet."""
  path = pathlib.Path(workdir) / RUN
  if not path.exists():
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {'kind': kind, 'config': config, **describe_process()})


def _check_same_run(workdir, run, config, kind):
  if run.get('kind') != kind:
    raise ValueError(f'{workdir} holds a run of kind {run.get("kind")!r}, '
                     f'expected {kind!r}: choose another --workdir.')
  ours, theirs = _flat(json.loads(json.dumps(config))), _flat(run['config'])
  changed = [f'{key}: {theirs.get(key)!r} -> {ours.get(key)!r}'
             for key in sorted({*ours, *theirs})
             if ours.get(key) != theirs.get(key)]
  if changed:
    raise ValueError(
        f'{workdir} holds a run with other settings ({"; ".join(changed)}): '
        'resume with the flags it was started with, or choose another '
        '--workdir.')


def _flat(value, prefix=''):
  if not isinstance(value, dict):
    return {prefix: value}
  return {key: leaf for name, inner in value.items()
          for key, leaf in _flat(inner, f'{prefix}.{name}'.strip('.')).items()}


def describe_process():
  """Command, commit, versions and device of this process."""
  devices = tf.config.list_physical_devices('GPU') or ['CPU']
  return {
      'argv': sys.argv,
      'time': datetime.datetime.now().isoformat('T', 'seconds'),
      **_commit(),
      'versions': {
          'python': platform.python_version(), 'tensorflow': tf.__version__,
          'keras': keras.__version__, 'numpy': np.__version__},
      'device': f'{len(devices)} x {getattr(devices[0], "name", devices[0])}',
      'machine': f'{platform.machine()}, {os.cpu_count()} cores'}


def _commit():
  """Commit of the code and whether it was changed, where git can tell."""
  root = pathlib.Path(__file__).parent
  def git(*arguments):
    return subprocess.run(['git', *arguments], cwd=root, check=True,
                          capture_output=True, text=True).stdout.strip()
  try:
    return {'commit': git('rev-parse', 'HEAD'),
            'dirty': bool(git('status', '--porcelain'))}
  except (OSError, subprocess.CalledProcessError):
    return {'commit': None, 'dirty': None}


class Writer:
  """Appends metrics and signatures, for people and for TensorBoard.

  Args:
    workdir: Directory of the run.
    start_step: Lines of later steps, left by a run that was cut off after its
      last checkpoint, are removed.
    enabled: False for workers that write nothing.
  """

  def __init__(self, workdir, start_step=0, enabled=True):
    self._workdir = pathlib.Path(workdir)
    self._enabled = enabled
    if not enabled:
      return
    for name in (METRICS, SIGNATURES):
      _keep_until(self._workdir / name, start_step)
    self._summaries = tf.summary.create_file_writer(
        str(self._workdir / 'tensorboard'))

  def scalars(self, step, scalars):
    """Writes {name: number} of a step."""
    if not self._enabled:
      return
    _append(self._workdir / METRICS, {'step': step, **scalars})
    with self._summaries.as_default(step):
      for name, value in scalars.items():
        tf.summary.scalar(name, value)
    self._summaries.flush()

  def signatures(self, step, mixtures):
    """Writes {task: `[L, K]`} of a step; TensorBoard shows grey pictures."""
    if not self._enabled:
      return
    _append(self._workdir / SIGNATURES, {
        'step': step, 'mixtures': {name: np.round(xi, 6).tolist()
                                   for name, xi in mixtures.items()}})
    with self._summaries.as_default(step):
      for name, xi in mixtures.items():
        picture = np.kron(xi.T, np.ones((16, 16)))  # layers from left to right
        tf.summary.image(f'signature/{name}',
                         np.clip(picture, 0, 1)[None, :, :, None])


def _append(path, value):
  with open(path, 'a') as file:
    file.write(json.dumps(value) + '\n')


def read_lines(path):
  """The values of a JSON-lines file; a last line cut short is left out."""
  path = pathlib.Path(path)
  values = []
  if path.exists():
    for line in path.read_text().splitlines():
      try:
        values.append(json.loads(line))
      except ValueError:
        break
  return values


def _keep_until(path, step):
  lines = [v for v in read_lines(path) if v['step'] <= step]
  temporary = path.with_name(f'.{path.name}.tmp')
  temporary.write_text(''.join(json.dumps(v) + '\n' for v in lines))
  os.replace(temporary, path)
