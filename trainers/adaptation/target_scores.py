"""Label-free scores of a network on a target's images (our choice)."""

import numpy as np
import tensorflow as tf

from trainers.adaptation import label_free_scores

MOST_IMAGES = 2000  # of each domain that are looked at


class Observer:
  """What a network makes of a task's images, with inference statistics.

  Args:
    graphs: `evaluation.Graphs` of the model; its present weights are used at
      each call.
    task: Name of the task.
    predict: Function from the embedding `[b, c2]` to probabilities. Default:
      the task's own head.
  """

  def __init__(self, graphs, task, predict=None):
    self._graphs = graphs
    self._task = task
    self._predict = predict

  def observe(self, images, split, batch_size, most=MOST_IMAGES, places=None):
    """(probabilities `[n, classes]`, embeddings `[n, c2]`) as arrays.

    Args:
      images: `UnlabelledImages`.
      split: 'train', 'validation' or 'test'.
      batch_size: Images in a batch.
      most: Of more images than this only some, evenly chosen, are looked at.
      places: Places in the split of the images to look at alone. Default: as
        `most` has it.
    """
    if places is None:
      places = evenly(images.num_examples(split), most)
    infer, found = self._graphs.current(self._task), []
    for batch in images.eval_batches(split, batch_size, places=places):
      logits, embedding = infer(batch)
      probabilities = (tf.nn.softmax(logits) if self._predict is None
                       else self._predict(embedding))
      found.append((probabilities, tf.cast(embedding, tf.float32)))
    return tuple(np.concatenate(parts) for parts in zip(*found))


def evenly(size, most):
  """Places of at most so many of `size` images, evenly chosen."""
  return np.arange(min(size, most)) * size // min(size, most)


def observe_sources(observers, sources, split, batch_size):
  """Embeddings `[n, c2]` of the sources, as many of each; None without any.

  Args:
    observers: {task: `Observer`}; of each source at least.
    sources: {task: `UnlabelledImages`}.
    split: 'train', 'validation' or 'test'.
    batch_size: Images in a batch.
  """
  if not sources:
    return None
  most = -(-MOST_IMAGES // len(sources))
  return np.concatenate([
      observers[name].observe(images, split, batch_size, most)[1]
      for name, images in sources.items()])


def measure(probabilities, embeddings, source_embeddings=None):
  """All label-free scores, and how many classes are predicted.

  Args:
    probabilities: `[n, classes]` of the target.
    embeddings: `[n, c2]` of the target.
    source_embeddings: `[m, c2]`, or None where no source is looked at.

  Returns:
    {score: value} of `label_free_scores.SCORES` ('domain_accuracy' only with
    sources), and 'classes_predicted'.
  """
  scores = {
      'entropy': label_free_scores.entropy(probabilities),
      'information': label_free_scores.information(probabilities),
      'density': label_free_scores.density(probabilities)}
  if source_embeddings is not None:
    scores['domain_accuracy'] = label_free_scores.domain_accuracy(
        source_embeddings, embeddings)
  scores['classes_predicted'] = label_free_scores.num_classes_predicted(
      probabilities)
  return scores
