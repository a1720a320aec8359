"""Tables 2, 9 and 10: new tasks on trained banks (4.3, C.1).

A bank is a model that was trained already, or a run of `launch.train` in
BANK/bank; each transfer is a run of `launch.transfer` in
BANK/TASK/INIT-TUNE/seedN.
"""

import pathlib

from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from trainers.runs import records

_HEADER = ('bank', 'new task', 'starts from', 'tuned', 'paper, initial',
           'ours, initial', 'paper', 'ours, min / median / max',
           'own parameters', 'of them tuned')
_HOW = [name for name in table_lines.HOW if name != 'parameters']
_UNTRAINED = ('Ours, initial: a dash where the new task\'s head is its own, '
              'which nothing has trained yet.')


def make_jobs(table, workdir, banks, seeds, tasks=None, flags=(), smoke=False,
              data_dir=None):
  """What is to be run for a table.

  Args:
    table: `transfer_rows.TransferTable`.
    workdir: Its directory.
    banks: List of `transfer_banks.Bank`.
    seeds: Of the transfers; each bank is one.
    tasks: Names of the new tasks. Default: the paper's.
    flags: Of a run, handed to all transfers.
    smoke: Whether to go through the motions on made-up images.
    data_dir: TFDS's data directory, or None for its own.

  Returns:
    List of `table_jobs.Job`; a bank stands before its transfers.
  """
  jobs = []
  if smoke:
    flags = (*flags, '--smoke')
  for bank in banks:
    if bank.flags is not None:
      jobs.append(table_jobs.Job(
          f'bank {bank.label}', (*bank.flags, *['--smoke'] * smoke),
          bank.path, data_dir=data_dir, datasets=bank.tasks))
    for task in dict.fromkeys(tasks or table.tasks[bank.key]):
      for method in table.methods:
        if method.bank == bank.key:
          jobs += [
              _transfer(workdir, bank, task, init, method, seed, flags,
                        data_dir)
              for init in _inits(method, bank) for seed in seeds]
  return jobs


def _inits(method, bank):
  if method.init != transfer_rows.COPY:
    return [method.init]
  return [f'copy:{task}' for task in bank.tasks]


def _transfer(workdir, bank, task, init, method, seed, flags, data_dir):
  start = f'{init}-{method.tune.replace(",", "-")}'
  return table_jobs.Job(
      f'{bank.label}, {task} from {init}, tuning {method.tune}, seed {seed}',
      (f'--from={bank.path}', f'--task={task}', f'--init={init}',
       f'--tune={method.tune}', *method.flags, *flags, f'--seed={seed}'),
      transfer_banks.directory(
          workdir, bank.label, task, start, f'seed{seed}'),
      module='launch.transfer', data_dir=data_dir, datasets=(task,))


def markdown(table, workdir):
  """A table with all finished transfers under its directory, as Markdown."""
  paths = sorted({path.parent.parent for path in pathlib.Path(workdir).glob(
      f'*/*/*/seed*/{records.RESULTS}')})
  found = [(path.relative_to(workdir).parts[0], line) for path in paths
           for line in table_lines.read_lines(path)[0]]
  keys = [key for key in table.tasks]  # the paper's first
  labels = {key.replace('/', '_'): key for key in keys}
  rows, seen = {}, set()
  for directory, line in found:
    label = labels.get(directory, directory)
    facts = line.first['transfer']
    bank = label if label in keys else table.main
    key = label, facts['task'], facts['init']
    seen.add(key)
    order = [method.tune for method in table.methods if method.bank == bank]
    tune = ','.join(facts['tune'])
    figures = table.figures(label, facts['task'], facts['init'], tune)
    place = (*_place(table, key), order.index(tune) if tune in order else 9)
    rows.setdefault(place, []).append(_row(label, line, tune, figures))
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
  facts = line.first['transfer']
  head = facts.get('initial_head')
  if head is None:  # of an earlier version
    return not facts.get('head_shared_with') and facts['init'] != 'learned'
  return head == 'untrained'


def _row(label, line, tune, figures):
  facts = line.first['transfer']
  name, start = facts['name'], facts['init']
  if start == 'best':
    copied = dict.fromkeys(str(results['transfer']['copied'])
                           for results in line.results.values())
    start = f'best ({", ".join(copied)})'
  before, after = (
      table_lines.spread([100 * task[name]['top1'] for task in tasks])
      for tasks in ([results['initial'] for results in line.results.values()],
                    [results['tasks'] for results in line.results.values()]))
  if _starts_untrained(line):
    before = table_lines.NOT_RUN
  how = dict(zip(table_lines.HOW, table_lines.how(line, 'launch.transfer')))
  return [label, facts['task'], start, tune or 'nothing', _text(figures[0]),
          before, _text(figures[1]), after, f'{facts["own_parameters"]:,}',
          f'{facts["tuned_parameters"]:,}', *(how[name] for name in _HOW)]


def _not_run(key, figures):
  dash = table_lines.NOT_RUN
  return [*key, dash, _text(figures[0]), dash, _text(figures[1]),
          *[dash] * (3 + len(_HOW))]


def _text(figure):
  return table_lines.NOT_RUN if figure is None else f'{figure:g}'
