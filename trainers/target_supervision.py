"""The upper bound: a target's own parts, trained on its labels (Table 3).

Like the unsupervised methods, but for the labels: same parts, start, batches
and statistics. A class of its own, so that no other can read labels.
"""

import tensorflow as tf

from trainers import adaptation
from trainers import target_network
from trainers import target_optimizer


class SupervisedTargetTrainer(adaptation.AdaptationTrainer):
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


class _CrossEntropy:
  """Minimises the cross-entropy on the target, with dropout."""

  def __init__(self, network, config, run, steps):
    self._network = network
    self._seed = run.seed
    self._optimizer = target_optimizer.TargetOptimizer(
        network.variables, run.optimizer, steps)
    self.predict = network.predict

  def state(self):
    """{key: variable} besides the model's."""
    return {f'target_optimizer/{key}': variable
            for key, variable in self._optimizer.state().items()}

  def predictor_variables(self):
    """{key: variable} that `predict` needs besides the model's: none."""
    return {}

  def adapt(self, step, sources, target):
    """One update; `target` is (images, labels)."""
    del sources
    network = self._network
    images, labels = target
    with tf.GradientTape() as tape:
      _, embedding = network.encode(images)
      dropped = network.drop(embedding, self._seed, step)
      loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
          labels=labels, logits=network.head(dropped)))
      objective = loss + network.weight_decay()
    self._optimizer.apply(tape.gradient(objective, network.variables))
    return {'loss': loss, **target_network.batch_scores(
        network.target, self.predict(embedding))}
