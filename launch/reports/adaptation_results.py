"""What an adaptation's results.json holds, and the tables shown of it."""

import dataclasses
import hashlib

from keras import ops

from launch.reports import results_text
from trainers.adaptation import target_scores
from trainers.runs import checkpoints
from trainers.runs import results
from trainers.runs import strict_json

_SCORES = ('entropy', 'information', 'density', 'domain_accuracy')
SCORES = ('Scores without labels, on at most '
          f'{target_scores.MOST_IMAGES:,} of the same images, evenly chosen. '
          'Entropy: mean entropy of the predictions, nats. Information: '
          'entropy of the mean prediction minus that. Density: soft '
          'neighbourhood density, nats. Domain accuracy: of a linear '
          'discriminator of embeddings, 0.5 is chance.')


def others_digest(model, target):
  """A digest of all variables but the target's own."""
  digest = hashlib.blake2b(digest_size=16)
  for name, array in sorted(
      checkpoints.snapshot(model.named_variables()).items()):
    if not name.startswith(f'tasks/{target}/'):
      digest.update(f'{name}={len(array.tobytes())}:'.encode())
      digest.update(array.tobytes())
  return digest.hexdigest()


def collect(trainer, evaluation, config, began, seconds, initial):
  """What is written of an adaptation.

  Args:
    trainer: `AdaptationTrainer` after its last step, or None where nothing
      was trained.
    evaluation: `TargetEvaluation`.
    config: `AdaptationConfig`.
    began: {'from': work directory of the model that it began with, 'origin':
      which model that was}.
    seconds: Seconds of training.
    initial: {'start', 'validation', 'test'}: how the target began; 'others',
      as from `others_digest` before step 1.

  Returns:
    `results.RunResults` of the target and of its sources.
  """
  target, model = config.target, evaluation.model
  steps = 0
  if trainer:
    steps = trainer.guard.report()['alarm_step'] or trainer.steps
  found = results.collect(evaluation, 'test', 'raw', steps, seconds)
  variables = trainer.network.variables if trainer else {}
  test, validation = (
      {target: strict_json.decode(results.TaskScore, initial[split], 'initial')}
      for split in ('test', 'validation'))
  facts = results.AdaptationFacts(
      source=began['from'], origin=results.Origin(**began['origin']),
      target=target, method=config.method, sources=tuple(config.sources),
      tune=tuple(config.tune) if trainer else (),
      start=strict_json.decode(
          results.TargetStart, initial['start'], 'initial'),
      statistics=config.target_statistics, labels=config.uses_labels,
      own_parameters=model.own_parameters(target),
      tuned_parameters=sum(int(ops.size(v)) for v in variables.values()),
      moved=tuple(variables),
      sources_unchanged=others_digest(model, target) == initial['others'],
      **_states(trainer, evaluation, target, found))
  return dataclasses.replace(
      found, initial=test, validation=results.Validation(
          validation, evaluation.evaluate('validation', [target])),
      adaptation=facts)


def _states(trainer, evaluation, target, found):
  """{'result', 'states', 'guard'}: the last state and the best one."""
  result = found.tasks[target]
  score = results.TaskScore(**{
      field.name: getattr(result, field.name)
      for field in dataclasses.fields(results.TaskScore)})
  if not trainer:
    return {'result': 'last', 'states': {'last': score}, 'guard': None}
  guard = trainer.guard
  names = ['last', 'best']
  if guard.is_exchanged:
    names.reverse()
  states = {names[0]: score}
  if guard.report()['best_step'] is not None:
    guard.exchange()
    states[names[1]] = evaluation.evaluate('test', [target])[target]
    guard.exchange()
  return {'result': names[0], 'states': states,
          'guard': results.Guard(**guard.report())}


def candidate_rows(start):
  """Rows of a table of the sources that a target could begin as.

  Args:
    start: `results.TargetStart`.
  """
  names = list(next(iter(start.candidates.values())))
  rows = [('start', *(name.replace('_', ' ') for name in names))]
  for source, scores in start.candidates.items():
    rows.append((source, *(f'{scores[name]:.4f}' for name in names)))
  return rows


def state_rows(found):
  """Rows of a table of the target's states, and of the sources, which stay.

  Args:
    found: As from `collect`.
  """
  facts = found.adaptation
  target, scores = facts.target, _SCORES
  if 'domain_accuracy' not in found.tasks[target].label_free:
    scores = scores[:-1]
  rows = [('task', 'state', 'top-1', 'loss', 'examples',
           *(name.replace('_', ' ') for name in scores))]
  states = {'initial': found.initial[target], **facts.states}
  for state, result in states.items():
    is_result = facts.tune and state == facts.result
    rows.append((target, state + ' (result)' * bool(is_result),
                 *results_text.score_cells(result),
                 *(f'{result.label_free[name]:.4f}' for name in scores)))
  for name, result in found.tasks.items():
    if name != target:
      rows.append((name, 'source', *results_text.score_cells(result),
                   *([''] * len(scores))))
  return rows


def format_start(start):
  """How the target begins, with the scores of those it could begin as.

  Args:
    start: `results.TargetStart`.
  """
  lines = []
  if start.candidates:
    lines.append(results_text.align(candidate_rows(start)))
  by = {'given': 'as given', 'oracle': 'chosen by the target\'s labels'}.get(
      start.chosen_by, f'chosen by {start.chosen_by}, without labels')
  return '\n'.join([*lines, f'Begins with {start.init}, {by}.'])


def format_results(found):
  """The table of `state_rows`, and what else there is to say."""
  facts = found.adaptation
  lines = [results_text.align(state_rows(found)), SCORES, (
      f'{facts.method}, {found.split} split, after {found.steps:,} '
      f'steps; {facts.tuned_parameters:,} parameters were tuned; '
      + ('nothing else has changed' if facts.sources_unchanged else
         'SOURCES HAVE CHANGED'))]
  guard = facts.guard
  if guard and guard.alarm_step is not None:
    lines.append(f'It collapsed at step {guard.alarm_step:,} and went back '
                 f'to step {guard.best_step:,}, the best by {guard.score}.')
  if facts.labels:
    lines.append(f'Oracle: labels of the target were used ({facts.labels}).')
  return '\n'.join(lines)
