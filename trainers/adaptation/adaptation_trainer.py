"""What all methods of domain adaptation share (sections 4.4 and D).

A method owns its update; here are the batches, the guard, and the trainer
that the loop runs. Labels of the target have two ways in: the evaluation,
which no update reads, and the batches of a method that says it reads them.
"""

import tensorflow as tf

from trainers.adaptation import collapse_guard
from trainers.adaptation import target_network
from trainers.data import unlabelled
from trainers.runs import saved_models


class AdaptationTrainer:
  """Adapts a target by a method; `loop.run` runs it.

  Args:
    model: `IsometricModel` with the target.
    data: {task: `TaskData`} of the target and, for a method that reads them,
      of the sources.
    evaluation: `TargetEvaluation`, for the records and for the guard, which
      reads label-free scores alone.
    config: `AdaptationConfig`, resolved.
    run: `RunConfig`.
    steps: Number of steps in which the target learns; those of pretraining
      come before.

  Attributes:
    guard: `CollapseGuard`.
    network: `TargetNetwork`.
    steps: Number of all steps.
  """

  def __init__(self, model, data, evaluation, config, run, steps):
    run.check_batches()
    method = config.method_class
    self.model = model
    self._target = data[config.target]
    if not method.reads_labels:
      self._target = unlabelled.UnlabelledImages(self._target)
    self._sources = {}
    domains = {name: name for name in config.sources}
    if method.reads_sources:
      found = source_domains({name: data[name] for name in config.sources})
      self._sources = {name: part for name, (_, part) in found.items()}
      domains = {name: task for name, (task, _) in found.items()}
    self._evaluation = evaluation
    self._config = config
    self._run = run
    self.network = target_network.TargetNetwork(
        model, config.target, domains, config.tune, config.move_statistics,
        method.features_only)
    self._method = method(self.network, config.options, run, steps)
    self.steps = self._method.pretraining_steps + steps
    if self._method.predictor_variables():
      evaluation.predict_with(self._method.predict)
    self.guard = collapse_guard.CollapseGuard(
        {**self.network.own_variables(),
         **self._method.predictor_variables()},
        config.score, config.collapse_drop, config.collapse_patience,
        config.collapse_classes)
    self._pretrain, self._adapt = (
        tf.function(update, autograph=False, jit_compile=False)
        for update in (self._method.pretrain, self._method.adapt))

  @property
  def images_per_step(self):
    """Images of all domains in one step."""
    return self._run.batch_size + sum(
        self._config.source_batch_size for _ in self._sources)

  @property
  def is_finished(self):
    """Whether the rest of the steps is left out, after an alarm."""
    return self.guard.is_alarmed

  def state(self):
    """{key: variable} of all that a checkpoint must hold."""
    parts = {'model': self.model.named_variables(),
             'method': self._method.state(),
             'predictor': self._method.predictor_variables(),
             'guard': self.guard.state()}
    return {f'{part}/{key}': variable for part, variables in parts.items()
            for key, variable in variables.items()}

  def metadata(self):
    """What a checkpoint says besides, for JSON."""
    return {'model': saved_models.describe(self.model)}

  def batches(self, start_step):
    """The endless batches from `start_step` on, one dictionary a step.

    Returns:
      Iterator of {'target': images, 'sources': {domain: (images, labels)}},
      domains as of `source_domains`; the target is (images, labels) for a
      method that reads labels, and there are no sources for one that reads
      none.
    """
    seed = self._run.seed
    parts = {'target': self._target.train_batches(
        self._run.batch_size, seed, start_step)}
    if self._sources:
      parts['sources'] = {
          name: data.train_batches(
              self._config.source_batch_size, seed, start_step)
          for name, data in self._sources.items()}
    return iter(tf.data.Dataset.zip(parts).prefetch(1))

  def train_step(self, step, batches):
    """One update, and, now and then, a look at the label-free scores.

    Args:
      step: Scalar integer tensor, the number of updates done before.
      batches: As `batches` gives them.

    Returns:
      {name: scalar}, 'loss' among them.
    """
    number, first = int(step), self._method.pretraining_steps
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
