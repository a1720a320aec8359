"""Flags of the commands that train: how often things happen, and resuming."""

import datetime
import pathlib

from absl import flags

from launch import shared_flags
from trainers import loop

RESUME = flags.DEFINE_bool(
    'resume', False, 'Go on with the run in --workdir, from its last '
    'checkpoint; what decides its numbers is as it was.')
_LOG_EVERY = flags.DEFINE_integer(
    'log_every', 50, 'Steps between lines of metrics.')
_EVAL_EVERY = flags.DEFINE_integer(
    'eval_every', 500, 'Steps between evaluations on the validation splits; '
    '0: never.')
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    'checkpoint_every', 500, 'Steps between checkpoints.')


def cadence():
  """The `Cadence` that the flags ask for."""
  return loop.Cadence(
      log=_LOG_EVERY.value, evaluate=_EVAL_EVERY.value,
      checkpoint=_CHECKPOINT_EVERY.value)


def workdir():
  """The directory that the flags ask for, or a new one named by the time.

  Raises:
    ValueError: If a run is to be resumed and its directory is not named.
  """
  if shared_flags.WORKDIR.value:
    return pathlib.Path(shared_flags.WORKDIR.value)
  if RESUME.value:
    raise ValueError('--resume needs a --workdir: name the directory of the '
                     'run.')
  return pathlib.Path(f'runs/{datetime.datetime.now():%Y%m%d-%H%M%S}')
