"""Moment matching for multi-source domain adaptation (sections 4.4, D.4)."""

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from mixture_modules import checks
from trainers import optimizers
from trainers.adaptation import method
from trainers.adaptation import moments
from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer
from trainers.runs import checkpoints

MOMENT_FEATURES = ('embedding', 'body')
_PRETRAINING_RATE = 1e-2  # of Adam, for the second head alone


class MomentMatching(method.Method):
  """M3SDA: two heads that are to agree on a target with the sources' moments.

  The trainer owns both heads: a copy of the sources' and one of another
  initialisation, which learns first, alone, on the sources' features, which
  do not change. Then each step has three updates:

      A: heads minimise the cross-entropy CE on the sources;
      B: heads minimise CE - discrepancy on the target;
      C: the target minimises discrepancy + weight * moment distance.

  The prediction is the mean of both heads' softmaxes. Nothing of a source is
  trained, so that its moments are constants.

  Source: Peng et al. (2019); sections 4.4 and D.4, which has one learning
    rate, here that of heads and weights, and 15 epochs for DomainNet.
  """

  name = 'm3sda'
  help = 'matches moments'
  reads_sources = True
  optimizer = optimizers.OptimizerConfig(
      learning_rate=1e-4, final_learning_rate=1e-5, mixture_learning_rate=1e-2,
      schedule='linear')
  epochs = {**method.Method.epochs, 'domainnet': 15}

  @dataclasses.dataclass(frozen=True)
  class Options:
    """Options of M3SDA.

    Args:
      network_learning_rate: First learning rate of the two heads (D.4).
      network_final_learning_rate: Last learning rate of the two heads.
      pretraining_steps: Steps before all others, in which the second head
        learns alone.
      moment_weight: Lambda, the weight of the moment distance beside the
        discrepancy.
      moment_features: What moments are taken of: embedding, which the heads
        see, or body, the mean over positions of the body's last features.

    Raises:
      ValueError: If a value is out of range.
    """

    network_learning_rate: float = 1e-4
    network_final_learning_rate: float = 1e-5
    pretraining_steps: int = 100
    moment_weight: float = 0.01
    moment_features: Literal[*MOMENT_FEATURES] = 'embedding'

    def __post_init__(self):
      checks.positive('network_learning_rate', self.network_learning_rate)
      checks.not_negative(
          'network_final_learning_rate', self.network_final_learning_rate)
      checks.at_least('pretraining_steps', self.pretraining_steps, 0)
      checks.not_negative('moment_weight', self.moment_weight)
      checks.literals(self)

  def __init__(self, network, options, run, steps):
    super().__init__(network, options, run, steps)
    optimizer, seed = run.optimizer, run.seed
    self._heads = [_copy(network.head, seed + number) for number in (1, 2)]
    for copied, weight in zip(self._heads[0].weights, network.head.weights):
      copied.assign(weight)
    # A and B: two updates a step.
    network_optimizer = target_optimizer.network_config(optimizer, options)
    self._head_optimizer = target_optimizer.adam(
        dataclasses.replace(
            network_optimizer, warmup_steps=2 * optimizer.warmup_steps),
        2 * steps)
    self._head_optimizer.build(self._head_variables())
    self._pretraining = keras.optimizers.Adam(_PRETRAINING_RATE)
    self._pretraining.build(self._heads[1].trainable_weights)
    self.predict = self._predict

  @classmethod
  def source_batch_size(cls, batch_size, num_domains):
    """Each domain has a batch as large as the target's: its moments count."""
    del num_domains
    return batch_size

  @classmethod
  def check(cls, options, optimizer, steps):
    """See `Method.check`."""
    super().check(options, optimizer, steps)
    target_optimizer.network_config(optimizer, options)

  def _head_variables(self):
    return [weight for head in self._heads for weight in head.trainable_weights]

  def state(self):
    """{key: variable} besides the model's."""
    parts = {
        'head_optimizer': checkpoints.optimizer_variables(
            self._head_optimizer),
        'pretraining_optimizer': checkpoints.optimizer_variables(
            self._pretraining),
        'target_optimizer': self._optimizer.state()}
    return {f'{part}/{key}': variable for part, variables in parts.items()
            for key, variable in variables.items()}

  def predictor_variables(self):
    """{key: variable} that `predict` needs besides the model's: the heads."""
    return {f'{number}/{weight.name}': weight
            for number, head in enumerate(self._heads, 1)
            for weight in head.weights}

  def _predict(self, embedding):
    """Probabilities `[b, classes]`: the mean of both heads' softmaxes."""
    return _mean_softmax([head(embedding) for head in self._heads])

  @classmethod
  def saved_predictor(cls, arrays):
    """See `Method.saved_predictor`."""
    def predict(embedding):
      embedding = tf.cast(embedding, tf.float32)
      return _mean_softmax([
          embedding @ arrays[f'{number}/kernel'] + arrays[f'{number}/bias']
          for number in (1, 2)])
    return predict

  def pretrain(self, step, sources, target):
    """One update of the second head alone; as `adapt`."""
    encoded = self._network.encode_sources(sources)
    features, embedding = self._network.encode(target, move_statistics=False)
    second = self._heads[1]
    with tf.GradientTape() as tape:
      loss = self._cross_entropy(step, sources, encoded, [second])
    weights = second.trainable_weights
    self._pretraining.apply_gradients(
        zip(tape.gradient(loss, weights), weights))
    return self._report(
        loss, self._aim(encoded, features, embedding, step), sources, encoded,
        embedding)

  def adapt(self, step, sources, target):
    """One update of the heads on the sources, of the heads, of the target.

    The body does not change between the updates: one forward pass of each
    domain serves all three. 'loss' is that of update C; see `Method.adapt`.
    """
    network = self._network
    encoded = network.encode_sources(sources)
    with tf.GradientTape() as tape:
      features, embedding = network.encode(target)
      seen = tf.stop_gradient(embedding)
      with tape.stop_recording():
        self._update_heads(step, sources, encoded, None)  # A
        cross_entropy = self._update_heads(step, sources, encoded, seen)  # B
      aim = self._aim(encoded, features, embedding, step)
      objective = aim['loss'] + network.weight_decay()
    self._optimizer.apply(tape.gradient(objective, network.variables))  # C
    return self._report(cross_entropy / 2, aim, sources, encoded, embedding)

  def _update_heads(self, step, sources, encoded, embedding):
    """Updates A (`embedding` None) and B; returns the cross-entropy."""
    variables = self._head_variables()
    with tf.GradientTape() as tape:
      cross_entropy = self._cross_entropy(step, sources, encoded, self._heads)
      loss = cross_entropy
      if embedding is not None:
        loss -= self._discrepancy(embedding, step)
    self._head_optimizer.apply_gradients(
        zip(tape.gradient(loss, variables), variables))
    return cross_entropy

  def _cross_entropy(self, step, sources, encoded, heads):
    """Sum over heads of the mean over sources, on dropped embeddings."""
    losses = []
    for number, (name, (_, labels)) in enumerate(sources.items(), 1):
      embedding = self._network.drop(
          encoded[name][1], self._seed, step, number)
      losses += [tf.reduce_mean(
          tf.nn.sparse_softmax_cross_entropy_with_logits(
              labels=labels, logits=head(embedding))) for head in heads]
    return tf.add_n(losses) / len(sources)  # mean over sources, sum over heads

  def _discrepancy(self, embedding, step):
    # One mask for both heads: they are compared on the same embedding.
    embedding = self._network.drop(embedding, self._seed, step)
    return moments.discrepancy(*(head(embedding) for head in self._heads))

  def _aim(self, encoded, features, embedding, step):
    """{name: scalar} of update C: its loss and the parts of it."""
    target = self._matched(features, embedding)
    to_target, between = moments.moment_distances(
        [self._matched(*source) for source in encoded.values()], target)
    discrepancy = self._discrepancy(embedding, step)
    return {'loss': discrepancy
                    + self._options.moment_weight * (to_target + between),
            'discrepancy': discrepancy, 'moments/target': to_target,
            'moments/sources': between}

  def _matched(self, features, embedding):
    """What moments are taken of, `[b, d]`."""
    if self._options.moment_features == 'body':
      return tf.reduce_mean(tf.cast(features, tf.float32), axis=(1, 2))
    return tf.cast(embedding, tf.float32)

  def _report(self, cross_entropy, aim, sources, encoded, embedding):
    right = [tf.reduce_mean(tf.cast(
        labels == tf.argmax(self.predict(encoded[name][1]), -1, labels.dtype),
        tf.float32)) for name, (_, labels) in sources.items()]
    return {**aim, 'sources/loss': cross_entropy,
            'sources/top1': tf.reduce_mean(right),
            **target_network.batch_scores(
                self._network.target, self.predict(embedding))}


def _mean_softmax(logits):
  return tf.add_n([tf.nn.softmax(each) for each in logits]) / len(logits)


def _copy(head, seed):
  """A head of the same size, of another initialisation."""
  layer = keras.layers.Dense(
      head.units, dtype='float32',
      kernel_initializer=keras.initializers.GlorotUniform(seed=seed))
  layer.build((None, head.kernel.shape[0]))
  return layer
