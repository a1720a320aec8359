"""Tables 3, 4, 11 and 12: adaptation to an unlabelled domain (4.4, D).

All four read the same runs: models of the sources, by `launch.train`, in
COLUMN/BANK/seedN, and their adaptations, by `launch.adapt`, in
COLUMN/BANK/METHOD.../TARGET/seedN. A seed is that of both.
"""

import dataclasses
import functools
import pathlib

from launch.tables import adaptation_rows
from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import table_making
from launch.tables import table_options
from launch.tables import trained_rows
from launch.tables import trained_tables
from launch.tables import transfer_banks
from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.data import catalog
from trainers.data import pipeline
from trainers.runs import run_config
from trainers.runs import saved_models

USES = ('rows', 'columns', 'seeds', 'models', 'targets', 'changes')
_COMMAND = 'launch.adapt'
_HOW = table_lines.HOW_OF_TASK
_HEADER = ('domains', 'target', 'row', 'the paper\'s name', 'labels',
           'starts from', 'at first', 'paper', 'ours, min / median / max',
           'tuned', *_HOW)


@dataclasses.dataclass(frozen=True)
class Model:
  """A model that is adapted.

  Args:
    path: Its work directory.
    config: `RunConfig` of its run.
    datasets: {task: its data set}.
  """

  path: pathlib.Path
  config: run_config.RunConfig
  datasets: dict


def make(number, options):
  """Makes the table of a number; see `table_making.make`."""
  table = adaptation_rows.DOMAIN_TABLES.get(number)
  if table and (options.columns or options.targets):
    raise ValueError('--column and --target are of Table 3, not of Table '
                     f'{number}: leave them out.')
  columns = [table.column] if table else table_options.choose(
      adaptation_rows.COLUMNS, options.columns, 'column')
  if len(columns) > 1 and (options.targets or options.models):
    raise ValueError('--target and --from are of one column, received those of '
                     f'{", ".join(columns)}: give one with --column.')
  rows = choose(table.rows if table else adaptation_rows.ROWS, options.rows)
  banks = find_banks(rows, columns[0], options) if columns else {}
  jobs = {column: make_jobs(rows, column, banks, options)
          for column in columns}
  make_text = (functools.partial(domains, table, options.workdir) if table
               else functools.partial(table_3, options.workdir))
  return table_making.make(
      jobs, options, f'table{number}.md', make_text, 'column')


def choose(rows, patterns):
  """Those `adaptation_rows.Row`s whose names match; all without patterns."""
  known = {row.name: row for row in rows}
  return [known[name] for name in table_options.choose(known, patterns)]


def find_banks(rows, column, options):
  """{bank: `Model`} of those that were trained already.

  Args:
    rows: `adaptation_rows.Row`s that are to be made.
    column: Name of their column.
    options: `table_options.TableOptions`.

  Raises:
    ValueError: If there is no such bank, no row that needs it, or no finished
      run of its kind.
  """
  banks = {}
  for bank, path in options.parse_models(adaptation_rows.BANKS).items():
    if bank not in {row.bank for row in rows}:
      raise ValueError(f'--from names a model of {bank}, which no row of '
                       '--rows needs: leave it out.')
    banks[bank] = _read_model(path)
    _check_kind(column, bank, banks[bank])
  return banks


def _read_model(path):
  run = transfer_banks.check_finished(path)
  config = saved_models.parse_config(run['config'])
  tasks = run.get('data') or dict.fromkeys(config.tasks, {})
  return Model(path, config, {name: facts.get('dataset') or name
                              for name, facts in tasks.items()})


def _check_kind(column, bank, model):
  """Refuses a model that is not what the rows of a bank are about."""
  paper = trained_rows.make_config(
      adaptation_rows.COLUMNS[column].bank_changes(bank))
  expected, found = (
      (config.model.signature, config.model.shared_half,
       sorted(catalog.data_sets(names)))
      for config, names in ((paper, paper.tasks),
                            (model.config, model.datasets.values())))
  if found != expected:
    raise ValueError(
        f'Expected the {bank} model of {column}, with signature, shared half '
        f'and domains {expected}, received {found} in {model.path}: name '
        'another.')


def make_jobs(rows, column, banks, options):
  """What is to be run for rows of a column.

  Args:
    rows: `adaptation_rows.Row`s.
    column: Name of the column.
    banks: {bank: `Model`} of those that need no training.
    options: `table_options.TableOptions`.

  Returns:
    List of `table_jobs.Job`: seed by seed, a model before its adaptations.

  Raises:
    ValueError: If a data set does not exist or is among the sources, or an
      adaptation has no use for a change.
  """
  table_jobs.check_changes(_COMMAND, options.changes)
  facts = adaptation_rows.COLUMNS[column]
  targets = list(dict.fromkeys(options.targets or [facts.target]))
  _check_targets(targets, column, options.data_dir)
  jobs = []
  for seed in options.seeds:
    for bank in dict.fromkeys(row.bank for row in rows):
      model = banks.get(bank)
      if model is None:
        changes = {**facts.bank_changes(bank), 'seed': seed}
        config = trained_rows.make_config(changes)
        model = Model(
            table_lines.directory(
                options.workdir, column, bank, f'seed{seed}'),
            config, dict(zip(config.tasks, config.tasks)))
        jobs.append(trained_tables.train_job(
            f'{column}, {bank} model, seed {seed}', changes, model.path,
            options, config.tasks))
      jobs += [_adaptation(row, column, target, model, seed, options)
               for row in rows if row.bank == bank for target in targets]
  return jobs


def _check_targets(targets, column, data_dir):
  paper = trained_rows.make_config(
      adaptation_rows.COLUMNS[column].bank_changes('compositional'))
  for target in targets:
    if target in paper.tasks:
      raise ValueError(f'--target must be another domain than the sources of '
                       f'{column}, received {target}.')
  pipeline.load_tasks(targets, paper.model.image_size, data_dir)


def _adaptation(row, column, target, model, seed, options):
  asked = {'source': str(model.path), 'target': target,
           **row.changes(adaptation_rows.COLUMNS[column])}
  changes = {**options.changes, 'seed': seed}
  config = adapting.describe(
      model.config, adaptation_config.AdaptationConfig(**asked), options.smoke,
      model.datasets, **changes)
  return table_jobs.Job(
      f'{column}, {row.name} to {target}, seed {seed}', _COMMAND,
      {**asked, **changes},
      _directory(options.workdir, column, row, target) / f'seed{seed}',
      config, options.smoke, data_dir=options.data_dir,
      # Sources are evaluated, too.
      datasets=(target, *model.datasets.values()))


def _directory(workdir, column, row, target):
  bank, *rest = row.name.split('/')
  return table_lines.directory(workdir, column, bank, '-'.join(rest), target)


def _lines(workdir, column, row, target):
  return table_lines.read_lines(_directory(workdir, column, row, target))[0]


def _targets(workdir, column):
  """Targets of a column: the paper's, and others that were adapted to."""
  known = adaptation_rows.COLUMNS[column].target
  found = {line.first.adaptation.target for path in pathlib.Path(
      workdir, column).glob('*/*/*/seed*') for line in table_lines.read_lines(
          path.parent)[0]}
  return [known, *sorted(found - {known})]


def table_3(workdir):
  """Table 3 with all finished adaptations under its directory, as Markdown."""
  body, used = [], []
  for column in adaptation_rows.COLUMNS:
    for number, target in enumerate(_targets(workdir, column)):
      for row in adaptation_rows.ROWS:
        lines = _lines(workdir, column, row, target)
        used += lines
        figure = None if number else row.figure(column)
        start = [column, target, row.name, row.title, row.uses_labels or 'none']
        body += [[*start, *_cells(line, target, figure)] for line in lines]
        if figure and not lines:
          body.append([*start, *table_lines.dashes(2), f'{figure:.2f}',
                       *table_lines.dashes(2 + len(_HOW))])
  return table_lines.markdown(
      'Table 3: adaptation to a domain without labels (target\'s test top-1, '
      '%)', _HEADER, body,
      [*adaptation_rows.TABLE_3_NOTES, *_alarms(used),
       *table_lines.end_notes(used, ())])


def _cells(line, target, figure):
  starts = dict.fromkeys(
      found.adaptation.start.init for found in line.results.values())
  return [', '.join(starts),
          table_lines.spread(line.initial_top1(target), '.2f'),
          table_lines.figure(figure, '.2f'),
          table_lines.spread(line.top1(target), '.2f'),
          f'{line.first.adaptation.tuned_parameters:,}',
          *table_lines.how(line, _COMMAND, _HOW)]


def _alarms(lines):
  """A footnote on the runs that the guard ended."""
  names = []
  for line in lines:
    for seed, results in line.results.items():
      facts, guard = results.adaptation, results.adaptation.guard
      if guard and guard.alarm_step is not None:
        names.append(
            f'{facts.method} to {facts.target} from {facts.source}, '
            f'seed {seed} (step {guard.alarm_step:,}, back to '
            f'{guard.best_step:,})')
  return [f'Ended by the guard, which saw no labels: {"; ".join(names)}.'
          ] if names else []


def domains(table, workdir):
  """Table 4, 11 or 12 with what is finished under its directory, as Markdown.

  Args:
    table: `adaptation_rows.DomainTable`.
    workdir: Directory of the tables.
  """
  column = table.column
  target = adaptation_rows.COLUMNS[column].target
  rows = {row.name: row for row in adaptation_rows.ROWS}
  found = {name: _lines(workdir, column, rows[name], target)
           for _, cells in table.target for name, _ in cells.values()}
  header = ['domain']
  for bank in table.banks:
    header += [f'{bank}, paper', f'{bank}, ours']
  body = []
  for domain, figures in table.paper.items():
    cells = [domain]
    for bank, figure in zip(table.banks, figures):
      # Nothing of a source moves: any run of this model tells.
      lines = next((lines for name, lines in found.items()
                    if lines and name.startswith(bank)), ())
      cells += [table_lines.figure(figure, '.2f'), _cell(lines, domain)]
    body.append(cells)
  for heading, own in table.target:
    cells = [f'{target}, {heading}']
    for bank in table.banks:
      name, figure = own.get(bank, (None, None))
      lines = found.get(name, ())
      if name and rows[name].method != 'source_only':
        lines = lines[:1]  # other flags, other figures
      cells += [table_lines.figure(figure, '.2f'), _cell(lines, target)]
    body.append(cells)
  used = [line for lines in found.values() for line in lines]
  made = [f'{name}: {line.first.parameters["total"]:,} parameters, seeds '
          f'{cells["seeds"]}, commit {cells["commit"]}, {cells["command"]}.'
          for name, lines in found.items() for line in lines
          for cells in [dict(zip(table_lines.HOW, table_lines.how(
              line, _COMMAND)))]]
  return table_lines.markdown(
      table.title, header, body,
      [*table.notes, *made, *table_lines.end_notes(used, ())])


def _cell(lines, domain):
  """Top-1 of a task, or of a pool's member, of all seeds."""
  values = []
  for line in lines:
    for results in line.results.values():
      found = {**results.tasks}
      for task in results.tasks.values():
        found.update(task.members)
      if domain in found:
        values.append(100 * found[domain].top1)
  return table_lines.spread(values, '.2f') if values else table_lines.NOT_RUN
