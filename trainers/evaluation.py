"""Exact evaluation: sums over a whole split, divided by its size."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import parameters
from trainers.runs import results

_IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32)


class Graphs:
  """What a model makes of images in inference: a graph for each of its tasks.

  A graph is traced at its first use, and anew once it is stale: to detach a
  part, say, gives a task other variables, and what was traced before would go
  on with the old ones. Other tasks may come and go.

  Args:
    model: `IsometricModel`; its present weights are used at each call.
  """

  def __init__(self, model):
    self._model = model
    self._variables = {}  # task: those of its graph; held, so that ids stay
    self._graphs = {}

  def current(self, task):
    """The graph of a task's present variables.

    Args:
      task: Name of the task.

    Returns:
      Function from images `[b, S, S, 3]`, float32, to (logits `[b, classes]`,
      embeddings `[b, c2]`).
    """
    variables = [*parameters.shared_variables(self._model).values(),
                 *parameters.task_variables(self._model, task).values()]
    if [*map(id, variables)] != [*map(id, self._variables.get(task, []))]:
      self._variables[task] = variables
      self._graphs[task] = self._trace(task)
    return self._graphs[task]

  def _trace(self, task):
    def infer(images):
      _, embedding = self._model.encode(images, task=task, training=False)
      return self._model.task(task).head(embedding), embedding

    return tf.function(
        infer, autograph=False,
        jit_compile=False).get_concrete_function(_IMAGES)


class TaskEvaluator:
  """A model and the data of its tasks, or of some of them, to be evaluated.

  Args:
    model: `IsometricModel`; its present weights are used at each call.
    data: {task: `TaskData`}.
    batch_size: Images in a batch of evaluation.
    predictors: As for `Evaluator`.
    graphs: As for `Evaluator`.
  """

  def __init__(self, model, data, batch_size=500, predictors=None,
               graphs=None):
    self.model = model
    self.data = data
    self.predictors = dict(predictors or {})
    self._batch_size = batch_size
    graphs = graphs or Graphs(model)
    self._evaluator = Evaluator(model, self.predictors, graphs)
    self._own_heads = Evaluator(model, graphs=graphs)

  def evaluate(self, split, tasks=None):
    """{task: `results.TaskScore`} over a whole split.

    Args:
      split: 'train', 'validation' or 'test'.
      tasks: Names of tasks. Default: all whose data there is.
    """
    scores = {}
    for name in tasks or self.data:
      arguments = name, self.data[name], split, self._batch_size
      scores[name] = self._evaluator.evaluate_split(*arguments)
      if name in self.predictors:
        own = self._own_heads.evaluate_split(*arguments)
        scores[name] = dataclasses.replace(scores[name], own_head=own.plain())
    return scores

  def mixtures(self):
    """{task of the model: mixture weights `[L, K]`} as arrays."""
    return {name: keras.ops.convert_to_numpy(task.signature.mixture_weights())
            for name, task in self.model.tasks.items()}


class Evaluator:
  """Evaluates a model's tasks.

  Args:
    model: `IsometricModel`; its present weights are used at each call.
    predictors: {task: function from its embeddings `[b, c2]` to probabilities
      `[b, classes]`} of tasks that others than their own heads predict.
      Default: none.
    graphs: `Graphs` of the model. Default: its own.
  """

  def __init__(self, model, predictors=None, graphs=None):
    self._predictors = predictors or {}
    self._graphs = graphs or Graphs(model)

  def evaluate(self, task, batches):
    """Loss and accuracy over all of `batches`.

    Args:
      task: Name of the task.
      batches: Finite dataset of (images `[b, S, S, 3]`, labels `[b]`).

    Returns:
      `results.Score`.

    Raises:
      ValueError: If there are no examples.
    """
    infer, predict = self._graphs.current(task), self._predictors.get(task)
    right, loss, examples = 0, 0.0, 0
    for images, labels in batches:
      logits, embedding = infer(images)
      if predict is not None:
        logits = tf.math.log(tf.maximum(predict(embedding), 1e-30))
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      right += int(np.sum(np.argmax(logits, -1) == labels.numpy()))
      loss += float(np.sum(losses, dtype='float64'))
      examples += len(labels)
    if not examples:
      raise ValueError(f'Expected examples of task {task!r} to evaluate, '
                       'received an empty split.')
    return results.Score(
        top1=right / examples, loss=loss / examples, examples=examples)

  def evaluate_split(self, task, data, split, batch_size):
    """Loss and accuracy over a split of a task's data.

    Args:
      task: Name of the task.
      data: Its `TaskData`.
      split: 'train', 'validation' or 'test'.
      batch_size: Images in a batch.

    Returns:
      `results.TaskScore`; of several data sets together, with 'members'.
    """
    scores = [self.evaluate(task, data.eval_batches(split, batch_size, number))
              for number in range(len(data.tasks))]
    members = {}
    if len(scores) > 1:
      members = {
          member.name: score for member, score in zip(data.tasks, scores)}
    return results.TaskScore(**vars(pool(scores)), members=members)


def pool(scores):
  """The `results.Score` of several data sets together.

  Args:
    scores: `results.Score` of each data set.
  """
  if len(scores) == 1:
    return scores[0]
  examples = sum(score.examples for score in scores)
  right = sum(round(score.top1 * score.examples) for score in scores)
  loss = sum(score.loss * score.examples for score in scores)
  return results.Score(
      top1=right / examples, loss=loss / examples, examples=examples)
