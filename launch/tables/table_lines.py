"""The text of a table: what its finished runs say, beside the paper's figures.

A table is made from all that stands under its directory, whoever asked for
it: each line says which command and which commits made it.
"""

import dataclasses
import pathlib
import re
import shlex
import statistics

from launch.tables import table_jobs
from launch.tables import trained_rows
from trainers.runs import records
from trainers.runs import run_reader

TRAINING = 'evaluation-train-ema.json'
HOW = ('seeds', 'steps', 'time', 'parameters', 'commit', 'command')
NOT_RUN = '-'
NOTES = (
    'Time: of training, median of the seeds. The command is that of the first '
    'seed; a row made by several commands has a line for each. A dash: not '
    'run.',)
_SMOKE = ('Smoke runs: three steps on made-up images, whose numbers mean '
          'nothing.')


@dataclasses.dataclass(frozen=True)
class Line:
  """Finished runs of one command, one for each seed.

  Args:
    runs: {seed: content of run.json}, ascending.
    results: {seed: content of results.json}.
    training: {seed: the same of the training split}, where it was evaluated.
  """

  runs: dict
  results: dict
  training: dict

  @property
  def first(self):
    """Results of the first seed."""
    return next(iter(self.results.values()))

  def top1(self, task):
    """Percent of each seed."""
    return [100 * results['tasks'][task]['top1']
            for results in self.results.values()]


def trained(table, workdir):
  """A trained table with all its finished runs, as Markdown.

  Args:
    table: `trained_rows.Table`.
    workdir: Its directory, with runs in ROW/seedN.
  """
  return markdown(table.title, *content(table, workdir))


def content(table, workdir):
  """(header, rows, footnotes) of a trained table; arguments as `trained`."""
  found = {}  # {row: its lines}
  strangers = []
  for row in table.rows:
    found[row.name], foreign = read_lines(
        row_directory(workdir, row.name), row.flags)
    strangers += foreign
  lines = [line for own in found.values() for line in own]
  make_rows = _rows_of_tasks if table.columns else _rows
  return (*make_rows(table, found),
          [*table.notes, *end_notes(lines, strangers)])


def row_directory(workdir, name):
  """The directory of a row's runs."""
  return pathlib.Path(workdir) / name.replace('/', '_')


def _rows(table, found):
  """Header and rows of a table with one figure a row."""
  rows = []
  for row in table.rows:
    start = [row.name, NOT_RUN if row.paper is None else f'{row.paper:.1f}']
    for line in found[row.name]:
      rows.append([*start, spread(line.top1(row.task)), *how(line)])
    if not found[row.name]:
      rows.append([*start, *[NOT_RUN] * (1 + len(HOW))])
  return ['row', 'paper', 'ours, min / median / max', *HOW], rows


def _rows_of_tasks(table, found):
  """Header and rows of a table with a column for each task.

  The paper's figures are left out where no run is of its data sets.
  """
  own = dict.fromkeys(task for lines in found.values() for line in lines
                      for task in line.first['tasks'])
  is_paper = not own or any(
      set(line.first['tasks']) == set(table.columns)
      for lines in found.values() for line in lines)
  tasks = dict.fromkeys((*table.columns, *own) if is_paper else own)
  header = ['row', 'whose', *(table.columns.get(task, task) for task in tasks),
            trained_rows.CROSS_ENTROPY, *HOW]
  rows = []
  for row in table.rows:
    if is_paper:
      rows.append([row.name, 'paper', *(row.paper.get(heading, NOT_RUN)
                                        for heading in header[2:])])
    rows += [[row.name, 'ours', *(_task_cell(line, task) for task in tasks),
              _cross_entropy(line), *how(line)] for line in found[row.name]]
    if not found[row.name]:
      rows.append([row.name, 'ours', *[NOT_RUN] * len(header[2:])])
  return header, rows


def _task_cell(line, task):
  """Top-1 of a task, that of training in brackets."""
  if task not in line.first['tasks']:
    return NOT_RUN
  text = spread(line.top1(task))
  if line.training:
    middle = statistics.median(results['tasks'][task]['top1']
                               for results in line.training.values())
    text += f' ({100 * middle:.1f})'
  return text


def _cross_entropy(line):
  """Sum of the tasks' mean training losses."""
  sums = [sum(task['loss'] for task in results['tasks'].values())
          for results in line.training.values()]
  return spread(sums, '.2f') if sums else NOT_RUN


def read_lines(directory, flags=()):
  """The finished runs of a row, by their commands.

  Args:
    directory: Of the row; its runs are in seedN.
    flags: What the row decides: other runs are none of its.

  Returns:
    (list of `Line`, one for each command apart from the seed; paths of the
    runs that are none of the row's).
  """
  runs, foreign = {}, []
  for path in pathlib.Path(directory).glob(f'seed*/{records.RUN}'):
    number = re.fullmatch(r'seed(\d+)', path.parent.name)
    if number and (path.parent / records.RESULTS).exists():
      runs[int(number[1])] = path.parent
  groups = {}
  for seed, path in sorted(runs.items()):
    run = records.read_run(path)
    if not set(flags) <= set(run['argv']):
      foreign.append(path)
      continue
    line = groups.setdefault(command(run), Line({}, {}, {}))
    line.runs[seed] = run
    line.results[seed] = records.read_json(path / records.RESULTS)
    if table_jobs.is_evaluated(path, TRAINING):
      line.training[seed] = records.read_json(path / TRAINING)
  return list(groups.values()), foreign


def command(run):
  """What decides a run's numbers apart from the seed, as a tuple of flags.

  Args:
    run: Content of run.json.
  """
  return tuple(table_jobs.comparable(table_jobs.without_seed(
      table_jobs.deciding(run['argv'][1:]))))


def how(line, module='launch.train'):
  """The cells that say how a line was made, as `HOW` names them."""
  runs = list(line.runs.values())
  # In the order of the seeds, each once.
  commits = dict.fromkeys(
      (run['commit'] or 'unknown')[:7] + '+' * bool(run['dirty'])
      for run in runs)
  text = shlex.join(table_jobs.deciding(runs[0]['argv'][1:]))
  return [
      ', '.join(map(str, line.runs)), f'{line.first["steps"]:,}',
      run_reader.duration(statistics.median(
          results['seconds'] for results in line.results.values())),
      f'{line.first["parameters"]["total"]:,}', ', '.join(commits),
      f'`python -m {module} {text}`']


def spread(values, form='.1f'):
  """The least, the median and the largest; of one value, that."""
  values = sorted(values)
  if len(values) == 1:
    return format(values[0], form)
  return ' / '.join(format(value, form) for value in (
      values[0], statistics.median(values), values[-1]))


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
  return ('Left out, as other commands than the row\'s made them: '
          f'{", ".join(str(path) for path in foreign)}.')


def markdown(title, header, rows, notes):
  """A table in Markdown, with its title above and footnotes below."""
  table = [header, ['---'] * len(header), *rows]
  body = '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in table)
  footnotes = '\n'.join(f'{i}. {note}' for i, note in enumerate(notes, 1))
  return f'### {title}\n\n{body}\n\n{footnotes}'
