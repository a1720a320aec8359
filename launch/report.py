"""Makes pictures and a page of a run, or of a table of runs, from its records.

    python -m launch.report --workdir=runs/digits
    python -m launch.report --workdir=runs/table5

Of tables there are pages of 1, 5, 6 and 8, whose runs stand in ROW/seedN; the
others (transfers and adaptations, whose runs stand deeper) have their text,
table.md or tableN.md, and a page of each run.

Reads only what the run wrote, finished or not: no model is built, no data is
needed. Writes PNG files and index.html, which holds all of them and can be
sent to someone, into the directory report/ of --workdir.
"""

import pathlib

from absl import flags

from launch import entry
from launch.reports import run_report
from launch.reports import table_report
from mixture_modules import files
from trainers.runs import records
from trainers.runs import run_reader

_DIRECTORY = 'report'
_PAGE = 'index.html'

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of a run, or of a table of runs.',
    flag_values=FLAGS)


def main():
  """Makes a report and says where it is."""
  if not _WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run or of a table '
                     'of launch.reproduce; received none.')
  print(f'Report: {write_report(_WORKDIR.value)}')


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
  records.check_no_link(directory)
  if (directory.exists() and not (directory / _PAGE).is_file()
      and not (directory.is_dir() and not any(directory.iterdir()))):
    raise ValueError(
        f'Expected {directory} to be free, or an earlier report with its '
        f'{_PAGE}; received other files, which are never overwritten: move '
        'them away.')
  if workdir.is_dir():
    files.check_writable(directory if directory.exists() else workdir)
  if (workdir / records.RUN).exists():
    page = run_report.make_page(run_reader.Run(workdir))
  elif cells := table_report.find_cells(workdir):
    page = table_report.make_page(workdir.resolve().name, cells)
  else:
    raise ValueError(
        f'Expected a run ({records.RUN}) or a table of runs '
        f'({table_report.CELLS}: Tables 1, 5, 6 and 8) in {workdir}, received '
        f'{"a directory" if workdir.is_dir() else "a path"} with neither: '
        f'{_what_instead(workdir)}.')
  directory.mkdir(exist_ok=True)
  files.write(directory / _PAGE, page.html().encode(errors='replace'))
  for name, data in page.pictures.items():
    files.write(directory / name, data)
  return directory / _PAGE


def _what_instead(workdir):
  """What to do where there is neither a run nor such a table."""
  places = [f'{"*/" * depth}seed*/{records.RUN}' for depth in range(5)]
  runs = [path for place in places for path in sorted(workdir.glob(place))]
  if not runs:
    return ('give the --workdir of a run, or of launch.reproduce for one of '
            'these tables')
  texts = sorted(workdir.glob('table*.md'))
  names = ' and '.join(str(path) for path in texts)
  return ('there are runs, but in other places, as those of transfers and '
          'adaptations are, whose tables have no page. '
          + (f'Read {names}, or give' if texts else 'Give')
          + f' the --workdir of a single run, such as {runs[0].parent}')


if __name__ == '__main__':
  entry.run(main, FLAGS)
