"""RMSProp of the paper's recipe, and its configuration (section A.2)."""

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from mixture_modules import checks
from trainers import schedules


@keras.saving.register_keras_serializable('mixture_modules')
class RMSprop(keras.optimizers.RMSprop):
  """RMSProp with a choice of start and learning rates by variable.

  Computes, for a gradient g of a variable w with multiplier c,

      v <- rho v + (1 - rho) g^2
      m <- momentum m + c learning_rate g / sqrt(v + epsilon)
      w <- w - m

  Build it, under the strategy's scope, before the first step: variables cannot
  be made inside `strategy.run`. Multipliers belong to variables and so are not
  part of the configuration: set them again on an optimizer that was loaded.

  Args:
    learning_rate: Float or Keras schedule.
    rho: Decay of the mean square. Default 0.9, as in TensorFlow 1.
    momentum: Default 0.9, our choice.
    epsilon: Added inside the root. Default 1e-3, as in the mobile networks
      that the paper builds on; with Keras' 1e-7, small gradients make steps of
      full size.
    initial_mean_square: Start of v. Default 1.0, as in TensorFlow 1: the first
      steps are small. 0.0 is Keras' start, whose first step is
      `1 / sqrt(1 - rho)` learning rates whatever the gradient.
    **kwargs: As for `keras.optimizers.RMSprop`.

  Raises:
    ValueError: If a number is out of range, or if gradients are to be clipped
      on several replicas.

  Source: section A.2 names RMSProp; both starts and the multipliers are our
    choice.
  """

  def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.9, epsilon=1e-3,
               initial_mean_square=1.0, **kwargs):
    _check_rmsprop(rho, momentum, epsilon, initial_mean_square)
    clips = [name for name in ('clipnorm', 'clipvalue', 'global_clipnorm')
             if kwargs.get(name) is not None]
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if clips and replicas > 1:
      # Keras clips each replica's share before the shares are summed.
      raise ValueError(
          f'Expected one replica where gradients are clipped, received '
          f'{clips[0]} with {replicas} replicas, each of which would clip its '
          f'own share: remove {clips[0]}, or train on one device.')
    super().__init__(learning_rate=learning_rate, rho=rho, momentum=momentum,
                     epsilon=epsilon, **kwargs)
    self.initial_mean_square = initial_mean_square
    self._multipliers = {}

  def set_multiplier(self, variables, value):
    """Multiplies the learning rate of some variables.

    Call it before `build`: a traced step holds its multipliers as constants.

    Args:
      variables: Variables of the model; those that are not trained are
        harmless.
      value: Positive float.

    Raises:
      ValueError: If the optimizer is built, or the value is not positive.
    """
    checks.positive('the multiplier', value,
                    'to freeze variables, leave them out of the training')
    if self.built:
      raise ValueError(
          'Expected an optimizer that is not built yet, received one that is, '
          'whose traced steps would not notice the multiplier: call '
          'set_multiplier before build, or make a new optimizer.')
    for variable in variables:
      self._multipliers[self._var_key(variable)] = float(value)

  def add_optimizer_variables(
      self, trainable_variables, name, initializer='zeros'):
    """Makes slots as Keras does, the mean squares with the chosen start."""
    if name == 'velocity':  # what Keras calls the mean square
      initializer = keras.initializers.Constant(self.initial_mean_square)
    return super().add_optimizer_variables(
        trainable_variables, name, initializer)

  def update_step(self, gradient, variable, learning_rate):
    """Updates one variable with its own learning rate."""
    multiplier = self._multipliers.get(self._var_key(variable), 1.0)
    super().update_step(gradient, variable, learning_rate * multiplier)

  def get_config(self):
    """Constructor arguments, without multipliers."""
    return {**super().get_config(),
            'initial_mean_square': self.initial_mean_square}


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """How variables are updated; see `RMSprop` and `schedules.Schedule`.

  Args:
    learning_rate: Peak of the schedule.
    final_learning_rate: End of the schedule. Default: 0; of a constant one
      the learning rate; an exponential one needs a number.
    schedule: How the learning rate falls.
    warmup_steps: Steps in which the learning rate rises linearly at first.
    power: Power of the polynomial schedule.
    rho: Decay of RMSProp's mean square.
    momentum: Momentum of RMSProp.
    epsilon: Added inside RMSProp's root.
    initial_mean_square: Start of RMSProp's mean square: 1 as in TensorFlow 1,
      0 as in Keras.
    mixture_lr_multiplier: Learning rate of the mixture logits, in units of
      the others'. Their gradients are small beside the root of epsilon, so
      that with equal rates they hardly move. Default 5 (0.1, at a learning
      rate of 0.02); an absolute 0.04 to 0.1 was seen to let signatures
      organise, 0.4 to make them one-hot at random within 300 steps.
    mixture_learning_rate: Peak for the mixture logits, in place of the
      multiplier; the schedule keeps its shape. Default: the multiplier.
    clipnorm: Largest norm of one variable's gradient. Default: no limit.

  Raises:
    ValueError: If a field is out of range, or contradicts another.

  Source: sections A.2 and D.2 for RMSProp and learning rates; the
    rest is our choice.
  """

  learning_rate: float = 0.02
  final_learning_rate: float | None = None
  schedule: Literal[*schedules.KINDS] = 'cosine'
  warmup_steps: int = 0
  power: float = 2.0
  rho: float = 0.9
  momentum: float = 0.9
  epsilon: float = 1e-3
  initial_mean_square: float = 1.0
  mixture_lr_multiplier: float = 5.0
  mixture_learning_rate: float | None = None
  clipnorm: float | None = None

  def __post_init__(self):
    checks.types(self)
    # It checks its arguments; the number of steps is not known yet.
    self.make_schedule(self.warmup_steps + 1)
    _check_rmsprop(
        self.rho, self.momentum, self.epsilon, self.initial_mean_square)
    checks.positive('mixture_lr_multiplier', self.mixture_lr_multiplier)
    for name in ('mixture_learning_rate', 'clipnorm'):
      if getattr(self, name) is not None:
        checks.positive(name, getattr(self, name))

  def make_schedule(self, steps):
    """The `Schedule` of a training of so many steps."""
    return schedules.Schedule(
        self.schedule, self.learning_rate, steps, self.final_learning_rate,
        self.warmup_steps, self.power)

  @property
  def mixture_multiplier(self):
    """The multiplier in force: of the absolute rate, where there is one."""
    if self.mixture_learning_rate is None:
      return self.mixture_lr_multiplier
    return self.mixture_learning_rate / self.learning_rate


def make_optimizer(config, steps, mixture_variables=()):
  """Makes the optimizer that a configuration describes; not built yet.

  Args:
    config: `OptimizerConfig`.
    steps: Number of training steps.
    mixture_variables: Logits of signatures, which get their own rate.

  Returns:
    `RMSprop` on a `schedules.Schedule`.

  Raises:
    ValueError: If the warm-up is not shorter than the training.
  """
  optimizer = RMSprop(
      config.make_schedule(steps), config.rho, config.momentum, config.epsilon,
      config.initial_mean_square, clipnorm=config.clipnorm)
  optimizer.set_multiplier(mixture_variables, config.mixture_multiplier)
  return optimizer


def _check_rmsprop(rho, momentum, epsilon, initial_mean_square):
  checks.in_range('rho', rho, 0, 1, 'try 0.9')
  checks.in_range('momentum', momentum, 0, 1, 'try 0.9')
  checks.positive('epsilon', epsilon, 'try 1e-3')
  checks.not_negative('initial_mean_square', initial_mean_square,
                      'take 1 (TensorFlow 1) or 0 (Keras)')
