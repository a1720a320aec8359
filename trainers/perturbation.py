"""Evaluation of a trained network whose layers are edited (section B)."""

import tensorflow as tf

from mixture_modules import rearranging
from mixture_modules import signature_edits
from mixture_modules import signatures
from trainers import evaluation

STATISTICS = ('moved', 'reestimated')


def evaluate(trainer, config, edits, split, weights='ema', statistics='moved',
             num_batches=100):
  """Evaluates copies of a trained network, one for each edit.

  An edited network is the trained one but for the order and the mixtures of
  its layers. What its layers see has changed, though, and batch norm's moving
  statistics are those of before: accuracy falls for that reason, too.
  Statistics of the edited network tell the two apart; they are estimated from
  training images as training sees them, without labels.

  Args:
    trainer: `SupervisedTrainer`.
    config: Its `RunConfig`.
    edits: Texts as of `signature_edits.apply`; each edits the trained network.
    split: 'train', 'validation' or 'test'.
    weights: 'ema' or 'raw'.
    statistics: 'moved': every layer takes its moving statistics along;
      'reestimated': then `num_batches` forward passes in training mode put new
      ones in their place.
    num_batches: Training batches of each task, the same for every edit.

  Returns:
    {edit: {'layers': which layer of the trained network each layer is, from
    1, 'tasks': {task: {'signature': notation, 'top1', 'loss', ...}}}}, the
    latter as of `Evaluator.evaluate_split`.

  Raises:
    ValueError: If there is no such edit.

  Source: section B ("perturb the sequence of modules"); statistics are our
  choice.
  """
  if weights == 'ema':
    with trainer.ema.applied():
      return evaluate(trainer, config, edits, split, 'raw', statistics,
                      num_batches)
  networks = {}  # by number of layers: their graphs serve several edits
  results = {}
  for edit in edits:
    mixtures = {}
    for name, xi in trainer.mixtures().items():
      layers, mixtures[name] = signature_edits.apply(edit, xi)
    former = networks.get(len(layers))
    copy = rearranging.rearrange(
        trainer.model, layers, mixtures, into=former and former.model)
    network = networks[len(layers)] = former or _Network(copy)
    results[edit] = {'layers': [layer + 1 for layer in layers], 'tasks': {}}
    for name, data in trainer.data.items():
      if statistics == 'reestimated':
        network.reestimate(name, data.train_batches(
            config.task_batch_sizes()[name], config.seed).take(num_batches))
      results[edit]['tasks'][name] = {
          'signature': signatures.notation(mixtures[name]),
          **network.evaluator.evaluate_split(
              name, data, split, config.eval_batch_size)}
  return results


class _Network:
  """A copy of the trained network, and the functions traced of it."""

  def __init__(self, model):
    self.model = model
    self.evaluator = evaluation.Evaluator(model)
    self._observe = tf.function(
        lambda images, task: model(images, task=task, training=True),
        autograph=False, jit_compile=False)

  def reestimate(self, task, batches):
    """Moves a task's statistics as if its training had just begun."""
    self.model.task(task).statistics.num_updates.assign(0)
    for images, _ in batches:
      self._observe(images, task)
