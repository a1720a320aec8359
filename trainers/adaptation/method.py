"""What a method of adaptation is: one class in one file (sections 4.4, D).

A new method is a class in a file of its own, its test, and a line of
`methods.METHODS`; its defaults, its options and their flags come from there.
"""

import abc
import dataclasses

import tensorflow as tf

from trainers import optimizers
from trainers.adaptation import target_network
from trainers.adaptation import target_optimizer


@dataclasses.dataclass(frozen=True)
class NoOptions:
  """The options of a method that has none."""


class Method(abc.ABC):
  """A method of adaptation: its update, and who predicts.

  By default the head of the sources, which stays, predicts.

  Class attributes:
    name: What configurations call it.
    help: What it does, a few words that follow the name.
    trains: Whether anything is trained; a method that trains nothing is never
      instantiated.
    reads_sources: Whether it gets labelled batches of the sources.
    reads_labels: Whether the target's batches have their labels.
    features_only: Whether it sees the body's features alone, so that the
      output adapter, behind them, cannot be trained.
    optimizer: `OptimizerConfig` that its runs begin with.
    epochs: {experiment: passes over the target}; that of '' is of all others.
    watch_every: Steps between measurements of the label-free score.
    Options: Frozen dataclass of what this method alone has, each field with a
      default and a paragraph of Args. Of a method with `pretrain` the field
      `pretraining_steps` says how many steps come before all others.

  Args:
    network: `TargetNetwork`.
    options: `Options`.
    run: `RunConfig`.
    steps: Number of steps in which the target learns.

  Attributes:
    predict: Function from embeddings `[b, c2]` to probabilities.
    pretraining_steps: Number of calls of `pretrain` before the first `adapt`.
  """

  name: str
  help: str
  trains = True
  reads_sources = False
  reads_labels = False
  features_only = False
  optimizer = optimizers.OptimizerConfig()
  # 10 for digits and 20 for DomainNet are the paper's (D.2). Webcam has 300
  # images.
  epochs = {'': 10, 'domainnet': 20, 'office': 50}
  watch_every = 50
  Options = NoOptions

  def __init__(self, network, options, run, steps):
    self._network = network
    self._options = options
    self._seed = run.seed
    self._optimizer = target_optimizer.TargetOptimizer(
        network.variables, run.optimizer, steps)
    self.pretraining_steps = getattr(options, 'pretraining_steps', 0)
    self.predict = network.predict

  @classmethod
  def source_batch_size(cls, batch_size, num_domains):
    """Default number of images of each domain of the sources in a step.

    Args:
      batch_size: Images of the target in a step. The domains share as many.
      num_domains: Number of domains of the sources.
    """
    return -(-batch_size // num_domains)

  @classmethod
  def check(cls, options, optimizer, steps):
    """Refuses learning rates and schedules that cannot be.

    Args:
      options: `Options`.
      optimizer: `OptimizerConfig` of the target.
      steps: Number of steps in which the target learns.

    Raises:
      ValueError: If there are such.
    """
    del options
    target_optimizer.adam(optimizer, steps)

  def state(self):
    """{key: variable} besides the model's, and besides the predictor's."""
    return {f'target_optimizer/{key}': variable
            for key, variable in self._optimizer.state().items()}

  def predictor_variables(self):
    """{key: variable} that `predict` needs besides the model's: none."""
    return {}

  @classmethod
  def saved_predictor(cls, arrays):
    """`predict` with what a checkpoint holds, where it needs variables.

    Args:
      arrays: {key: array} of `predictor_variables`.
    """
    raise NotImplementedError(f'{cls.name} has a predictor, but cannot load it')

  def pretrain(self, step, sources, target):
    """One update before the target learns; as `adapt`."""
    raise NotImplementedError(f'{self.name} has nothing to be pretrained')

  @abc.abstractmethod
  def adapt(self, step, sources, target):
    """One update.

    Args:
      step: Scalar integer tensor, for dropout.
      sources: {domain: (images, labels)}; empty unless `reads_sources`.
      target: Images `[b, H, W, 3]` of the target; (images, labels) if
        `reads_labels`.

    Returns:
      {name: scalar}, 'loss' among them.
    """


class LossMethod(Method):
  """A method that lowers a loss on the target's batches, and no more."""

  @abc.abstractmethod
  def loss(self, step, target):
    """What an update lowers.

    Args:
      step: Scalar integer tensor, for dropout.
      target: A batch of the target, as `adapt` takes it.

    Returns:
      The loss, a scalar, and the batch's probabilities `[b, classes]`.
    """

  def adapt(self, step, sources, target):
    """One update of the target; see `Method.adapt`."""
    del sources
    network = self._network
    with tf.GradientTape() as tape:
      loss, probabilities = self.loss(step, target)
      objective = loss + network.weight_decay()
    self._optimizer.apply(tape.gradient(objective, network.variables))
    return {'loss': loss, **target_network.batch_scores(
        network.target, probabilities)}
