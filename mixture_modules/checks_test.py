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


if __name__ == '__main__':
  absltest.main()
