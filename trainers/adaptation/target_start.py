"""Where a target starts: whose signature, which statistics (section 4.4)."""

from trainers import evaluation
from trainers import moving_statistics
from trainers.adaptation import label_free_scores
from trainers.adaptation import target_scores
from trainers.data import pipeline
from trainers.runs import results

_LEAST_BATCHES = 100  # for statistics: a small target is passed several times


def add_target(model, config, images, batch_size, sources=None, top1=None,
               graphs=None):
  """Adds the target to a trained model, as an adaptation is to start.

  Nothing of another task changes. The head is that of the sources.

  Args:
    model: `IsometricModel`.
    config: `AdaptationConfig`, resolved.
    images: `UnlabelledImages` of the target.
    batch_size: Images in a batch.
    sources: {source: `UnlabelledImages`}, for one of the scores; empty where
      none may be read.
    top1: For `init='oracle'`, a function of no arguments that says how right
      the model is on the target, by labels.
    graphs: `evaluation.Graphs` of the model, where some are traced already or
      will be of use again. Default: its own.

  Returns:
    `results.TargetStart`; 'top1' is among the scores of an oracle.

  Raises:
    ValueError: If a source is not among the tasks, the target is, heads or
      classes differ, or there are too few images.

  Source: section 4.4 and D.2, where a signature is copied; label-free choice
    is ours.
  """
  head = check(model, config, images)

  def add(init):
    model.add_task(
        config.target, model.heads[head].units, init=init, head=head)
    if config.target_statistics == 'reestimate':
      reestimate(model, config.target, images, batch_size)

  if config.init not in ('best', 'oracle'):
    add(config.init)
    return results.TargetStart(config.init, 'given', {})
  candidates, graphs = {}, graphs or evaluation.Graphs(model)
  source_embeddings = target_scores.observe_sources(
      {name: target_scores.Observer(graphs, name) for name in sources or ()},
      sources, 'train', batch_size)
  for source in config.sources:
    add(f'copy:{source}')
    candidates[source] = target_scores.measure(
        *target_scores.Observer(graphs, config.target).observe(
            images, 'train', batch_size), source_embeddings)
    if config.init == 'oracle':
      candidates[source]['top1'] = top1()
    model.remove_task(config.target)
  chosen = _best(candidates, config)
  add(f'copy:{chosen}')
  return results.TargetStart(
      f'copy:{chosen}', config.score if config.init == 'best' else 'oracle',
      candidates)


def check(model, config, images):
  """Checks that a model can be adapted, and returns the name of the head.

  Args:
    model: `IsometricModel` without the target.
    config: `AdaptationConfig`, resolved.
    images: `UnlabelledImages` of the target.

  Raises:
    ValueError: If it cannot.
  """
  target, sources = config.target, config.sources
  missing = [name for name in sources if name not in model.tasks]
  if missing:
    raise ValueError(f'Expected sources among the tasks {list(model.tasks)}, '
                     f'received {missing}.')
  if target in model.tasks:
    raise ValueError(
        f'Expected a target that the model does not know yet, received '
        f'{target!r}: its tasks are {list(model.tasks)}.')
  heads = sorted({model.task(name).head_name for name in sources})
  if len(heads) > 1:
    raise ValueError(
        f'Expected sources that share a head, received those of the heads '
        f'{heads}: choose some, or train with shared_head.')
  fixed = model.task(sources[0]).signature.sequence is not None
  if fixed and 'mixture' in (config.tune or ()):
    raise ValueError(
        'Expected a model with trained signatures to tune the mixture of, '
        'received one with fixed ones: use tune=input_adapter.')
  if fixed and config.init in ('random', 'uniform'):
    raise ValueError(
        f'Expected a model with trained signatures for init={config.init}, '
        'received one with fixed ones: use copy:TASK or best.')
  for split in pipeline.SPLITS:
    if images.num_examples(split) < 2:  # scores compare one with another
      raise ValueError(
          f'Expected at least two images of {target!r} in each split, received '
          f'{images.num_examples(split)} in {split!r}: add images.')
  classes = model.heads[heads[0]].units
  if images.num_classes not in (None, classes):  # None: without labels
    raise ValueError(
        f'Expected a target of the {classes} classes of the sources, received '
        f'{target!r} with {images.num_classes}: adaptation keeps the label '
        'set; for a new one transfer.')
  return heads[0]


def _best(candidates, config):
  score = config.score if config.init == 'best' else 'top1'
  higher = label_free_scores.SCORES.get(score, True)
  pick = max if higher else min
  return pick(candidates, key=lambda source: candidates[source][score])


def reestimate(model, task, images, batch_size):
  """Estimates a task's moving statistics anew, from images without labels.

  One pass over the training images, not augmented, in random order; of a
  small task several, to a hundred batches.

  Args:
    model: `IsometricModel`.
    task: Name of the task.
    images: `UnlabelledImages`.
    batch_size: Images in a batch; as many as there are, if they are fewer.

  Source: "AdaBN", Li et al. (2018); section D.1 refers to its like.
  """
  size = min(batch_size, images.num_examples('train'))
  steps = max(-(-images.num_examples('train') // size), _LEAST_BATCHES)
  moving_statistics.reestimate(
      model, task,
      images.train_batches(size, seed=0, augment=False).take(steps))
