"""A run's records: run.json, metrics.jsonl and TensorBoard's copy of it.

All numbers and pictures that are shown anywhere are made from these files.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from mixture_modules import files
from trainers.runs import work_lock

CHECKPOINTS, TENSORBOARD = 'checkpoints', 'tensorboard'  # directories
_NEW = 'runs'  # where new work directories go
RUN = 'run.json'
METRICS = 'metrics.jsonl'
SIGNATURES = 'signatures.jsonl'
RESULTS = 'results.json'
# {kind of a run: what run.json's 'config' has besides that of a training}
PARTS = {'transfer': 'transfer', 'adapt': 'adaptation',
         'tasks': 'tasks_command'}


def write_json(path, value, overwrite=True):
  """Writes a JSON file whole or not at all; see `files.write`."""
  files.write(path, (json.dumps(value, indent=2) + '\n').encode(), overwrite)


def read_json(path):
  """Reads a JSON file; a clear error if it is damaged."""
  data = files.read(path)
  try:
    return json.loads(data)
  except ValueError as error:
    raise ValueError(f'Expected JSON in {path}, received a damaged file '
                     f'({error}): restore it, or use another directory.'
                     ) from error


@contextlib.contextmanager
def naming(path):
  """As `files.naming`; TensorFlow's errors are errors of the system, too."""
  try:
    with files.naming(path):
      yield
  except tf.errors.OpError as error:
    text = re.sub(r'\{\{.*?\}\} |\[Op:.*', '', error.message, flags=re.DOTALL)
    raise OSError(
        f'{path} cannot be written: {" ".join(text.split())}') from error


def choose_workdir(workdir, is_needed=False):
  """The work directory of a run, by default a new one, named by the time.

  Args:
    workdir: The directory, or None.
    is_needed: Whether it must be named, as when a run is resumed.

  Raises:
    ValueError: If it is needed and not named, or its name is empty.
  """
  if workdir == '':
    raise ValueError("Expected a workdir, received the empty name '': name a "
                     'directory, or give none for a new one.')
  if workdir is not None:
    return pathlib.Path(workdir)
  if is_needed:
    raise ValueError('Expected a workdir, which a run that is resumed and '
                     'several workers need, received none: name it.')
  return pathlib.Path(_NEW, f'{datetime.datetime.now():%Y%m%d-%H%M%S}')


def check(workdir, config, kind, resume):
  """Checks that a work directory is free, or holds the run to resume.

  It must be possible to write there, and nowhere else by links.

  Args:
    workdir: Directory of the run.
    config: What decides the run, as JSON; compared when resuming.
    kind: Kind of run, such as 'train'.
    resume: Whether to go on with the run that is there.

  Raises:
    ValueError: If there is another run, or files that are none, or nothing
      can be written.
  """
  workdir = pathlib.Path(workdir)
  _check_writable(workdir)
  check_no_link(workdir / CHECKPOINTS)
  check_no_link(workdir / TENSORBOARD)
  if not resume:
    _check_free(workdir)
  elif (workdir / RUN).exists():
    _check_same_run(workdir, read_run(workdir), config, kind)
  else:
    raise ValueError(f'Expected a run to resume in {workdir}, which has no '
                     f'{RUN}: start one with resume=False.')


def check_no_link(directory):
  """Raises ValueError if a directory of a run is a link, to another place."""
  if directory.is_symlink():
    raise ValueError(
        f'Expected a directory of the run itself, received {directory}, a link '
        f'to {os.readlink(directory)}, where nothing is written: remove the '
        'link, or put the whole work directory there.')


def _check_writable(workdir):
  """Raises ValueError if a work directory is none or cannot be written."""
  place = workdir
  while not os.path.lexists(place):
    place = place.parent
  if not place.exists():
    raise ValueError(
        f'Expected a directory, received {place}, a link to '
        f'{os.readlink(place)}, which is not there: make that, or choose '
        'another work directory.')
  if not place.is_dir():
    raise ValueError(f'Expected a directory, received the file {place}: '
                     'choose another work directory.')
  files.check_writable(place)


def check_data(workdir, data):
  """Checks that a run's data is what it was when the run began.

  Args:
    workdir: Directory of a run.
    data: {task: facts}, as JSON; fewer than the run knows are compared alone.

  Raises:
    ValueError: If the run began with other data.
  """
  began = read_run(workdir).get('data')
  changed = began and differences(data, began, _flat(data))
  if changed:
    raise ValueError(
        f'{workdir} holds a run that began with other data ({changed}): bring '
        'the data back as it was, or train a new run.')


def claim(workdir, config, kind, resume=False, data=None):
  """Writes run.json before step 1, or adds to it that the run is resumed.

  Args:
    workdir: Directory of the run, checked by `check` and locked; made if need
      be. What a start left in it that was killed is taken over.
    config: What decides the run, as JSON.
    kind: Kind of run, such as 'train'.
    resume: Whether a run that is there is gone on with.
    data: {task: facts} that must not change, as JSON.

  Raises:
    ValueError: If another process has claimed the directory since `check`.
  """
  path = pathlib.Path(workdir) / RUN
  process = describe_process()
  if resume:
    run = read_run(workdir)
    resumed = [*run.get('resumed', ()), process]
    return write_json(path, {**run, 'resumed': resumed})
  path.parent.mkdir(parents=True, exist_ok=True)
  _check_free(path.parent)
  path.unlink(missing_ok=True)  # of a command that was killed
  return write_json(
      path, {'kind': kind, 'config': config, 'data': data or {}, **process},
      overwrite=False)


def read_run(workdir):
  """The run.json of a work directory.

  Raises:
    ValueError: If there is none, or it is damaged.
  """
  path = pathlib.Path(workdir) / RUN
  if not path.exists():
    raise ValueError(f'Expected a run in {workdir}, which has no {RUN}: name '
                     'the work directory of a run.')
  run = read_json(path)
  data = run.get('data', {}) if isinstance(run, dict) else None
  if (not isinstance(data, dict) or 'kind' not in run
      or not isinstance(run.get('config'), dict)
      or not all(isinstance(facts, dict) for facts in data.values())):
    raise ValueError(
        f'Expected kind, config and data in {path}, received a damaged or '
        'foreign file: restore it, or use another directory.')
  return run


def run_kind(run):
  """Which call made a run.json, whatever images it saw.

  Args:
    run: Its content.

  Returns:
    'train', 'transfer', 'adapt', or 'tasks' where those of a model changed.
  """
  return next((kind for kind, part in PARTS.items() if part in run['config']),
              'train')


def check_kind(workdir, run, kind):
  """Raises ValueError if another call than that of a kind made a run.

  Args:
    workdir: Directory of the run.
    run: Content of its run.json.
    kind: As of `run_kind`.
  """
  received = run_kind(run)
  if received != kind:
    raise ValueError(f'Expected a run of kind {kind!r} in {workdir}, received '
                     f'one of kind {received!r}: resume it as what it is.')


def _check_free(workdir):
  """Raises ValueError if a directory holds more than killed starts leave."""
  held = [path for path in workdir.iterdir() if not _is_leftover(path)
          ] if workdir.exists() else []
  run = workdir / RUN
  if run in held:
    resumes = run_kind(read_run(workdir)) != 'tasks'
    if held == [run] and not resumes:
      return  # its command was killed before the model was there
    raise ValueError(
        f'{workdir} holds a run already, which is never overwritten: '
        f'{"resume it, or " if resumes else ""}choose another work directory.')
  if held:
    raise ValueError(
        f'{workdir} holds files but no {RUN}: expected an empty or new '
        'directory, choose another one.')


def _is_leftover(path):
  if path.name == CHECKPOINTS and path.is_dir() and not path.is_symlink():
    return all(map(_is_leftover, path.iterdir()))
  return path.name == work_lock.LOCK or files.is_scratch(path)


def _check_same_run(workdir, run, config, kind):
  if run['kind'] != kind:
    raise ValueError(f'{workdir} holds a run of kind {run["kind"]!r}, '
                     f'expected {kind!r}: choose another work directory.')
  changed = differences(config, run['config'])
  if changed:
    raise ValueError(
        f'{workdir} holds a run with other settings ({changed}): resume it '
        'as it was started, or choose another work directory.')


def differences(ours, theirs, keys=None):
  """What differs between two dictionaries, as text; empty if nothing does.

  Args:
    ours: Values that JSON can hold.
    theirs: What JSON gave.
    keys: Keys to compare, inner ones as 'outer.inner'. Default: all.
  """
  ours, theirs = _flat(json.loads(json.dumps(ours))), _flat(theirs)
  return '; '.join(f'{key}: {theirs.get(key)!r} -> {ours.get(key)!r}'
                   for key in sorted({*ours, *theirs} if keys is None else keys)
                   if ours.get(key) != theirs.get(key))


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
      'machine': f'{platform.machine()}, {os.cpu_count()} cores',
      'onednn': os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'by default')}


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
      last checkpoint, are removed, here and for TensorBoard; 0 removes all.
    enabled: False for workers that write nothing.
  """

  def __init__(self, workdir, start_step=0, enabled=True):
    self._workdir = pathlib.Path(workdir)
    self._enabled = enabled
    if not enabled:
      return
    metrics, signatures = (_keep_until(self._workdir / name, start_step)
                           for name in (METRICS, SIGNATURES))
    # TensorBoard's files cannot be cut: they are made again.
    copy = self._workdir / TENSORBOARD
    shutil.rmtree(copy, ignore_errors=True)
    with naming(self._workdir / TENSORBOARD):
      self._summaries = tf.summary.create_file_writer(str(copy))
      for line in metrics:
        self._show_scalars(line.pop('step'), line)
      for line in signatures:
        self._show_signatures(line['step'], line['mixtures'])
      self._summaries.flush()

  def scalars(self, step, scalars):
    """Writes {name: number} of a step."""
    if not self._enabled:
      return
    _append(self._workdir / METRICS, {'step': step, **scalars})
    with naming(self._workdir / TENSORBOARD):
      self._show_scalars(step, scalars)
      self._summaries.flush()

  def _show_scalars(self, step, scalars):
    with self._summaries.as_default(step):
      for name, value in scalars.items():
        tf.summary.scalar(name, value)

  def signatures(self, step, mixtures):
    """Writes {task: `[L, K]`} of a step; TensorBoard shows grey pictures."""
    if not self._enabled:
      return
    mixtures = {name: np.round(np.asarray(xi, 'float64'), 6).tolist()
                for name, xi in mixtures.items()}
    _append(self._workdir / SIGNATURES, {'step': step, 'mixtures': mixtures})
    with naming(self._workdir / TENSORBOARD):
      self._show_signatures(step, mixtures)
      self._summaries.flush()

  def _show_signatures(self, step, mixtures):
    with self._summaries.as_default(step):
      for name, xi in mixtures.items():
        # Layers from left to right, 16 x 16 pixels for a weight.
        picture = np.kron(np.transpose(xi), np.ones((16, 16)))
        tf.summary.image(f'signature/{name}',
                         np.clip(picture, 0, 1)[None, :, :, None])


def _append(path, value):
  with files.naming(path), open(path, 'a') as file:
    file.write(json.dumps(value) + '\n')


def read_lines(path):
  """The lines of metrics or signatures; a last one cut short is left out.

  Args:
    path: A file that `Writer` makes; it may be missing.

  Returns:
    List of dictionaries, each with its 'step'.

  Raises:
    ValueError: If another line than the last is damaged, or one is foreign.
  """
  path = pathlib.Path(path)
  lines = files.read(path).splitlines() if path.exists() else []
  values = []
  for number, line in enumerate(lines, 1):
    try:
      value = json.loads(line)
    except ValueError as error:
      if number == len(lines):
        break  # a write that was cut off
      raise ValueError(_damage(path, number, error)) from error
    if not isinstance(value, dict) or not isinstance(value.get('step'), int):
      raise ValueError(_damage(path, number, 'none with a step'))
    values.append(value)
  return values


def _damage(path, number, what):
  return (f'Expected a JSON object with a step in {path}, line {number}, '
          f'received a damaged line ({what}): restore the file, or take the '
          'line out.')


def _keep_until(path, step):
  # A run that begins again writes its step 0 again.
  lines = [v for v in read_lines(path) if v['step'] <= step] if step else []
  files.write(
      path, ''.join(json.dumps(line) + '\n' for line in lines).encode())
  return lines
