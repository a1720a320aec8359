"""Adversarial discriminative domain adaptation (sections 4.4 and D.3)."""

import tensorflow as tf

from trainers.adaptation import discriminator as discriminator_lib
from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer
from trainers.runs import checkpoints


class AdversarialAdaptation:
  """ADDA: the target learns to fool a discriminator of domains.

  The discriminator sees the body's last features, before the output adapter.
  Both learn at once: it to tell sources from the target, the target to be
  taken for a source. For some steps before, the discriminator learns alone,
  and nothing of the target moves.

  Args:
    network: `TargetNetwork`.
    config: `AdaptationConfig`.
    run: `RunConfig`.
    steps: Number of steps in which the target learns.

  Source: Tzeng et al. (2017); section D.3. Pretraining and label smoothing
    are our choice.
  """

  def __init__(self, network, config, run, steps):
    self._network = network
    self._smoothing = config.label_smoothing
    self._discriminator = discriminator_lib.Discriminator()
    self._discriminator.build((None, None, None, network.model.config.channels))
    self._optimizer = target_optimizer.TargetOptimizer(
        network.variables, run.optimizer, steps)
    self._opponent = target_optimizer.adam(
        config.network_optimizer(run.optimizer),
        config.pretraining_steps + steps)
    self._opponent.build(self._discriminator.trainable_variables)
    self.predict = network.predict

  def state(self):
    """{key: variable} besides the model's."""
    parts = {
        'discriminator': {
            str(number): variable for number, variable
            in enumerate(self._discriminator.variables)},
        'discriminator_optimizer': checkpoints.optimizer_variables(
            self._opponent),
        'target_optimizer': self._optimizer.state()}
    return {f'{part}/{key}': variable for part, variables in parts.items()
            for key, variable in variables.items()}

  def predictor_variables(self):
    """{key: variable} that `predict` needs besides the model's: none."""
    return {}

  def pretrain(self, step, sources, images):
    """One update of the discriminator alone; as `adapt`."""
    del step
    features, embedding = self._network.encode(images, move_statistics=False)
    source_features = self._encode(sources)
    fooling = discriminator_lib.fooling_loss(self._discriminator(features))
    scalars = self._train_discriminator(source_features, features)
    return self._report(fooling, scalars, embedding)

  def adapt(self, step, sources, images):
    """One update of the target and of the discriminator.

    Args:
      step: Scalar integer tensor; not used.
      sources: {domain: (images, labels)}; the labels are not used.
      images: `[b, H, W, 3]` of the target.

    Returns:
      {name: scalar}: 'loss', that of the target, and others.
    """
    del step
    network = self._network
    source_features = self._encode(sources)
    with tf.GradientTape() as tape:
      features, embedding = network.encode(images)
      fooling = discriminator_lib.fooling_loss(self._discriminator(features))
      objective = fooling + network.weight_decay()
    gradients = tape.gradient(objective, network.variables)
    # Both see the other as it was before the step.
    scalars = self._train_discriminator(source_features, features)
    self._optimizer.apply(gradients)
    return self._report(fooling, scalars, embedding)

  def _encode(self, sources):
    return [features for features, _
            in self._network.encode_sources(sources).values()]

  def _train_discriminator(self, source_features, features):
    features = tf.stop_gradient(features)
    sizes = [tf.shape(each)[0] for each in (*source_features, features)]
    variables = self._discriminator.trainable_variables
    with tf.GradientTape() as tape:
      logits = self._discriminator(
          tf.concat([*source_features, features], axis=0))
      *of_sources, of_target = tf.split(logits, sizes, num=len(sizes))
      loss = discriminator_lib.discriminator_loss(
          of_sources, of_target, self._smoothing)
    self._opponent.apply_gradients(
        zip(tape.gradient(loss, variables), variables))
    return {'discriminator/loss': loss,
            'discriminator/top1': discriminator_lib.accuracy(
                of_sources, of_target)}

  def _report(self, fooling, scalars, embedding):
    return {'loss': fooling, **scalars, **target_network.batch_scores(
        self._network.target, self.predict(embedding))}
