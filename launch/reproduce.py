"""Makes the paper's tables, ours beside the paper's figures.

    python -m launch.reproduce --table=7
    python -m launch.reproduce --table=5 --rows=4/16/mixture --seeds=0,1
    python -m launch.reproduce --table=1 --smoke

Table 7 is counted. The rows of all others are runs, one for each seed, under
--workdir. Called again, the command resumes those that are not finished; it
says how long the rest will take, as soon as one run has shown how fast this
machine is. It prints a Markdown table of all finished runs under --workdir,
those of earlier calls included, and leaves it in --workdir/table.md.

Rows of Table 8 decide the method; other data may be given:

    python -m launch.reproduce --table=8 --tasks=mnist,svhn_cropped \\
        --image_size=32 --patch_size=4 --epochs=2

Tables 2, 9 and 10 are runs of `launch.transfer` on banks, which --rows names.
Those that --from does not give are trained as their presets say. Flags of a
run are the transfers':

    python -m launch.reproduce --table=9 --rows=digits --seeds=0,1,2
    python -m launch.reproduce --table=2 --from=runs/digits --task=kmnist
    python -m launch.reproduce --table=10 --from=mw/16=runs/a,mw/32=runs/b

Tables 3, 4, 11 and 12 read the same runs, under runs/adaptation: models of the
sources, and their adaptations by `launch.adapt`. Rows are BANK/METHOD/START. A
seed is that of a model and of its adaptations; flags of a run are the
adaptations':

    python -m launch.reproduce --table=3 --column=digits --rows='*/adda*' \\
        --target=usps,usps_unpadded
    python -m launch.reproduce --table=11 --from=compositional=runs/office
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
    'Number of the paper\'s table.', required=True, flag_values=FLAGS)
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
