"""The train, validation and test examples of one task."""

from absl import logging
import numpy as np
import tensorflow as tf

from trainers.data import class_balance

SPLITS = ('train', 'validation', 'test')
TEST_FRACTION = 0.2  # held out where a data set has no test split
_VALIDATION_SEED = 0
_TEST_SEED = 1


class TaskImages:
  """The examples of one task, cut into train, validation and test.

  A stored split is opened at its first use. What is held out for validation,
  and for the test where there is no test split, has an equal share of every
  class and depends on the labels only: it is the same for a data set, its
  transforms and its corruptions, and for every seed.

  Args:
    task: `ImageTask`.
    image_size: Side S of the square images, in pixels.
    source: Where the examples come from, such as `examples.StoredExamples`.
    validation_fraction: Share of the training examples held out where the data
      set has no validation split.
    limit_bytes: Most bytes that the images of a stored split may take in
      memory.
    examples_per_class: Training images of each class to learn from, a seeded
      choice. Default: all.
    examples_seed: Of that choice.

  Source: sections 4.2 to 4.4 and A.2; validation is our choice.
  """

  def __init__(self, task, image_size, source, validation_fraction,
               limit_bytes, examples_per_class=None, examples_seed=0):
    self.task = task
    self.image_size = image_size
    self._source = source
    self._validation_fraction = validation_fraction
    self._limit_bytes = limit_bytes
    self._examples_per_class = examples_per_class
    self._examples_seed = examples_seed
    self._opened = {}
    self._splits = {}

  def labels(self, split):
    """Returns the labels of 'train', 'validation' or 'test', int32 `[n]`.

    Where there are none, all are 0.
    """
    return self._load(split)[2]

  def files(self, split):
    """Returns the paths of a folder's images of a split, in its order."""
    opened, rows, _ = self._load(split)
    return [opened.files[row] for row in rows.numpy()]

  def images(self, split, places, draws=None):
    """Returns images of a split, a function for `tf.data` to trace.

    Args:
      split: 'train', 'validation' or 'test'.
      places: int64 `[k]`, places in the split.
      draws: float32 `[k, 5]`, as from `augmentation.draw`: the images are
        augmented as the task declares. Default: they are not.

    Returns:
      uint8 `[k, S, S, c]`.
    """
    opened, rows, _ = self._load(split)
    return opened.images(tf.gather(rows, places), draws)

  def _load(self, split):
    """Returns (examples, numbers of those of the split, their labels)."""
    if split not in SPLITS:
      raise ValueError(
          f'{self.task.name}: expected a split of {SPLITS}, received '
          f'{split!r}: use one of these.')
    if split not in self._splits:
      self._splits[split] = self._cut(split)
    return self._splits[split]

  def _cut(self, split):
    task = self.task
    stored = {
        'train': task.train_split,
        'validation': task.validation_split or task.train_split,
        'test': task.test_split or task.train_split,
    }[split]
    if stored not in self._opened:
      self._opened[stored] = self._source.open(
          task, stored, self.image_size, self._limit_bytes)
    opened = self._opened[stored]
    rows, labels = self._listed(opened.labels)
    if task.test_split is None and stored == task.train_split:
      rows = _part(
          rows, labels, TEST_FRACTION, _TEST_SEED, held_out=split == 'test')
    if task.validation_split is None and split != 'test':
      rows = _part(rows, labels, self._validation_fraction, _VALIDATION_SEED,
                   held_out=split == 'validation')
    if not len(rows):
      raise ValueError(
          f'{task.name}: expected at least 1 example in split {split!r}, '
          f'received none of the {len(opened.labels)} that are stored: add '
          f'examples, or change validation_fraction='
          f'{self._validation_fraction}.')
    if split == 'train' and self._examples_per_class is not None:
      rows = self._few(rows, labels[rows])
    labels = labels[rows]
    missing = np.setdiff1d(np.arange(task.num_classes or 0), labels)
    if split == 'train' and len(missing):
      logging.warning('%s: no training examples of %d of the %d classes.',
                      task.name, len(missing), task.num_classes)
    with tf.device('cpu:0'):  # also where there is a GPU: tf.data reads them
      return opened, tf.constant(rows), labels

  def _few(self, rows, labels):
    """Returns as many rows of each class as are asked for; sorted."""
    count = self._examples_per_class
    for label in range(self.task.num_classes):
      found = np.sum(labels == label)
      if found < count:
        raise ValueError(
            f'{self.task.name}: expected at least {count} training examples '
            f'of every class, received {found} of class {label}: ask '
            f'for fewer with examples_per_class.')
    return rows[class_balance.ranks(labels, self._examples_seed) < count]

  def _listed(self, stored):
    """Returns the rows that the class list keeps, and every row's label."""
    if self.task.class_list is None:
      return np.arange(len(stored)), stored
    kept = self._source.class_list(self.task.class_list)
    numbers = np.full(1 + max(*kept, stored.max()), -1, np.int32)
    numbers[list(kept)] = np.arange(len(kept))
    labels = numbers[stored]
    return np.flatnonzero(labels >= 0), labels


def _part(rows, labels, fraction, seed, held_out):
  """Returns a seeded part of `rows`, or the others; sorted.

  Every class has its share: rows are shuffled, then ordered by class, and the
  part is taken at even distances.
  """
  count = max(1, round(fraction * len(rows))) if fraction else 0
  order = np.random.default_rng(seed).permutation(len(rows))
  order = order[np.argsort(labels[rows][order], kind='stable')]
  places = (np.arange(count) + 0.5) * len(rows) / max(count, 1)
  part = order[places.astype(int)]
  return rows[np.sort(part)] if held_out else np.delete(rows, part)
