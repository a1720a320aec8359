"""Makes pictures and a page of a run, or of a table of runs, from its records.

    python -m launch.report --workdir=runs/digits
    python -m launch.report --workdir=runs/table5

Reads only what the run wrote, finished or not: no model is built, no data is
needed. Writes PNG files and index.html, which holds all of them and can be
sent to someone, into the directory report/ of --workdir.
"""

import pathlib

from absl import app
from absl import flags

from launch import entry
from launch import run_records
from launch import run_report
from launch import shared_flags
from launch import table_report
from mixture_modules import files
from trainers import records

_DIRECTORY = 'report'
_PAGE = 'index.html'

flags.declare_key_flag('workdir')


def main(argv):
  """Makes a report and says where it is."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  if not shared_flags.WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run of '
                     'launch.train or of a table of launch.reproduce; received '
                     'none.')
  print(f'Report: {write_report(shared_flags.WORKDIR.value)}')


def write_report(workdir):
  """Writes the report of a run, or of a table of runs.

  Args:
    workdir: Directory of the run, or of the table.

  Returns:
    The path of the page.

  Raises:
    ValueError: If there is neither, a file is damaged, or report/ holds what
      is no report.
  """
  workdir = pathlib.Path(workdir)
  directory = workdir / _DIRECTORY
  if (directory.exists() and not (directory / _PAGE).is_file()
      and not (directory.is_dir() and not any(directory.iterdir()))):
    raise ValueError(
        f'Expected {directory} to be free, or an earlier report with its '
        f'{_PAGE}; received other files, which are never overwritten: move '
        'them away.')
  if (workdir / records.RUN).exists():
    page = run_report.make_page(run_records.Run(workdir))
  elif cells := table_report.find_cells(workdir):
    page = table_report.make_page(workdir.resolve().name, cells)
  else:
    raise ValueError(
        f'Expected a run ({records.RUN}) or a table of runs '
        f'({table_report.CELLS}) in {workdir}, received '
        f'{"a directory" if workdir.is_dir() else "a path"} with neither: give '
        'the --workdir of launch.train or launch.reproduce.')
  directory.mkdir(exist_ok=True)
  files.write(directory / _PAGE, page.html().encode(errors='replace'))
  for name, data in page.pictures.items():
    files.write(directory / name, data)
  return directory / _PAGE


if __name__ == '__main__':
  entry.run(main)
