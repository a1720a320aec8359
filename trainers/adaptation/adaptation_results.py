"""What an adaptation finds: its initial.json and results.json."""

import dataclasses
import hashlib

from keras import ops

from trainers.runs import checkpoints
from trainers.runs import results

INITIAL = 'initial.json'


@dataclasses.dataclass(frozen=True)
class Initial:
  """How a target is before step 1, as initial.json holds it.

  Args:
    start: How it began.
    validation: Its score on the validation split.
    test: Its score on the test split.
    others: As of `others_digest`.
  """

  start: results.TargetStart
  validation: results.TaskScore
  test: results.TaskScore
  others: str


def others_digest(model, target):
  """A digest of all variables but the target's own."""
  digest = hashlib.blake2b(digest_size=16)
  for name, array in sorted(
      checkpoints.snapshot(model.named_variables()).items()):
    if not name.startswith(f'tasks/{target}/'):
      digest.update(f'{name}={len(array.tobytes())}:'.encode())
      digest.update(array.tobytes())
  return digest.hexdigest()


def collect(trainer, evaluation, config, origin, seconds, initial):
  """What an adaptation found.

  Args:
    trainer: `AdaptationTrainer` after its last step, or None where nothing
      was trained.
    evaluation: `TargetEvaluation`.
    config: `AdaptationConfig`.
    origin: `results.Origin`.
    seconds: Seconds of training.
    initial: `Initial`.

  Returns:
    `results.RunResults` of the target and of its sources.
  """
  target, model = config.target, evaluation.model
  steps = (trainer.guard.report().alarm_step or trainer.steps) if trainer else 0
  found = results.collect(evaluation, 'test', 'raw', steps, seconds)
  variables = trainer.network.variables if trainer else {}
  facts = results.AdaptationFacts(
      source=config.source, origin=origin, target=target, method=config.method,
      sources=config.sources, tune=config.tune or (), start=initial.start,
      statistics=config.target_statistics, labels=config.uses_labels,
      tuned_parameters=sum(int(ops.size(v)) for v in variables.values()),
      moved=tuple(variables),
      sources_unchanged=others_digest(model, target) == initial.others,
      **_states(trainer, evaluation, target, found))
  return dataclasses.replace(
      found, initial={target: initial.test}, validation=results.Validation(
          {target: initial.validation},
          evaluation.evaluate('validation', [target])),
      adaptation=facts)


def _states(trainer, evaluation, target, found):
  """{'result', 'states', 'guard'}: the last state and the best one."""
  score = found.tasks[target].plain(results.TaskScore)
  if not trainer:
    return {'result': 'last', 'states': {'last': score}, 'guard': None}
  guard = trainer.guard
  names = ['last', 'best']
  if guard.is_exchanged:
    names.reverse()
  states = {names[0]: score}
  if guard.report().best_step is not None:
    guard.exchange()
    states[names[1]] = evaluation.evaluate('test', [target])[target]
    guard.exchange()
  return {'result': names[0], 'states': states, 'guard': guard.report()}
