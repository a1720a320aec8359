"""The trained models that commands start from, and what is to be known of them.

`transfer` and `adapt` write down which model it was, and hold on to it.
"""

import warnings

from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.runs import strict_json


def load(workdir, weights='ema'):
  """As `saved_models.load`; warns of a task that its run predicts otherwise.

  Args:
    workdir: Work directory of a trained model.
    weights: 'ema' or 'raw'.
  """
  saved = saved_models.load(workdir, weights)
  for name in saved.heads:
    warnings.warn(
        f'{workdir} predicts {name} by more than its model, which only its '
        'evaluation uses: here it has the head of the sources, whose accuracy '
        f'is another (of images with labels, own_head in {records.RESULTS}).',
        stacklevel=2)
  return saved


def begin(workdir, source, former, smoke):
  """The model that a run begins from or, once it has begun, its own.

  Args:
    workdir: Directory of the run, a `pathlib.Path`.
    source: Work directory of the model to begin from.
    former: run.json of the run that is resumed, or None.
    smoke: Whether the run sees made-up images.

  Returns:
    `SavedModel`, of `workdir` where a run is resumed that has a checkpoint.

  Raises:
    ValueError: If there is no model, or it was trained on made-up images and
      the run sees others.
  """
  # What a resumed run needs of the model is in its own checkpoints.
  if former and checkpoints.Checkpoints(workdir / records.CHECKPOINTS).latest():
    saved = saved_models.load(workdir, 'raw')
  else:
    saved = load(source)
  if saved.is_smoke and not smoke:
    raise ValueError(
        f'Expected a model trained on real images in {source}, received one '
        'trained on made-up images: use smoke, or begin from another model.')
  return saved


def describe(saved, former):
  """{'origin': which model a run begins from}, for run.json.

  Args:
    saved: As from `begin`.
    former: run.json of the run that is resumed, or None.

  Returns:
    'origin' is as of `SavedModel.origin`.

  Raises:
    ValueError: If a run is resumed that does not say.
  """
  origin = former['config'].get('origin') if former else saved.origin()
  return {'origin': strict_json.encode(
      strict_json.decode(results.Origin, origin, records.RUN))}


def check(saved, workdir, source, origin):
  """Checks that a run begins from its model; warns if that is unfinished.

  Args:
    saved: As from `begin`.
    workdir: Directory of the run.
    source: Work directory of the model to begin from.
    origin: Which model that is to be, as of `describe`.

  Raises:
    ValueError: If it is another model.
  """
  if saved.workdir == workdir:
    return
  if origin != saved.origin():
    raise ValueError(
        f'Expected {source} as it was when the run began ({origin}), received '
        f'another model ({saved.origin()}): bring it back, or begin a new run '
        'in another directory.')
  if not saved.is_finished:
    warnings.warn(
        f'{source} has no {records.RESULTS}: its run has not ended, and this '
        f'one begins from its step {saved.step:,}.', stacklevel=2)
