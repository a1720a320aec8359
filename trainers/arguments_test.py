"""Tests of the error of a bad argument."""

import tensorflow as tf

from trainers import arguments


class ArgumentsTest(tf.test.TestCase):

  def test_says_expected_received_and_remedy(self):
    with self.assertRaisesRegex(
        ValueError, "^Expected `rho` to be below 1; received 'a'. Try 0.9.$"
    ):
      arguments.require(False, 'rho', 'below 1', 'a', 'Try 0.9.')
    arguments.require(True, 'rho', 'below 1', 0.5, 'Try 0.9.')


if __name__ == '__main__':
  tf.test.main()
