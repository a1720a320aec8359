"""Evaluates a run from its last checkpoint.

    python -m launch.evaluate --workdir=runs/digits
    python -m launch.evaluate --workdir=runs/digits --split=validation
"""

import pathlib

from absl import app
from absl import flags

from launch import entry
from launch import results
from trainers import checkpoints
from trainers import records
from trainers import run_config
from trainers import strategies
from trainers import supervised
from trainers.data import catalog
from trainers.data import pipeline

_WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.')
_SPLIT = flags.DEFINE_enum(
    'split', 'test', pipeline.SPLITS, 'Split to evaluate on.')
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', ['ema', 'raw'], 'Averaged weights or the last ones.')
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.')
flags.mark_flag_as_required('workdir')


def main(argv):
  """Restores the last checkpoint, evaluates, prints a table."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  path = pathlib.Path(_WORKDIR.value) / records.RUN
  if not path.exists():
    raise ValueError(f'Expected a run in {_WORKDIR.value}, which has no '
                     f'{records.RUN}: give the --workdir of launch.train.')
  config = run_config.RunConfig.from_json(records.read_json(path)['config'])
  step, arrays, metadata = checkpoints.Checkpoints(
      f'{_WORKDIR.value}/checkpoints').load()
  data = {name: pipeline.TaskData(
      catalog.get_task(name), config.model.image_size, _DATA_DIR.value)
          for name in config.tasks}
  trainer = supervised.make_trainer(
      config, data, strategies.make_strategy('default'))
  checkpoints.restore(trainer.state(), arrays)
  found = results.collect(trainer, _SPLIT.value, _WEIGHTS.value, step,
                          metadata['seconds'])
  records.write_json(
      path.with_name(f'evaluation-{_SPLIT.value}-{_WEIGHTS.value}.json'),
      found)
  print(results.format_table(found))


if __name__ == '__main__':
  entry.run(main)
