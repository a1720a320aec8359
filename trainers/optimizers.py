"""Configuration of the paper's RMSProp and its schedule (section A.2)."""

import dataclasses
from typing import Literal

from mixture_modules import checks
from mixture_modules import optimizers
from trainers import schedules


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
  """How variables are updated; see `optimizers.RMSprop`, `schedules.Schedule`.

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
    optimizers.check(
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


def make_optimizer(config, steps):
  """Makes the optimizer that a configuration describes; not built yet.

  Args:
    config: `OptimizerConfig`.
    steps: Number of training steps.

  Returns:
    `optimizers.RMSprop` on a `schedules.Schedule`.

  Raises:
    ValueError: If the warm-up is not shorter than the training.
  """
  return optimizers.RMSprop(
      config.make_schedule(steps), config.rho, config.momentum, config.epsilon,
      config.initial_mean_square, config.mixture_multiplier,
      clipnorm=config.clipnorm)
