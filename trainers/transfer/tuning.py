"""Tunes what is a new task's own, and nothing else (section 4.3)."""

import contextlib

from keras import ops

from mixture_modules.isometric import tune_scopes
from trainers import loop
from trainers import strategies
from trainers import supervised
from trainers.runs import checkpoints
from trainers.runs import saved_models


class Tuning:
  """The training of the new task alone, and of nothing but what is tuned.

  Args:
    model: `IsometricModel` with the new task.
    name: Name of the new task.
    scopes: What is tuned, of `tune_scopes.SCOPES`; none: nothing is trained.
    data: Its `TaskData`.
    config: `RunConfig` whose only task it is.

  Attributes:
    trainer: `SupervisedTrainer`, or None.
    steps: Number of steps.
    num_parameters: Number of tuned parameters.
  """

  def __init__(self, model, name, scopes, data, config):
    self._model = model
    self.trainer, self.steps, self.num_parameters = None, 0, 0
    if scopes:
      tuned = list(tune_scopes.tuned_variables(model, name, scopes).values())
      self.steps = config.total_steps({name: data.num_examples('train')})
      self.trainer = supervised.SupervisedTrainer(
          model, {name: data}, config, self.steps,
          strategies.make_strategy('default'), tuned)
      self.num_parameters = sum(int(ops.size(variable)) for variable in tuned)

  def save_start(self, workdir, decides):
    """Writes the checkpoint of how the task begins.

    Args:
      workdir: Directory of the run.
      decides: What decides the run, as in its run.json.
    """
    if self.trainer:
      checkpoints.save_start(self.trainer, workdir, decides)
    else:
      saved_models.write_checkpoint(workdir, self._model, decides)

  def run(self, workdir, options, decides):
    """Trains on from the last checkpoint; returns seconds of training.

    Args:
      workdir: Directory of the run.
      options: `RunOptions`.
      decides: What decides the run, as in its run.json.
    """
    if not self.trainer:
      return 0.0
    return loop.run(self.trainer, workdir, options, True, True, decides)

  def averaged(self):
    """A context in which the model has its averaged weights."""
    if not self.trainer:
      return contextlib.nullcontext()
    return self.trainer.ema.applied()
