"""The report of a table of runs: Tables 1, 5, 6 and 8, and Figure 4.

`launch.reproduce` leaves each cell as a run of its own, in ROW/seedN.
"""

import dataclasses
import functools
import pathlib

from launch.reports import html_page
from launch.reports import run_plots
from launch.reports import run_report
from launch.reports import signature_plots
from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import trained_rows
from launch.tables import trained_tables
from trainers.runs import records
from trainers.runs import run_reader

CELLS = f'ROW/seedN/{records.RUN}'
_KINDS = ('cyclic', 'sequential', 'random', 'mixture')  # Table 5's order
_FIGURE_4 = (5, 6, None)  # tables whose rows differ in K, L and signature alone
# In columns of their own.
_SEEN = ('num_templates', 'num_layers', 'signature', 'seed')


@dataclasses.dataclass(frozen=True)
class _Row:
  """Runs of one configuration, in a row of the table.

  Args:
    directory: Name of the row, without the label.
    table: Number of the paper's table, or None.
    paper: The paper's figure in percent, or None.
    fields: {field: value} that the paper's row does not declare.
    label: Those fields that tell the configuration from others of the page.
    line: `table_lines.Line` of the finished runs, or None.
    runs: {directory's name, such as seed0: `run_reader.Run`}, finished or
      not.
  """

  directory: str
  table: int | None
  paper: float | None
  fields: dict
  label: str
  line: table_lines.Line | None
  runs: dict

  @property
  def name(self):
    """As the paper has it, else of the directory; and the label."""
    return self.directory + f' ({self.label})' * bool(self.label)

  @property
  def model(self):
    """The configuration of the model, which is the same in all runs."""
    return next(iter(self.runs.values())).model

  @property
  def kind(self):
    """Kind of the signature, in the words of Table 5."""
    return {'softmax': 'mixture'}.get(
        self.model['signature'], self.model['signature'])

  @property
  def point(self):
    """What is to be its own in Figure 4."""
    return (self.model['num_templates'], self.model['num_layers'], self.kind,
            self.label)

  def top1(self):
    """Percent of each run that is finished, ascending."""
    if not self.line:
      return []
    task, = self.line.first.tasks
    return sorted(self.line.top1(task))


def find_cells(workdir):
  """Directories of the runs of a table; none if `workdir` holds no table."""
  return sorted(path for row in pathlib.Path(workdir).glob('*/')
                for path in table_lines.find_runs(row).values())


def make_page(name, cells):
  """The page of a table.

  Args:
    name: Of the table's directory.
    cells: Directories of its runs, from `find_cells`.

  Returns:
    `html_page.Page`.
  """
  for table in trained_rows.TRAINED.values():
    names = {row.name.replace('/', '_') for row in table.rows}
    if table.columns and any(cell.parent.name in names for cell in cells):
      return _page_of_tasks(table, cells[0].parents[1])
  rows, strangers = _read(cells)
  numbers = {row.table for row in rows}
  table = None
  if len(numbers) == 1:
    table = trained_rows.TRAINED.get(next(iter(numbers)))
  page = html_page.Page(table.title if table else f'Runs of {name}')
  _introduce(page, rows)
  page.heading('Accuracy')
  _show_accuracy(page, rows)
  page.table(_rows(rows), (
      'Top-1 on the test split, averaged weights, over the runs that are '
      'finished. Runs of another configuration stand in a row of their own; in '
      'brackets what it has that not all rows of the page have.'))
  if strangers:
    page.paragraph(table_lines.left_out(strangers))
  _show_signatures(page, rows)
  page.heading('Cells')
  page.table(_cells(rows), (
      'One run each; launch.report with its directory shows it in full.'))
  page.heading('What was run')
  for note in table.notes if table else ():
    page.paragraph(note)
  facts = [(cell, run_reader.facts(run.run)) for cell, run in _runs(rows)]
  page.facts({
      fact: '; '.join(sorted({each[fact] for _, each in facts}))
      for fact in ('commit', 'versions', 'machine')})
  page.table(
      [('cell', 'started', 'command'),
       *((cell, each['started'], each['command']) for cell, each in facts)],
      summary='Commands', text=True)
  return page


def _page_of_tasks(table, workdir):
  """The page of a table whose rows are of several tasks: Table 8."""
  page = html_page.Page(table.title)
  header, rows, notes = trained_tables.content(table, workdir)
  page.table([header, *rows], (
      'Finished runs; launch.report with the directory of one shows it in '
      'full.'))
  page.heading('Notes')
  for note in notes:
    page.paragraph(note)
  return page


def _read(cells):
  """Rows of a table, by K, L and signature; paths that are none of its."""
  directories = {}
  for path in cells:
    run = run_reader.Run(path)
    tasks = list(run.results.tasks if run.results else run.mixtures)
    if len(tasks) > 1:
      raise ValueError(
          f'Expected runs of one task in a table, received {path} with '
          f'{tasks}: give the directory of that run alone.')
    found = run.results.tasks if run.results else run.validation()
    if any(task.top1 is None for task in found.values()):
      raise ValueError(
          f'Expected accuracies in a table, received {path}, whose images have '
          'no labels: give the directory of that run alone.')
    directories.setdefault(path.parent, {})[path.name] = run
  rows, strangers = [], []
  for directory, runs in directories.items():
    own, foreign = _read_row(directory, runs)
    rows += own
    strangers += foreign
  for number, row in enumerate(rows):
    # Without what all have: the label says what makes it another row.
    rows[number] = dataclasses.replace(row, label=', '.join(
        f'{name}={_text(value)}' for name, value in row.fields.items()
        if not all(other.fields.get(name) == value for other in rows)))
  return sorted(rows, key=lambda row: (
      row.model['num_templates'], row.model['num_layers'],
      _KINDS.index(row.kind) if row.kind in _KINDS else len(_KINDS),
      row.label)), strangers


def _text(value):
  return ','.join(map(str, value)) if isinstance(value, list) else f'{value}'


def _read_row(directory, runs):
  """A `_Row` for each configuration of a directory, and paths of strangers."""
  name, number, paper, changes = _identify(directory.name, runs.values())
  lines = {
      table_jobs.identity(next(iter(line.runs.values()))['config']): line
      for line in table_lines.read_lines(directory, changes)[0]}
  groups, foreign = {}, []  # {configuration: {directory's name: run}}
  for seed, run in runs.items():
    if table_lines.holds(run.run['config'], changes):
      groups.setdefault(
          table_jobs.identity(run.run['config']), {})[seed] = run
    else:
      foreign.append(directory / seed)
  return [
      _Row(name, number, paper, _undeclared(next(iter(own.values())), changes),
           '', lines.get(key), own)
      for key, own in groups.items()], foreign


def _undeclared(run, changes):
  """{field: value} that a run has, its seed apart, beside a row's changes."""
  found = table_lines.fields(run.run['config'])
  declared = table_lines.fields(trained_rows.make_config(
      {'preset': found['preset'], **changes}).to_json())
  return {name: value for name, value in found.items()
          if value not in (None, declared.get(name)) and name not in _SEEN}


def _identify(directory, runs):
  """Name, number of the paper's table, its figure and the changes of a row."""
  matches = [
      (sum(table_lines.holds(run.run['config'], row.changes) for run in runs),
       number, row)
      for number, table in trained_rows.TRAINED.items() for row in table.rows
      if row.name.replace('/', '_') == directory]
  # Rows of Table 6 have all the changes of Table 5, and one more.
  count, number, row = max(
      matches, key=lambda match: match[:2], default=(0, None, None))
  if not count:
    return directory, None, None, {}
  return row.name, number, row.paper, row.changes


def _runs(rows):
  return [(f'{row.name}, {name}', run) for row in rows
          for name, run in row.runs.items()]


def _top1(run):
  task, = run.results.tasks.values()
  return 100 * task.top1


def _introduce(page, rows):
  runs = [run for _, run in _runs(rows)]
  if any(run.run['kind'] == 'smoke' for run in runs):
    page.paragraph('Smoke runs: three steps on made-up images, whose numbers '
                   'mean nothing.', notice=True)
  done = [run for run in runs if run.results]
  if len(done) < len(runs):
    page.paragraph(
        f'Unfinished: {len(done)} of the {len(runs)} runs that were begun '
        'have results.', notice=True)
  seconds = sum(run.seconds() for run in runs)
  page.paragraph(f'{len(rows)} rows, {len(runs)} runs; '
                 f'{run_reader.duration(seconds)} of training.')


def _show_accuracy(page, rows):
  tasks = {task for row in rows if row.line for task in row.line.first.tasks}
  if ({row.table for row in rows} - set(_FIGURE_4) or len(tasks) > 1
      or len({row.point for row in rows}) < len(rows)
      or any(_has_source(run) for _, run in _runs(rows))):
    return  # they differ in more than Figure 4 shows
  kinds = {}
  for row in rows:
    kinds.setdefault(row.kind, []).append({
        'templates': row.model['num_templates'],
        'layers': row.model['num_layers'], 'paper': row.paper,
        'label': row.label, 'top1': row.top1()})
  page.picture(
      'accuracy.png', functools.partial(run_plots.save_accuracy, kinds),
      'Accuracy over the number of layers L (Figure 4). A panel for each kind '
      'of signature, a colour for each number of templates K, a mark and a '
      'style of line for each configuration. Filled: ours, the median of the '
      'seeds with a bar from the least to the largest; hollow and dashed: the '
      'paper\'s figure.')


def _has_source(run):
  return bool({'transfer', 'adaptation'} & set(run.run['config']))


def _rows(rows):
  lines = [('row', 'K', 'L', 'signature', 'paper', 'ours, min / median / max',
            'seeds', 'parameters')]
  for row in rows:
    top1 = row.top1()
    done = [run for run in row.runs.values() if run.results]
    lines.append((
        row.name, str(row.model['num_templates']),
        str(row.model['num_layers']), row.kind,
        '–' if row.paper is None else f'{row.paper:.1f}',
        table_lines.spread(top1) if top1 else '–',
        f'{len(done)} of {len(row.runs)}',
        f'{done[0].results.parameters["total"]:,}' if done else '–'))
  return lines


def _cells(rows):
  lines = [('cell', 'steps', 'time', 'validation, %', 'test, %',
            'mean max xi', 'templates used', 'runs per template',
            'progressive')]
  for cell, run in _runs(rows):
    validation = [f'{100 * task.top1:.2f}'
                  for task in run.validation().values()]
    header, *measured = run_report.measures(run.mixtures)
    measure = dict(zip(header, measured[0])) if measured else {}
    lines.append((
        cell, f'{run.steps():,}', run_reader.duration(run.seconds()),
        *(validation or '–'), f'{_top1(run):.2f}' if run.results else '–',
        *(measure.get(name, '–') for name in lines[0][5:])))
  return lines


def _show_signatures(page, rows):
  trained = [row for row in rows if any(
      run.is_trained and len(run.mixtures) for run in row.runs.values())]
  if trained:
    page.heading('Signatures')
  for number, row in enumerate(trained, 1):
    mixtures = {name: xi for name, run in row.runs.items()
                for xi in run.mixtures.values()}
    alone = not any(_has_source(run) for run in row.runs.values())
    directory = row.directory.replace('/', '_')
    page.picture(
        f'signatures{number}_{directory}.png', functools.partial(
            signature_plots.save_signatures, mixtures,
            title=f'Trained signatures of {row.name}\n'
            '(dots mark the strongest template)'),
        f'Signatures of {row.name} (Figure 3). Columns are layers, lines are '
        'templates; the darker, the larger the mixture weight.' + (
            ' Templates of different seeds have nothing to do with each other.'
            if alone and len(mixtures) > 1 else ''))
