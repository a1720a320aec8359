"""What all methods of domain adaptation share (sections 4.4 and D).

A method owns its update; here are the batches, the guard, and the trainer
that the loop runs. Labels of the target have two ways in: the evaluation,
which no update reads, and `target_supervision`, the upper bound.
"""

import tensorflow as tf

from trainers.adaptation import adda
from trainers.adaptation import collapse_guard
from trainers.adaptation import information_maximization
from trainers.adaptation import m3sda
from trainers.adaptation import target_network
from trainers.runs import saved_models

_CLASSES = {
    'adda': adda.AdversarialAdaptation,
    'm3sda': m3sda.MomentMatching,
    'im': information_maximization.InformationMaximization,
}


class AdaptationTrainer:
  """Adapts a target without its labels; `loop.run` runs it.

  Args:
    model: `IsometricModel` with the target.
    images: `UnlabelledImages` of the target.
    sources: {source: `TaskData`}; empty for a method that reads none.
    evaluation: `TargetEvaluation`, for the records and for the guard, which
      reads label-free scores alone.
    config: `AdaptationConfig`.
    run: `RunConfig`.
    steps: Number of steps, those of pretraining included.

  Attributes:
    guard: `CollapseGuard`.
    network: `TargetNetwork`.

  Raises:
    ValueError: If nothing is left of the steps after pretraining.
  """

  def __init__(self, model, images, sources, evaluation, config, run, steps):
    if steps <= config.pretraining_steps:
      raise ValueError(
          f'Expected more steps than the {config.pretraining_steps} of '
          f'pretraining, received {steps}: train longer, or lower '
          '--pretraining_steps.')
    self.model = model
    self.steps = steps
    self._images = images
    self._domains = source_domains(sources)
    self._evaluation = evaluation
    self._config = config
    self._run = run
    domains = {name: name for name in config.sources}
    if sources:
      domains = {name: task for name, (task, _) in self._domains.items()}
    self.network = target_network.TargetNetwork(
        model, config.target, domains, config.tune, config.statistics,
        features_only=config.method == 'adda')
    self._method = self._make_method(steps - config.pretraining_steps)
    if self._method.predictor_variables():
      evaluation.predict_with(self._method.predict)
    self.guard = collapse_guard.CollapseGuard(
        {**self.network.own_variables(),
         **self._method.predictor_variables()},
        config.score, config.collapse_drop, config.collapse_patience,
        config.collapse_classes)
    self._adapt = tf.function(
        self._method.adapt, autograph=False, jit_compile=False)
    if config.pretraining_steps:
      self._pretrain = tf.function(
          self._method.pretrain, autograph=False, jit_compile=False)

  def _make_method(self, steps):
    return _CLASSES[self._config.method](
        self.network, self._config, self._run, steps)

  @property
  def images_per_step(self):
    """Images of all domains in one step."""
    return (self._run.batch_size
            + len(self._domains) * self._config.source_batch_size)

  @property
  def is_finished(self):
    """Whether the rest of the steps is left out, after an alarm."""
    return self.guard.is_alarmed

  def state(self):
    """{key: variable} of all that a checkpoint must hold."""
    parts = {'model': self.model.named_variables(),
             'method': self._method.state(), 'guard': self.guard.state()}
    return {f'{part}/{key}': variable for part, variables in parts.items()
            for key, variable in variables.items()}

  def metadata(self):
    """What a checkpoint says besides, for JSON."""
    return {'model': saved_models.describe(self.model)}

  def batches(self, start_step):
    """The endless batches from `start_step` on, one dictionary a step.

    Returns:
      Iterator of {'target': images, 'sources': {domain: (images, labels)}},
      domains as of `source_domains`.
    """
    seed = self._run.seed
    parts = {'target': self._target_batches(start_step), 'sources': {
        name: data.train_batches(
            self._config.source_batch_size, seed, start_step)
        for name, (_, data) in self._domains.items()}}
    if not self._domains:
      del parts['sources']
    return iter(tf.data.Dataset.zip(parts).prefetch(1))

  def _target_batches(self, start_step):
    return self._images.train_batches(
        self._run.batch_size, self._run.seed, start_step)

  def train_step(self, step, batches):
    """One update, and, now and then, a look at the label-free scores.

    Args:
      step: Scalar integer tensor, the number of updates done before.
      batches: As `batches` gives them.

    Returns:
      {name: scalar}, 'loss' among them.
    """
    number, first = int(step), self._config.pretraining_steps
    if number == first:
      self._watch(number)  # to where an alarm may go back
    update = self._pretrain if number < first else self._adapt
    scalars = update(step, batches.get('sources', {}), batches['target'])
    done = number + 1
    if done > first and self._is_watched(done):
      alarm = self._watch(done)
      at_end = done == self.steps and self._config.choose == 'best'
      if alarm or at_end:
        self.guard.exchange()
    return scalars

  def _is_watched(self, done):
    every = self._config.watch_every
    return every and (done % every == 0 or done == self.steps)

  def _watch(self, done):
    """Measures label-free scores; returns whether there is an alarm."""
    return self._config.watch_every and self.guard.observe(
        done, self._evaluation.scores('train'))

  def evaluate(self, split, tasks=None):
    """As `TargetEvaluation.evaluate`; by default of the target."""
    return self._evaluation.evaluate(split, tasks or [self._config.target])

  def mixtures(self):
    """{task: mixture weights `[L, K]`} as arrays."""
    return self._evaluation.mixtures()


def source_domains(sources):
  """{domain: (task, `TaskData`)}: the members of a pool are apart.

  A method of several sources matches each; in a pool, batches of the large
  ones would hide the small.

  Args:
    sources: {task: `TaskData`}.
  """
  domains = {}
  for task, data in sources.items():
    for member, part in data.members().items():
      name = task if len(data.tasks) == 1 else f'{task}/{member}'
      domains[name] = task, part
  return domains
