"""The upper bound: a target's own parts, trained on its labels (Table 3).

Like the unsupervised methods, but for the labels: same parts, start, batches
and statistics. A class of its own, so that no other can read labels.
"""

import tensorflow as tf

from trainers.adaptation import adaptation_trainer
from trainers.adaptation import source_free


class SupervisedTargetTrainer(adaptation_trainer.AdaptationTrainer):
  """Trains a target on its labels.

  Args:
    *args: As for `AdaptationTrainer`.
    labelled: `TaskData` of the target.
    **kwargs: As for `AdaptationTrainer`.

  Source: section 4.4 ("supervised mixture weights finetuning").
  """

  def __init__(self, *args, labelled, **kwargs):
    self._labelled = labelled
    super().__init__(*args, **kwargs)

  def _make_method(self, steps):
    return _CrossEntropy(
        self.network, self._config, self._run, steps)

  def _target_batches(self, start_step):
    return self._labelled.train_batches(
        self._run.batch_size, self._run.seed, start_step)


class _CrossEntropy(source_free.SourceFreeMethod):
  """Minimises the cross-entropy on the target, with dropout."""

  def loss(self, step, target):
    """(Mean cross-entropy, probabilities) of (images, labels)."""
    network = self._network
    images, labels = target
    _, embedding = network.encode(images)
    dropped = network.drop(embedding, self._seed, step)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=network.head(dropped))), self.predict(embedding)
