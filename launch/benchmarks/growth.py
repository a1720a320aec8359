"""The parts of the benchmark that see how its figures grow.

Over the number of tasks, K, L and the batch, with the straight lines through
them (section 4.1; how they are taken is our choice). Each part gives a `Part`.
"""

import dataclasses
import statistics

from launch.benchmarks import contenders
from launch.benchmarks import process
from launch.benchmarks import pytorch
from launch.benchmarks import timing

_MOST_TASKS = 3  # of the first step
_FIELDS = {'num_templates': int, 'num_layers': int, 'num_tasks': int,
           'batch_size': int, 'precision': str}
_MIXED, _PLAIN = 'training', 'training, plain'
_UNFOLDED, _FOLDED = 'inference', 'inference, folded'
_KINDS = (_MIXED, _PLAIN, _UNFOLDED, _FOLDED)


def first_step(config, turns):
  """From building the model to the end of step 1, and peak memory."""
  counts = range(1, _MOST_TASKS + 1)
  asked = {f'ours, {count} task(s)': (with_tasks(config, count),
                                      contenders.OURS) for count in counts}
  asked[contenders.STOCK] = config, contenders.STOCK
  if pytorch.is_compared():
    asked[contenders.TORCH] = config, contenders.TORCH
  found = _in_processes(asked, turns)
  rows = [('first step', 's', 'peak MB', 'MB before')]
  rows += [(name, timing.spread(_each(runs, 'seconds'), '.1f'),
            f'{_megabytes(runs):.0f}',
            f'{_megabytes(runs, "bytes_before"):.0f}')
           for name, runs in found.items()]
  lines, fits = _fit('num_tasks', counts, _process_series(
      list(found.values())[:_MOST_TASKS]))
  return timing.Part(rows, lines, {'processes': found, 'fits': fits})


@dataclasses.dataclass(frozen=True)
class Variation:
  """Values of one field of a run, and the runs that have them.

  Args:
    field: One of num_templates, num_layers, num_tasks, batch_size, precision.
    configs: {value: `RunConfig`}.
  """

  field: str
  configs: dict

  @classmethod
  def parse(cls, text, config):
    """The variation of 'num_templates:4,8'.

    Args:
      text: Field and values.
      config: `RunConfig` that has all other fields.

    Raises:
      ValueError: If it is not a known field with a list of its values.
    """
    field, _, values = text.partition(':')
    try:
      values = [_FIELDS[field](value) for value in values.split(',')]
    except (KeyError, ValueError):
      raise ValueError(
          f'Expected FIELD:VALUE,VALUE with a field of {list(_FIELDS)}, '
          f'received {text!r}. Try num_templates:4,8,16.') from None
    return cls(field, {
        value: with_tasks(config, value) if field == 'num_tasks' else
        config.replace(**{field: value}) for value in values})


def variation(varied, turns):
  """Steps, inference and memory over the values of one field.

  All networks live in one process and take turns; the first step and memory
  are of a fresh process for each value.

  Args:
    varied: `Variation`.
    turns: `Turns`.
  """
  calls = {(kind, value): call for value, config in varied.configs.items()
           for kind, call in _make_calls(config).items()}
  seconds = turns.take(calls)
  found = _in_processes({value: (config, contenders.OURS) for value, config
                         in varied.configs.items()}, turns)
  seconds = {kind: {value: seconds[kind, value] for value in found}
             for kind in _KINDS}
  mixed_to_plain = {
      value: [a / b for a, b in zip(mixed, seconds[_PLAIN][value])]
      for value, mixed in seconds[_MIXED].items()}
  rows = [(varied.field, *map(str, found))]
  rows += [(f'{kind}, ms', *map(timing.milliseconds, each.values()))
           for kind, each in seconds.items()]
  rows += [('mixed to plain, time', *map(
      timing.spread, mixed_to_plain.values())),
           ('first step, s', *(timing.spread(_each(runs, 'seconds'), '.1f')
                               for runs in found.values())),
           ('peak memory, MB', *(f'{_megabytes(runs):.0f}'
                                 for runs in found.values()))]
  lines, fits = [], {}
  if varied.field == 'precision':
    lines = ['Folded networks compute in float32.']
  elif len(found) > 2:  # two lie on any
    lines, fits = _fit(varied.field, found, {
        **{f'{kind}, ms': [1e3 * statistics.median(turn)
                           for turn in each.values()]
           for kind, each in seconds.items()},
        **_process_series(found.values())})
  return timing.Part(rows, lines, {
      'seconds': seconds, 'mixed_to_plain': mixed_to_plain,
      'processes': found, 'fits': fits})


def _make_calls(config):
  """{kind: contender} of a value; of several tasks, inference is of all."""
  config = config.replace(clustering=0.0)
  images, _ = contenders.make_batch(config)
  infer = contenders.Inference(config).ours(images)
  return {_MIXED: contenders.ours_training(config),
          _PLAIN: contenders.ours_training(contenders.plain(config)),
          _UNFOLDED: infer[contenders.OURS],
          _FOLDED: infer[contenders.FOLDED]}


def with_tasks(config, count):
  """The run with so many tasks, each with a batch."""
  return config.replace(tasks=tuple(f'task {i + 1}' for i in range(count)))


def _in_processes(asked, turns):
  """{name: what `process.measure` found}, all in turn."""
  found = {name: [] for name in asked}
  for _ in range(turns.processes):
    for name, (config, contender) in asked.items():
      found[name].append(process.measure(config, contender))
  return found


def _each(runs, key):
  return [run[key] for run in runs]


def _megabytes(runs, key='peak_bytes'):
  return statistics.median(_each(runs, key)) / 1e6


def _process_series(groups):
  """{what grows: its medians}, of the processes of each value."""
  groups = list(groups)
  return {'first step, s': [statistics.median(_each(runs, 'seconds'))
                            for runs in groups],
          'peak memory, MB': [_megabytes(runs) for runs in groups]}


def _fit(field, values, series):
  """Straight lines, as text and for JSON.

  Args:
    field: What grows.
    values: Its values.
    series: {name: one number for each value}.
  """
  lines = {name: timing.Line.fit(list(values), y)
           for name, y in series.items()}
  return ([f'{name}: {line.describe(field)}' for name, line in lines.items()],
          {name: dataclasses.asdict(line) for name, line in lines.items()})
