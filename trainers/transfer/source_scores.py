"""How well older tasks do on the data of a new one (section C)."""

import warnings

import numpy as np
from sklearn import linear_model
import tensorflow as tf

from trainers import evaluation
from trainers.data import class_balance

KINDS = ('path', 'probe')


def score(model, sources, kind, data, batch_size, limits, seed=0,
          per_class=None):
  """Scores of older tasks, from a seeded choice of new labelled images.

  The choice has of all classes as equally many images as can be.

  Args:
    model: `IsometricModel`.
    sources: Names of tasks.
    kind: One of `KINDS`: as `path_scores` or as `probe_scores`.
    data: `TaskData` of the new task.
    batch_size: Images in a batch.
    limits: (training images that a linear head is fitted to, validation images
      that scores are measured on), at most.
    seed: Of the choice.
    per_class: How many validation images of a class, at most. Default: no
      limit.

  Returns:
    ({task: accuracy, 0 to 1}, {split: number of labelled images read}).
  """
  chosen = {'validation': class_balance.choose(
      data.labels('validation'), limits[1], seed, per_class)}
  if kind == 'probe':
    chosen['train'] = class_balance.choose(
        data.labels('train'), limits[0], seed)
  batches = {split: data.eval_batches(split, batch_size, places=places)
             for split, places in chosen.items()}
  function = path_scores if kind == 'path' else probe_scores
  return function(model, sources, **batches), {
      split: len(places) for split, places in chosen.items()}


def path_scores(model, sources, validation):
  """Accuracy on new data of older tasks as they are, heads included.

  Args:
    model: `IsometricModel`.
    sources: Names of tasks, whose classes are those of the new data.
    validation: Finite dataset of (images `[b, S, S, 3]`, labels `[b]`).

  Returns:
    {task: share of right answers, 0 to 1}.

  Source: section C.
  """
  evaluator = evaluation.Evaluator(model)
  return {name: evaluator.evaluate(name, validation).top1
          for name in sources}


def probe_scores(model, sources, validation, train):
  """Accuracy on new data of linear heads on older tasks' features.

  A head is fitted by logistic regression to the embeddings, each brought to
  mean 0 and variance 1.

  Args:
    model: `IsometricModel`.
    sources: Names of tasks.
    validation: Finite dataset of (images, labels) to be right on.
    train: The same, to fit to.

  Returns:
    {task: share of right answers, 0 to 1}.

  Source: section C extends the accuracies of a shared label set to any; the
  linear head is our choice.
  """
  scores = {}
  for name in sources:
    embed = tf.function(
        lambda images, name=name: model.encode(images, name)[1],
        autograph=False, jit_compile=False)
    (x, labels), (new, answers) = (
        _embeddings(embed, batches) for batches in (train, validation))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    predicted = _linear_head((x - mean) / deviation, labels)(
        (new - mean) / deviation)
    scores[name] = float(np.mean(predicted == answers))
  return scores


def _embeddings(embed, batches):
  """(embeddings `[n, c2]`, labels `[n]`) of all of the batches."""
  parts = [(embed(images).numpy(), labels.numpy())
           for images, labels in batches]
  return tuple(np.concatenate(part) for part in zip(*parts))


def _linear_head(x, labels):
  """The function from features to classes of a head fitted to them."""
  if len(set(labels.tolist())) == 1:
    return lambda new: np.full(len(new), labels[0])
  head = linear_model.LogisticRegression(max_iter=300)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # of more iterations: it need not be exact
    return head.fit(x, labels).predict
