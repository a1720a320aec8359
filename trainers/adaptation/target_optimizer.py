"""Adam for what is trained of a target (sections D.3 and D.4)."""

import dataclasses

import keras

from trainers import schedules
from trainers.runs import checkpoints


class TargetOptimizer:
  """Adam whose mixture logits have a learning rate of their own.

  Adam moves every weight by about its learning rate. Logits differ by about
  0.5, kernels by a hundredth of that: one rate cannot serve both.

  Args:
    variables: {name: variable} to be trained.
    config: `OptimizerConfig`; of it the learning rates and the schedule.
    steps: Number of steps; the length of the schedule.

  Source: Adam from section D.4; rates are our choice.
  """

  def __init__(self, variables, config, steps):
    self._groups = []
    ratio = config.mixture_multiplier
    for is_mixture, factor in ((False, 1.0), (True, ratio)):
      group = {name: variable for name, variable in variables.items()
               if name.endswith('signature/logits') == is_mixture}
      if group:
        optimizer = adam(config, steps, factor)
        optimizer.build(list(group.values()))
        self._groups.append((group, optimizer))

  def apply(self, gradients):
    """Updates the variables.

    Args:
      gradients: {name: gradient} of all variables.
    """
    for group, optimizer in self._groups:
      optimizer.apply_gradients(
          [(gradients[name], variable) for name, variable in group.items()])

  def state(self):
    """{key: variable} of what it remembers."""
    return {f'{number}/{key}': variable
            for number, (_, optimizer) in enumerate(self._groups)
            for key, variable
            in checkpoints.optimizer_variables(optimizer).items()}


def adam(config, steps, factor=1.0):
  """Keras' Adam on the schedule of an `OptimizerConfig`; not built yet.

  Args:
    config: `OptimizerConfig`; of it the learning rates and the schedule.
    steps: Number of steps; the length of the schedule.
    factor: Multiplies the learning rates.
  """
  final = config.final_learning_rate
  return keras.optimizers.Adam(schedules.Schedule(
      config.schedule, factor * config.learning_rate, steps,
      final=None if final is None else factor * final,
      warmup_steps=config.warmup_steps, power=config.power))


def network_config(optimizer, options):
  """The `OptimizerConfig` of a network that learns beside the target.

  Args:
    optimizer: `OptimizerConfig` of the target, whose schedule it has, too.
    options: Options of a method, of them `network_learning_rate` and
      `network_final_learning_rate`.

  Raises:
    ValueError: If the last learning rate is not from 0 to the first.
  """
  constant = optimizer.schedule == 'constant'
  first, last = (
      options.network_learning_rate, options.network_final_learning_rate)
  if not (constant or 0 <= last <= first):
    raise ValueError(
        'Expected network_final_learning_rate from 0 to network_learning_rate, '
        f'received {last} and {first}: give both.')
  return dataclasses.replace(optimizer, learning_rate=first,
                             final_learning_rate=None if constant else last)
