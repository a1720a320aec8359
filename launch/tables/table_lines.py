"""The lines of a table: what finished runs say, beside the paper's figures.

A table is made from all that stands under its directory, whoever asked for
it: each line says which command and which commits made it.
"""

import dataclasses
import json
import pathlib
import re
import shlex
import statistics

from launch.tables import table_jobs
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_reader

HOW = ('seeds', 'steps', 'time', 'parameters', 'commit', 'command')
HOW_OF_TASK = tuple(name for name in HOW if name != 'parameters')
NOT_RUN = '-'
NOTES = (
    'Time: of training, median of the seeds. The command is that of the first '
    'seed; a row made with several configurations has a line for each. A dash: '
    'not run.',)
_SMOKE = ('Smoke runs: three steps on made-up images, whose numbers mean '
          'nothing.')
_PLACES = ('workdir', 'data_dir', 'resume')  # they decide no number


@dataclasses.dataclass(frozen=True)
class Line:
  """Finished runs of one configuration, one for each seed.

  Args:
    paths: {seed: directory}, ascending.
    runs: {seed: content of run.json}.
    results: {seed: `RunResults`}.
  """

  paths: dict
  runs: dict
  results: dict

  @property
  def first(self):
    """Results of the first seed."""
    return next(iter(self.results.values()))

  def top1(self, task):
    """Percent of each seed."""
    return [100 * found.tasks[task].top1 for found in self.results.values()]

  def initial_top1(self, task):
    """Percent of each seed, as a new task or a target began."""
    return [100 * found.initial[task].top1 for found in self.results.values()]


def directory(workdir, *names):
  """A directory under that of a table."""
  return pathlib.Path(workdir).joinpath(
      *(name.replace('/', '_').replace(':', '_') for name in names))


def find_runs(path):
  """{seed: directory} of the runs of a row, finished or not, ascending."""
  found = {}
  for run in pathlib.Path(path).glob(f'seed*/{records.RUN}'):
    if number := re.fullmatch(r'seed(\d+)', run.parent.name):
      found[int(number[1])] = run.parent
  return dict(sorted(found.items()))


def read_lines(path, changes=None):
  """The finished runs of a row, by their configurations.

  Args:
    path: Directory of the row; its runs are in seedN.
    changes: What the row decides, as for `holds`: other runs are none of its.
      Default: nothing.

  Returns:
    (list of `Line`, one for each configuration apart from the seed; paths of
    the runs that are none of the row's).
  """
  lines, foreign = {}, []
  for seed, own in find_runs(path).items():
    if not (own / records.RESULTS).exists():
      continue
    run = records.read_run(own)
    if not holds(run['config'], changes or {}):
      foreign.append(own)
      continue
    line = lines.setdefault(
        table_jobs.identity(run['config']), Line({}, {}, {}))
    line.paths[seed] = own
    line.runs[seed] = run
    line.results[seed] = results.read(own / records.RESULTS)
  return list(lines.values()), foreign


def holds(config, changes):
  """Whether changes are made already in the configuration of a run.

  Args:
    config: 'config' of run.json.
    changes: {field: value}, as for `RunConfig.replace`.
  """
  found = fields(config)
  return all(found.get(name) == value
             for name, value in json.loads(json.dumps(changes)).items())


def fields(config):
  """{field: value} of 'config' of run.json, the fields of its parts included.
  """
  found = {}
  for name, value in config.items():
    found.update(value if isinstance(value, dict) else {name: value})
  return found


def how(line, command='launch.train', names=HOW):
  """The cells that say how a line was made, those of some names of `HOW`."""
  runs = list(line.runs.values())
  # In the order of the seeds, each once.
  commits = dict.fromkeys(
      (run['commit'] or 'unknown')[:7] + '+' * bool(run['dirty'])
      for run in runs)
  text = shlex.join(
      argument for argument in runs[0]['argv'][1:]
      if argument.lstrip('-').partition('=')[0] not in _PLACES)
  cells = dict(zip(HOW, (
      ', '.join(map(str, line.runs)), f'{line.first.steps:,}',
      run_reader.duration(statistics.median(
          found.seconds for found in line.results.values())),
      f'{line.first.parameters["total"]:,}', ', '.join(commits),
      f'`python -m {command} {text}`')))
  return [cells[name] for name in names]


def spread(values, form='.1f'):
  """The least, the median and the largest; of one value, that."""
  values = sorted(values)
  if len(values) == 1:
    return format(values[0], form)
  return ' / '.join(format(value, form) for value in (
      values[0], statistics.median(values), values[-1]))


def figure(value, form='.1f'):
  """A figure of the paper, where it has one."""
  return NOT_RUN if value is None else format(value, form)


def dashes(count):
  """Cells of what was not run."""
  return [NOT_RUN] * count


def end_notes(lines, foreign):
  """Footnotes on all lines of a table.

  Args:
    lines: `Line`s of the table.
    foreign: Paths of runs that were left out.
  """
  notes = list(NOTES) if lines else []
  runs = [run for line in lines for run in line.runs.values()]
  machines = sorted({f'{run.get("machine", "unknown")} ({run["device"]})'
                     for run in runs if 'device' in run})
  if machines:
    notes.append(f'Made on: {"; ".join(machines)}.')
  if any(run['dirty'] for run in runs):
    notes.append('A commit with a plus: there were uncommitted changes.')
  if any(run['kind'] == 'smoke' for run in runs):
    notes.append(_SMOKE)
  if foreign:
    notes.append(left_out(foreign))
  return notes


def left_out(foreign):
  """A footnote on the paths of runs that are none of a table's."""
  return ('Left out, as they are not what the row declares: '
          f'{", ".join(str(path) for path in foreign)}.')


def markdown(title, header, rows, notes):
  """A table in Markdown, with its title above and footnotes below."""
  table = [header, ['---'] * len(header), *rows]
  body = '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in table)
  footnotes = '\n'.join(f'{i}. {note}' for i, note in enumerate(notes, 1))
  return f'### {title}\n\n{body}\n\n{footnotes}'
