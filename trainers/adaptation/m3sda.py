"""Moment matching for multi-source domain adaptation (sections 4.4, D.4)."""

import dataclasses

import keras
import tensorflow as tf

from trainers.adaptation import moments
from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer
from trainers.runs import checkpoints

_PRETRAINING_RATE = 1e-2  # of Adam, for the second head alone


class MomentMatching:
  """M3SDA: two heads that are to agree on a target with the sources' moments.

  The trainer owns both heads: a copy of the sources' and one of another
  initialisation, which learns first, alone, on the sources' features, which
  do not change. Then each step has three updates:

      A: heads minimise the cross-entropy CE on the sources;
      B: heads minimise CE - discrepancy on the target;
      C: the target minimises discrepancy + weight * moment distance.

  The prediction is the mean of both heads' softmaxes. Nothing of a source is
  trained, so that its moments are constants.

  Args:
    network: `TargetNetwork`.
    config: `AdaptationConfig`.
    run: `RunConfig`.
    steps: Number of steps in which the target learns.

  Source: Peng et al. (2019); sections 4.4 and D.4.
  """

  def __init__(self, network, config, run, steps):
    optimizer, seed = run.optimizer, run.seed
    self._network = network
    self._config = config
    self._seed = seed
    self._heads = [_copy(network.head, seed + number) for number in (1, 2)]
    for copied, weight in zip(self._heads[0].weights, network.head.weights):
      copied.assign(weight)
    # A and B: two updates a step.
    network_optimizer = config.network_optimizer(optimizer)
    self._head_optimizer = target_optimizer.adam(
        dataclasses.replace(
            network_optimizer, warmup_steps=2 * optimizer.warmup_steps),
        2 * steps)
    self._head_optimizer.build(self._head_variables())
    self._pretraining = keras.optimizers.Adam(_PRETRAINING_RATE)
    self._pretraining.build(self._heads[1].trainable_weights)
    self._optimizer = target_optimizer.TargetOptimizer(
        network.variables, optimizer, steps)

  def _head_variables(self):
    return [weight for head in self._heads for weight in head.trainable_weights]

  def state(self):
    """{key: variable} besides the model's."""
    parts = {
        'trainer_heads': self.predictor_variables(),
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

  def predict(self, embedding):
    """Probabilities `[b, classes]`: the mean of both heads' softmaxes."""
    return _mean_softmax([head(embedding) for head in self._heads])

  def pretrain(self, step, sources, images):
    """One update of the second head alone; as `adapt`."""
    encoded = self._network.encode_sources(sources)
    features, embedding = self._network.encode(images, move_statistics=False)
    second = self._heads[1]
    with tf.GradientTape() as tape:
      loss = self._cross_entropy(step, sources, encoded, [second])
    weights = second.trainable_weights
    self._pretraining.apply_gradients(
        zip(tape.gradient(loss, weights), weights))
    return self._report(
        loss, self._aim(encoded, features, embedding, step), sources, encoded,
        embedding)

  def adapt(self, step, sources, images):
    """One update of the heads on the sources, of the heads, of the target.

    The body does not change between the updates: one forward pass of each
    domain serves all three.

    Args:
      step: Scalar integer tensor, for dropout.
      sources: {domain: (images, labels)}.
      images: `[b, H, W, 3]` of the target.

    Returns:
      {name: scalar}: 'loss', that of update C, and others.
    """
    network = self._network
    encoded = network.encode_sources(sources)
    with tf.GradientTape() as tape:
      features, embedding = network.encode(images)
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
                    + self._config.moment_weight * (to_target + between),
            'discrepancy': discrepancy, 'moments/target': to_target,
            'moments/sources': between}

  def _matched(self, features, embedding):
    """What moments are taken of, `[b, d]`."""
    if self._config.moment_features == 'body':
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


def saved_predictor(arrays):
  """`MomentMatching.predict` with the heads of a checkpoint.

  Args:
    arrays: {key: array} of `MomentMatching.predictor_variables`.
  """
  def predict(embedding):
    embedding = tf.cast(embedding, tf.float32)
    return _mean_softmax([
        embedding @ arrays[f'{number}/kernel'] + arrays[f'{number}/bias']
        for number in (1, 2)])
  return predict


def _mean_softmax(logits):
  return tf.add_n([tf.nn.softmax(each) for each in logits]) / len(logits)


def _copy(head, seed):
  """A head of the same size, of another initialisation."""
  layer = keras.layers.Dense(
      head.units, dtype='float32',
      kernel_initializer=keras.initializers.GlorotUniform(seed=seed))
  layer.build((None, head.kernel.shape[0]))
  return layer
