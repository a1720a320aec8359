"""Tables 3, 4, 11 and 12: adaptation to an unlabelled domain (4.4, D).

All four read the same runs: models of the sources, by `launch.train`, in
COLUMN/BANK/seedN, and their adaptations, by `launch.adapt`, in
COLUMN/BANK/METHOD.../TARGET/seedN. A seed is that of both.
"""

import fnmatch
import pathlib

from launch import run_flags
from launch.tables import adaptation_rows
from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import transfer_banks
from trainers.adaptation import adaptation_config
from trainers.data import catalog
from trainers.data import pipeline
from trainers.runs import run_config
from trainers.runs import saved_models

_HOW = [name for name in table_lines.HOW if name != 'parameters']
_HEADER = ('domains', 'target', 'row', 'the paper\'s name', 'labels',
           'starts from', 'at first', 'paper', 'ours, min / median / max',
           'tuned', *_HOW)


def choose(rows, patterns=None):
  """Those rows whose names match.

  Args:
    rows: `adaptation_rows.Row`s.
    patterns: Names, in which * stands for anything. Default: all.

  Raises:
    ValueError: If a pattern matches none.
  """
  if patterns is None:
    return list(rows)
  names = [row.name for row in rows]
  wrong = [text for text in patterns if not fnmatch.filter(names, text)]
  if wrong:
    raise ValueError(f'--rows must be of {names}, where * stands for anything, '
                     f'received {wrong}.')
  return [row for row in rows
          if any(fnmatch.fnmatch(row.name, text) for text in patterns)]


def find_banks(given, columns, needed=adaptation_rows.BANKS):
  """{bank: path} of models that were trained already.

  Args:
    given: Text of --from, `BANK=DIR` parted by commas, or None.
    columns: Names of the columns that are to be made.
    needed: Names of the banks of the rows that are to be made.

  Raises:
    ValueError: If there is no such bank, no row that needs it, no finished
      run, or several columns.
  """
  if not given:
    return {}
  if len(columns) > 1:
    raise ValueError('--from names models of one column, received --column='
                     f'{",".join(columns)}: give one.')
  own = {}
  for text in given.split(','):
    bank, _, path = text.partition('=')
    if bank not in adaptation_rows.BANKS or not path:
      raise ValueError('--from must be BANK=DIR with a bank of '
                       f'{adaptation_rows.BANKS}, received {text!r}.')
    if bank not in needed:
      raise ValueError(f'--from names a model of {bank}, which no row of '
                       '--rows needs: leave it out.')
    own[bank] = pathlib.Path(path)
    _check_kind(columns[0], bank, own[bank])
  return own


def _check_kind(column, bank, path):
  """Refuses a model that is not what the rows of a bank are about."""
  run = transfer_banks.check_finished(path)
  config = saved_models.parse_config(run['config'])
  preset = run_config.recipe(
      adaptation_rows.COLUMNS[column].bank_preset(bank))
  half = 'first' if bank == 'half-shared' else None
  names = [facts.get('dataset') or name for name, facts
           in (run.get('data') or dict.fromkeys(config.tasks, {})).items()]
  expected, found = (
      (model.signature, shared_half, sorted(catalog.data_sets(tasks)))
      for model, shared_half, tasks in (
          (preset.model, half, preset.tasks),
          (config.model, config.model.shared_half, names)))
  if found != expected:
    raise ValueError(
        f'Expected the {bank} model of {column}, with signature, shared half '
        f'and domains {expected}, received {found} in {path}: name another.')


def make_jobs(rows, column, workdir, seeds, banks=None, targets=None,
              flags=(), smoke=False, data_dir=None):
  """What is to be run for rows of a column.

  Args:
    rows: `adaptation_rows.Row`s.
    column: Name of the column.
    workdir: Directory of the tables.
    seeds: Of models and adaptations.
    banks: {bank: path} of models that need no training.
    targets: Names of targets' data sets. Default: the paper's.
    flags: Of a run, handed to all adaptations.
    smoke: Whether to go through the motions on made-up images.
    data_dir: TFDS's data directory, or None for its own.

  Returns:
    List of `table_jobs.Job`: seed by seed, a model before its adaptations.
  """
  facts, banks = adaptation_rows.COLUMNS[column], banks or {}
  targets = list(dict.fromkeys(targets or [facts.target]))
  motions = ('--smoke',) if smoke else ()
  jobs = []
  for seed in seeds:
    for bank in dict.fromkeys(row.bank for row in rows):
      path = banks.get(bank)
      config = run_config.recipe(facts.bank_preset(bank))
      if path is None:
        path = transfer_banks.directory(workdir, column, bank, f'seed{seed}')
        jobs.append(table_jobs.Job(
            f'{column}, {bank} model, seed {seed}',
            (*facts.bank_flags(bank), *motions, f'--seed={seed}'), path,
            data_dir=data_dir, datasets=config.tasks))
      jobs += [
          table_jobs.Job(
              f'{column}, {row.name} to {target}, seed {seed}',
              (f'--from={path}', f'--target={target}', *row.flags(facts),
               *flags, *motions, f'--seed={seed}'),
              _directory(workdir, column, row, target) / f'seed{seed}',
              module='launch.adapt', data_dir=data_dir,
              datasets=(target, *config.tasks))  # sources are evaluated, too
          for row in rows if row.bank == bank for target in targets]
  return jobs


def check(rows, column, targets=None, data_dir=None):
  """Checks flags and targets before anything is run.

  Args:
    rows: `adaptation_rows.Row`s.
    column: Name of the column.
    targets: Names of targets' data sets. Default: the paper's.
    data_dir: TFDS's data directory, or None for its own.

  Raises:
    ValueError: If a data set does not exist or is among the sources, or a
      flag is of no use to an adaptation.
  """
  facts = adaptation_rows.COLUMNS[column]
  for row in rows:
    base = run_config.recipe(facts.bank_preset(row.bank))
    for target in targets or [facts.target]:
      if target in run_config.recipe(facts.preset).tasks:
        raise ValueError(f'--target must be another domain than the sources of '
                         f'{column}, received {target}.')
      run_flags.training_from_flags(
          adaptation_config.default_run(base, row.method, target),
          adaptation_config.UNUSED)
      pipeline.load_tasks([target], base.model.image_size, data_dir)


def _directory(workdir, column, row, target):
  bank, *rest = row.name.split('/')
  return transfer_banks.directory(workdir, column, bank, '-'.join(rest), target)


def _lines(workdir, column, row, target):
  return table_lines.read_lines(_directory(workdir, column, row, target))[0]


def _targets(workdir, column):
  """Targets of a column: the paper's, and others that were adapted to."""
  known = adaptation_rows.COLUMNS[column].target
  found = {line.first['adaptation']['target'] for path in pathlib.Path(
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
          body.append([*start, *[table_lines.NOT_RUN] * 2, f'{figure:.2f}',
                       *[table_lines.NOT_RUN] * (2 + len(_HOW))])
  return table_lines.markdown(
      'Table 3: adaptation to a domain without labels (target\'s test top-1, '
      '%)', _HEADER, body,
      [*adaptation_rows.TABLE_3_NOTES, *_alarms(used),
       *table_lines.end_notes(used, ())])


def _cells(line, target, figure):
  facts = [results['adaptation'] for results in line.results.values()]
  before, after = (
      table_lines.spread(
          [100 * tasks[target]['top1'] for tasks in found], '.2f')
      for found in ([results['initial'] for results in line.results.values()],
                    [results['tasks'] for results in line.results.values()]))
  how = dict(zip(table_lines.HOW, table_lines.how(line, 'launch.adapt')))
  return [', '.join(dict.fromkeys(fact['init'] for fact in facts)), before,
          table_lines.NOT_RUN if figure is None else f'{figure:.2f}', after,
          f'{facts[0]["tuned_parameters"]:,}', *(how[name] for name in _HOW)]


def _alarms(lines):
  """A footnote on the runs that the guard ended."""
  names = []
  for line in lines:
    for seed, results in line.results.items():
      guard = results['adaptation']['guard']
      if guard and guard['alarm_step'] is not None:
        facts = results['adaptation']
        names.append(
            f'{facts["method"]} to {facts["target"]} from {facts["from"]}, '
            f'seed {seed} (step {guard["alarm_step"]:,}, back to '
            f'{guard["best_step"]:,})')
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
      cells += [_figure(figure), _cell(lines, domain)]
    body.append(cells)
  for heading, own in table.target:
    cells = [f'{target}, {heading}']
    for bank in table.banks:
      name, figure = own.get(bank, (None, None))
      lines = found.get(name, ())
      if name and rows[name].method != 'source_only':
        lines = lines[:1]  # other flags, other figures
      cells += [_figure(figure), _cell(lines, target)]
    body.append(cells)
  used = [line for lines in found.values() for line in lines]
  made = [f'{name}: {line.first["parameters"]["total"]:,} parameters, seeds '
          f'{cells["seeds"]}, commit {cells["commit"]}, {cells["command"]}.'
          for name, lines in found.items() for line in lines
          for cells in [dict(zip(table_lines.HOW, table_lines.how(
              line, 'launch.adapt')))]]
  return table_lines.markdown(
      table.title, header, body,
      [*table.notes, *made, *table_lines.end_notes(used, ())])


def _figure(figure):
  return table_lines.NOT_RUN if figure is None else f'{figure:.2f}'


def _cell(lines, domain):
  """Top-1 of a task, or of a pool's member, of all seeds."""
  values = {}
  for line in lines:
    for seed, results in line.results.items():
      tasks = dict(results['tasks'])
      for task in results['tasks'].values():
        tasks.update(task.get('members', {}))
      if domain in tasks:
        values[seed] = 100 * tasks[domain]['top1']
  return (table_lines.spread(values.values(), '.2f') if values
          else table_lines.NOT_RUN)
