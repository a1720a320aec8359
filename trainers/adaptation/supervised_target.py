"""The upper bound: a target's own parts, trained on its labels (Table 3)."""

import tensorflow as tf

from trainers import optimizers
from trainers.adaptation import method


class SupervisedTarget(method.LossMethod):
  """Minimises the cross-entropy on the target, with dropout.

  Parts, start, batches and statistics are those of the unsupervised methods.

  Source: section 4.4 ("supervised mixture weights finetuning"); rates are our
    choice.
  """

  name = 'supervised'
  help = "is the upper bound, the only one that sees the target's labels"
  reads_labels = True
  optimizer = optimizers.OptimizerConfig(
      learning_rate=1e-3, final_learning_rate=5e-5, mixture_learning_rate=5e-2,
      schedule='linear')
  watch_every = 0  # an upper bound is not to be ended

  def loss(self, step, target):
    """(Mean cross-entropy, probabilities) of (images, labels)."""
    network = self._network
    images, labels = target
    _, embedding = network.encode(images)
    dropped = network.drop(embedding, self._seed, step)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=network.head(dropped))), self.predict(embedding)
