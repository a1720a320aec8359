"""What methods that read no source share: the target alone learns."""

import abc

import tensorflow as tf

from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer


class SourceFreeMethod(abc.ABC):
  """A method that lowers a loss on the target's batches.

  The head of the sources, which stays, predicts.

  Args:
    network: `TargetNetwork`.
    config: `AdaptationConfig`.
    run: `RunConfig`.
    steps: Number of steps.
  """

  def __init__(self, network, config, run, steps):
    del config
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

  @abc.abstractmethod
  def loss(self, step, target):
    """What an update lowers.

    Args:
      step: Scalar integer tensor.
      target: A batch of the target.

    Returns:
      The loss, a scalar, and the batch's probabilities `[b, classes]`.
    """

  def adapt(self, step, sources, target):
    """One update of the target.

    Args:
      step: Scalar integer tensor, for dropout.
      sources: {}; not used.
      target: A batch of the target, as `loss` takes it.

    Returns:
      {name: scalar}, 'loss' among them.
    """
    del sources
    network = self._network
    with tf.GradientTape() as tape:
      loss, probabilities = self.loss(step, target)
      objective = loss + network.weight_decay()
    self._optimizer.apply(tape.gradient(objective, network.variables))
    return {'loss': loss, **target_network.batch_scores(
        network.target, probabilities)}
