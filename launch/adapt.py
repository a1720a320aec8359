"""Adapts a trained model to a new domain without its labels (4.4, D).

    python -m launch.adapt --from=runs/digits --target=usps --method=adda
    python -m launch.adapt --from=runs/digits --target=usps --method=m3sda \\
        --init=copy:mnist_corrupted/shear --workdir=runs/usps
    python -m launch.adapt --from=runs/baseline --target=usps --method=adda \\
        --tune=input_adapter
    python -m launch.adapt --from=runs/office --target=images:photos --method=im
    python -m launch.adapt --workdir=runs/usps --resume

The target becomes a task of the model, with the head of the sources. Only
what is the target's own is trained, by default its mixture weights (of a
model with fixed signatures: its copy of the input adapter), and its moving
statistics follow its images. --from is only read. --workdir gets the whole
model, with the target, and features.png, a picture of the embeddings of the
target and of its sources before and after.

--init says where the target starts: copy:TASK; best (default), the source
whose copy has the best label-free score on the target's images; oracle, the
best by the target's labels, which the records then say; random or uniform.

Labels of the target are read for the records, for --init=oracle and for
--method=supervised; nothing else can see them. A target that has none is a
folder of images, --target=images:PATH: the records then have its label-free
scores, and predictions.csv the class of each image.

--method=m3sda predicts by the mean of two heads, which its checkpoints keep:
its results and `launch.evaluate` are of that, with the figures of the sources'
head beside them. To all else that reads --workdir (fold, transfer, tasks,
--from of adapt) the target has the sources' head, and its accuracy.
"""

import dataclasses
import sys
import types

from absl import app
from absl import flags

from launch import adaptation_flags
from launch import entry
from launch import run_flags
from launch import shared_flags
from launch import training_flags
from launch.reports import adaptation_results
from launch.reports import feature_plots
from launch.reports import signature_plots
from trainers import loop
from trainers import supervised
from trainers.adaptation import adaptation_config
from trainers.adaptation import adaptation_features
from trainers.adaptation import adaptation_trainer
from trainers.adaptation import predictions
from trainers.adaptation import supervised_target
from trainers.adaptation import target_evaluation
from trainers.adaptation import target_optimizer
from trainers.adaptation import target_start
from trainers.data import pipeline
from trainers.data import unlabelled
from trainers.runs import checkpoints
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.runs import strict_json

INITIAL = 'initial.json'  # how the target began, written before step 1
_EVAL_EVERY = 100

for _name in ('from', 'workdir', 'data_dir', 'smoke', 'init', 'tune',
              'sources', 'target'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(adaptation_flags)
flags.adopt_module_key_flags(training_flags)
flags.adopt_module_key_flags(run_flags)


def main(argv):
  """Reads flags, adds the target, adapts, evaluates, writes."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  resume = training_flags.RESUME.value
  workdir = training_flags.workdir()
  former = records.read_run(workdir) if resume else None
  if former and 'adaptation' not in former['config']:
    raise ValueError(f'Expected a run of launch.adapt in {workdir}, received '
                     f'one of kind {former["kind"]!r}: resume it with the '
                     'command that began it.')
  source = shared_flags.FROM.value or (former and former['config']['from'])
  if not source:
    raise ValueError('--from is needed: the work directory of a trained '
                     'model.')
  asked = adaptation_flags.options(former and former['config']['adaptation'])
  smoke = shared_flags.SMOKE.value or (resume and former['kind'] == 'smoke')
  saved = origins.begin(workdir, source, former, smoke)
  base = (saved_models.parse_config(former['config']) if former else
          adaptation_config.default_run(
              saved.config, asked['method'], asked['target']))
  run = run_flags.training_from_flags(base, adaptation_config.UNUSED)
  if smoke and not resume:
    run = run.replace(steps=3, batch_size=8)
    if asked['method'] not in adaptation_config.SOURCE_FREE:
      asked = {'pretraining_steps': 1, **asked}
  config = adaptation_flags.adaptation_config_from(
      asked, run.batch_size, saved)
  return adapt(config, run, saved, source, workdir, former,
               'smoke' if smoke else 'adapt')


def adapt(config, run, saved, source, workdir, former, kind):
  """Makes an adaptation; returns what it wrote."""
  resume = bool(former)
  began = {'from': str(source), **origins.describe(saved, former)}
  decides = {**run.to_json(), **began, 'adaptation': config.to_json()}
  records.check(workdir, decides, kind, resume)
  origins.check(saved, workdir, source, began.get('origin'))
  data, facts = load_data(config, run, saved, kind == 'smoke')
  target, class_names = data[config.target], facts[config.target]['class_names']
  if resume:
    records.check_data(workdir, facts)
  images = unlabelled.UnlabelledImages(target)
  steps = run.total_steps({config.target: images.num_examples('train')})
  model = saved.model
  begun = config.target in model.tasks and saved.workdir == workdir
  if not begun:
    target_start.check(model, config, images)
    if target.is_labelled:
      _check_classes(target, config, saved)
    target_optimizer.adam(  # checks rates and warm-up
        config.network_optimizer(run.optimizer), steps)
  records.claim(workdir, decides, kind, resume, {**saved.tasks, **facts})
  print(f'Work directory: {workdir}', file=sys.stderr, flush=True)
  supervised.make_reproducible(run)
  evaluation = target_evaluation.TargetEvaluation(
      model, config.target, data, run.eval_batch_size)
  others = {'others': adaptation_results.others_digest(model, config.target)}
  if not begun:
    records.write_json(workdir / INITIAL, {
        **others, **_start(model, config, run, data, images, evaluation)})
    adaptation_features.write_start(workdir, evaluation, config, class_names)
  initial = {**others,  # which runs of older versions do not have
             **records.read_json(workdir / INITIAL)}
  print(adaptation_results.format_start(strict_json.decode(
      results.TargetStart, initial['start'], INITIAL)), flush=True)
  trainer, seconds = None, 0.0
  if config.method == 'source_only':
    if not begun:
      saved_models.write_checkpoint(workdir, model, decides)
  else:
    trainer = _make_trainer(
        model, images, data, evaluation, config, run,
        config.pretraining_steps + steps)
    if not begun:
      checkpoints.save_start(trainer, workdir, decides)
    seconds = loop.run(trainer, workdir, _cadence(), True, config=decides)
  found = adaptation_results.collect(
      trainer, evaluation, config, began, seconds, initial)
  results.write(workdir / records.RESULTS, found)
  signature_plots.save_signatures(
      evaluation.mixtures(), f'{workdir}/signatures.png')
  print(adaptation_results.format_results(found))
  print(f'Picture of the signatures: {workdir}/signatures.png')
  features = adaptation_features.write_end(workdir, evaluation, config)
  if features:
    feature_plots.save_features(features, f'{workdir}/features.png')
    print(f'Picture of the features: {workdir}/features.png')
  if not target.is_labelled:
    path = predictions.write(workdir, evaluation, target, class_names)
    print(f'Classes that are predicted: {path}')
  return found


def load_data(config, run, saved, made_up=False):
  """({task: `TaskData`} of what may be read, {task: facts}).

  Args:
    config: `AdaptationConfig`.
    run: `RunConfig`.
    saved: `SavedModel`.
    made_up: Whether the target's images are random.
  """
  data_dir = shared_flags.DATA_DIR.value
  data = pipeline.load_tasks(
      [config.target], run.model.image_size, data_dir, run.augmentation,
      labelled=bool(config.uses_labels), made_up=made_up)
  if not config.source_free:
    saved = dataclasses.replace(saved, config=saved.config.replace(
        augmentation=run.augmentation))
    data.update(saved.load_data(data_dir, config.sources, ('train', 'test')))
  facts = data[config.target].describe()
  if not data[config.target].is_labelled:  # its classes are the sources'
    names = [saved.tasks.get(name, {}).get('class_names')
             for name in config.sources]
    facts['class_names'] = next(filter(None, names), None)
  return data, {config.target: facts}


def _check_classes(target, config, saved):
  """Refuses a target of other classes than the sources', where known."""
  pipeline.check_same_classes([target, *(
      types.SimpleNamespace(
          name=name, num_classes=target.num_classes,
          class_names=tuple(saved.tasks[name].get('class_names') or ()))
      for name in config.sources)])


def _start(model, config, run, data, images, evaluation):
  """Adds the target; returns what is written of how it begins."""
  sources = {name: unlabelled.UnlabelledImages(data[name])
             for name in config.sources if name in data}

  def top1():
    found = evaluation.evaluate('validation', [config.target])
    return found[config.target].top1

  start = target_start.add_target(
      model, config, images, run.batch_size, sources, top1)
  return {'start': start, **{
      split: strict_json.encode(
          evaluation.evaluate(split, [config.target])[config.target])
      for split in ('validation', 'test')}}


def _make_trainer(model, images, data, evaluation, config, run, steps):
  sources = {}
  if config.method not in adaptation_config.SOURCE_FREE:
    sources = {name: data[name] for name in config.sources}
  arguments = (model, images, sources, evaluation, config, run, steps)
  if config.method == 'supervised':
    return supervised_target.SupervisedTargetTrainer(
        *arguments, labelled=data[config.target])
  return adaptation_trainer.AdaptationTrainer(*arguments)


def _cadence():
  cadence = training_flags.cadence()
  if flags.FLAGS['eval_every'].present:
    return cadence
  return dataclasses.replace(cadence, evaluate=_EVAL_EVERY)


if __name__ == '__main__':
  entry.run(main)
