"""What a run's directory says, for those who only read it."""

import pathlib
import shlex

import numpy as np

from mixture_modules import signatures
from trainers.adaptation import adaptation_features
from trainers.runs import records
from trainers.runs import results


class Run:
  """What a run's directory says.

  Args:
    workdir: The directory.

  Attributes:
    name: Of the directory.
    run: Content of run.json.
    results: `results.RunResults`, or None.
    metrics: Lines of metrics.jsonl.
    path: Lines of signatures.jsonl.
    mixtures: {task: `[L, K]`} of all tasks of the model: of the results and,
      of tasks without any, of the last line of signatures.jsonl; empty if
      there is neither.
    own: Names of the tasks that this run trains or evaluates, of `mixtures`.
    model: The configuration of the model.
    is_trained: Whether the signatures were trained, not fixed.
    edits: `results.Edits` of each edits-*.json.
    between: `results.Between` of each between-*.json.

  Raises:
    ValueError: If there is no run, or a file is damaged.
  """

  def __init__(self, workdir):
    self._workdir = workdir = pathlib.Path(workdir)
    self.name = workdir.resolve().name
    self.run = records.read_run(workdir)
    self.results = None
    if (workdir / records.RESULTS).exists():
      self.results = results.read(workdir / records.RESULTS)
    self.metrics = read_metrics(workdir / records.METRICS)
    self.path = read_signatures(workdir / records.SIGNATURES)
    found = {name: task.mixtures for name, task in (
        self.results.tasks.items() if self.results else ())}
    last = self.path[-1]['mixtures'] if self.path else found
    if set(found) - set(last):
      raise ValueError(
          f'Expected the tasks {list(found)} of {records.RESULTS} in '
          f'{workdir / records.SIGNATURES}, received {list(last)}: restore '
          'the file of that run.')
    self.mixtures = {
        name: np.array(found.get(name, xi)) for name, xi in last.items()}
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
    self.edits, self.between = (
        [results.read(path, kind) for path in sorted(workdir.glob(pattern))]
        for pattern, kind in (('edits-*.json', results.Edits),
                              ('between-*.json', results.Between)))

  def steps(self):
    """Steps that the records know of."""
    if self.results:
      return self.results.steps
    return self.metrics[-1]['step'] if self.metrics else 0

  def seconds(self):
    """Seconds of training that the records know of."""
    if self.results:
      return self.results.seconds
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
    """{task: `results.TaskScore`} of the last validation."""
    last = next((line for line in self.metrics[::-1] if any(
        key.startswith('validation/') for key in line)), {})
    return {name: results.TaskScore(
        top1=last.get(f'validation/{name}/top1'),
        loss=last.get(f'validation/{name}/loss'),
        examples=last[f'validation/{name}/examples'])
            for name in self.mixtures
            if f'validation/{name}/examples' in last}


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
    _check_mixtures(line.get('mixtures'), where, lines[0].get('mixtures'))
  return lines


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
