"""The trained models that commands start from, and runs that add a task to one.

A transfer and an adaptation write down which model it was, and hold on to it.
"""

import pathlib
import sys
import warnings

from mixture_modules import checks
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


class NewTaskRun:
  """A run that adds a task to a trained model: a new one, or one resumed.

  Args:
    kind: 'transfer' or 'adapt'.
    config_class: Class of the configuration, which has a `source`.
    config: The configuration. None, when resuming: that of the run.
    workdir: Directory of the run. None: a new one.
    options: `RunOptions`.
    lock: `WorkLock`, which takes the directory once the run writes.

  Attributes:
    config: The configuration that is asked for.
    workdir: Directory of the run, a `pathlib.Path`.
    smoke: Whether images are made up.
    is_begun: Whether there is a checkpoint to go on from.
    saved: `SavedModel` to begin from or, once the run has begun, its own.
    former: `RunConfig` of the run that is resumed, or None.
    decides: 'config' of run.json, after `decide`.

  Raises:
    ValueError: If there is no configuration, no model, no run to resume or one
      of another kind, or the model was trained on made-up images and the run
      sees others.
  """

  def __init__(self, kind, config_class, config, workdir, options, lock):
    self.workdir = records.choose_workdir(workdir, options.resume)
    self._options, self._part, self._lock = options, records.PARTS[kind], lock
    self._written = records.read_run(self.workdir) if options.resume else None
    self.former = None
    self.smoke = options.smoke
    if self._written:  # refuses runs of another kind
      own = read_config(self.workdir, kind, config_class)
      lock.take(self.workdir)
      config = config or own
      self.former = saved_models.parse_config(self._written['config'])
      self.smoke |= self._written['kind'] == 'smoke'
    elif config is None:
      raise ValueError('Expected a configuration, received none: only a run '
                       'that is resumed has its own.')
    self.config = checks.is_a('config', config, config_class)
    self._kind = 'smoke' if self.smoke else kind
    # What a resumed run needs of the model is in its own checkpoints.
    self.is_begun = bool(
        self._written and checkpoints.of_run(self.workdir).latest())
    self.saved = (saved_models.load(self.workdir, 'raw') if self.is_begun
                  else load(config.source))
    if self.saved.is_smoke and not self.smoke:
      raise ValueError(
          f'Expected a model trained on real images in {config.source}, '
          'received one trained on made-up images: use smoke, or begin from '
          'another model.')

  def decide(self, config, run):
    """Sets what the run is; warns if its model is unfinished.

    Args:
      config: The configuration that is run.
      run: `RunConfig`.

    Raises:
      ValueError: If the directory is taken, the run to resume is another, or
        it began from another model.
    """
    origin = (self._written['config'].get('origin') if self._written
              else self.saved.origin())
    origin = strict_json.encode(
        strict_json.decode(results.Origin, origin, records.RUN))
    self.decides = {**run.to_json(), self._part: config.to_json(),
                    'origin': origin}
    records.check(
        self.workdir, self.decides, self._kind, self._options.resume)
    if self.is_begun:
      return
    if origin != self.saved.origin():
      raise ValueError(
          f'Expected {config.source} as it was when the run began ({origin}), '
          f'received another model ({self.saved.origin()}): bring it back, or '
          'begin a new run in another directory.')
    if not self.saved.is_finished:
      warnings.warn(
          f'{config.source} has no {records.RESULTS}: its run has not ended, '
          f'and this one begins from its step {self.saved.step:,}.',
          stacklevel=3)

  @property
  def origin(self):
    """`results.Origin`: which model the run began from."""
    return results.Origin(**self.decides['origin'])

  def claim(self, facts):
    """Writes run.json before step 1.

    Args:
      facts: {new task: facts of its data}, as of `TaskData.describe`.

    Raises:
      ValueError: If a run is resumed that began with other data, or another
        process has taken the directory.
    """
    if self._written:
      records.check_data(self.workdir, facts)
    self._lock.take(self.workdir)
    records.claim(self.workdir, self.decides, self._kind, self._options.resume,
                  {**self.saved.tasks, **facts})
    if self._options.progress:
      print(f'Work directory: {self.workdir}', file=sys.stderr, flush=True)


def read_config(workdir, kind, config_class):
  """The configuration of a run that adds a task.

  Args:
    workdir: Its directory.
    kind: 'transfer' or 'adapt'.
    config_class: Class of the configuration.

  Raises:
    ValueError: If there is no run, one of another kind, or it is damaged.
  """
  run = records.read_run(workdir)
  records.check_kind(workdir, run, kind)
  return config_class.from_json(
      run['config'][records.PARTS[kind]], pathlib.Path(workdir) / records.RUN)
