"""Random images in the place of every declared data set, to try a run with."""

import numpy as np
import tensorflow as tf

from trainers.data import examples
from trainers.data import views
from trainers.data.datasets import class_lists

_CHUNK = 256  # images handled at once
_SIDE = 64  # of images whose sizes vary


class MadeUpExamples:
  """Takes the place of `examples.StoredExamples`; reads no data set.

  A folder of images is read as ever: its declaration needs its files.

  Args:
    num_examples: Examples of each stored split.
  """

  def __init__(self, num_examples=32):
    self._num_examples = num_examples

  def open(self, task, split, image_size, limit_bytes):
    """As `StoredExamples.open`."""
    if task.folder:
      return examples.open_examples(
          task, split, image_size, None, limit_bytes)
    images, labels = _draw(task, self._num_examples * len(split.split('+')))
    if task.is_small and task.augmentation != 'crop_flip':
      fitted = [views.fit(task, images[first:first + _CHUNK], image_size)
                for first in range(0, len(images), _CHUNK)]
      return examples.DecodedExamples(
          task, image_size, labels, np.concatenate(fitted), fitted=True)
    with tf.device('cpu:0'):  # also where there is a GPU: tf.data reads them
      encoded = tf.stack([tf.io.encode_png(image) for image in images])
    return examples.EncodedExamples(
        task, image_size, labels, lambda rows: tf.gather(encoded, rows))

  def class_list(self, name):
    """As `StoredExamples.class_list`: the first labels of all."""
    return tuple(range(class_lists.LISTS[name].length))


def _draw(task, num_examples):
  """Random images, uint8 `[n, height, width, c]`, and labels, int32 `[n]`."""
  rng = np.random.default_rng(0)
  shape = [side or _SIDE for side in task.image_shape]
  drawn = [(rng.integers(0, 256, shape, np.uint8),
            rng.integers(task.num_classes)) for _ in range(num_examples)]
  images, labels = zip(*drawn)
  return np.stack(images), np.array(labels, np.int32)
