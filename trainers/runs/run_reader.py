"""What a run's directory says, for those who only read it."""

import pathlib
import shlex

import numpy as np

from mixture_modules import signatures
from trainers.adaptation import adaptation_features
from trainers.runs import records

# What is read of each file.
_RESULTS = {'tasks', 'parameters', 'split', 'weights', 'steps', 'seconds'}
_SCORES = ('top1', 'loss', 'examples')
_TASK = {'mixtures', *_SCORES, 'own_parameters'}
_BETWEEN = {'lines', 'split', 'weights', 'statistics', 'steps'}
_EDITS = {'trained', 'edits', 'split', 'weights', 'statistics', 'steps'}
# Where they are there at all.
_DICTIONARIES = ('tasks', 'edits', 'lines', 'parameters', 'initial', 'transfer',
                 'adaptation')


class Run:
  """What a run's directory says.

  Args:
    workdir: The directory.

  Attributes:
    name: Of the directory.
    run: Content of run.json.
    results: Content of results.json, or None.
    metrics: Lines of metrics.jsonl.
    path: Lines of signatures.jsonl.
    mixtures: {task: `[L, K]`} of all tasks of the model: of the results and,
      of tasks without any, of the last line of signatures.jsonl; empty if
      there is neither.
    own: Names of the tasks that this run trains or evaluates, of `mixtures`.
    model: The configuration of the model.
    is_trained: Whether the signatures were trained, not fixed.
    edits: Contents of edits-*.json, which `launch.evaluate` leaves.
    between: Contents of between-*.json, which it leaves, too.

  Raises:
    ValueError: If there is no run, or a file is damaged.
  """

  def __init__(self, workdir):
    self._workdir = workdir = pathlib.Path(workdir)
    self.name = workdir.resolve().name
    self.run = records.read_run(workdir)
    self.results = None
    if (workdir / records.RESULTS).exists():
      self.results = read_results(workdir / records.RESULTS)
    self.metrics = read_metrics(workdir / records.METRICS)
    self.path = read_signatures(workdir / records.SIGNATURES)
    found = self.results['tasks'] if self.results else {}
    last = self.path[-1]['mixtures'] if self.path else found
    if set(found) - set(last):
      raise ValueError(
          f'Expected the tasks {list(found)} of {records.RESULTS} in '
          f'{workdir / records.SIGNATURES}, received {list(last)}: restore '
          'the file of that run.')
    self.mixtures = {
        name: np.array(found[name]['mixtures'] if name in found else last[name])
        for name in last}
    if len({xi.shape for xi in self.mixtures.values()}) > 1:
      raise ValueError(
          f'Expected signatures of one shape in {workdir}, received '
          f'{sorted({xi.shape for xi in self.mixtures.values()})} in '
          f'{records.RESULTS} and {records.SIGNATURES}: restore the files.')
    tasks = found or self.run['config'].get('tasks') or ()
    self.own = ([name for name in self.mixtures if name in tasks]
                or list(self.mixtures))
    self.model = self.run['config'].get('model', {})
    self.is_trained = self.model.get('signature') in signatures.TRAINED
    self.edits = [read_edits(path)
                  for path in sorted(workdir.glob('edits-*.json'))]
    self.between = [read_between(path)
                    for path in sorted(workdir.glob('between-*.json'))]

  def steps(self):
    """Steps that the records know of."""
    if self.results:
      return self.results['steps']
    return self.metrics[-1]['step'] if self.metrics else 0

  def seconds(self):
    """Seconds of training that the records know of."""
    if self.results:
      return self.results['seconds']
    return max((line.get('seconds', 0) for line in self.metrics), default=0)

  def dataset(self, task):
    """Name of a task's data set; None if the records do not know it."""
    return self.run.get('data', {}).get(task, {}).get('dataset', task)

  def features(self):
    """`adaptation_features.Features` of an adaptation, or None."""
    return adaptation_features.read(self._workdir)

  def curve(self, key, scale=1):
    """(steps, values) of the lines of metrics that have a key."""
    points = [(line['step'], scale * line[key])
              for line in self.metrics if key in line]
    return tuple(zip(*points)) or ((), ())

  def validation(self):
    """{task: {'top1', 'loss', 'examples'}} of the last validation.

    Of images without labels, the first two are None.
    """
    last = [line for line in self.metrics
            if any(key.startswith('validation/') for key in line)][-1:]
    found = {name: {key: line.get(f'validation/{name}/{key}')
                    for key in _SCORES}
             for line in last for name in self.mixtures}
    missing = ([], ['top1', 'loss'])  # with labels, without
    return {name: scores for name, scores in found.items()
            if [key for key in _SCORES if scores[key] is None] in missing}


def read_results(path):
  """What `results.collect` wrote; a clear error if it is damaged."""
  found = records.read_json(path)
  _check(found, _RESULTS, path)
  _check(found['parameters'], {'total'}, path)
  for task in found['tasks'].values():
    _check(task, _TASK, path)
    for part in task.get('members', {}).values():
      _check(part, set(_SCORES), path)
  for task in found.get('initial', {}).values():
    _check(task, set(_SCORES), path)
  _check_mixtures({name: task['mixtures'] for name, task
                   in found['tasks'].items()}, path)
  return found


def read_metrics(path):
  """Lines of metrics.jsonl, all numbers; a clear error if one is not."""
  lines = records.read_lines(path)
  for number, line in enumerate(lines, 1):
    wrong = [name for name, value in line.items()
             if not isinstance(value, (int, float))]
    if wrong:
      raise ValueError(
          f'Expected numbers in {path}, line {number}, received {wrong[0]!r}: '
          f'{line[wrong[0]]!r}: restore the file, or take the line out.')
  return lines


def read_signatures(path):
  """Lines of signatures.jsonl, of one shape; a clear error if one is not."""
  lines = records.read_lines(path)
  for number, line in enumerate(lines, 1):
    where = f'{path}, line {number}'
    _check(line, {'step', 'mixtures'}, where)
    _check_mixtures(line['mixtures'], where, lines[0]['mixtures'])
  return lines


def read_edits(path):
  """What `results.describe_edits` wrote; a clear error if it is damaged."""
  found = records.read_json(path)
  _check(found, _EDITS, path)
  for network in (found['trained'], *found['edits'].values()):
    _check(network, {'layers', 'tasks'}, path)
    for task in network['tasks'].values():
      _check(task, {'top1', 'signature'}, path)
    # Changes are against the trained network.
    _check(found['trained']['tasks'], set(network['tasks']), path)
  return found


def read_between(path):
  """What `results.describe_between` wrote; an error if it is damaged."""
  found = records.read_json(path)
  _check(found, _BETWEEN, path)
  for line in found['lines'].values():
    _check(line, {'between', 'points'}, path)
    for point in line['points']:
      _check(point, {'t', 'tasks'}, path)
      _check(point['tasks'], set(line['between']), path)
      for task in point['tasks'].values():
        _check(task, {'top1', 'loss', 'signature'}, path)
  return found


def _check(found, names, where):
  if (not isinstance(found, dict) or names - set(found)
      or not all(isinstance(found.get(name, {}), dict)
                 for name in _DICTIONARIES)):
    raise ValueError(
        f'Expected {sorted(names)} in {where}, received a file that is damaged '
        'or of another version: restore it, or move it away.')


def _check_mixtures(mixtures, where, like=None):
  """Checks {task: `[L, K]`}: one shape, and tasks and shape as in `like`."""
  shapes, first = ({name: _shape(xi) for name, xi in each.items()}
                   if isinstance(each, dict) else {}
                   for each in (mixtures, like or mixtures))
  if (len(set(shapes.values())) != 1 or None in shapes.values()
      or shapes != first):
    tasks = f', of the tasks {list(first)} as in line 1' if like else ''
    raise ValueError(
        f'Expected mixtures [L, K] of one shape in {where}{tasks}, received '
        f'{shapes} (None: no such array): restore the file, or take the line '
        'out.')


def _shape(xi):
  """[L, K] of a list of equal rows of numbers; of anything else None."""
  try:
    found = np.asarray(xi, 'float64')
  except (TypeError, ValueError):
    return None
  return found.shape if found.ndim == 2 and found.size else None


def facts(run):
  """{what: text} of how a run was made; `run` is the content of run.json."""
  times = [process.get('time', 'unknown').replace('T', ' ')
           for process in (run, *run.get('resumed', ()))]
  changes = {True: ', with uncommitted changes', False: ', nothing uncommitted'}
  return {
      'command': _command(run),
      'started': ', resumed '.join(times),
      'commit': ((run.get('commit') or 'unknown')
                 + changes.get(run.get('dirty'), '')),
      'versions': ', '.join(f'{name} {version}' for name, version
                            in run.get('versions', {}).items()),
      'machine': f'{run.get("machine", "unknown")}; {run.get("device", "")}'}


def _command(run):
  program, *arguments = run.get('argv') or ['unknown']
  program = pathlib.PurePath(program)
  if program.parent.name == 'launch':
    return f'python -m launch.{program.stem} {shlex.join(arguments)}'
  return shlex.join([str(program), *arguments])


def duration(seconds):
  """Seconds as text for people."""
  if seconds < 120:
    return f'{seconds:.0f}\N{NO-BREAK SPACE}s'
  minutes = round(seconds / 60)
  return (f'{minutes}\N{NO-BREAK SPACE}min' if minutes < 120 else
          f'{minutes // 60} h {minutes % 60} min')
