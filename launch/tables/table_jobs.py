"""The runs of a table: which are done, how long the others take, running them.

Each is a command of its own in a directory of its own, so that a table can be
stopped at any time and gone on with.
"""

import dataclasses
import pathlib
import re
import shlex
import signal
import statistics
import subprocess
import sys

from absl import flags

from trainers.runs import records
from trainers.runs import run_config

# Where a run is and what it reads; the rest decides its numbers.
_PLACES = ('workdir', 'data_dir')
_SEED = re.compile(r'/seed\d+$')  # of a directory


@dataclasses.dataclass(frozen=True)
class Job:
  """A command that leaves results in a directory.

  Args:
    name: What it is, for people.
    flags: Of the command, but for those that say where things are.
    path: Its directory, the command's --workdir.
    module: The command.
    makes: Name of the file in `path` that is there when all is done.
    data_dir: TFDS's data directory, or None for its own.
    datasets: Names of the data sets that it reads, where they are to be
      checked before anything runs.
  """

  name: str
  flags: tuple
  path: pathlib.Path
  module: str = 'launch.train'
  makes: str = records.RESULTS
  data_dir: str | None = None
  datasets: tuple = ()

  @property
  def command(self):
    """The command, as a list; of a run that has begun, how to go on."""
    place = [f'--workdir={self.path}']
    if self.data_dir:
      place.append(f'--data_dir={self.data_dir}')
    arguments = self.flags
    if self.begins_run and (self.path / records.RUN).exists():
      # As it was begun: --from may be the same path in other words.
      arguments = self._made_by()
      place.append('--resume')
    return [sys.executable, '-m', self.module, *arguments, *place]

  @property
  def begins_run(self):
    """Whether it writes run.json, and can be resumed; others read a run."""
    return self.makes == records.RESULTS

  def is_done(self):
    """Whether all is there; an error if it is another command's.

    Raises:
      ValueError: If the directory holds the run of another command.
    """
    if not self.begins_run:
      return is_evaluated(self.path, self.makes)
    if not (self.path / records.RUN).exists():
      return False
    made_by = self._made_by()
    if comparable(made_by) != comparable(self.flags):
      raise ValueError(
          f'{self.path} holds the run of another command, '
          f'{shlex.join(made_by)}; expected {shlex.join(self.flags)}: choose '
          'another --workdir.')
    return (self.path / self.makes).exists()

  def _made_by(self):
    return deciding(records.read_run(self.path)['argv'][1:])

  def run(self):
    """Runs or resumes it; passes signals on and lets it save.

    Raises:
      ValueError: If it fails or is stopped.
    """
    command = self.command
    print(f'{self.name}: {shlex.join(command[1:])}', file=sys.stderr,
          flush=True)
    # In a session of its own: a terminal would send Ctrl-C to both.
    with subprocess.Popen(command, start_new_session=True) as process:
      def pass_on(number, frame):
        del frame
        process.send_signal(number)

      previous = {number: signal.signal(number, pass_on)
                  for number in (signal.SIGINT, signal.SIGTERM)}
      try:
        status = process.wait()
      finally:
        for number, handler in previous.items():
          signal.signal(number, handler)
    if status > 128 or status < 0:
      raise ValueError(f'{self.name} was stopped: call the same command again '
                       'to go on.')
    if status:
      raise ValueError(f'{self.name} failed, see above. Its directory is '
                       f'{self.path}.')


def flag_name(argument):
  """The flag of an argument such as --seed=1, --pool or --nopool."""
  name = argument.lstrip('-').partition('=')[0]
  return name.removeprefix('no') if name not in flags.FLAGS else name


def deciding(arguments):
  """The arguments that decide a run's numbers."""
  return [argument for argument in arguments
          if flag_name(argument) not in (*_PLACES, 'resume')]


def comparable(arguments):
  """Arguments with --from written out: one path can be given in many ways."""
  return [f'--from={pathlib.Path(argument.partition("=")[2]).resolve()}'
          if argument.startswith('--from=') else argument
          for argument in arguments]


def is_evaluated(path, name):
  """Whether a file of `launch.evaluate` has all tasks of a finished run.

  Args:
    path: Directory of the run.
    name: Name of the file.
  """
  if not ((path / name).exists() and (path / records.RESULTS).exists()):
    return False
  evaluated, results = (
      records.read_json(path / file) for file in (name, records.RESULTS))
  return (evaluated.get('steps') == results['steps']
          and set(results['tasks']) <= set(evaluated.get('tasks', ())))


def run_all(jobs, workdir, is_smoke=False):
  """Runs all jobs that are not done, and says how long that takes.

  Args:
    jobs: `Job`s, in their order.
    workdir: Directory of the table, whose finished runs tell the speed.
    is_smoke: Whether the runs are too short for a budget.

  Raises:
    ValueError: If a directory holds another command's run, before anything
      runs; or if a run fails or is stopped.
  """
  left = [job for job in jobs if not job.is_done()]
  runs = [job for job in left if job.begins_run]
  print(f'{sum(job.begins_run for job in jobs)} runs under {workdir}, '
        f'{len(runs)} to do: {_budget(runs, workdir, is_smoke)}',
        file=sys.stderr, flush=True)
  for job in left:
    job.run()
    if job.begins_run and len(runs) > 1:
      runs.remove(job)
      print(f'{len(runs)} to do: {_budget(runs, workdir, is_smoke)}',
            file=sys.stderr, flush=True)


def _budget(jobs, workdir, is_smoke):
  if not jobs:
    return 'no training left'
  if is_smoke:
    return '3 steps on made-up images each'
  seconds = estimate(jobs, workdir)
  if seconds is None:
    return 'hours unknown until a first run of the table has finished'
  return f'about {hours(seconds)} of training left'


def hours(seconds):
  """A budget as text: 1.3 h, or minutes."""
  return (f'{seconds / 3600:.1f} h' if seconds >= 3600
          else f'{max(1, round(seconds / 60))} min')


def estimate(jobs, workdir):
  """Seconds of training that jobs will take, by the table's finished runs.

  A finished run of the same flags but for the seed is the measure; if there
  is none, all whose length is given in the same unit (epochs or steps), in
  proportion to length and layers. What a run that was stopped has done is
  taken off.

  Args:
    jobs: `Job`s to do.
    workdir: Directory of the table.

  Returns:
    Seconds, or None if there is no measure of one of them.
  """
  measured = []
  for path in pathlib.Path(workdir).rglob(records.RESULTS):
    if (path.parent / records.RUN).exists():
      made_by = deciding(records.read_run(path.parent)['argv'][1:])
      measured.append((comparable(without_seed(made_by)), *_work(made_by),
                       _seconds(path.parent)))
  total = 0
  for job in jobs:
    unit, work = _work(job.flags)
    flags_but_seed = comparable(without_seed(job.flags))
    same = [m for m in measured if m[0] == flags_but_seed]
    like = same or [m for m in measured if m[1] == unit]
    if not like:
      return None
    share = statistics.median(m[3] / m[2] for m in like)
    total += max(0, work * share - _seconds(job.path))
  return total


def _work(arguments):
  """(unit, number of them times layers) of a run, from its flags."""
  values = {flag_name(argument): argument.partition('=')[2]
            for argument in arguments}
  if 'from' in values:  # of a trained bank: its layers are not in the flags
    unit = 'steps' if 'steps' in values else 'epochs'
    kind = 'a transfer'
    if 'method' in values:  # of an adaptation; each has its own pace
      kind = f'{values["method"]} from {_SEED.sub("", values["from"])}'
    return f'{unit} of {kind}', float(values.get(unit, 1))
  base = run_config.recipe(values.get('preset', 'default'))
  unit = 'steps' if base.steps else 'epochs'
  unit = next((u for u in ('steps', 'epochs') if u in values), unit)
  layers = int(values.get('num_layers', base.model.num_layers))
  return unit, layers * float(values.get(unit) or getattr(base, unit))


def without_seed(arguments):
  """The arguments that all seeds of a row have.

  Each seed may have its own model, in a directory of that seed.
  """
  seeds = [argument.partition('=')[2] for argument in arguments
           if flag_name(argument) == 'seed']
  kept = [argument for argument in arguments if flag_name(argument) != 'seed']
  if not seeds:
    return kept
  own = f'/seed{seeds[0]}'
  return [f'{argument.rstrip("/").removesuffix(own)}/seed'
          if argument.startswith('--from=')
          and argument.rstrip('/').endswith(own) else argument
          for argument in kept]


def _seconds(path):
  """Seconds of training that a run has logged."""
  lines = records.read_lines(path / records.METRICS)
  return max((line.get('seconds', 0) for line in lines), default=0)
