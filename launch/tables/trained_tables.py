"""Tables 1, 5, 6 and 8: rows that are trained (4.2, 4.3, B).

Each is a run of `launch.train` in ROW/seedN and, in a table of several tasks,
its evaluation on the training data.
"""

import functools
import statistics

from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import table_making
from launch.tables import table_options
from launch.tables import trained_rows
from trainers import training
from trainers.data import catalog
from trainers.runs import results
from trainers.runs import run_config

USES = ('rows', 'seeds', 'changes')
TRAINING = 'evaluation-train-ema.json'


def make(number, options):
  """Makes the table of a number; see `table_making.make`."""
  table = trained_rows.TRAINED[number]
  return table_making.make(
      {'all': make_jobs(table, options)}, options, 'table.md',
      functools.partial(markdown, table, options.workdir))


def make_jobs(table, options):
  """What is to be run for a table; arguments as of `make`.

  Returns:
    List of `table_jobs.Job`.
  """
  rows = {row.name: row for row in table.rows}
  rows = [rows[name] for name in table_options.choose(rows, options.rows)]
  changes = dict(options.changes)
  decided = {name for row in table.rows for name in row.changes}
  decided |= set() if table.columns else {'tasks'}
  wrong = [name for name in changes if name in decided]
  if wrong:
    raise ValueError(f'--{wrong[0]} cannot be given: the rows decide it.')
  if 'tasks' in changes:
    changes['tasks'] = tuple(catalog.expand_names(changes['tasks']))
  useless = {row.name: run_config.useless_for(
      trained_rows.make_config(row.changes).model.signature) for row in rows}
  for name in set(changes).intersection(*useless.values()) if rows else ():
    raise ValueError(f'--{name} cannot be given: signatures that are not '
                     'trained have no use for it.')
  jobs = []
  for row in rows:
    own = {**row.changes, **{name: value for name, value in changes.items()
                             if name not in useless[row.name]}}
    for seed in options.seeds:
      jobs.append(train_job(
          f'{row.name}, seed {seed}', {**own, 'seed': seed},
          table_lines.directory(options.workdir, row.name, f'seed{seed}'),
          options))
      if table.columns:
        jobs.append(table_jobs.Job(
            f'{row.name}, seed {seed}, on training data', 'launch.evaluate',
            {'split': 'train'}, jobs[-1].path, makes=TRAINING,
            data_dir=options.data_dir))
  return jobs


def train_job(name, changes, path, options, datasets=()):
  """The training of a row, or of a model that others start from.

  Args:
    name: What it is, for people.
    changes: As for `trained_rows.make_config`.
    path: Its directory.
    options: `table_options.TableOptions`.
    datasets: As of `table_jobs.Job`.
  """
  config = trained_rows.make_config(changes)
  if options.smoke:
    config = training.smoke_config(config)
  return table_jobs.Job(
      name, 'launch.train', changes, path, config.to_json(), options.smoke,
      data_dir=options.data_dir, datasets=datasets)


def markdown(table, workdir):
  """A table with all its finished runs, as Markdown.

  Args:
    table: `trained_rows.Table`.
    workdir: Its directory, with runs in ROW/seedN.
  """
  return table_lines.markdown(table.title, *content(table, workdir))


def content(table, workdir):
  """(header, rows, footnotes) of a table; arguments as of `markdown`."""
  found = {}  # {row: its lines}
  strangers = []
  for row in table.rows:
    found[row.name], foreign = table_lines.read_lines(
        table_lines.directory(workdir, row.name), row.changes)
    strangers += foreign
  lines = [line for own in found.values() for line in own]
  make_rows = _rows_of_tasks if table.columns else _rows
  return (*make_rows(table, found),
          [*table.notes, *table_lines.end_notes(lines, strangers)])


def _rows(table, found):
  """Header and rows of a table with one figure a row."""
  rows = []
  for row in table.rows:
    start = [row.name, table_lines.figure(row.paper)]
    rows += [[*start, table_lines.spread(line.top1(row.task)),
              *table_lines.how(line)] for line in found[row.name]]
    if not found[row.name]:
      rows.append([*start, *table_lines.dashes(1 + len(table_lines.HOW))])
  return ['row', 'paper', 'ours, min / median / max', *table_lines.HOW], rows


def _rows_of_tasks(table, found):
  """Header and rows of a table with a column for each task.

  The paper's figures are left out where no run is of its data sets.
  """
  lines = [line for own in found.values() for line in own]
  own = dict.fromkeys(task for line in lines for task in line.first.tasks)
  is_paper = not own or any(
      set(line.first.tasks) == set(table.columns) for line in lines)
  tasks = dict.fromkeys((*table.columns, *own) if is_paper else own)
  header = ['row', 'whose', *(table.columns.get(task, task) for task in tasks),
            trained_rows.CROSS_ENTROPY, *table_lines.HOW]
  rows = []
  for row in table.rows:
    if is_paper:
      rows.append([row.name, 'paper', *(
          row.paper.get(heading, table_lines.NOT_RUN)
          for heading in header[2:])])
    rows += [[row.name, 'ours', *_task_cells(line, tasks),
              *table_lines.how(line)] for line in found[row.name]]
    if not found[row.name]:
      rows.append([row.name, 'ours', *table_lines.dashes(len(header) - 2)])
  return header, rows


def _task_cells(line, tasks):
  """Top-1 of each task, that of training in brackets; L_CE."""
  on_training = [
      results.read(path / TRAINING).tasks for path in line.paths.values()
      if table_jobs.is_evaluated(path, TRAINING)]
  cells = []
  for task in tasks:
    if task not in line.first.tasks:
      cells.append(table_lines.NOT_RUN)
      continue
    cells.append(table_lines.spread(line.top1(task)))
    if on_training:
      middle = statistics.median(found[task].top1 for found in on_training)
      cells[-1] += f' ({100 * middle:.1f})'
  sums = [sum(task.loss for task in found.values()) for found in on_training]
  return [*cells, table_lines.spread(sums, '.2f') if sums else
          table_lines.NOT_RUN]
