"""Source-free adaptation by information maximisation (beyond the paper)."""

import tensorflow as tf

from trainers import target_network
from trainers import target_optimizer


class InformationMaximization:
  """Makes predictions on the target sure, and of every class as often.

  Minimises

      E[H[p]] - H[E[p]]

  over a batch of the target, whose predictions p come from the head of the
  sources, which stays. No image of a source is needed.

  Args:
    network: `TargetNetwork`.
    config: `AdaptationConfig`.
    run: `RunConfig`.
    steps: Number of steps.

  Source: our choice; Krause et al. (2010), Liang et al. (2020).
  """

  def __init__(self, network, config, run, steps):
    del config
    self._network = network
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

  def adapt(self, step, sources, images):
    """One update of the target.

    Args:
      step: Scalar integer tensor; not used.
      sources: {source: (images, labels)}; not used.
      images: `[b, H, W, 3]` of the target.

    Returns:
      {name: scalar}, 'loss' among them.
    """
    del step, sources
    network = self._network
    with tf.GradientTape() as tape:
      _, embedding = network.encode(images)
      probabilities = self.predict(embedding)
      _, information = target_network.entropies(probabilities)
      loss = -information
      objective = loss + network.weight_decay()
    self._optimizer.apply(tape.gradient(objective, network.variables))
    return {'loss': loss, **target_network.batch_scores(
        network.target, probabilities)}
