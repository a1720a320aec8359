"""A guard that notices when an adaptation collapses (our choice).

Adversaries win, and predictions of the target fall on few classes: seen on
digits after 100 steps. Labels would tell; the guard has only label-free
scores, and copies of the best state so far, to go back to.
"""

import warnings

import keras
import numpy as np

from trainers.adaptation import label_free_scores
from trainers.runs import results


class CollapseGuard:
  """Keeps the best state by a label-free score, and raises the alarm.

  The alarm is raised if predictions fall on fewer than a share of the classes
  that they fell on at the start, or if the score is worse than the best
  before by more than `drop` for `patience` measurements in a row.

  All that it remembers is in variables: with them in its checkpoint, a run
  that resumes goes on as if nothing had been.

  Args:
    variables: {key: variable} to keep copies of.
    score: One of `label_free_scores.SCORES`.
    drop: In the score's unit.
    patience: Measurements; 0 never raises the alarm for the score.
    least_classes: A share, from 0 to 1.
  """

  def __init__(self, variables, score, drop=0.1, patience=3,
               least_classes=0.5):
    self._variables = dict(variables)
    self._score = score
    self._drop = drop
    self._patience = patience
    self._least_classes = least_classes
    self._copies = {key: keras.Variable(
        variable.numpy(), dtype=variable.dtype, trainable=False)
                    for key, variable in self._variables.items()}
    self._numbers = {
        name: keras.Variable(value, dtype=dtype, trainable=False)
        for name, value, dtype in (
            ('best_step', -1, 'int64'), ('best_score', 0, 'float32'),
            ('classes_at_start', 0, 'float32'), ('misses', 0, 'int64'),
            ('alarm_step', -1, 'int64'), ('exchanged', 0, 'int64'))}

  def state(self):
    """{key: variable} of all that it remembers."""
    return {**self._numbers, **{f'copy/{key}': variable for key, variable
                                in self._copies.items()}}

  @property
  def is_alarmed(self):
    """Whether there was an alarm."""
    return self._get('alarm_step') >= 0

  def report(self):
    """`results.Guard` of what it saw."""
    steps = {name: None if self._get(name) < 0 else int(self._get(name))
             for name in ('best_step', 'alarm_step')}
    return results.Guard(self._score, **steps,
                         best_score=float(self._get('best_score')))

  def observe(self, step, scores):
    """Looks at a measurement; keeps the state if it is the best.

    Args:
      step: Number of steps done.
      scores: As from `target_scores.measure`.

    Returns:
      Whether there is an alarm: the caller is to go back, with `exchange`.
    """
    value, classes = scores[self._score], scores['classes_predicted']
    at_start, best = self._get('classes_at_start'), self._get('best_score')
    is_first = self._get('best_step') < 0
    if is_first:
      self._set('classes_at_start', classes)
    elif classes < self._least_classes * at_start:
      # Before all else: such predictions may well be the surest.
      return self._raise(step, f'predictions fall on {classes:.1f} classes, on '
                               f'{at_start:.1f} at the start')
    if is_first or label_free_scores.is_better(self._score, value, best):
      self._keep(step, value)
      return False
    missed = not abs(value - best) <= self._drop  # NaN, too
    self._set('misses', self._get('misses') + 1 if missed else 0)
    if self._patience and self._get('misses') >= self._patience:
      return self._raise(step, f'{self._score} is {value:.3f}, and was '
                               f'{best:.3f}')
    return False

  def _keep(self, step, value):
    self._set('best_step', step)
    self._set('best_score', value)
    self._set('misses', 0)
    for key, variable in self._variables.items():
      self._copies[key].assign(variable.numpy())

  def _raise(self, step, reason):
    self._set('alarm_step', step)
    warnings.warn(
        f'The adaptation collapses at step {step}: {reason}. It goes back to '
        f'step {int(self._get("best_step"))} and ends there; lower learning '
        'rates may help.', stacklevel=2)
    return True

  def exchange(self):
    """Puts the copies into the variables, and the other way round."""
    for key, variable in self._variables.items():
      value = np.array(variable.numpy())
      variable.assign(self._copies[key].numpy())
      self._copies[key].assign(value)
    self._set('exchanged', 1 - self._get('exchanged'))

  @property
  def is_exchanged(self):
    """Whether the variables hold the best state, the copies another."""
    return bool(self._get('exchanged'))

  def _get(self, name):
    return self._numbers[name].numpy()

  def _set(self, name, value):
    self._numbers[name].assign(value)
