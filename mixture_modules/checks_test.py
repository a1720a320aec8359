"""Checks of arguments."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from mixture_modules import checks


class ChecksTest(parameterized.TestCase):

  @parameterized.parameters(3, np.int64(3), np.uint8(3))
  def test_positive_integers_become_pythons(self, value):
    number = checks.positive_integer('n', value)
    self.assertEqual(number, 3)
    self.assertIs(type(number), int)

  @parameterized.parameters(
      0, -1, 2.0, np.float32(2), '4', None, True, np.True_, ([1],))
  def test_others_are_refused(self, value):
    with self.assertRaisesRegex(ValueError, '^n must be a positive integer, '):
      checks.positive_integer('n', value)

  @parameterized.parameters(0, -1., np.inf, np.nan, '1', None, True)
  def test_positive_refuses(self, value):
    with self.assertRaisesRegex(ValueError, '^x must be positive and finite, '):
      checks.positive('x', value)

  @parameterized.parameters(-1., np.inf, np.nan, '0', None, False)
  def test_not_negative_refuses(self, value):
    with self.assertRaisesRegex(ValueError, '^x must be finite and not neg'):
      checks.not_negative('x', value)

  @parameterized.parameters(1, .5, np.float32(2), np.int64(3))
  def test_numbers_pass(self, value):
    self.assertIs(type(checks.positive('x', value)), float)
    self.assertEqual(checks.positive('x', value), value)
    self.assertIs(type(checks.not_negative('x', 0 * value)), float)


if __name__ == '__main__':
  absltest.main()
