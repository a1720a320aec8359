"""The three updates of moment matching against NumPy (section D.4)."""

import dataclasses
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.adaptation import target_optimizer
from trainers.testing import toy
from trainers.testing import toy_adaptation

_STEP = tf.constant(3, tf.int64)
_WEIGHT = 0.5  # lambda


def _softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def _into_logits(p, gradient):
  """A gradient of softmax's values p as one of its logits."""
  return p * (gradient - (p * gradient).sum(-1, keepdims=True))


def _of_head(x, of_logits):
  """A gradient of logits as those of kernel and bias."""
  return [x.T @ of_logits, of_logits.sum(0)]


class MomentMatchingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.trainer = toy_adaptation.make_trainer(
        'm3sda', moment_weight=_WEIGHT)
    self.network, self.method = self.trainer.network, self.trainer._method
    rng = np.random.default_rng(0)
    self.heads = []
    for head in self.method._heads:  # far apart, and from the sources'
      for weight in head.weights:
        weight.assign(rng.normal(size=weight.shape))
      self.heads.append([weight.numpy() for weight in head.weights])
    batch = next(self.trainer.batches(0))
    self.sources, self.images = batch['sources'], batch['target']

  def _updates(self, update='adapt', instead=lambda: None):
    """Gradients of the updates of a step, none of which is made.

    Args:
      update: Method that makes a step.
      instead: Called for each update of the heads.
    """
    found = []

    def record(gradients):
      found.append([gradient.numpy() for gradient, _ in gradients])
      instead()

    def record_target(gradients):
      found.append({name: g.numpy() for name, g in gradients.items()})

    with (mock.patch.object(self.method._head_optimizer, 'apply_gradients',
                            record),
          mock.patch.object(self.method._pretraining, 'apply_gradients',
                            record),
          mock.patch.object(self.method._optimizer, 'apply', record_target)):
      scalars = getattr(self.method, update)(_STEP, self.sources, self.images)
    return found, {name: float(value) for name, value in scalars.items()}

  def _drop(self, embedding, number=0):
    return self.network.drop(embedding, 0, _STEP, number).numpy()

  def _probabilities(self, x):
    return [_softmax(x @ kernel + bias) for kernel, bias in self.heads]

  def _of_sources(self):
    """Gradient of both heads' cross-entropy, summed; mean over sources."""
    total = [0.0] * 4
    encoded = self.network.encode_sources(self.sources)
    for number, (name, (_, labels)) in enumerate(self.sources.items(), 1):
      x = self._drop(encoded[name][1], number)
      right = np.eye(self.heads[0][1].size)[labels.numpy()]
      gradient = [part for p in self._probabilities(x)
                  for part in _of_head(x, (p - right) / len(x))]
      total = [a + b / len(self.sources) for a, b in zip(total, gradient)]
    return total

  def _discrepancy(self, x):
    one, other = self._probabilities(x)
    return np.mean(np.abs(one - other))

  def _of_discrepancy(self, x):
    one, other = self._probabilities(x)
    sign = np.sign(one - other) / one.size
    return [*_of_head(x, _into_logits(one, sign)),
            *_of_head(x, _into_logits(other, -sign))]

  def _target(self):
    return self.network.encode(self.images, move_statistics=False)[1]

  def _assert_close(self, found, expected):
    self.assertLen(found, len(expected))
    for one, other in zip(found, expected):
      self.assertAllClose(one, other, 1e-4, 1e-5)

  def test_a_and_b(self):
    """A: min CE. B: min CE - mean |p1 - p2|, on the target."""
    (first, second, _), _ = self._updates()
    of_sources = self._of_sources()
    of_discrepancy = self._of_discrepancy(self._drop(self._target()))
    self.assertGreater(np.abs(of_discrepancy[0]).max(), 1e-3)
    self._assert_close(first, of_sources)
    self._assert_close(
        second, [a - b for a, b in zip(of_sources, of_discrepancy)])

  def test_each_update_sees_the_heads_of_the_one_before(self):
    start = self.heads

    def shrink_heads():
      for head in self.method._heads:
        head.set_weights([0.8 * weight for weight in head.get_weights()])

    (first, second, _), scalars = self._updates(instead=shrink_heads)
    embedding = self._drop(self._target())
    for factor, check in (
        (1.0, lambda: self._assert_close(first, self._of_sources())),
        (0.8, lambda: self._assert_close(second, [
            a - b for a, b in zip(
                self._of_sources(), self._of_discrepancy(embedding))])),
        (0.64, lambda: self.assertAllClose(
            scalars['discrepancy'], self._discrepancy(embedding), 1e-4))):
      self.heads = [[factor * weight for weight in head] for head in start]
      check()

  def test_pretraining_trains_the_second_head_alone(self):
    (only,), _ = self._updates('pretrain')
    self._assert_close(only, self._of_sources()[2:])

  @parameterized.parameters('embedding', 'body')
  def test_c(self, matched):
    """C: min mean |p1 - p2| + lambda (target part + source part)."""
    self.method._options = dataclasses.replace(
        self.method._options, moment_features=matched)
    (*_, third), scalars = self._updates()
    logits, = self.network.variables.values()
    gradient, = third.values()

    def moments_of(features, embedding):
      x = (embedding.numpy() if matched == 'embedding'
           else np.mean(features, (1, 2)))
      return [np.mean(x ** k, 0) for k in (1, 2)]

    moments = [moments_of(*encoded) for encoded
               in self.network.encode_sources(self.sources).values()]

    def distance(one, other):
      return sum(np.sqrt(np.sum((a - b) ** 2)) for a, b in zip(one, other))

    between = distance(*moments)  # of the only pair

    def objective():
      features, embedding = self.network.encode(
          self.images, move_statistics=False)
      own = moments_of(features, embedding)
      to_target = np.mean([distance(each, own) for each in moments])
      return (self._discrepancy(self._drop(embedding))
              + _WEIGHT * (to_target + between))

    self.assertAllClose(scalars['loss'], objective(), 1e-4)
    self.assertAllClose(scalars['moments/sources'], between, 1e-4)
    length = np.linalg.norm(gradient)
    self.assertAllClose(toy_adaptation.slope(
        logits, gradient / length, objective, 0.02), length, 0.05)

  def test_rates_end_with_the_last_step(self):
    """D.4: from 1e-4 to 1e-5 over the adaptation, of the heads, too."""
    rates, batches = [], self.trainer.batches(0)
    with toy.eagerly():
      for step in range(toy_adaptation.STEPS):
        rates.append(float(self.method._head_optimizer.learning_rate))
        self.trainer.train_step(tf.constant(step, tf.int64), next(batches))
    adapted = rates[toy_adaptation.PRETRAINING:]
    network = target_optimizer.network_config(
        self.trainer._run.optimizer, self.trainer._config.options)
    self.assertAllClose(adapted[0], network.learning_rate)
    self.assertTrue(np.all(np.diff(adapted) < 0), adapted)
    # One update short of the last, whose rate is the schedule's end.
    self.assertGreater(adapted[-1], network.final_learning_rate)
    self.assertAllClose(float(self.method._head_optimizer.learning_rate),
                        network.final_learning_rate)


if __name__ == '__main__':
  tf.test.main()
