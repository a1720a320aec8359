"""Exact evaluation: sums over a whole split, divided by its size."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from trainers.runs import results

IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32)


class Traced:
  """A function of a model as a graph, traced anew once it is stale.

  Adding or detaching a part, say, gives the model other variables: what was
  traced before would go on with the old ones.

  Args:
    model: Keras model.
    function: Of tensors; it calls the model.
    *specs: `tf.TensorSpec` of each argument.
  """

  def __init__(self, model, function, *specs):
    self._model = model
    self._function = function
    self._specs = specs
    self._variables = []
    self._graph = None

  def current(self):
    """The graph of the model's present variables, a function."""
    variables = self._model.variables
    if self._graph is None or [*map(id, variables)] != [
        *map(id, self._variables)]:
      self._variables = variables  # held, so that no other takes an id
      self._graph = tf.function(
          self._function, autograph=False,
          jit_compile=False).get_concrete_function(*self._specs)
    return self._graph


class TaskEvaluator:
  """A model and the data of its tasks, or of some of them, to be evaluated.

  Args:
    model: `IsometricModel`; its present weights are used at each call.
    data: {task: `TaskData`}.
    batch_size: Images in a batch of evaluation.
    predictors: As for `Evaluator`.
  """

  def __init__(self, model, data, batch_size=500, predictors=None):
    self.model = model
    self.data = data
    self.predictors = dict(predictors or {})
    self._batch_size = batch_size
    self._evaluator = Evaluator(model, self.predictors)
    self._own_heads = Evaluator(model)

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
  """Evaluates a model's tasks; traces one graph for each task.

  Args:
    model: `IsometricModel`; its present weights are used at each call.
    predictors: {task: function from its embeddings `[b, c2]` to probabilities
      `[b, classes]`} of tasks that others than their own heads predict.
      Default: none.
  """

  def __init__(self, model, predictors=None):
    self._model = model
    self._predictors = predictors or {}
    self._steps = {}  # task: `Traced`

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
    if task not in self._steps:
      self._steps[task] = Traced(self._model, self._make_step(task), IMAGES,
                                 tf.TensorSpec([None], tf.int32))
    step = self._steps[task].current()
    right, loss, examples = 0, 0.0, 0
    for images, labels in batches:
      logits, losses = step(images, labels)
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

  def _make_step(self, task):
    predict = self._predictors.get(task)

    def step(images, labels):
      if predict is None:
        logits = self._model(images, task=task, training=False)
      else:
        _, embedding = self._model.encode(images, task=task, training=False)
        logits = tf.math.log(tf.maximum(predict(embedding), 1e-30))
      return logits, tf.nn.sparse_softmax_cross_entropy_with_logits(
          labels=labels, logits=logits)

    return step


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
