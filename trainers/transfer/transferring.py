"""A transfer, from the configuration to the results (sections 4.3, C)."""

import dataclasses
import warnings

from mixture_modules.isometric import tune_scopes
from trainers import evaluation
from trainers import memory_needs
from trainers import supervised
from trainers.data import pipeline
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import work_lock
from trainers.transfer import transfer_config
from trainers.transfer import transfer_start
from trainers.transfer import tuning as tuning_lib

INITIAL = 'initial.json'
STEPS = 500


@dataclasses.dataclass(frozen=True)
class Initial:
  """How a new task is before step 1, as initial.json holds it.

  Args:
    start: How it began.
    validation: Its score on the validation split.
    test: Its score on the test split.
  """

  start: results.TransferStart
  validation: results.TaskScore
  test: results.TaskScore


def transfer(config=None, workdir=None, options=run_options.RunOptions(),
             **changes):
  """Adds a task to a trained model, tunes and evaluates it, writes records.

      from trainers.transfer import transfer_config
      from trainers.transfer import transferring

      config = transfer_config.TransferConfig(
          source='runs/digits', dataset='usps', init='learned')
      found = transferring.transfer(config, workdir='runs/usps', steps=100)
      found.tasks['usps'].top1

  Training uses the statistics of its batches and moves those of the new task,
  whatever is tuned. Other tasks' outputs stay as they are, bit for bit, unless
  templates are tuned.

  Args:
    config: `TransferConfig`. Default None, when resuming: that of the run.
    workdir: Directory of the run. It gets the whole model, with the new task.
      Default: a new one, runs/TIME.
    options: `RunOptions`.
    **changes: Of the training, as for `RunConfig.replace`, such as steps.
      Default: as `default_run` has it; when resuming, as the run has it.

  Returns:
    `results.RunResults`, which results.json holds, too.

  Raises:
    ValueError: If the transfer cannot be made, or the run to resume is another.
    loop.Interrupted: After SIGINT or SIGTERM, once a checkpoint is saved.
  """
  with work_lock.WorkLock() as lock:
    task_run = origins.NewTaskRun(
        'transfer', transfer_config.TransferConfig, config, workdir, options,
        lock)
    return _transfer(task_run, options, changes)


def _transfer(task_run, options, changes):
  """As `transfer`, of a `NewTaskRun`."""
  base = task_run.former or default_run(task_run.saved.config, task_run.config)
  config, run = _decide(base, task_run.config, task_run.smoke, changes)
  task_run.decide(config, run)
  memory_needs.check(run, sum(run.task_batch_sizes().values()))
  data, facts = load_data(config, run, options.data_dir, task_run.smoke)
  if not task_run.is_begun:
    transfer_start.check(
        config, task_run.saved.model, task_run.saved.tasks, data, run)
  task_run.claim({config.name: facts})
  found = _tune(config, run, task_run, data, options)
  results.write(task_run.workdir / records.RESULTS, found)
  return found


def _tune(config, run, task_run, data, options):
  """Begins the task, or goes on with it, to the end; `RunResults`."""
  name, model, workdir = config.name, task_run.saved.model, task_run.workdir
  supervised.make_reproducible(run)
  evaluator = evaluation.TaskEvaluator(
      model, {name: data}, run.eval_batch_size)
  if not task_run.is_begun:
    start = transfer_start.begin(config, model, task_run.saved.tasks, data, run)
    results.write(workdir / INITIAL, Initial(
        start, *(evaluator.evaluate(split)[name]
                 for split in ('validation', 'test'))))
  initial = results.read(workdir / INITIAL, Initial)
  for text in cautions(initial.start):
    warnings.warn(text, stacklevel=3)
  tuning = tuning_lib.Tuning(model, name, initial.start.tune, data, run)
  if not task_run.is_begun:
    tuning.save_start(workdir, task_run.decides)
  if not tuning.trainer:  # otherwise the loop writes them
    records.Writer(workdir).signatures(0, evaluator.mixtures())
  seconds = tuning.run(workdir, options, task_run.decides)
  with tuning.averaged():
    found = results.collect(evaluator, 'test', 'ema', tuning.steps, seconds)
    validation = evaluator.evaluate('validation')
  return dataclasses.replace(
      found, initial={name: initial.test},
      validation=results.Validation({name: initial.validation}, validation),
      transfer=results.TransferFacts(
          source=config.source, origin=task_run.origin,
          dataset=config.dataset, name=name, start=initial.start,
          tuned_parameters=tuning.num_parameters,
          train_examples=data.num_examples('train'),
          examples_per_class=config.examples_per_class))


def read_config(workdir):
  """The `TransferConfig` of the run in a work directory."""
  return origins.read_config(
      workdir, 'transfer', transfer_config.TransferConfig)


def default_run(trained, config):
  """The `RunConfig` of a new task alone, where nothing else is asked for.

  It is that of the model, with 500 steps, no warm-up, and the largest of the
  tasks' batch sizes.

  Args:
    trained: `RunConfig` of the model.
    config: `TransferConfig`.
  """
  return dataclasses.replace(
      trained, tasks=(config.name,), shared_head=False, loss_weights=1.0,
      batch_size=max(trained.task_batch_sizes().values()),
  ).replace(steps=STEPS, warmup_steps=0)


def describe(trained, config, smoke=False, **changes):
  """What run.json has as 'config' of a transfer, but for its 'origin'.

  Args:
    trained: `RunConfig` of the model.
    config: `TransferConfig`.
    smoke: Whether `RunOptions` ask for a smoke run.
    **changes: As for `transfer`.
  """
  config, run = _decide(default_run(trained, config), config, smoke, changes)
  return {**run.to_json(), 'transfer': config.to_json()}


def _decide(base, config, smoke, changes):
  """(`TransferConfig`, `RunConfig`) that are run."""
  run = base.replace_training(**changes)
  run.check_batches()
  if smoke:
    config = dataclasses.replace(config, init_steps=3)
    run = run.replace(steps=3, batch_size=8)
  return config, run


def load_data(config, run, data_dir=None, made_up=False):
  """(`TaskData` of the new task, its facts for run.json)."""
  data, = pipeline.load_tasks(
      [config.dataset], run.model.image_size, data_dir, run.augmentation,
      config.examples_per_class, run.seed, made_up=made_up,
      view=run.view).values()
  facts = data.describe()
  if config.name != config.dataset:
    facts['dataset'] = config.dataset
  if config.examples_per_class is not None:
    facts['examples_per_class'] = config.examples_per_class
    facts['examples_seed'] = run.seed
  return data, facts


def cautions(start):
  """What is to be known of a `results.TransferStart`, as texts."""
  texts, tune = [], set(start.tune)
  moving = sorted(tune & set(tune_scopes.MOVES_OTHERS))
  if moving:
    texts.append(f'tune={",".join(moving)} moves what all tasks share: the '
                 'outputs of the older tasks will change.')
  if start.initial_head == 'untrained' and not tune & {'head', 'all'}:
    texts.append('The task has a new head, which tune=none leaves untrained: '
                 'its accuracy is by chance.')
  return texts
