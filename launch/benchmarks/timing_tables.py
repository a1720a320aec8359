"""What a part of the benchmark found: a table, lines under it, and JSON."""

import dataclasses

from launch.benchmarks import timing as timing


@dataclasses.dataclass(frozen=True)
class Part:
  """What a part found.

  Args:
    rows: Of its table, strings; the first is the head.
    lines: Under it.
    numbers: For JSON.
  """

  rows: list
  lines: list
  numbers: dict


def milliseconds(turns, form='.1f'):
  """Seconds of a call, one number for each turn, as text."""
  return timing.spread([1e3 * seconds for seconds in turns], form)


def speed(turns, images):
  """Cells for the milliseconds of a call and for the images a second.

  Args:
    turns: Seconds of a call, one number for each turn.
    images: Of a call.
  """
  return (milliseconds(turns, '.2f'),
          timing.spread([images / seconds for seconds in turns], '.0f'))


def ratios(title, seconds, pairs):
  """{'TITLE, ONE against OTHER': how many times as fast, by turn}.

  Args:
    title: Of the part.
    seconds: As from `Turns.take`.
    pairs: {one: others}; those that were not timed are left out.
  """
  return {f'{title}, {one} against {other}': timing.ratios(seconds, one, other)
          for one, others in pairs.items() for other in others
          if other in seconds}


def ratio_lines(values):
  """Lines of `ratios`."""
  return [f'{name}: {timing.spread(turns)}' for name, turns in values.items()]
