"""Tests of the label-free scores."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.adaptation import label_free_scores as scores


def make_probabilities(sharpness, examples=50, classes=4, seed=0):
  logits = sharpness * np.random.default_rng(seed).normal(
      size=(examples, classes))
  return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


class LabelFreeScoresTest(parameterized.TestCase, tf.test.TestCase):

  def test_entropy_and_information_written_out(self):
    p = make_probabilities(2.0)
    mean_entropy = np.mean([-sum(x * np.log(x) for x in row) for row in p])
    mean = p.mean(0)
    self.assertAllClose(scores.entropy(p), mean_entropy)
    self.assertAllClose(
        scores.information(p),
        -sum(x * np.log(x) for x in mean) - mean_entropy)

  def test_extremes(self):
    uniform, sure = np.full((8, 4), 0.25), np.tile(np.eye(4), (2, 1))
    one_class = np.tile([[1.0, 0, 0, 0]], (8, 1))
    for p, entropy, information, count in (
        (uniform, np.log(4), 0, 4), (sure, 0, np.log(4), 4),
        (one_class, 0, 0, 1)):
      self.assertAllClose(scores.entropy(p), entropy)
      self.assertAllClose(scores.information(p), information)
      self.assertAllClose(scores.num_classes_predicted(p), count)

  def test_density_written_out(self):
    p = make_probabilities(1.0, examples=6)
    entropies = []
    for i in range(6):
      similar = np.array([
          np.exp(p[i] @ p[j] / np.linalg.norm(p[i]) / np.linalg.norm(p[j])
                 / 0.05) for j in range(6) if j != i])
      similar /= similar.sum()
      entropies.append(-np.sum(similar * np.log(similar)))
    self.assertAllClose(scores.density(p), np.mean(entropies))

  @parameterized.parameters((4, 10), (20, 2))
  def test_density_counts_neighbours(self, clusters, size):
    sure = np.tile(np.eye(clusters), (size, 1))
    self.assertAllClose(scores.density(sure), np.log(size - 1), atol=1e-3)

  def test_density_of_many_examples_takes_some(self):
    p = make_probabilities(1.0, examples=4001)
    self.assertAllClose(scores.density(p), scores.density(p[::3]))

  @parameterized.named_parameters(
      ('alike', 0.0, 0.4, 0.6), ('near', 1.0, 0.6, 0.85),
      ('far', 10.0, 1.0, 1.0))
  def test_domain_accuracy(self, shift, least, most):
    rng = np.random.default_rng(0)
    source = rng.normal(size=(400, 6))
    target = rng.normal(size=(150, 6))
    target[:, 2] += shift
    found = scores.domain_accuracy(source, target)
    self.assertBetween(found, least, most)
    # What does not vary tells nothing, and units do not matter.
    widened = [np.concatenate([100 * x, np.ones((len(x), 1))], 1)
               for x in (source, target)]
    self.assertAllClose(scores.domain_accuracy(*widened), found, atol=0.01)

  def test_domain_accuracy_of_more_features_than_examples(self):
    rng = np.random.default_rng(0)
    found = scores.domain_accuracy(
        rng.normal(size=(20, 60)), rng.normal(size=(10, 60)))
    self.assertBetween(found, 0.2, 0.8)

  def test_which_is_better(self):
    self.assertTrue(scores.is_better('entropy', 1, 2))
    self.assertTrue(scores.is_better('information', 2, 1))
    self.assertFalse(scores.is_better('density', 1, 1))
    self.assertTrue(scores.is_better('domain_accuracy', 0.5, 0.6))


if __name__ == '__main__':
  tf.test.main()
