"""The train, validation and test examples of one task."""

import numpy as np
import tensorflow as tf

from trainers.data import class_lists
from trainers.data import examples

SPLITS = ('train', 'validation', 'test')
TEST_FRACTION = 0.2  # held out where a data set has no test split
_VALIDATION_SEED = 0
_TEST_SEED = 1


class TaskImages:
  """The examples of one task, cut into train, validation and test.

  A stored split is opened at its first use. What is held out for validation,
  and for the test where there is no test split, depends on the number of
  examples only: it is the same for a data set, its transforms and its
  corruptions, and for every seed.

  Args:
    task: `ImageTask`.
    image_size: Side S of the square images, in pixels.
    data_dir: TFDS's data directory, or None for TFDS's default.
    validation_fraction: Share of the training examples held out where the data
      set has no validation split.
    limit_bytes: Most bytes that the images of a stored split may take in
      memory.

  Source: sections 4.2 to 4.4 and A.2; validation is our choice.
  """

  def __init__(self, task, image_size, data_dir, validation_fraction,
               limit_bytes):
    self.task = task
    self._image_size = image_size
    self._data_dir = data_dir
    self._validation_fraction = validation_fraction
    self._limit_bytes = limit_bytes
    self._opened = {}
    self._splits = {}

  def labels(self, split):
    """Returns the labels of 'train', 'validation' or 'test', int32 `[n]`."""
    return self._load(split)[2]

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
      self._opened[stored] = examples.open_examples(
          task, stored, self._image_size, self._data_dir, self._limit_bytes)
    opened = self._opened[stored]
    rows, labels = self._listed(opened.labels)
    if task.test_split is None and stored == task.train_split:
      rows = self._part(
          rows, TEST_FRACTION, _TEST_SEED, held_out=split == 'test')
    if task.validation_split is None and split != 'test':
      rows = self._part(rows, self._validation_fraction, _VALIDATION_SEED,
                        held_out=split == 'validation')
    if not len(rows):
      raise ValueError(
          f'{task.name}: expected at least 1 example in split {split!r}, '
          f'received an empty one: {len(opened.labels)} examples are cut by '
          f'validation_fraction={self._validation_fraction}; choose another.')
    labels = labels[rows]
    with tf.device('cpu:0'):  # also where there is a GPU: tf.data reads them
      return opened, tf.constant(rows), labels

  def _listed(self, stored):
    """Returns the rows that the class list keeps, and every row's label."""
    if self.task.class_list is None:
      return np.arange(len(stored)), stored
    kept = class_lists.read(self.task.class_list, self._data_dir)
    numbers = np.full(1 + max(*kept, *stored), -1, np.int32)
    numbers[list(kept)] = np.arange(len(kept))
    labels = numbers[stored]
    return np.flatnonzero(labels >= 0), labels

  def _part(self, rows, fraction, seed, held_out):
    """Returns a seeded part of `rows`, or the others; sorted."""
    count = max(1, round(fraction * len(rows))) if fraction else 0
    order = np.random.default_rng(seed).permutation(len(rows))
    return np.sort(rows[order[:count] if held_out else order[count:]])
