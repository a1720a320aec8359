"""Evaluates a run from its last checkpoint.

    python -m launch.evaluate --workdir=runs/digits
    python -m launch.evaluate --workdir=runs/digits --split=validation
"""

import contextlib
import pathlib

from absl import app
from absl import flags

from launch import entry
from launch import results
from launch import shared_flags
from trainers import checkpoints
from trainers import records
from trainers import run_config
from trainers import strategies
from trainers import supervised
from trainers.data import catalog
from trainers.data import mocking
from trainers.data import pipeline

_SPLIT = flags.DEFINE_enum(
    'split', 'test', pipeline.SPLITS, 'Split to evaluate on.')
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', ['ema', 'raw'], 'Averaged weights or the last ones.')


def main(argv):
  """Restores the last checkpoint, evaluates, prints a table."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  if not shared_flags.WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run of '
                     'launch.train; received none.')
  workdir = pathlib.Path(shared_flags.WORKDIR.value)
  run = records.read_run(workdir)
  # A smoke run was trained on made-up images.
  with (mocking.mock_data() if run['kind'] == 'smoke'
        else contextlib.nullcontext()):
    evaluate(workdir, run_config.RunConfig.from_json(run['config']))


def evaluate(workdir, config):
  """Evaluates the last checkpoint of a run; writes and prints."""
  step, arrays, metadata = checkpoints.Checkpoints(
      workdir / records.CHECKPOINTS).load()
  data = {name: pipeline.TaskData(
      catalog.get_task(name), config.model.image_size,
      shared_flags.DATA_DIR.value) for name in config.tasks}
  trainer = supervised.make_trainer(
      config, data, strategies.make_strategy('default'), steps=step)
  checkpoints.restore(trainer.state(), arrays)
  found = results.collect(trainer, _SPLIT.value, _WEIGHTS.value, step,
                          metadata.get('seconds', 0.0))
  records.write_json(
      workdir / f'evaluation-{_SPLIT.value}-{_WEIGHTS.value}.json', found)
  print(results.format_table(found))
  if len(config.tasks) > 1:
    print(results.format_distances(found))


if __name__ == '__main__':
  entry.run(main)
