"""A training run, from the configuration to the results (sections 4.2, 4.3)."""

import dataclasses
import pathlib
import sys

from mixture_modules import checks
from trainers import loop
from trainers import memory_needs
from trainers import strategies
from trainers import supervised
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_config
from trainers.runs import run_options
from trainers.runs import work_lock


def train(config=None, workdir=None, options=run_options.RunOptions(),
          strategy='default'):
  """Trains tasks on a shared template bank, evaluates and records them.

      from trainers import training
      from trainers.runs import run_config

      config = run_config.recipe('default').replace(steps=50)
      found = training.train(config, workdir='runs/a')
      found.tasks['optdigits'].top1

  The work directory gets run.json, metrics.jsonl, signatures.jsonl,
  TensorBoard's files, checkpoints and results.json.

  Args:
    config: `RunConfig`. Default None, when resuming: that of the run.
    workdir: Directory of the run. Default None: a new one, runs/TIME.
    options: `RunOptions`.
    strategy: One of `strategies.NAMES`, or a `tf.distribute` strategy.

  Returns:
    `results.RunResults`, on the test split, of the averaged weights.

  Raises:
    ValueError: If the data is not there, the directory is taken or in use, the
      run to resume is another, or the loss is not finite.
    loop.Interrupted: After SIGINT or SIGTERM, once a checkpoint is saved.
  """
  with work_lock.WorkLock() as lock:
    return _train(lock, config, workdir, options, strategy)


def _train(lock, config, workdir, options, strategy):
  """As `train`; once this process writes, it takes the `WorkLock`."""
  workdir = records.choose_workdir(
      workdir, options.resume or strategy == 'multi_worker')
  if isinstance(strategy, str):
    strategy = strategies.make_strategy(strategy)
  if config is None:
    if not options.resume:
      raise ValueError('Expected a configuration, received none: only a run '
                       'that is resumed has its own.')
    config = read_config(workdir)
  checks.is_a('config', config, run_config.RunConfig)
  config.check_batches(strategy.num_replicas_in_sync)
  if options.smoke:
    config = smoke_config(config, strategy.num_replicas_in_sync)
  kind, decides = 'smoke' if options.smoke else 'train', config.to_json()
  chief = strategies.is_chief(strategy)

  def prepare():
    records.check(workdir, decides, kind, options.resume)
    if chief and options.resume:
      lock.take(workdir)
    data = pipeline.load_tasks(
        config.tasks, config.model.image_size, options.data_dir,
        config.augmentation, made_up=options.smoke, view=config.view)
    memory_needs.check(
        config, sum(config.task_batch_sizes().values()),
        [task_data.num_classes for task_data in data.values()],
        strategy.num_replicas_in_sync)
    # Reads the data: faults show before the training.
    facts = {name: task_data.describe() for name, task_data in data.items()}
    if options.resume:
      records.check_data(workdir, facts)
    watched = {field: value for field, value in dataclasses.asdict(
        options).items() if field not in ('data_dir', 'progress')}
    return (data, facts), {**decides, 'data': facts, 'options': watched}

  data, facts = strategies.agree(strategy, prepare)
  trainer = supervised.make_trainer(config, data, strategy)
  if chief:
    lock.take(workdir)
    records.claim(workdir, decides, kind, options.resume, facts)
    if options.progress:
      print(f'Work directory: {workdir}', file=sys.stderr, flush=True)
  seconds = loop.run(
      trainer, workdir, options, options.resume, chief, decides)
  with trainer.ema.applied():
    found = results.collect(
        trainer.network, 'test', 'ema', trainer.steps, seconds)
  if chief:
    results.write(workdir / records.RESULTS, found)
  return found


def smoke_config(config, num_replicas=1):
  """The `RunConfig` that `RunOptions.smoke` makes of a configuration."""
  return config.replace(steps=3, batch_size=8 * num_replicas, warmup_steps=0)


def read_config(workdir):
  """The `RunConfig` of the training run in a work directory.

  Raises:
    ValueError: If there is no run, one of another kind, or it is damaged.
  """
  run = records.read_run(workdir)
  records.check_kind(workdir, run, 'train')
  return run_config.RunConfig.from_json(
      run['config'], pathlib.Path(workdir) / records.RUN)
