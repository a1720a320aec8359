"""Learning rates over the steps of a training (section D.2)."""

import keras

from mixture_modules import checks

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
      self, kind, initial, steps, final=None, warmup_steps=0, power=2.0):
    _check(kind, initial, final, warmup_steps, power)
    checks.require(
        warmup_steps < steps, 'warmup_steps',
        f'below the number of training steps, {steps}', warmup_steps,
        'warm up for fewer steps, or train for more')
    self.kind = kind
    self.initial = initial
    self.steps = steps
    self.final = final
    self.warmup_steps = warmup_steps
    self.power = power
    self._decay = self._make_decay()

  def _make_decay(self):
    decays = keras.optimizers.schedules
    steps, final = self.steps - self.warmup_steps, self.final or 0.0
    if self.kind == 'linear':
      return decays.PolynomialDecay(self.initial, steps, final)
    if self.kind == 'polynomial':
      return decays.PolynomialDecay(self.initial, steps, final, self.power)
    if self.kind == 'cosine':
      return decays.CosineDecay(self.initial, steps, final / self.initial)
    if self.kind == 'exponential':
      return decays.ExponentialDecay(self.initial, steps, final / self.initial)
    return lambda step: keras.ops.convert_to_tensor(self.initial)

  def __call__(self, step):
    """The learning rate of a step."""
    step = keras.ops.cast(step, 'float32')
    # Keras' exponential decay would go on below `final`.
    decayed = self._decay(
        keras.ops.clip(step, self.warmup_steps, self.steps) - self.warmup_steps)
    if not self.warmup_steps:
      return decayed
    warming = self.initial * (step + 1) / (self.warmup_steps + 1)
    return keras.ops.where(step < self.warmup_steps, warming, decayed)

  def get_config(self):
    """Constructor arguments."""
    return {name: getattr(self, name) for name in (
        'kind', 'initial', 'steps', 'final', 'warmup_steps', 'power')}


def _check(kind, initial, final, warmup_steps, power):
  """Checks arguments, by their names in `OptimizerConfig`."""
  checks.one_of('schedule', kind, KINDS)
  checks.positive('learning_rate', initial, 'try 0.02')
  checks.at_least('warmup_steps', warmup_steps, 0, 'take 0 for no warm-up')
  checks.positive('power', power, 'take 1 for a straight line')
  fits, expected = {
      'constant': (final in (None, initial), f'None or {initial}'),
      'exponential': (final is not None and 0 < final <= initial,
                      f'above 0 and at most {initial}'),
  }.get(kind, (final is None or 0 <= final <= initial,
               f'None or from 0 to {initial}'))
  checks.require(fits, 'final_learning_rate',
                 f'{expected}, where the schedule is {kind}', final,
                 'give such a rate, or choose another schedule')
