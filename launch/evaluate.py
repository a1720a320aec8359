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
from trainers import loop
from trainers import records
from trainers import run_config
from trainers import strategies
from trainers import supervised
from trainers.data import mocking
from trainers.data import pipeline

_SPLIT = flags.DEFINE_enum(
    'split', 'test', pipeline.SPLITS, 'Split to evaluate on.')
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', ['ema', 'raw'], 'Averaged weights or the last ones.')

flags.declare_key_flag('workdir')
flags.declare_key_flag('data_dir')


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
  store = checkpoints.Checkpoints(workdir / records.CHECKPOINTS)
  step, arrays, metadata = store.load()
  loop.check_same_run(store.latest(), metadata, config.to_json())
  data = pipeline.load_tasks(
      config.tasks, config.model.image_size, shared_flags.DATA_DIR.value,
      config.augmentation)
  records.check_data(workdir, {name: task_data.describe([_SPLIT.value])
                               for name, task_data in data.items()})
  trainer = supervised.make_trainer(
      config, data, strategies.make_strategy('default'),
      steps=max(step, config.optimizer.warmup_steps + 1))
  checkpoints.restore(trainer.state(), arrays)
  found = results.collect(trainer, _SPLIT.value, _WEIGHTS.value, step,
                          metadata['seconds'])
  records.write_json(
      workdir / f'evaluation-{_SPLIT.value}-{_WEIGHTS.value}.json', found)
  print(results.format_table(found))
  if len(config.tasks) > 1:
    print(results.format_distances(found))


if __name__ == '__main__':
  entry.run(main)
