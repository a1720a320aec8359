"""Learning rates over the steps of a training (section D.2)."""

import math

import keras

from trainers import arguments

KINDS = ('constant', 'linear', 'polynomial', 'cosine', 'exponential')


@keras.saving.register_keras_serializable('mixture_modules')
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
  """Learning rate from `initial` to `final`, after a linear warm-up.

  With w warm-up steps of `steps`, and p = min(1, (t - w) / (steps - w)),
  step t = 0, 1, ... has the learning rate

      initial (t + 1) / (w + 1)                         while t < w, then
      initial                                           constant
      final + (initial - final) (1 - p)                 linear
      final + (initial - final) (1 - p)^power           polynomial
      final + (initial - final) (1 + cos(pi p)) / 2     cosine
      initial (final / initial)^p                       exponential

  Args:
    kind: One of `KINDS`.
    initial: The peak, above 0.
    steps: Number of training steps, the warm-up included.
    final: Value at `steps` and later. Default: 0, or `initial` for constant;
      exponential needs one above 0.
    warmup_steps: Default 0.
    power: Of the polynomial. Default 2, our choice.

  Call arguments:
    step: Number of steps done before, a scalar.

  Returns:
    The learning rate, a float32 scalar.

  Raises:
    ValueError: If an argument is out of range, or contradicts another.

  Source: linear from section D.2 (2e-3 to 2e-5); the others are our choice.
  """

  def __init__(
      self, kind, initial, steps, final=None, warmup_steps=0, power=2.0
  ):
    _check(kind, initial, final, warmup_steps, power)
    arguments.require(
        warmup_steps < steps,
        'warmup_steps',
        f'below the number of training steps, {steps}',
        warmup_steps,
        'Warm up for fewer steps, or train for more.',
    )
    self.kind = kind
    self.initial = initial
    self.steps = steps
    self.final = final
    self.warmup_steps = warmup_steps
    self.power = power
    self._decay = self._make_decay()

  def _make_decay(self):
    decays = keras.optimizers.schedules
    steps = self.steps - self.warmup_steps
    final = self.final or 0.0
    if self.kind == 'linear':
      return decays.PolynomialDecay(self.initial, steps, final)
    if self.kind == 'polynomial':
      return decays.PolynomialDecay(self.initial, steps, final, self.power)
    if self.kind == 'cosine':
      return decays.CosineDecay(
          self.initial, steps, alpha=final / self.initial
      )
    if self.kind == 'exponential':
      return decays.ExponentialDecay(
          self.initial, steps, decay_rate=final / self.initial
      )
    return lambda step: keras.ops.convert_to_tensor(self.initial)

  def __call__(self, step):
    """Returns the learning rate of a step."""
    step = keras.ops.cast(step, 'float32')
    # Keras' exponential decay would go on below `final`.
    decayed = self._decay(
        keras.ops.clip(step, self.warmup_steps, self.steps) - self.warmup_steps
    )
    if not self.warmup_steps:
      return decayed
    warming = self.initial * (step + 1) / (self.warmup_steps + 1)
    return keras.ops.where(step < self.warmup_steps, warming, decayed)

  def get_config(self):
    """Returns the constructor's arguments."""
    return {
        'kind': self.kind,
        'initial': self.initial,
        'steps': self.steps,
        'final': self.final,
        'warmup_steps': self.warmup_steps,
        'power': self.power,
    }


# The names in the errors are those of the flags, which a user sees.
def _check(kind, initial, final, warmup_steps, power):
  arguments.require(
      kind in KINDS,
      'schedule',
      f'one of {", ".join(KINDS)}',
      kind,
      'Choose one of these.',
  )
  arguments.require(
      math.isfinite(initial) and initial > 0,
      'learning_rate',
      'finite and above 0',
      initial,
      'Try 0.02.',
  )
  if kind == 'constant':
    arguments.require(
        final is None or final == initial,
        'final_learning_rate',
        f'absent, or {initial}, where the schedule is constant',
        final,
        'Leave it out, or choose another schedule.',
    )
  elif kind == 'exponential':
    arguments.require(
        final is not None and 0 < final <= initial,
        'final_learning_rate',
        f'in (0, {initial}] where the schedule is exponential',
        final,
        'Give it, e.g. a hundredth of the learning rate.',
    )
  else:
    arguments.require(
        final is None or 0 <= final <= initial,
        'final_learning_rate',
        f'in [0, {initial}]',
        final,
        'Give a rate not above the learning rate, or leave it out.',
    )
  arguments.require(
      warmup_steps == int(warmup_steps) and warmup_steps >= 0,
      'warmup_steps',
      'a whole number, not negative',
      warmup_steps,
      'Take 0 for no warm-up.',
  )
  arguments.require(
      math.isfinite(power) and power > 0,
      'power',
      'finite and above 0',
      power,
      'Take 1 for a straight line.',
  )
