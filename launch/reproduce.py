"""Makes the paper's tables, ours beside the paper's figures.

    python -m launch.reproduce --table=7
    python -m launch.reproduce --table=5 --rows=4/16/mixture --seeds=0,1
    python -m launch.reproduce --table=1 --smoke
    python -m launch.reproduce --table=8 --tasks=mnist,svhn_cropped \\
        --image_size=32 --patch_size=4 --epochs=2
    python -m launch.reproduce --table=2 --from=runs/digits --task=kmnist
    python -m launch.reproduce --table=10 --from=mw/16=runs/a,mw/32=runs/b
    python -m launch.reproduce --table=3 --column=digits --rows='*/adda*' \\
        --target=usps,usps_unpadded

Rows are runs, one for each seed, under --workdir; those of Tables 2, 9 and 10
are banks with their transfers, those of Tables 3, 4, 11 and 12 models with
their adaptations. Called again, the command resumes those that are not
finished. It prints a Markdown table of all finished runs under --workdir, and
leaves it there. Flags of a run are handed to the rows, transfers or
adaptations. docs/commands.md says what each table runs.
"""

import pathlib

from absl import flags

from launch import dataclass_flags
from launch import entry
from launch.tables import adaptation_rows
from launch.tables import adaptation_tables
from launch.tables import parameter_table
from launch.tables import table_options
from launch.tables import trained_rows
from launch.tables import trained_tables
from launch.tables import transfer_rows
from launch.tables import transfer_tables
from trainers.runs import run_config

FLAGS = flags.FlagValues()
_TABLE = flags.DEFINE_enum(
    'table', None, [str(number) for number in range(1, 13)],
    'Number of the paper\'s table.', flag_values=FLAGS)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the table and its runs. Default: '
    'runs/tableN; of Tables 3, 4, 11 and 12, which share runs, '
    'runs/adaptation.', flag_values=FLAGS)
_OPTIONS = dataclass_flags.DataclassFlags(
    table_options.TableOptions, FLAGS, without=('workdir', 'changes'), names={
        'columns': 'column', 'models': 'from', 'new_tasks': 'task',
        'targets': 'target'})
# Rows name their presets, --seeds the seeds.
_CHANGES = dataclass_flags.DataclassFlags(
    run_config.RunConfig, FLAGS, without=('preset', 'seed'),
    default_texts={'': 'as the rows have it'})
_ALL_USE = {'data_dir', 'smoke'}
_MODULES = {
    7: parameter_table,
    **dict.fromkeys(trained_rows.TRAINED, trained_tables),
    **dict.fromkeys(transfer_rows.TABLES, transfer_tables),
    **dict.fromkeys((3, *adaptation_rows.DOMAIN_TABLES), adaptation_tables)}


def main():
  """Makes one table."""
  if not _TABLE.value:
    raise ValueError('Expected --table, the number of a table of the paper, '
                     'received none.')
  number = int(_TABLE.value)
  module = _MODULES[number]
  given, changes = _OPTIONS.given(), _CHANGES.given()
  useless = [_OPTIONS.flag_name(name)
             for name in given if name not in {*_ALL_USE, *module.USES}]
  if 'changes' not in module.USES:
    useless += changes
  if useless:
    raise ValueError(f'--{useless[0]} is not of Table {number}: leave it out.')
  name = 'adaptation' if module is adaptation_tables else f'table{number}'
  suffix = '-smoke' if given.get('smoke') else ''
  workdir = pathlib.Path(_WORKDIR.value or f'runs/{name}{suffix}')
  print(module.make(number, table_options.TableOptions(
      workdir, changes=changes, **given)))


if __name__ == '__main__':
  entry.run(main, FLAGS)
