"""Trains one or more tasks on a shared template bank (sections 4.2, 4.3).

    python -m launch.train
    python -m launch.train --preset=digits --workdir=runs/digits
    python -m launch.train --workdir=runs/digits --resume

Without flags it trains optdigits, plain, blurred and as boundaries, together.
The work directory gets run.json, metrics.jsonl, signatures.jsonl,
TensorBoard's files, checkpoints, results.json and signatures.png.
"""

import datetime
import sys

from absl import app
from absl import flags

from launch import entry
from launch import plots
from launch import results
from launch import run_flags
from trainers import loop
from trainers import records
from trainers import strategies
from trainers import supervised
from trainers.data import catalog
from trainers.data import mocking
from trainers.data import pipeline

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run. Default: a new one under runs/.')
_RESUME = flags.DEFINE_bool(
    'resume', False, 'Go on with the run in --workdir, from its last '
    'checkpoint; flags that are not given are as they were.')
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.')
_STRATEGY = flags.DEFINE_enum(
    'strategy', 'default', strategies.NAMES, 'One device, all devices of this '
    'machine, or the workers that $TF_CONFIG lists.')
_SMOKE = flags.DEFINE_bool(
    'smoke', False, 'Three steps on made-up images, to see that a command '
    'works; needs no data, and its numbers mean nothing.')
_LOG_EVERY = flags.DEFINE_integer(
    'log_every', 50, 'Steps between lines of metrics.')
_EVAL_EVERY = flags.DEFINE_integer(
    'eval_every', 500, 'Steps between evaluations on the validation splits; '
    '0: never.')
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    'checkpoint_every', 500, 'Steps between checkpoints.')


def main(argv):
  """Reads flags, trains, evaluates, writes."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  strategy = strategies.make_strategy(_STRATEGY.value)
  workdir = _WORKDIR.value or (
      f'runs/{datetime.datetime.now():%Y%m%d-%H%M%S}')
  config = run_flags.run_config_from_flags(
      catalog.expand_names, workdir if _RESUME.value else None)
  cadence = loop.Cadence(
      log=_LOG_EVERY.value, evaluate=_EVAL_EVERY.value,
      checkpoint=_CHECKPOINT_EVERY.value)
  if not _SMOKE.value:
    return train(config, strategy, workdir, cadence)
  with mocking.mock_data():
    config = config.replace(
        steps=3, batch_size=8 * strategy.num_replicas_in_sync)
    return train(config, strategy, workdir, cadence)


def train(config, strategy, workdir, cadence):
  """Runs a configuration to its results; returns what it wrote."""
  records.check(workdir, config.to_json(), 'train', _RESUME.value)
  chief = strategies.is_chief(strategy)
  data = {name: pipeline.TaskData(
      catalog.get_task(name), config.model.image_size, _DATA_DIR.value)
          for name in config.tasks}
  trainer = supervised.make_trainer(config, data, strategy)
  if chief:
    records.claim(workdir, config.to_json(), 'train')
    print(f'Work directory: {workdir}', file=sys.stderr, flush=True)
  seconds = loop.run(trainer, workdir, cadence, _RESUME.value, chief,
                     config.to_json())
  found = results.collect(trainer, 'test', 'ema', trainer.steps, seconds)
  if chief:
    records.write_json(f'{workdir}/{records.RESULTS}', found)
    plots.save_signatures(
        trainer.mixtures('ema'), f'{workdir}/signatures.png')
    print(results.format_table(found))
    print(f'Picture of the signatures: {workdir}/signatures.png')
  return found


if __name__ == '__main__':
  entry.run(main)
