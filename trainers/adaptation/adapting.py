"""An adaptation, from the configuration to the results (sections 4.4, D)."""

import dataclasses
import types

from trainers import loop
from trainers import memory_needs
from trainers import supervised
from trainers.adaptation import adaptation_config
from trainers.adaptation import adaptation_features
from trainers.adaptation import adaptation_results
from trainers.adaptation import adaptation_trainer
from trainers.adaptation import predictions
from trainers.adaptation import target_evaluation
from trainers.adaptation import target_start
from trainers.data import pipeline
from trainers.data import unlabelled
from trainers.runs import checkpoints
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.runs import work_lock

EVAL_EVERY = 100  # steps, where nothing else is asked for
BATCH_SIZE = 64


def adapt(config=None, workdir=None, options=run_options.RunOptions(),
          **changes):
  """Adds a target to a trained model, adapts and evaluates it, writes records.

      from trainers.adaptation import adaptation_config
      from trainers.adaptation import adapting

      config = adaptation_config.AdaptationConfig(
          source='runs/digits', target='usps', method='adda',
          options={'label_smoothing': 0.2})
      found = adapting.adapt(config, workdir='runs/usps', steps=200)
      found.tasks['usps'].top1

  The target gets the head of the sources. Only what is the target's own is
  trained; all else stays as it is, bit for bit. Labels of the target are read
  for the records, for init='oracle' and by a method that says so.

  Args:
    config: `AdaptationConfig`. Default None, when resuming: that of the run.
    workdir: Directory of the run. It gets the whole model, with the target,
      its embeddings before and after and, where it has no labels,
      predictions.csv. Default None: a new one, runs/TIME.
    options: `RunOptions`.
    **changes: Changes of the training, as for `RunConfig.replace`, such as
      steps. Default: as `default_run` has it; when resuming, as the run has it.

  Returns:
    `results.RunResults`, which results.json holds, too.

  Raises:
    ValueError: If the adaptation cannot be made, the directory is taken, or
      the run to resume is another.
    loop.Interrupted: After SIGINT or SIGTERM, once a checkpoint is saved.
  """
  with work_lock.WorkLock() as lock:
    task_run = origins.NewTaskRun(
        'adapt', adaptation_config.AdaptationConfig, config, workdir, options,
        lock)
    return _adapt(task_run, options, changes)


def _adapt(task_run, options, changes):
  """As `adapt`, of a `NewTaskRun`."""
  saved, workdir = task_run.saved, task_run.workdir
  base = task_run.former or default_run(saved.config, task_run.config)
  datasets = {name: facts.get('dataset') or name
              for name, facts in saved.tasks.items()}
  config, run = _decide(
      base, saved.config, task_run.config, task_run.smoke, changes, datasets,
      _default_sources(saved))
  task_run.decide(config, run)
  memory_needs.check(run, sum(run.task_batch_sizes().values()) + len(
      config.sources) * (config.source_batch_size or 0))
  data, facts = load_data(config, run, saved, options.data_dir, task_run.smoke)
  steps = run.total_steps(
      {config.target: data[config.target].num_examples('train')})
  if not task_run.is_begun:
    _check(config, run, saved, data[config.target], steps)
  task_run.claim(facts)
  supervised.make_reproducible(run)
  evaluation = target_evaluation.TargetEvaluation(
      saved.model, config.target, data, run.eval_batch_size)
  class_names = facts[config.target]['class_names']
  if not task_run.is_begun:
    results.write(workdir / adaptation_results.INITIAL,
                  _begin(config, run, saved.model, data, evaluation))
    adaptation_features.write_start(workdir, evaluation, config, class_names)
  trainer, seconds = None, 0.0
  if config.method_class.trains:
    trainer = adaptation_trainer.AdaptationTrainer(
        saved.model, data, evaluation, config, run, steps)
    if not task_run.is_begun:
      checkpoints.save_start(trainer, workdir, task_run.decides)
    if options.eval_every is None:
      options = dataclasses.replace(options, eval_every=EVAL_EVERY)
    seconds = loop.run(trainer, workdir, options, True, True, task_run.decides)
  elif not task_run.is_begun:
    saved_models.write_checkpoint(workdir, saved.model, task_run.decides)
  found = adaptation_results.collect(
      trainer, evaluation, config, task_run.origin, seconds, results.read(
          workdir / adaptation_results.INITIAL, adaptation_results.Initial))
  results.write(workdir / records.RESULTS, found)
  adaptation_features.write_end(workdir, evaluation, config)
  if not data[config.target].is_labelled:
    predictions.write(workdir, evaluation, data[config.target], class_names)
  return found


def read_config(workdir):
  """The `AdaptationConfig` of the run in a work directory."""
  return origins.read_config(
      workdir, 'adapt', adaptation_config.AdaptationConfig)


def default_run(trained, config):
  """The `RunConfig` of an adaptation, where nothing else is asked for.

  Args:
    trained: `RunConfig` of the model.
    config: `AdaptationConfig`.
  """
  method = config.method_class
  experiment = trained.preset.removesuffix('_baseline')
  return dataclasses.replace(
      trained, tasks=(config.target,), batch_size=BATCH_SIZE, loss_weights=1.0,
      epochs=method.epochs.get(experiment, method.epochs['']), steps=None,
      entropy=0.0, clustering=0.0, ema_decay=0.0, seed=0,
      optimizer=method.optimizer)


def describe(trained, config, smoke=False, datasets=None, **changes):
  """What run.json has as 'config' of an adaptation, but for its 'origin'.

  Args:
    trained: `RunConfig` of the model.
    config: `AdaptationConfig`.
    smoke: Whether `RunOptions` ask for a smoke run.
    datasets: {task of the model: its data set}. Default: the tasks of
      `trained`, called as their data sets.
    **changes: As for `adapt`.
  """
  config, run = _decide(
      default_run(trained, config), trained, config, smoke, changes, datasets)
  return {**run.to_json(), 'adaptation': config.to_json()}


def _decide(base, trained, config, smoke, changes, datasets=None, sources=None):
  """(`AdaptationConfig`, `RunConfig`) that are run."""
  for name in sorted(set(adaptation_config.UNUSED) & set(changes)):
    raise ValueError(f'Expected changes that an adaptation reads, received '
                     f'{name}: leave it out.')
  run = base.replace_training(**changes)
  run.check_batches()
  if smoke:
    run = run.replace(steps=3, batch_size=8)
    default = getattr(config.method_class.Options, 'pretraining_steps', 0)
    if default and config.options.pretraining_steps == default:
      config = dataclasses.replace(config, options=dataclasses.replace(
          config.options, pretraining_steps=1))
  return adaptation_config.resolve(
      config, trained, run.batch_size, datasets, sources), run


def _default_sources(saved):
  """The sources of the model itself, if it was adapted: its target is none."""
  return saved.run['config'].get('adaptation', {}).get(
      'sources', saved.labelled_tasks())


def load_data(config, run, saved, data_dir=None, made_up=False):
  """({task: `TaskData`} of what may be read, {target: facts}).

  The target is seen as the sources are, where nothing else is asked for.

  Args:
    config: `AdaptationConfig`, resolved.
    run: `RunConfig`.
    saved: `SavedModel`.
    data_dir: TFDS's data directory, or None for its own.
    made_up: Whether the images are made up.
  """
  views = {saved.view(name) for name in config.sources}
  data = pipeline.load_tasks(
      [config.target], run.model.image_size, data_dir, run.augmentation,
      labelled=bool(config.uses_labels), made_up=made_up,
      view=run.view or (views.pop() if len(views) == 1 else None))
  if not config.source_free:
    saved = dataclasses.replace(saved, config=saved.config.replace(
        augmentation=run.augmentation))
    data.update(saved.load_data(
        data_dir, config.sources, ('train', 'test'), made_up=made_up))
  facts = data[config.target].describe()
  if not data[config.target].is_labelled:  # its classes are the sources'
    names = [saved.tasks.get(name, {}).get('class_names')
             for name in config.sources]
    facts['class_names'] = next(filter(None, names), None)
  return data, {config.target: facts}


def _check(config, run, saved, target, steps):
  """Refuses what cannot be adapted, before anything is written."""
  target_start.check(
      saved.model, config, unlabelled.UnlabelledImages(target))
  if target.is_labelled:  # of the sources' classes, where they are known
    pipeline.check_same_classes([target, *(
        types.SimpleNamespace(
            name=name, num_classes=target.num_classes,
            class_names=tuple(saved.tasks[name].get('class_names') or ()))
        for name in config.sources)])
  config.method_class.check(config.options, run.optimizer, steps)


def _begin(config, run, model, data, evaluation):
  """Adds the target; `adaptation_results.Initial` of how it is."""
  others = adaptation_results.others_digest(model, config.target)
  images = {name: unlabelled.UnlabelledImages(task_data)
            for name, task_data in data.items()}

  def evaluate(split):
    return evaluation.evaluate(split, [config.target])[config.target]

  start = target_start.add_target(
      model, config, images.pop(config.target), run.batch_size, images,
      lambda: evaluate('validation').top1, evaluation.graphs)
  return adaptation_results.Initial(
      start, evaluate('validation'), evaluate('test'), others)
