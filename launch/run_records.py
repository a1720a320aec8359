"""What a run's directory says, for those who only read it."""

import pathlib
import shlex

import numpy as np

from mixture_modules import signatures
from trainers import records

# What is read of each file.
_RESULTS = {'tasks', 'parameters', 'split', 'weights', 'steps', 'seconds'}
_TASK = {'mixtures', 'top1', 'loss', 'examples', 'own_parameters'}
_BETWEEN = {'lines', 'split', 'weights', 'statistics', 'steps'}
_EDITS = {'trained', 'edits', 'split', 'weights', 'statistics', 'steps'}


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
    mixtures: {task: `[L, K]`} of the results, else of the last line of
      signatures.jsonl; empty if there is none.
    model: The configuration of the model.
    is_trained: Whether the signatures were trained, not fixed.
    edits: Contents of edits-*.json, which `launch.evaluate` leaves.
    between: Contents of between-*.json, which it leaves, too.

  Raises:
    ValueError: If there is no run, or a file is damaged.
  """

  def __init__(self, workdir):
    workdir = pathlib.Path(workdir)
    self.name = workdir.resolve().name
    self.run = records.read_run(workdir)
    self.results = None
    if (workdir / records.RESULTS).exists():
      self.results = read_results(workdir / records.RESULTS)
    self.metrics = records.read_lines(workdir / records.METRICS)
    self.path = records.read_lines(workdir / records.SIGNATURES)
    for line in self.path:
      _check(line, {'step', 'mixtures'}, workdir / records.SIGNATURES)
    self.mixtures = {}
    if self.results:
      self.mixtures = {name: np.array(task['mixtures'])
                       for name, task in self.results['tasks'].items()}
    elif self.path:
      self.mixtures = {name: np.array(xi)
                       for name, xi in self.path[-1]['mixtures'].items()}
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

  def curve(self, key, scale=1):
    """(steps, values) of the lines of metrics that have a key."""
    points = [(line['step'], scale * line[key])
              for line in self.metrics if key in line]
    return tuple(zip(*points)) or ((), ())

  def validation(self):
    """{task: {'top1', 'loss', 'examples'}} of the last validation."""
    last = [line for line in self.metrics
            if any(key.startswith('validation/') for key in line)][-1:]
    return {name: {key: line[f'validation/{name}/{key}']
                   for key in ('top1', 'loss', 'examples')}
            for line in last for name in self.mixtures
            if f'validation/{name}/top1' in line}


def read_results(path):
  """What `results.collect` wrote; a clear error if it is damaged."""
  found = records.read_json(path)
  _check(found, _RESULTS, path)
  for task in found['tasks'].values():
    _check(task, _TASK, path)
  return found


def read_edits(path):
  """What `results.describe_edits` wrote; a clear error if it is damaged."""
  found = records.read_json(path)
  _check(found, _EDITS, path)
  for network in (found['trained'], *found['edits'].values()):
    _check(network, {'layers', 'tasks'}, path)
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
  return found


def _check(found, names, path):
  if (not isinstance(found, dict) or names - set(found)
      or not all(isinstance(found.get(name, {}), dict)
                 for name in ('tasks', 'edits', 'lines'))):
    raise ValueError(
        f'Expected {sorted(names)} in {path}, received a file that is damaged '
        'or of another version: restore it, or move it away.')


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
