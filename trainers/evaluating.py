"""Evaluates a saved model, as it is or with its layers edited (section B)."""

import dataclasses
from typing import Literal
import warnings

import numpy as np

from mixture_modules import checks
from mixture_modules import files
from mixture_modules.isometric import layer_edits
from trainers import evaluation
from trainers import perturbation
from trainers import supervised
from trainers.adaptation import methods
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import saved_models


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
  """What is evaluated of a saved model.

  Args:
    split: Split to evaluate on.
    weights: Averaged weights or the last ones.
    tasks: Tasks to evaluate, such as those whose data is here; written beside
      the others of the same checkpoint. Default: all of the model whose images
      have labels.
    harden: Also evaluate with every row of the signature one-hot: its
      strongest template alone.
    edits: Also evaluate copies whose layers are edited, such as
      swap:3:7,reverse,drop:5+repeat:1.
    statistics: Moving statistics of an edited copy, or of one between two
      signatures: its layers' own, or estimated anew from training images.
    between: Two tasks: also evaluate both along the line between their
      signatures.
    points: Points of that line, its ends among them.

  Raises:
    ValueError: If a word is unknown, or statistics are chosen and nothing is
      edited.
  """

  split: Literal[*pipeline.SPLITS] = 'test'
  weights: Literal[*saved_models.WEIGHTS] = 'ema'
  tasks: tuple[str, ...] = ()
  harden: bool = False
  edits: tuple[str, ...] = ()
  statistics: Literal[*perturbation.STATISTICS] = 'moved'
  between: tuple[str, ...] = ()
  points: int = 11

  def __post_init__(self):
    checks.types(self)
    is_edited = self.harden or self.edits or self.between
    if self.statistics != 'moved' and not is_edited:
      raise ValueError(
          f'Expected edited networks for statistics={self.statistics}, '
          'received none: give harden, edits or between, too.')

  def all_edits(self):
    """All edits, once each; 'none' shows what statistics alone do."""
    edits = ['harden'] * self.harden + list(self.edits)
    if edits and self.statistics == 'reestimated':
      edits = ['none', *edits]
    return list(dict.fromkeys(edits))


def evaluate(workdir, config=EvaluationConfig(),
             options=run_options.RunOptions()):
  """Evaluates the last checkpoint of a work directory, and records it.

      from trainers import evaluating

      found = evaluating.evaluate('runs/a', evaluating.EvaluationConfig(
          split='validation', edits=('reverse',)))
      found.results.tasks['optdigits'].top1
      found.edits.edits['reverse'].tasks['optdigits'].top1

  The work directory gets evaluation-SPLIT-WEIGHTS.json and, of edited networks,
  edits-SPLIT-WEIGHTS-STATISTICS.json and between-SPLIT-WEIGHTS-STATISTICS.json,
  beside what they held of the same checkpoint.

  Args:
    workdir: Directory of any run that leaves a model.
    config: `EvaluationConfig`.
    options: `RunOptions`, of which `data_dir` is used.

  Returns:
    `results.EvaluationResults`, of the tasks that were asked for.

  Raises:
    ValueError: If there is no model, its data is not there or other than it
      was, there is no such task or edit, an older file is damaged, or the
      directory cannot be written.
  """
  saved = saved_models.load(workdir, config.weights)
  files.check_writable(workdir)
  edits = config.all_edits()
  _check_edits(edits, saved.model.config)
  tasks = _choose_tasks(saved, config.tasks)
  if config.between:
    perturbation.check_between(tasks, config.between, config.points)
  supervised.make_reproducible(saved.config)  # the numbers of the run, exactly
  data = saved.load_data(options.data_dir, tasks, [config.split])
  network = evaluation.TaskEvaluator(
      saved.model, data, saved.config.eval_batch_size,
      methods.saved_predictors(saved))
  name = f'{config.split}-{config.weights}'
  is_whole = set(tasks) == set(saved.labelled_tasks())
  # Damaged files show before time is spent.
  whole, edited, between = (
      _File(saved, f'{file}.json', kind, is_needed)
      for file, kind, is_needed in (
          (f'evaluation-{name}', results.RunResults, not is_whole),
          (f'edits-{name}-{config.statistics}', results.Edits, edits),
          (f'between-{name}-{config.statistics}', results.Between,
           config.between)))
  found = results.collect(
      network, config.split, config.weights, saved.step, saved.seconds)
  found_edits = found_between = None
  whole.write(found)
  if edits:
    found_edits = results.describe_edits(
        found, perturbation.evaluate(
            network, saved.config, edits, config.split, config.statistics),
        config.statistics)
    edited.write(found_edits, process=records.describe_process())
  if config.between:
    found_between = results.describe_between(
        found, perturbation.evaluate_between(
            network, saved.config, config.between, config.points, config.split,
            config.statistics), config.statistics)
    between.write(found_between, process=records.describe_process())
  return results.EvaluationResults(found, found_edits, found_between)


class _File:
  """A file of results, and what it held of the same checkpoint, or None."""

  def __init__(self, saved, name, kind, is_needed):
    self._path, self._former = saved.workdir / name, None
    if is_needed and self._path.exists():
      former = results.read(self._path, kind)
      self._former = former if former.steps == saved.step else None

  def write(self, found, **changes):
    """Writes results, beside the former ones, and what made them."""
    if self._former:
      found = found.merge(self._former)
    results.write(self._path, dataclasses.replace(found, **changes))


def _check_edits(edits, config):
  """Refuses edits that a network of this configuration cannot have."""
  for edit in edits:
    layer_edits.apply(
        edit, np.zeros((config.num_layers, config.num_templates)))


def _choose_tasks(saved, names):
  """Names of the model's tasks: those asked for, or all that have labels."""
  if names:
    return [saved.model.task(name).task_name for name in names]
  labelled = saved.labelled_tasks()
  left_out = sorted(set(saved.model.tasks) - set(labelled))
  if left_out:
    warnings.warn(f'Left out: {", ".join(left_out)}, whose images have no '
                  'labels.', stacklevel=3)
  return labelled
