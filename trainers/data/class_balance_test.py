"""Tests of choosing few examples, with equal shares of the classes."""

from absl.testing import absltest
import numpy as np

from trainers.data import class_balance


class ClassBalanceTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    # Cyclic, as some data sets are stored, but for one class of two.
    self.labels = np.append(np.arange(60) % 6, [6, 6])

  def test_ranks_count_within_classes(self):
    found = class_balance.ranks(self.labels, 1)
    for label, count in enumerate(np.bincount(self.labels)):
      self.assertCountEqual(found[self.labels == label], range(count))
    np.testing.assert_array_equal(class_balance.ranks(self.labels, 1), found)
    self.assertTrue((class_balance.ranks(self.labels, 2) != found).any())

  def test_choice_is_exact_and_balanced(self):
    for count, counts in ((6 * 4 + 2, {2, 4}), (59, {2, 9, 10}), (99, {2, 10}),
                          (10, {1, 2})):
      found = class_balance.choose(self.labels, count, 3)
      self.assertLen(set(found), min(count, 62))
      self.assertEqual(found.tolist(), sorted(found))
      self.assertEqual(set(np.bincount(self.labels[found])), counts)
    few = [class_balance.choose(self.labels, 7, seed) for seed in (3, 4, 3)]
    np.testing.assert_array_equal(few[0], few[2])
    self.assertNotEqual(few[0].tolist(), few[1].tolist())

  def test_so_many_of_a_class_at_most(self):
    found = class_balance.choose(self.labels, 99, 3, per_class=3)
    self.assertEqual(
        np.bincount(self.labels[found]).tolist(), [3, 3, 3, 3, 3, 3, 2])
    self.assertLen(class_balance.choose(self.labels, 5, 3, per_class=3), 5)


if __name__ == '__main__':
  absltest.main()
