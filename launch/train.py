"""Trains one or more tasks on a shared template bank (sections 4.2, 4.3).

    python -m launch.train
    python -m launch.train --preset=digits --workdir=runs/digits
    python -m launch.train --workdir=runs/digits --resume

Without flags it trains optdigits, plain, blurred and as boundaries, together.
The work directory gets run.json, metrics.jsonl, signatures.jsonl,
TensorBoard's files, checkpoints, results.json and signatures.png.
"""

import sys

from absl import app
from absl import flags

from launch import entry
from launch import run_flags
from launch import shared_flags
from launch import training_flags
from launch.reports import results_text
from launch.reports import signature_plots
from trainers import loop
from trainers import strategies
from trainers import supervised
from trainers.data import catalog
from trainers.data import pipeline
from trainers.runs import records

_STRATEGY = flags.DEFINE_enum(
    'strategy', 'default', strategies.NAMES, 'One device, all devices of this '
    'machine, or the workers that $TF_CONFIG lists, which share --workdir.')
flags.adopt_module_key_flags(run_flags)
for _name in ('workdir', 'data_dir', 'smoke'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(training_flags)


def main(argv):
  """Reads flags, trains, evaluates, writes."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  if _STRATEGY.value == 'multi_worker' and not shared_flags.WORKDIR.value:
    raise ValueError('--strategy=multi_worker needs a --workdir: name the '
                     'directory of the run.')
  workdir = training_flags.workdir()
  strategy = strategies.make_strategy(_STRATEGY.value)
  config = run_flags.run_config_from_flags(
      catalog.expand_names, workdir if training_flags.RESUME.value else None)
  cadence = training_flags.cadence()
  if not shared_flags.SMOKE.value:
    return train(config, strategy, workdir, cadence)
  config = config.replace(
      steps=3, batch_size=8 * strategy.num_replicas_in_sync, warmup_steps=0)
  return train(config, strategy, workdir, cadence, kind='smoke')


def train(config, strategy, workdir, cadence, kind='train'):
  """Runs a configuration to its results; returns what it wrote."""
  resume = training_flags.RESUME.value
  records.check(workdir, config.to_json(), kind, resume)
  chief = strategies.is_chief(strategy)
  data = pipeline.load_tasks(
      config.tasks, config.model.image_size, shared_flags.DATA_DIR.value,
      config.augmentation, made_up=kind == 'smoke')
  # Reads the data: faults show before the training.
  facts = {name: task_data.describe() for name, task_data in data.items()}
  if resume:
    records.check_data(workdir, facts)
  trainer = supervised.make_trainer(config, data, strategy)
  if chief:
    records.claim(workdir, config.to_json(), kind, resume, facts)
    print(f'Work directory: {workdir}', file=sys.stderr, flush=True)
  seconds = loop.run(trainer, workdir, cadence, resume, chief,
                     config.to_json())
  with trainer.ema.applied():
    found = results_text.collect(
        trainer.network, 'test', 'ema', trainer.steps, seconds)
  if chief:
    records.write_json(f'{workdir}/{records.RESULTS}', found)
    signature_plots.save_signatures(
        {name: result['mixtures'] for name, result in found['tasks'].items()},
        f'{workdir}/signatures.png')
    print(results_text.format_table(found))
    print(f'Picture of the signatures: {workdir}/signatures.png')
  return found


if __name__ == '__main__':
  entry.run(main)
