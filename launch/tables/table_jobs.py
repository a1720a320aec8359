"""The runs of a table: which are done, how long the others take, running them.

Each is a command of its own in a directory of its own, so that a table can be
stopped at any time and gone on with. A run is known by its configuration, as
run.json has it.
"""

import dataclasses
import importlib
import json
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys

from launch import dataclass_flags
from trainers.runs import records


@dataclasses.dataclass(frozen=True)
class Job:
  """A command that leaves results in a directory.

  Args:
    name: What it is, for people.
    command: Module of the command.
    changes: {field: value} that the command is given, by its own flags.
    path: Its directory, the command's --workdir.
    config: What 'config' of its run.json must be, as JSON; None: the command
      begins no run, but reads one.
    smoke: Whether it goes through the motions on made-up images.
    makes: Name of the file in `path` that is there when all is done.
    data_dir: TFDS's data directory. Default: TFDS's own.
    datasets: Names of the data sets that it reads, where they are to be
      checked before anything runs.
  """

  name: str
  command: str
  changes: dict
  path: pathlib.Path
  config: dict | None = None
  smoke: bool = False
  makes: str = records.RESULTS
  data_dir: str | None = None
  datasets: tuple = ()

  @property
  def arguments(self):
    """Of the command; of a run that has begun, how to go on."""
    place = [f'--workdir={self.path}']
    if self.data_dir:
      place.append(f'--data_dir={self.data_dir}')
    if self.smoke and self.begins_run:
      place.append('--smoke')
    if self.begins_run and (self.path / records.RUN).exists():
      return [*place, '--resume']
    return [*arguments(self.command, self.changes), *place]

  @property
  def begins_run(self):
    """Whether it writes run.json, and can be resumed."""
    return self.config is not None

  def is_done(self):
    """Whether all is there.

    Raises:
      ValueError: If the directory holds another run.
    """
    if not self.begins_run:
      return is_evaluated(self.path, self.makes)
    if not (self.path / records.RUN).exists():
      return False
    run = records.read_run(self.path)
    differences = records.differences(
        {'smoke': self.smoke, **comparable(self.config)},
        {'smoke': run['kind'] == 'smoke', **comparable(run['config'])})
    if differences:
      raise ValueError(f'{self.path} holds another run ({differences}): choose '
                       'another --workdir.')
    return (self.path / self.makes).exists()

  def run(self):
    """Runs or resumes it; passes signals on and lets it save.

    Raises:
      ValueError: If it fails or is stopped.
    """
    command = ['-m', self.command, *self.arguments]
    print(f'{self.name}: {shlex.join(command)}', file=sys.stderr, flush=True)
    status = _wait_for([sys.executable, *command])
    if status > 128 or status < 0:
      raise ValueError(f'{self.name} was stopped: call the same command again '
                       'to go on.')
    if status:
      raise ValueError(f'{self.name} failed, see above. Its directory is '
                       f'{self.path}.')


def _wait_for(command):
  """Exit status of a process, which signals are passed on to."""
  # In a session of its own: a terminal would send Ctrl-C to both.
  with subprocess.Popen(command, start_new_session=True) as process:
    def pass_on(number, frame):
      del frame
      process.send_signal(number)

    previous = {number: signal.signal(number, pass_on)
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
      return process.wait()
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)


def command_flags(command):
  """The `DataclassFlags` of a command.

  Args:
    command: Name of its module.
  """
  module = importlib.import_module(command)
  return [value for value in vars(module).values()
          if isinstance(value, dataclass_flags.DataclassFlags)]


def check_changes(command, changes):
  """Checks that a command has a flag for all that is changed.

  Args:
    command: Name of its module.
    changes: {field: value}.

  Raises:
    ValueError: If it has none.
  """
  known = [name for group in command_flags(command) for name in group.fields]
  for name in set(changes) - set(known):
    remedy = '; the data set is --task or --target' if name == 'tasks' else ''
    raise ValueError(f'--{name} cannot be given: the model that is there '
                     f'decides it. Leave it out{remedy}.')


def arguments(command, changes):
  """The arguments that give a command some values, by its own flags.

  Args:
    command: Name of its module.
    changes: {field: value}, of fields that it has flags for.
  """
  groups = {name: group for group in command_flags(command)
            for name in group.fields}
  return [text for name, value in changes.items()
          for text in groups[name].arguments({name: value})]


def comparable(config):
  """'config' of run.json, as runs are compared.

  The origin follows from the source, whose path may be given in many ways.
  """
  config = {name: value for name, value in config.items() if name != 'origin'}
  for part in {'transfer', 'adaptation'} & set(config):
    source = str(pathlib.Path(config[part]['source']).resolve())
    config[part] = {**config[part], 'source': source}
  return config


def identity(config):
  """Text that all seeds of a row share, of 'config' of run.json."""
  config = comparable(config)
  seed = config.pop('seed')
  # 2 and 2.0 are one number.
  config = json.loads(json.dumps(config), parse_int=float)
  text = json.dumps(config, sort_keys=True)
  # Each seed may have its own model, in a directory of that seed.
  return text.replace(f'/seed{seed}"', '/seed"')


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
    ValueError: If a directory holds another run, before anything runs; or if
      a run fails or is stopped.
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

  A finished run of the same configuration but for the seed is the measure; if
  there is none, all of the same kind whose length is given in the same unit
  (epochs or steps), in proportion to length and layers. What a run that was
  stopped has done is taken off.

  Args:
    jobs: `Job`s to do, which begin runs.
    workdir: Directory of the table.

  Returns:
    Seconds, or None if there is no measure of one of them.
  """
  measured = []  # (configuration, kind, seconds for each unit of work)
  for path in pathlib.Path(workdir).rglob(records.RESULTS):
    if (path.parent / records.RUN).exists():
      config = records.read_run(path.parent)['config']
      kind, work = _work(config)
      measured.append(
          (identity(config), kind, _seconds(path.parent) / work))
  total = 0
  for job in jobs:
    kind, work = _work(job.config)
    same = [m for m in measured if m[0] == identity(job.config)]
    like = same or [m for m in measured if m[1] == kind]
    if not like:
      return None
    share = statistics.median(m[2] for m in like)
    total += max(0, work * share - _seconds(job.path))
  return total


def _work(config):
  """(kind of run with its unit, number of these times layers)."""
  unit = 'epochs' if config['steps'] is None else 'steps'
  kind = (unit, 'transfer' in config)
  if 'adaptation' in config:  # each method and model has its own pace
    asked = comparable(config)['adaptation']
    kind += (asked['method'],
             asked['source'].removesuffix(f'/seed{config["seed"]}'))
  return kind, config['model']['num_layers'] * config[unit]


def _seconds(path):
  """Seconds of training that a run has logged."""
  lines = records.read_lines(path / records.METRICS)
  return max((line.get('seconds', 0) for line in lines), default=0)
