"""Makes the paper's tables, ours beside the paper's figures.

    python -m launch.reproduce --table=7
    python -m launch.reproduce --table=5 --rows=4/16/mixture --seeds=0,1
    python -m launch.reproduce --table=1 --workdir=runs/table1
    python -m launch.reproduce --table=1 --smoke

Table 7 is counted. The rows of a trained table are runs of `launch.train`,
one for each seed, under --workdir; called again, the command resumes those
that are not finished. Before the first run and after each it says how long
the others will take, as soon as a run of the table has shown how fast this
machine is. It prints a Markdown table of all finished runs under --workdir,
those of earlier calls included, and leaves it in --workdir/table.md.

The rows of Table 8 decide the method; other data may be given:

    python -m launch.reproduce --table=8 --tasks=mnist,svhn_cropped \\
        --image_size=32 --patch_size=4 --epochs=2

Tables 2, 9 and 10 are runs of `launch.transfer` on banks, which --rows names.
Those that --from does not give are trained as their presets say; --task and
the flags of a run are the transfers':

    python -m launch.reproduce --table=9 --rows=digits --seeds=0,1,2
    python -m launch.reproduce --table=9 --from=runs/digits --steps=500
    python -m launch.reproduce --table=2 --from=runs/digits --task=kmnist
    python -m launch.reproduce --table=10 --from=mw/16=runs/a,mw/32=runs/b

Tables 3, 4, 11 and 12 read the same runs, under runs/adaptation: models of the
sources by `launch.train`, and their adaptations by `launch.adapt`. --column
names the domains of Table 3, --rows its rows, as BANK/METHOD/START with * for
anything. A seed is that of a model and of its adaptations; the flags of a run
are the adaptations':

    python -m launch.reproduce --table=3 --column=digits --seeds=0,1
    python -m launch.reproduce --table=3 --column=digits --rows='*/adda*' \\
        --target=usps,usps_unpadded
    python -m launch.reproduce --table=12
    python -m launch.reproduce --table=11 --from=compositional=runs/office
"""

import contextlib
import dataclasses
import pathlib

from absl import app
from absl import flags
import keras

from launch import entry
from launch import run_flags
from launch import shared_flags
from launch.tables import adaptation_rows
from launch.tables import adaptation_tables
from launch.tables import table_jobs
from launch.tables import table_lines
from launch.tables import trained_rows
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from launch.tables import transfer_tables
import mixture_modules as mm
from trainers.runs import run_config

_TABLE = flags.DEFINE_enum(
    'table', None, [str(number) for number in range(1, 13)],
    'Number of the paper\'s table.')
_ROWS = flags.DEFINE_list(
    'rows', None, 'Names of the rows to run; of Tables 2, 9 and 10, of banks; '
    'of 3, 4, 11 and 12 with * for anything. Default: all.')
_COLUMN = flags.DEFINE_list(
    'column', None, 'Domains of Table 3: '
    f'{", ".join(adaptation_rows.COLUMNS)}. Default: all.')
_SEEDS = flags.DEFINE_list('seeds', ['0'], 'One run of every row for each.')
_ADAPTATIONS = (3, *adaptation_rows.DOMAIN_TABLES)
flags.mark_flag_as_required('table')
flags.adopt_module_key_flags(run_flags)
for _name in ('workdir', 'data_dir', 'smoke', 'from', 'task', 'target'):
  flags.declare_key_flag(_name)


def main(argv):
  """Makes one table."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  number = int(_TABLE.value)
  _check_flags(number)
  suffix = '-smoke' if shared_flags.SMOKE.value else ''
  name = 'adaptation' if number in _ADAPTATIONS else f'table{number}'
  workdir = pathlib.Path(shared_flags.WORKDIR.value or f'runs/{name}{suffix}')
  if number == 7:
    text = table_7()
  elif number in _ADAPTATIONS:
    text = adaptation_table(number, workdir)
  elif number in transfer_rows.TABLES:
    text = transfer_table(transfer_rows.TABLES[number], workdir)
  else:
    text = trained_table(trained_rows.TRAINED[number], workdir)
  _write(workdir, text, number)
  print(text)


def _write(workdir, text, number):
  """Writes table.md; of those that share a directory, tableN.md."""
  workdir.mkdir(parents=True, exist_ok=True)
  name = f'table{number}.md' if number in _ADAPTATIONS else 'table.md'
  (workdir / name).write_text(text + '\n')


def _check_flags(number):
  """Refuses what a table has no use for."""
  used = {'workdir', 'data_dir', 'smoke'}
  if number in transfer_rows.TABLES:
    used |= {'from', 'task'}
  if number in _ADAPTATIONS:
    used |= {'from'} | ({'target'} if number == 3 else set())
  for flag in flags.FLAGS.flags_by_module_dict()[shared_flags.__name__]:
    if flag.present and flag.name not in used:
      raise ValueError(f'--{flag.name} is not of Table {number}: leave it out.')
  if _COLUMN.present and number != 3:
    raise ValueError(f'--column is of Table 3, not of Table {number}: leave it '
                     'out.')


def trained_table(table, workdir):
  """Runs the rows of a trained table that are asked for.

  Returns:
    The table with all finished runs under `workdir`, as Markdown.
  """
  rows, seeds = _chosen(table.rows), _chosen_seeds()
  decided = {'pool', 'seed'} if table.columns else {'pool', 'seed', 'tasks'}
  decided |= {table_jobs.flag_name(flag)
              for row in table.rows for flag in row.flags}
  for argument in run_flags.given():
    if table_jobs.flag_name(argument) in decided:
      raise ValueError(f'{argument} cannot be given: rows decide it, or '
                       '--seeds.')
  jobs = [job for row in rows for seed in seeds
          for job in _jobs(row, seed, workdir, bool(table.columns))]
  with _written_if_stopped(workdir, table_lines.trained, table):
    table_jobs.run_all(jobs, workdir, shared_flags.SMOKE.value)
  return table_lines.trained(table, workdir)


@contextlib.contextmanager
def _written_if_stopped(workdir, make_text, table, number=None):
  """Also writes what is finished where something is in the way of the rest."""
  try:
    yield
  except ValueError:
    if workdir.exists():
      _write(workdir, make_text(table, workdir), number)
    raise


def transfer_table(table, workdir):
  """Runs the banks and transfers of a table that are asked for.

  Returns:
    The table with all finished transfers under `workdir`, as Markdown.
  """
  seeds, given = _chosen_seeds(), _given_without_seed()
  smoke, data_dir = shared_flags.SMOKE.value, shared_flags.DATA_DIR.value
  banks = transfer_banks.find_banks(
      table, workdir, shared_flags.FROM.value, _ROWS.value)
  for bank in banks:
    run_flags.training_from_flags(bank.training)  # as each transfer will
  tasks = shared_flags.TASK.value and shared_flags.TASK.value.split(',')
  transfer_banks.check(table, banks, tasks, smoke, data_dir)
  jobs = {bank.key: transfer_tables.make_jobs(
      table, workdir, [bank], seeds, tasks, given, smoke, data_dir)
          for bank in banks}
  with _written_if_stopped(workdir, transfer_tables.markdown, table):
    if not smoke:
      transfer_banks.check_data(jobs)
    table_jobs.run_all(sum(jobs.values(), []), workdir, smoke)
  return transfer_tables.markdown(table, workdir)


def adaptation_table(number, workdir):
  """Runs the models and adaptations that are asked for.

  Args:
    number: Of the table: 3, or of `adaptation_rows.DOMAIN_TABLES`.
    workdir: Directory of these tables.

  Returns:
    The table with all that is finished under `workdir`, as Markdown.
  """
  seeds, given = _chosen_seeds(), _given_without_seed()
  smoke, data_dir = shared_flags.SMOKE.value, shared_flags.DATA_DIR.value
  table = adaptation_rows.DOMAIN_TABLES.get(number)
  columns = [table.column] if table else _chosen_columns()
  rows = adaptation_tables.choose(
      table.rows if table else adaptation_rows.ROWS, _ROWS.value)
  banks = adaptation_tables.find_banks(
      shared_flags.FROM.value, columns, {row.bank for row in rows})
  targets = shared_flags.TARGET.value and shared_flags.TARGET.value.split(',')
  if targets and len(columns) > 1:
    raise ValueError('--target is of one column, received those of '
                     f'{", ".join(columns)}: give one with --column.')
  jobs = {}
  for column in columns:
    adaptation_tables.check(rows, column, targets, data_dir)
    jobs[column] = adaptation_tables.make_jobs(
        rows, column, workdir, seeds, banks, targets, given, smoke, data_dir)
  make_text = (adaptation_tables.domains if table else
               lambda _, workdir: adaptation_tables.table_3(workdir))
  with _written_if_stopped(workdir, make_text, table, number):
    if not smoke:
      transfer_banks.check_data(jobs, 'column')
    table_jobs.run_all(sum(jobs.values(), []), workdir, smoke)
  return make_text(table, workdir)


def _given_without_seed():
  given = run_flags.given()
  if any(table_jobs.flag_name(argument) == 'seed' for argument in given):
    raise ValueError('--seed cannot be given: give --seeds.')
  return given


def _chosen_columns():
  known = list(adaptation_rows.COLUMNS)
  columns = known if _COLUMN.value is None else _COLUMN.value
  wrong = [name for name in columns if name not in known]
  if wrong:
    raise ValueError(f'--column must be of {known}, received {wrong}.')
  return list(dict.fromkeys(columns))


def _chosen(rows):
  if _ROWS.value is None:
    return rows
  known = {row.name: row for row in rows}
  unknown = [name for name in _ROWS.value if name not in known]
  if unknown:
    raise ValueError(f'--rows must be of {sorted(known)}, received {unknown}.')
  return [known[name] for name in dict.fromkeys(_ROWS.value)]


def _chosen_seeds():
  for text in _SEEDS.value:
    if not text.isdecimal():
      raise ValueError(f'--seeds must be whole numbers, received {text!r}.')
  seeds = [int(text) for text in _SEEDS.value]
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds must differ, received {_SEEDS.value}.')
  return seeds


def _jobs(row, seed, workdir, with_training):
  """The run of a row and a seed, and the evaluation of its training data."""
  own = dict(flag.strip('-').partition('=')[::2] for flag in row.flags)
  useless = run_flags.useless_for(own.get('signature', 'softmax'))
  given = [argument for argument in run_flags.given()
           if table_jobs.flag_name(argument) not in useless]
  if shared_flags.SMOKE.value:
    given.append('--smoke')
  run = table_jobs.Job(
      f'{row.name}, seed {seed}', (*row.flags, *given, f'--seed={seed}'),
      table_lines.row_directory(workdir, row.name) / f'seed{seed}',
      data_dir=shared_flags.DATA_DIR.value)
  evaluation = dataclasses.replace(
      run, name=f'{run.name}, on training data', module='launch.evaluate',
      flags=('--split=train',), makes=table_lines.TRAINING)
  return [run, evaluation] if with_training else [run]


def table_7():
  """Parameters of each part, counted from models; as Markdown."""
  small, large = count_parts('small'), count_parts('large')
  lines = [[title, paper_small, f'{small[part]:,}' + _per_class(part),
            paper_large, f'{large[part]:,}' + _per_class(part)]
           for title, part, paper_small, paper_large in trained_rows.PARTS]
  return table_lines.markdown(
      'Table 7: parameters of each part', [
          'part', 'paper, rho = 0.6', 'ours', 'paper, rho = 1', 'ours'],
      lines, trained_rows.PARTS_NOTES)


def _per_class(part):
  return ' C + C' if part == 'logits' else ''


def count_parts(preset):
  """{part of Table 7: number of parameters} of a preset, with patch 4."""
  config = run_config.recipe(preset).model.replace(
      patch_size=4, image_size=32)
  reports = {}
  for use_se in (True, False):
    model = mm.IsometricModel(config.replace(use_se=use_se), {'task': 1})
    reports[use_se] = model.parameter_report()
    blocks = reports[use_se]['templates'] // config.num_templates
    reports[use_se]['block'] = blocks
    keras.backend.clear_session()
  return {
      'input_adapter': reports[True]['input_adapter'],
      'block_with_se': reports[True]['block'],
      'block_without_se': reports[False]['block'],
      'output_adapter': reports[True]['output_adapter'],
      'logits': reports[True]['heads'] - 1,  # a head of one class has one bias
  }


if __name__ == '__main__':
  entry.run(main)
