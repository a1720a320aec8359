"""A small adaptation on made-up images, for tests; two sources, one target."""

import functools

import keras

from mixture_modules.isometric import isometric_model
from trainers.adaptation import adaptation_config
from trainers.adaptation import adaptation_trainer
from trainers.adaptation import adapting
from trainers.adaptation import methods
from trainers.adaptation import target_evaluation
from trainers.adaptation import target_start
from trainers.data import pipeline
from trainers.data import unlabelled
from trainers.testing import toy

SOURCES = ('one', 'two')
POOL = 'pool'  # of both sources, the baseline's only task
TARGET = 'three'
PRETRAINING = 2  # steps, of methods that have any
STEPS = 6  # with those


@functools.cache
def make_data():
  """{task: `TaskData`} of sources, pool and target."""
  data = toy.make_data([*SOURCES, TARGET])
  pool = pipeline.TaskData(
      data['one'].parts + data['two'].parts, name=POOL)
  return {**data, POOL: pool}


def make_trainer(method, changes=None, pooled=False, **options):
  """A trainer on a fresh model that has learnt nothing, the same each time.

  Args:
    method: Method of adaptation.
    changes: Of the configuration, as for `RunConfig.replace`.
    pooled: Whether it is the baseline, whose input adapter is tuned.
    **options: Fields of `AdaptationConfig` or of the method's options, or
      'shared_half' of the model.
  """
  sources = (POOL,) if pooled else SOURCES
  data = {name: make_data()[name] for name in (*sources, TARGET)}
  keras.utils.set_random_seed(0)
  base = toy.make_config(
      sources, dropout=0.3, shared_half=options.pop('shared_half', None))
  if pooled:
    base = base.replace(signature='diagonal', norm='shared')
    options = {'tune': ('input_adapter',), **options}
  kind = methods.METHODS[method]
  own = {'pretraining_steps': PRETRAINING,
         **{name: options.pop(name) for name in list(options)
            if hasattr(kind.Options, name)}}
  if not hasattr(kind.Options, 'pretraining_steps'):
    del own['pretraining_steps']
  asked = adaptation_config.AdaptationConfig(**{
      'source': 'bank', 'target': TARGET, 'method': method, 'sources': sources,
      'init': f'copy:{sources[0]}', 'watch_every': 2, 'choose': 'best',
      'source_batch_size': 4 if kind.reads_sources else None, 'options': own,
      **options})
  run = adapting.default_run(base, asked).replace(
      **{'batch_size': 8, 'steps': STEPS, **(changes or {})})
  config = adaptation_config.resolve(asked, base, run.batch_size)
  model = isometric_model.IsometricModel(
      base.model, dict.fromkeys(sources, toy.CLASSES), shared_head=True,
      seed=0)
  target_start.add_target(
      model, config, unlabelled.UnlabelledImages(data[TARGET]), run.batch_size)
  evaluation = target_evaluation.TargetEvaluation(
      model, TARGET, data, run.eval_batch_size)
  return adaptation_trainer.AdaptationTrainer(
      model, data, evaluation, config, run,
      run.steps - own.get('pretraining_steps', 0))


def slope(variable, direction, objective, step):
  """How fast an objective grows along a direction, by its differences.

  Args:
    variable: Variable that it depends on; it is moved.
    direction: Array of its shape, of length 1.
    objective: Function of nothing.
    step: How far to either side it is looked at.
  """
  start, ends = variable.numpy(), []
  for side in (-1, 1):
    variable.assign(start + side * step * direction)
    ends.append(objective())
  return (ends[1] - ends[0]) / (2 * step)
