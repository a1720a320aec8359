"""How a table is made: its data is checked, what is left is run, text written.

Whatever stops it, the text has all that is finished.
"""

from launch.tables import table_jobs
from mixture_modules import files
from trainers.data import pipeline
from trainers.data.datasets import builders
from trainers.data.datasets import missing_data


def make(jobs, options, file_name, make_text, part='rows'):
  """Makes a table.

  Args:
    jobs: {part of the table, such as a bank: its `table_jobs.Job`s}.
    options: `table_options.TableOptions`.
    file_name: Name of the file for the text, in the table's directory.
    make_text: Function of nothing; the text of what is finished.
    part: The flag that chooses among the parts.

  Returns:
    The text.

  Raises:
    ValueError: If data is missing, a directory holds another run, or a run
      fails or is stopped.
  """
  try:
    if not options.smoke:
      check_data(jobs, part)
    table_jobs.run_all(sum(jobs.values(), []), options.workdir, options.smoke)
  except ValueError:
    if options.workdir.exists():
      write(options, file_name, make_text())
    raise
  text = make_text()
  write(options, file_name, text)
  return text


def write(options, file_name, text):
  """Writes the text of a table to a file in its directory."""
  options.workdir.mkdir(parents=True, exist_ok=True)
  files.write(options.workdir / file_name, f'{text}\n'.encode())


def check_data(jobs, part='rows'):
  """Checks that the data of what is left to run is prepared.

  Args:
    jobs: {part of the table, such as a bank: its `table_jobs.Job`s}.
    part: The flag that chooses among the parts.

  Raises:
    ValueError: If it is not; the message says of which data sets, how to
      prepare them, and which parts need none of them.
  """
  needed = {
      key: {(name, job.data_dir) for job in own if not job.is_done()
            for name in job.datasets} for key, own in jobs.items()}
  faults = {}
  for name, data_dir in sorted(set().union(*needed.values())):
    try:
      for task in pipeline.load_tasks([name], 1, data_dir)[name].tasks:
        builders.check_prepared(task, data_dir)
    except ValueError as error:
      faults[name, data_dir] = error
  if not faults:
    return
  ready = [key for key, names in needed.items() if not names & set(faults)]
  without = (f'--{part}={",".join(ready)}' if ready else
             'trained banks with --from, or other new tasks with --task'
             if part == 'rows' else 'another --column or --target')
  missing_data.raise_all([
      'Expected the data of all that is to be run, of which some is missing; '
      'nothing was run.', *faults.values(),
      'Then call the same command again; or go on without that data: give '
      f'{without}.'])
