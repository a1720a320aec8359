"""Tests of turns, ratios and straight lines."""

import functools
import time
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.benchmarks import timing


class TurnsTest(parameterized.TestCase):

  def test_all_take_turns(self):
    calls = []
    seconds = timing.Turns(rounds=2, seconds=0).take(
        {name: functools.partial(calls.append, name) for name in 'ab'})
    self.assertEqual(''.join(calls), 'aabb' + 'bbaa')  # one is not timed
    self.assertEqual({name: len(s) for name, s in seconds.items()},
                     {'a': 2, 'b': 2})

  def test_turn_lasts_so_long(self):
    now, cost = [0.0], {'slow': 0.7, 'quick': 0.125}

    def work(name):
      now[0] += cost[name]

    with mock.patch.object(time, 'perf_counter', lambda: now[0]):
      seconds = timing.Turns(rounds=1, seconds=0.5).take(
          {name: functools.partial(work, name) for name in cost})
    np.testing.assert_allclose(seconds['slow'], [0.7])
    np.testing.assert_allclose(seconds['quick'], [0.125])
    self.assertAlmostEqual(now[0], 2 * 0.7 + 5 * 0.125)

  @parameterized.parameters(
      {'rounds': 0}, {'seconds': -1}, {'processes': 0})
  def test_refuses(self, **values):
    with self.assertRaisesRegex(ValueError, 'Expected 1 round or more'):
      timing.Turns(**values)


class NumbersTest(parameterized.TestCase):

  def test_ratios_are_of_speeds(self):
    seconds = {'a': [1.0, 2.0], 'b': [2.0, 1.0]}
    self.assertEqual(timing.ratios(seconds, 'a', 'b'), [2.0, 0.5])

  def test_spread(self):
    self.assertEqual(timing.spread([3, 1, 2.5]), '1.00 / 2.50 / 3.00')

  def test_line_is_that_of_least_squares(self):
    x, y = np.array([1.0, 2, 4, 8]), np.array([3.1, 4.9, 9.2, 16.8])
    line = timing.Line.fit(x.tolist(), y.tolist())
    # slope = cov(x, y) / var(x); R2 = the correlation's square.
    slope = np.mean((x - x.mean()) * (y - y.mean())) / np.var(x)
    self.assertAlmostEqual(line.slope, slope)
    self.assertAlmostEqual(line.intercept, y.mean() - slope * x.mean())
    self.assertAlmostEqual(line.r2, np.corrcoef(x, y)[0, 1] ** 2)

  @parameterized.parameters(
      ([2, 4], '0 + 2 n, R2 1.000'), ([4, 2], '6 - 2 n, R2 1.000'),
      ([3, 3], '3 + 0 n, R2 1.000'))
  def test_line_is_described(self, y, expected):
    line = timing.Line.fit([1, 2], y)
    line = timing.Line(*(round(value, 9) + 0.0 for value in (
        line.slope, line.intercept, line.r2)))
    self.assertEqual(line.describe('n'), expected)


if __name__ == '__main__':
  absltest.main()
