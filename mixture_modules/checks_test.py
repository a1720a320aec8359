"""Checks of arguments."""

import dataclasses
import typing
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

  @parameterized.parameters(2 ** 31, 10 ** 400)
  def test_no_whole_number_is_beyond_counting(self, value):
    for check in (checks.positive_integer, lambda *args: checks.at_least(
        *args, least=2)):
      with self.assertRaisesRegex(
          ValueError, '^Expected n to be at most 2,147,483,647, received '):
        check('n', value)
      self.assertEqual(check('n', 2 ** 31 - 1), 2 ** 31 - 1)

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

  def make(self, **values):
    @dataclasses.dataclass(frozen=True)
    class Config:
      kind: Literal['a', 'b'] = 'a'
      half: Literal['first'] | None = None
      sizes: int | tuple[int, ...] = 1
      rate: float = 1.0
      names: tuple[str, ...] | None = None
      flag: bool = False
      pair: tuple[float, float] = (0.0, 1.0)
      other: typing.Any = None

      def __post_init__(self):
        checks.types(self)

    return Config(**values)

  def test_types_pass(self):
    config = self.make(
        kind='b', half='first', sizes=[np.int64(2), 3], rate=np.float32(0.5),
        names=['x'], flag=np.True_, pair=[1, 2], other=object)
    self.assertEqual(config.sizes, (2, 3))
    self.assertEqual(config.names, ('x',))
    for value, kind in ((config.sizes[0], int), (config.rate, float),
                        (config.flag, bool), (self.make(rate=2).rate, int)):
      self.assertIs(type(value), kind)

  @parameterized.parameters(
      ({'kind': 'c'}, "^Expected kind to be one of a, b, received 'c': give"),
      ({'kind': None}, '^Expected kind to be one of a, b, received None'),
      ({'half': 'c'}, "^Expected half to be one of first or None, received"),
      ({'sizes': 8.5}, 'a whole number or a list, each a whole number, rec'),
      ({'sizes': (8.5,)}, r'received \(8.5,\)'),
      ({'sizes': True}, 'received True'),
      ({'rate': '1'}, "Expected rate to be a number, received '1'"),
      ({'names': 'x'}, r"each text or None, received 'x': write \('x',\)\.$"),
      ({'flag': 1}, 'Expected flag to be True or False, received 1'),
      ({'pair': (1.0,)}, 'Expected pair to be a list of 2, each a number'))
  def test_types_refuse(self, values, message):
    with self.assertRaisesRegex(ValueError, message):
      self.make(**values)

  def test_is_a(self):
    self.assertEqual(checks.is_a('x', 3, int), 3)
    with self.assertRaisesRegex(ValueError, "x to be a dict, received 3"):
      checks.is_a('x', 3, dict)

  @parameterized.parameters(1, .5, np.float32(2), np.int64(3))
  def test_numbers_pass(self, value):
    self.assertIs(type(checks.positive('x', value)), float)
    self.assertEqual(checks.positive('x', value), value)
    self.assertIs(type(checks.not_negative('x', 0 * value)), float)
    self.assertEqual(checks.in_range('x', value, 0, 4), value)


if __name__ == '__main__':
  absltest.main()
