"""Time to the end of step 1, and peak memory, in a process of its own.

What a process has traced before makes the next trace quicker, and its peak of
memory never falls: each figure needs a fresh process. It reads a JSON object
on its standard input and writes one. Our choice.
"""

import json
import pathlib
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).parents[2]
_STEPS = 3  # until memory has its peak


def measure(config, contender):
  """Trains a few steps in a fresh process.

  Args:
    config: `RunConfig`.
    contender: A name of `contenders.training`.

  Returns:
    {'seconds': from building the model to the end of step 1, 'peak_bytes':
    largest resident memory of the process, 'bytes_before': the same before
    the model was built, 'loss': of step 1}.

  Raises:
    ValueError: If the process fails.
  """
  request = json.dumps({'config': config.to_json(), 'contender': contender})
  # Output of libraries goes the way of the errors.
  done = subprocess.run(
      [sys.executable, '-m', 'launch.benchmarks.process'], cwd=_ROOT,
      input=request, capture_output=True, text=True, check=False)
  if done.returncode:
    raise ValueError(
        f'Expected a measurement of {contender!r} in a process of its own, '
        f'received exit status {done.returncode}: {done.stderr[-1000:]}')
  return json.loads(done.stdout.splitlines()[-1])


def peak_bytes():
  """Largest resident memory of this process until now.

  A process inherits `ru_maxrss` from the one that started it; Linux' VmHWM
  is its own.
  """
  status = pathlib.Path('/proc/self/status')
  if status.exists():
    for line in status.read_text().splitlines():
      if line.startswith('VmHWM:'):
        return int(line.split()[1]) * 1024
  import resource  # not everywhere

  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _serve():
  # Only here: the one that asks need not load them again.
  import tensorflow as tf

  from launch.benchmarks import contenders
  from launch.benchmarks import pytorch
  from trainers.runs import run_config

  request = json.load(sys.stdin)
  config = run_config.RunConfig.from_json(request['config'])
  make = contenders.training(config)[request['contender']]
  tf.constant(0)  # TensorFlow starts up
  if request['contender'] in contenders.TORCHES:
    pytorch.describe()  # and PyTorch
  before = peak_bytes()
  began = time.perf_counter()
  step = make()
  loss = step()
  seconds = time.perf_counter() - began
  for _ in range(_STEPS - 1):
    step()
  print(json.dumps({'seconds': seconds, 'peak_bytes': peak_bytes(),
                    'bytes_before': before, 'loss': loss}))


if __name__ == '__main__':
  _serve()
