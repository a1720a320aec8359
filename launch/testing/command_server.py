"""For tests: runs commands in processes that need not import anything anew.

`python -m launch.testing.command_server` imports the commands and forks a
process for each request, a line of JSON on its standard input.
"""

import atexit
import functools
import importlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback
from unittest import mock

import numpy as np
import tensorflow as tf

from launch import adapt  # noqa: F401
from launch import entry
from launch import evaluate  # noqa: F401
from launch import train  # noqa: F401
from launch import transfer  # noqa: F401
from trainers import loop
from trainers.runs import checkpoints

_ROOT = pathlib.Path(__file__).parents[2]
_numbers = itertools.count()
ENVIRONMENT = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}


class Command:
  """A running command.

  Args:
    name: Of a module of `launch`, such as 'train'.
    *flags: Its flags.
    directory: Where its output is kept, and where it runs.
    environment: {name: value} to set.
    cpus: Number of logical CPUs.
    state: File for the trainer's state after training, or None.

  Attributes:
    pid: Its process.
  """

  def __init__(self, name, *flags, directory, environment=None, cpus=1,
               state=None):
    number = next(_numbers)
    self._output = [
        f'{directory}/{number}.{stream}' for stream in ('out', 'err')]
    self.pid = _ask({
        'name': name, 'flags': flags, 'environment': environment or {},
        'output': self._output, 'cpus': cpus, 'directory': str(directory),
        'state': state and str(state)})

  def wait(self):
    """(exit status, standard output, standard error)."""
    status = os.waitstatus_to_exitcode(_ask({'wait': self.pid}))
    return status, *(pathlib.Path(path).read_text() for path in self._output)


def wait_for(condition, seconds=60):
  """Waits until a condition holds; an error after too long."""
  end = time.monotonic() + seconds
  while not condition():
    if time.monotonic() > end:
      raise TimeoutError(f'Nothing came in {seconds} s.')
    time.sleep(0.005)


@functools.cache
def _server():
  server = subprocess.Popen(
      [sys.executable, '-m', 'launch.testing.command_server'], cwd=_ROOT,
      text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
  atexit.register(lambda: (server.stdin.close(), server.stdout.close(),
                           server.wait()))
  return server


def _ask(request):
  server = _server()
  server.stdin.write(json.dumps(request) + '\n')
  server.stdin.flush()
  return int(server.stdout.readline())


def _serve():
  for line in sys.stdin:
    request = json.loads(line)
    if 'wait' in request:
      print(os.waitpid(request['wait'], 0)[1], flush=True)
      continue
    pid = os.fork()
    if not pid:
      _become(**request)  # does not come back
    print(pid, flush=True)


def _become(name, flags, environment, output, cpus, directory, state):
  """Runs the command in this process, and ends it."""
  os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
  for number, path in enumerate(output, 1):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
  os.environ.update(environment)
  os.chdir(directory)
  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * cpus)
  sys.argv = [name, *flags]
  command = importlib.import_module(f'launch.{name}')
  with mock.patch.object(loop, 'run', functools.partial(
      _run_and_save, loop.run, state)):
    status = _status(command)
  if environment:
    sys.exit(status)  # workers take leave of one another
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)  # the regular way takes a second


def _status(command):
  try:
    entry.run(command.main, command.FLAGS)
  except SystemExit as stop:
    return stop.code or 0
  except BaseException:
    traceback.print_exc()
  return 1


def _run_and_save(run, state, trainer, *args, **kwargs):
  seconds = run(trainer, *args, **kwargs)
  if state:
    np.savez(state, **{key.replace('/', '|'): array for key, array
                       in checkpoints.snapshot(trainer.state()).items()})
  return seconds


if __name__ == '__main__':
  _serve()
