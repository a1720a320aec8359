"""How right an adapted network is, for the records (sections 4.4 and D).

The one place beside `target_supervision` where labels of a target are read.
No update does; label-free scores stand beside each accuracy.
"""

import tensorflow as tf

from trainers import evaluation
from trainers import target_scores
from trainers.data import unlabelled


class TargetEvaluation:
  """Accuracies of the target and of the sources, and label-free scores.

  Args:
    model: `IsometricModel` with the target.
    target: Name of the target's task.
    data: {task: `TaskData`} of the target, and of the sources that may be
      read.
    batch_size: Images in a batch.
    predict: Function from the target's embedding `[b, c2]` to probabilities.
      Default: its own head.
  """

  def __init__(self, model, target, data, batch_size, predict=None):
    self.model = model
    self._target = target
    self._data = data
    self._batch_size = batch_size
    self._images = {name: unlabelled.UnlabelledImages(task_data)
                    for name, task_data in data.items()}
    self._network = evaluation.Network(model, data, batch_size)
    self._source_embeddings = {}
    self.predict_with(predict)

  def predict_with(self, predict):
    """Changes how the target's probabilities come from its embedding."""
    self._observer = target_scores.Observer(self.model, self._target, predict)
    self._predicted = predict and evaluation.Evaluator(
        _Predictor(self.model, predict))

  def evaluate(self, split, tasks=None):
    """Evaluates tasks on a whole split.

    Args:
      split: 'train', 'validation' or 'test'.
      tasks: Names of tasks. Default: all whose data there is.

    Returns:
      {task: {'top1', 'loss', 'examples'}}; of the target also its label-free
      scores on that split's images, as of `target_scores.measure`, and, where
      another head predicts, 'own_head': the same of its own.
    """
    results = self._network.evaluate(split, tasks)
    if self._target in results:
      own = results[self._target]
      if self._predicted:
        results[self._target] = {
            **self._predicted.evaluate_split(
                self._target, self._data[self._target], split,
                self._batch_size), 'own_head': own}
      results[self._target].update(self.scores(split))
    return results

  def mixtures(self):
    """{task of the model: mixture weights `[L, K]`} as arrays."""
    return self._network.mixtures()

  def scores(self, split):
    """Label-free scores of the target on a split, {score: value}."""
    if split not in self._source_embeddings:
      # Nothing of a source moves: once is enough.
      self._source_embeddings[split] = target_scores.observe_sources(
          self.model, {name: images for name, images in self._images.items()
                        if name != self._target}, split, self._batch_size)
    return target_scores.measure(*self._observer.observe(
        self._images[self._target], split, self._batch_size),
        self._source_embeddings[split])


class _Predictor:
  """A model as `Evaluator` takes it, whose logits are log probabilities."""

  def __init__(self, model, predict):
    self._model = model
    self._predict = predict

  @property
  def variables(self):
    """The model's, by which `Evaluator` knows whether it has changed."""
    return self._model.variables

  def __call__(self, images, task, training):
    _, embedding = self._model.encode(images, task=task, training=training)
    return tf.math.log(tf.maximum(self._predict(embedding), 1e-30))
