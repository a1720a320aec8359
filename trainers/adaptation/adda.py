"""Adversarial discriminative domain adaptation (sections 4.4 and D.3)."""

import dataclasses

import tensorflow as tf

from mixture_modules import checks
from trainers import optimizers
from trainers.adaptation import discriminator as discriminator_lib
from trainers.adaptation import method
from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer
from trainers.runs import checkpoints


class AdversarialAdaptation(method.Method):
  """ADDA: the target learns to fool a discriminator of domains.

  The discriminator sees the body's last features, before the output adapter.
  Both learn at once: it to tell sources from the target, the target to be
  taken for a source. For some steps before, the discriminator learns alone,
  and nothing of the target moves.

  Source: Tzeng et al. (2017); section D.3, with the discriminator's rates.
    Pretraining, label smoothing and the target's rates are our choice.
  """

  name = 'adda'
  help = 'is adversarial'
  reads_sources = True
  features_only = True
  optimizer = optimizers.OptimizerConfig(
      learning_rate=2e-5, final_learning_rate=1e-6, mixture_learning_rate=2e-3,
      schedule='polynomial')

  @dataclasses.dataclass(frozen=True)
  class Options:
    """Options of ADDA.

    Args:
      network_learning_rate: First learning rate of the discriminator (D.3).
      network_final_learning_rate: Last learning rate of the discriminator.
      label_smoothing: How far the discriminator's labels are from 0 and 1.
      pretraining_steps: Steps before all others, in which the discriminator
        learns alone.

    Raises:
      ValueError: If a value is out of range.
    """

    network_learning_rate: float = 2e-4
    network_final_learning_rate: float = 1e-5
    label_smoothing: float = 0.1
    pretraining_steps: int = 100

    def __post_init__(self):
      checks.positive('network_learning_rate', self.network_learning_rate)
      checks.not_negative(
          'network_final_learning_rate', self.network_final_learning_rate)
      checks.in_range('label_smoothing', self.label_smoothing, 0, 0.5)
      checks.at_least('pretraining_steps', self.pretraining_steps, 0)

  def __init__(self, network, options, run, steps):
    super().__init__(network, options, run, steps)
    self._discriminator = discriminator_lib.Discriminator()
    self._discriminator.build((None, None, None, network.model.config.channels))
    self._opponent = target_optimizer.adam(
        target_optimizer.network_config(run.optimizer, options),
        self.pretraining_steps + steps)
    self._opponent.build(self._discriminator.trainable_variables)

  @classmethod
  def check(cls, options, optimizer, steps):
    """See `Method.check`."""
    super().check(options, optimizer, steps)
    target_optimizer.network_config(optimizer, options)

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

  def pretrain(self, step, sources, target):
    """One update of the discriminator alone; as `adapt`."""
    del step
    features, embedding = self._network.encode(target, move_statistics=False)
    source_features = self._encode(sources)
    fooling = discriminator_lib.fooling_loss(self._discriminator(features))
    scalars = self._train_discriminator(source_features, features)
    return self._report(fooling, scalars, embedding)

  def adapt(self, step, sources, target):
    """One update of the target and of the discriminator; see `Method.adapt`.

    Labels of the sources are not used. 'loss' is the target's.
    """
    del step
    network = self._network
    source_features = self._encode(sources)
    with tf.GradientTape() as tape:
      features, embedding = network.encode(target)
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
          of_sources, of_target, self._options.label_smoothing)
    self._opponent.apply_gradients(
        zip(tape.gradient(loss, variables), variables))
    return {'discriminator/loss': loss,
            'discriminator/top1': discriminator_lib.accuracy(
                of_sources, of_target)}

  def _report(self, fooling, scalars, embedding):
    return {'loss': fooling, **scalars, **target_network.batch_scores(
        self._network.target, self.predict(embedding))}
