"""Which operations a training step spends its time in (our choice)."""

import collections
import pathlib
import re
import tempfile

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from launch.benchmarks import contenders
from launch.benchmarks import timing

_MOST_ROWS = 20
_XLA_KERNEL = re.compile(r'[\w.\-]+fusion')
_OPERATION = re.compile(r'[^:]+:(\w+)')


def profile(config, turns):
  """Operations of our step, by their time from begin to end."""
  step = contenders.training(config)[contenders.OURS]()
  found = operations(step, turns.rounds)
  total = sum(ms for _, ms in found.values())
  rows = [('operation', 'calls a step', 'ms a step', '% of all')]
  rows += [(name, f'{calls:.0f}', f'{ms:.2f}', f'{100 * ms / total:.1f}')
           for name, (calls, ms) in list(found.items())[:_MOST_ROWS]]
  line = (f'All: {total:.1f} ms, from begin to end of each: some run at once. '
          'Names that end in fusion are kernels compiled by XLA.')
  return timing.Part(rows, [line], {'operations': found})


def operations(call, steps):
  """{type of operation: (calls, milliseconds) of a step}, the longest first.

  Args:
    call: Function of nothing that does one step.
    steps: How many are watched, after one that is not.
  """
  call()
  with tempfile.TemporaryDirectory() as directory:
    with tf.profiler.experimental.Profile(directory):
      for _ in range(steps):
        call()
    path, = pathlib.Path(directory).rglob('*.xplane.pb')
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
  calls, milliseconds = collections.Counter(), collections.Counter()
  for plane in space.planes:
    names = {key: _operation(value.name)
             for key, value in plane.event_metadata.items()}
    for line in plane.lines:
      for event in line.events:
        name = names.get(event.metadata_id)
        if name:
          calls[name] += 1
          milliseconds[name] += event.duration_ps / 1e9
  return {name: (calls[name] / steps, ms / steps)
          for name, ms in milliseconds.most_common()}


def _operation(event):
  """The type of the operation that an event is of, or None."""
  if _XLA_KERNEL.fullmatch(event):
    return event
  # TensorFlow has NODE:TYPE; CLASS::METHOD and the rest are of its runtime.
  found = _OPERATION.fullmatch(event)
  return found and found[1]
