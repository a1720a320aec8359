"""How right an adapted network is, for the records (sections 4.4 and D).

Labels of the target are read here, and by methods that say so. Label-free
scores stand beside each accuracy.
"""

import dataclasses

import numpy as np

from trainers import evaluation
from trainers.adaptation import target_scores
from trainers.data import unlabelled
from trainers.runs import results


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

  Attributes:
    graphs: `evaluation.Graphs` of the model.
  """

  def __init__(self, model, target, data, batch_size, predict=None):
    self.model = model
    self._target = target
    self._data = data
    self._batch_size = batch_size
    self._images = {name: unlabelled.UnlabelledImages(task_data)
                    for name, task_data in data.items()}
    self.graphs = evaluation.Graphs(model)
    self._observers = {name: target_scores.Observer(self.graphs, name)
                       for name in data}
    self._source_embeddings = {}
    self.predict_with(predict)

  def predict_with(self, predict):
    """Changes how the target's probabilities come from its embedding."""
    self._observers[self._target] = target_scores.Observer(
        self.graphs, self._target, predict)
    self._network = evaluation.TaskEvaluator(
        self.model, {name: data for name, data in self._data.items()
                     if data.is_labelled}, self._batch_size,
        predict and {self._target: predict}, self.graphs)

  def evaluate(self, split, tasks=None):
    """Evaluates tasks on a whole split.

    Args:
      split: 'train', 'validation' or 'test'.
      tasks: Names of tasks. Default: all whose data there is.

    Returns:
      {task: `results.TaskScore`}; the target's has label-free scores on that
      split's images, as of `target_scores.measure`.
    """
    tasks = list(tasks or self._data)
    labelled = [name for name in tasks if name in self._network.data]
    scores = self._network.evaluate(split, labelled) if labelled else {}
    if self._target in tasks:
      unknown = results.TaskScore(
          top1=None, loss=None,
          examples=self._data[self._target].num_examples(split))
      scores[self._target] = dataclasses.replace(
          scores.get(self._target, unknown), label_free=self.scores(split))
    return scores

  def mixtures(self):
    """{task of the model: mixture weights `[L, K]`} as arrays."""
    return self._network.mixtures()

  def features(self, task, split, most):
    """What the network makes of some images of a task, labels unread.

    Args:
      task: The target, or a source whose images may be read.
      split: 'train', 'validation' or 'test'.
      most: Images of each data set; of more only as many, evenly chosen.

    Returns:
      {data set: (predicted classes `[n]`, embeddings `[n, c2]`)} as arrays;
      of a pool each member.
    """
    data = self._data[task]
    sizes = [data.num_examples(split, member)
             for member in range(len(data.tasks))]
    starts = np.cumsum([0, *sizes[:-1]])
    places = [start + target_scores.evenly(size, most)
              for start, size in zip(starts, sizes)]
    found = self._observers[task].observe(
        self._images[task], split, self._batch_size,
        places=np.concatenate(places))
    ends = np.cumsum([len(part) for part in places])[:-1]
    return {member.name: (probabilities.argmax(-1), embeddings)
            for member, probabilities, embeddings in zip(
                data.tasks, *(np.split(array, ends) for array in found))}

  def predictions(self, split):
    """Probabilities `[n, classes]` of all the target's images of a split."""
    images = self._images[self._target]
    return self._observers[self._target].observe(
        images, split, self._batch_size, most=images.num_examples(split))[0]

  def scores(self, split):
    """Label-free scores of the target on a split, {score: value}."""
    if split not in self._source_embeddings:
      # Nothing of a source moves: once is enough.
      self._source_embeddings[split] = target_scores.observe_sources(
          self._observers, {
              name: images for name, images in self._images.items()
              if name != self._target}, split, self._batch_size)
    return target_scores.measure(*self._observers[self._target].observe(
        self._images[self._target], split, self._batch_size),
        self._source_embeddings[split])
