"""Tests of moments and discrepancy against NumPy (sections 4.4, D.4)."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.adaptation import moments


def make_features(num_domains, seed=0, examples=7, dimensions=5):
  rng = np.random.default_rng(seed)
  return [rng.normal(domain, 1 + domain, (examples + domain, dimensions))
          .astype('float32') for domain in range(num_domains)]


def direct_distances(sources, target):
  """Both parts, written out as sums over orders and pairs."""
  def distance(one, other, order):
    one, other = (np.mean(x.astype('float64') ** order, 0)
                  for x in (one, other))
    return np.sqrt(np.sum((one - other) ** 2))

  count = len(sources)
  to_target = between = 0.0
  for order in (1, 2):
    for i in range(count):
      to_target += distance(sources[i], target, order) / count
      for j in range(i):
        between += distance(sources[i], sources[j], order) / (
            count * (count - 1) / 2)
  return to_target, between


class MomentsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(1, 2, 3, 5)
  def test_matches_numpy(self, num_sources):
    *sources, target = make_features(num_sources + 1)
    found = moments.moment_distances(sources, target)
    self.assertAllClose(found, direct_distances(sources, target), rtol=1e-5)

  def test_one_source_has_no_pair(self):
    source, target = make_features(2)
    self.assertEqual(moments.moment_distances([source], target)[1], 0)

  def test_second_moment_is_not_centred(self):
    features = np.array([[1.0, 2.0], [3.0, 4.0]], 'float32')
    first, second = moments.raw_moments(features)
    self.assertAllEqual(first, [2, 3])
    self.assertAllEqual(second, [5, 10])

  def test_order_of_sources_does_not_matter(self):
    one, two, three, target = make_features(4)
    self.assertAllClose(
        moments.moment_distances([one, two, three], target),
        moments.moment_distances([three, one, two], target), rtol=1e-6)

  def test_equal_domains_have_a_finite_gradient(self):
    features = tf.constant(make_features(1)[0])
    with tf.GradientTape() as tape:
      tape.watch(features)
      distance, between = moments.moment_distances(
          [features.numpy()] * 2, features)
    self.assertAllClose((distance, between), (2e-6, 2e-6))
    self.assertAllEqual(
        tape.gradient(distance, features), tf.zeros_like(features))

  def test_discrepancy_matches_numpy(self):
    logits = np.random.default_rng(0).normal(size=(2, 6, 4))
    one, other = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    self.assertAllClose(
        moments.discrepancy(*logits.astype('float32')),
        np.abs(one - other).mean(), rtol=1e-5)

  def test_discrepancy_of_opposite_heads(self):
    logits = 100 * np.eye(5, dtype='float32')
    self.assertAllClose(
        moments.discrepancy(logits, np.roll(logits, 1, -1)), 2 / 5)


if __name__ == '__main__':
  tf.test.main()
