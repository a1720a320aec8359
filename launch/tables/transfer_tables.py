"""Tables 2, 9 and 10: new tasks on trained banks (4.3, C.1).

A bank is a model that was trained already, or a run of `launch.train` in
BANK/bank; each transfer is a run of `launch.transfer` in
BANK/TASK/INIT-TUNE/seedN.
"""

import functools
import pathlib

from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import table_making
from launch.tables import trained_tables
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from trainers.runs import records
from trainers.transfer import transfer_config
from trainers.transfer import transferring

USES = ('rows', 'seeds', 'models', 'new_tasks', 'changes')
_COMMAND = 'launch.transfer'
_HEADER = ('bank', 'new task', 'starts from', 'tuned', 'paper, initial',
           'ours, initial', 'paper', 'ours, min / median / max',
           'own parameters', 'of them tuned')
_HOW = table_lines.HOW_OF_TASK
_UNTRAINED = ('Ours, initial: a dash where the new task\'s head is its own, '
              'which nothing has trained yet.')


def make(number, options):
  """Makes the table of a number; see `table_making.make`."""
  table = transfer_rows.TABLES[number]
  banks = transfer_banks.find_banks(table, options)
  jobs = {bank.key: make_jobs(table, bank, options) for bank in banks}
  transfer_banks.check(table, banks, options)
  return table_making.make(
      jobs, options, 'table.md',
      functools.partial(markdown, table, options.workdir))


def make_jobs(table, bank, options):
  """What is to be run for a bank of a table.

  Args:
    table: `transfer_rows.TransferTable`.
    bank: `transfer_banks.Bank`.
    options: `table_options.TableOptions`; its seeds are those of the transfers.

  Returns:
    List of `table_jobs.Job`; a bank stands before its transfers.
  """
  table_jobs.check_changes(_COMMAND, options.changes)
  jobs = []
  if not bank.is_given:
    jobs.append(trained_tables.train_job(
        f'bank {bank.label}', transfer_rows.BANKS[bank.key], bank.path,
        options, bank.tasks))
  for task in dict.fromkeys(options.new_tasks or table.tasks[bank.key]):
    for method in table.methods:
      if method.bank == bank.key:
        jobs += [_transfer(bank, task, init, method, seed, options)
                 for init in _inits(method, bank) for seed in options.seeds]
  return jobs


def _inits(method, bank):
  if method.init != transfer_rows.COPY:
    return [method.init]
  return [f'copy:{task}' for task in bank.tasks]


def _transfer(bank, task, init, method, seed, options):
  asked = {'source': str(bank.path), 'dataset': task, 'init': init,
           'tune': method.tune, **method.changes}
  changes = {**options.changes, 'seed': seed}
  tune = ','.join(method.tune)
  config = transferring.describe(
      bank.config, transfer_config.TransferConfig(**asked), options.smoke,
      **changes)
  return table_jobs.Job(
      f'{bank.label}, {task} from {init}, tuning {tune}, seed {seed}',
      _COMMAND, {**asked, **changes}, table_lines.directory(
          options.workdir, bank.label, task,
          f'{init}-{"-".join(method.tune)}', f'seed{seed}'),
      config, options.smoke, data_dir=options.data_dir, datasets=(task,))


def markdown(table, workdir):
  """A table with all finished transfers under its directory, as Markdown."""
  paths = sorted({path.parent.parent for path in pathlib.Path(workdir).glob(
      f'*/*/*/seed*/{records.RESULTS}')})
  found = [(path.relative_to(workdir).parts[0], line) for path in paths
           for line in table_lines.read_lines(path)[0]]
  labels = {key.replace('/', '_'): key for key in table.tasks}
  rows, seen = {}, set()
  for directory, line in found:
    label = labels.get(directory, directory)
    facts = line.first.transfer
    bank = label if label in table.tasks else table.main
    key = label, facts.dataset, facts.start.init
    seen.add(key)
    order = [method.tune for method in table.methods if method.bank == bank]
    tune = facts.start.tune
    place = (*_place(table, key), order.index(tune) if tune in order else 9)
    rows.setdefault(place, []).append(
        _row(label, line, table.figures(*key, tune)))
  for key, figures in table.paper.items():
    if key not in seen:
      rows.setdefault((*_place(table, key), 0), []).append(_not_run(
          key, figures))
  lines = [line for _, line in found]
  return table_lines.markdown(
      table.title, [*_HEADER, *_HOW],
      [row for place in sorted(rows) for row in rows[place]],
      [*table.notes, *[_UNTRAINED] * any(map(_starts_untrained, lines)),
       *table_lines.end_notes(lines, ())])


def _place(table, key):
  """Where a line stands: the paper's lines in its order, others after."""
  order = {key: number for number, key in enumerate(table.paper)}
  return order.get(key, len(order)), *key


def _starts_untrained(line):
  """Whether the new task began with a head that nothing had trained."""
  return line.first.transfer.start.initial_head == 'untrained'


def _row(label, line, figures):
  facts = line.first.transfer
  start = facts.start.init
  if start == 'best':
    copied = dict.fromkeys(str(found.transfer.start.copied)
                           for found in line.results.values())
    start = f'best ({", ".join(copied)})'
  before = (table_lines.NOT_RUN if _starts_untrained(line) else
            table_lines.spread(line.initial_top1(facts.name)))
  return [label, facts.dataset, start, ','.join(facts.start.tune) or 'nothing',
          table_lines.figure(figures[0], 'g'), before,
          table_lines.figure(figures[1], 'g'),
          table_lines.spread(line.top1(facts.name)),
          f'{line.first.tasks[facts.name].own_parameters:,}',
          f'{facts.tuned_parameters:,}',
          *table_lines.how(line, _COMMAND, _HOW)]


def _not_run(key, figures):
  dash = table_lines.NOT_RUN
  return [*key, dash, table_lines.figure(figures[0], 'g'), dash,
          table_lines.figure(figures[1], 'g'),
          *table_lines.dashes(3 + len(_HOW))]
