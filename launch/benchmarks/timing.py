"""Times calls in turns, so that a machine whose speed drifts treats all alike.

A part of the benchmark is a table, lines under it, and JSON.

Ratios are taken turn by turn, between neighbours in time: of a drifting
machine they are worth more than any absolute figure. Our choice.
"""

import dataclasses
import statistics
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Turns:
  """How long is timed.

  Args:
    rounds: Turns of each.
    seconds: Least length of a turn; at least one call is made in it.
    processes: Fresh processes for each figure that needs its own.

  Raises:
    ValueError: If a value is out of range.
  """

  rounds: int = 7
  seconds: float = 0.5
  processes: int = 1

  def __post_init__(self):
    if self.rounds < 1 or self.seconds < 0 or self.processes < 1:
      raise ValueError(
          'Expected 1 round or more, turns of 0 seconds or more, and 1 process '
          f'or more; received {self}.')

  def take(self, calls):
    """Calls all in turn, again and again, there and back.

    Args:
      calls: {name: function of nothing}.

    Returns:
      {name: seconds of a call, one number for each turn}.
    """
    seconds = {name: [] for name in calls}
    order = list(calls.items())
    for _ in range(self.rounds):
      for name, call in order:
        call()  # the caches are the last one's
        count, began = 0, time.perf_counter()
        while not count or time.perf_counter() - began < self.seconds:
          call()
          count += 1
        seconds[name].append((time.perf_counter() - began) / count)
      order.reverse()  # a drift is against another one next time
    return seconds


def ratios(seconds, one, other):
  """How many times as fast one is as another, turn by turn."""
  return [b / a for a, b in zip(seconds[one], seconds[other])]


def spread(values, form='.2f'):
  """Minimum, median and maximum as text."""
  return ' / '.join(format(value, form) for value in (
      min(values), statistics.median(values), max(values)))


@dataclasses.dataclass(frozen=True)
class Line:
  """The straight line of least squares through some points.

  Args:
    slope: Of y for each unit of x.
    intercept: y at x = 0.
    r2: Share of y's variance that it explains, at most 1; 1 of a constant y.
  """

  slope: float
  intercept: float
  r2: float

  @classmethod
  def fit(cls, x, y):
    """The line through points.

    Args:
      x: Numbers, at least two of them different.
      y: As many numbers.
    """
    slope, intercept = np.polyfit(x, y, 1)
    rest = np.subtract(y, slope * np.asarray(x) + intercept)
    variance = np.var(y)
    r2 = 1 - np.mean(rest ** 2) / variance if variance else 1.0
    return cls(float(slope), float(intercept), float(r2))

  def describe(self, x):
    """Such as '12.1 + 3.2 num_layers, R2 0.998'."""
    return (f'{self.intercept:.4g} {"-" if self.slope < 0 else "+"} '
            f'{abs(self.slope):.4g} {x}, R2 {self.r2:.3f}')


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
  return spread([1e3 * seconds for seconds in turns], form)


def speed(turns, images):
  """Cells for the milliseconds of a call and for the images a second.

  Args:
    turns: Seconds of a call, one number for each turn.
    images: Of a call.
  """
  return (milliseconds(turns, '.2f'),
          spread([images / seconds for seconds in turns], '.0f'))


def ratios_of(title, seconds, pairs):
  """{'TITLE, ONE against OTHER': how many times as fast, by turn}.

  Args:
    title: Of the part.
    seconds: As from `Turns.take`.
    pairs: {one: others}; those that were not timed are left out.
  """
  return {f'{title}, {one} against {other}': ratios(seconds, one, other)
          for one, others in pairs.items() for other in others
          if other in seconds}


def ratio_lines(values):
  """Lines of `ratios_of`."""
  return [f'{name}: {spread(turns)}' for name, turns in values.items()]
