"""Checks of arguments."""

import dataclasses
from typing import Literal

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from mixture_modules import checks


class ChecksTest(parameterized.TestCase):

  def test_says_expected_received_and_remedy(self):
    with self.assertRaisesRegex(
        ValueError, "^Expected rho to be below 1, received 'a': try 0.9.$"):
      checks.require(False, 'rho', 'below 1', 'a', 'try 0.9')
    checks.require(True, 'rho', 'below 1', 0.5, 'try 0.9')

  @parameterized.parameters(3, np.int64(3), np.uint8(3))
  def test_integers_become_pythons(self, value):
    for number in (checks.positive_integer('n', value),
                   checks.at_least('n', value, 3)):
      self.assertEqual(number, 3)
      self.assertIs(type(number), int)

  @parameterized.parameters(
      0, -1, 2.0, np.float32(2), '4', None, True, np.True_, ([1],))
  def test_positive_integer_refuses(self, value):
    with self.assertRaisesRegex(
        ValueError, '^Expected n to be a positive integer, received .*: give'):
      checks.positive_integer('n', value)

  @parameterized.parameters(1, -1, 2.0, '4', None, True)
  def test_at_least_refuses(self, value):
    with self.assertRaisesRegex(
        ValueError, '^Expected n to be a whole number from 2 on, .*: try 2.$'):
      checks.at_least('n', value, 2)

  @parameterized.parameters(0, -1., np.inf, np.nan, '1', None, True)
  def test_positive_refuses(self, value):
    with self.assertRaisesRegex(
        ValueError, '^Expected x to be positive and finite, received .*: give'):
      checks.positive('x', value)

  @parameterized.parameters(-1., np.inf, np.nan, '0', None, False)
  def test_not_negative_refuses(self, value):
    with self.assertRaisesRegex(
        ValueError, '^Expected x to be finite and not neg.*, received .*: giv'):
      checks.not_negative('x', value)

  @parameterized.parameters(-.1, 1, np.nan, '0', None, False)
  def test_in_range_refuses(self, value):
    with self.assertRaisesRegex(
        ValueError, r'^Expected x to be in \[0, 1\), received .*: try 0.9.$'):
      checks.in_range('x', value, 0, 1, 'try 0.9')

  def test_one_of(self):
    self.assertEqual(checks.one_of('kind', 'a', ('a', 'b')), 'a')
    with self.assertRaisesRegex(
        ValueError, "^Expected kind to be one of a, None, received 'b': use"):
      checks.one_of('kind', 'b', ('a', None))

  def test_literals(self):
    @dataclasses.dataclass
    class Config:
      kind: Literal['a', 'b'] = 'a'
      half: Literal['first'] | None = None
      other: int | None = None

    checks.literals(Config())
    checks.literals(Config('b', 'first', 'anything'))
    for values, message in (
        (('c',), "^Expected kind to be one of a, b, received 'c': use"),
        ((None,), '^Expected kind to be one of a, b, received None'),
        (('a', 'c'), "^Expected half to be one of first, None, received 'c'")):
      with self.assertRaisesRegex(ValueError, message):
        checks.literals(Config(*values))

  @parameterized.parameters(1, .5, np.float32(2), np.int64(3))
  def test_numbers_pass(self, value):
    self.assertIs(type(checks.positive('x', value)), float)
    self.assertEqual(checks.positive('x', value), value)
    self.assertIs(type(checks.not_negative('x', 0 * value)), float)
    self.assertEqual(checks.in_range('x', value, 0, 4), value)


if __name__ == '__main__':
  absltest.main()
