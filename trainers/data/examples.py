"""Stored examples by number, in memory or on disk.

Both kinds have `labels` and give any images in any order: the order of
training is free, needs no buffer and is a function of the seed alone.
"""

import numpy as np
import tensorflow as tf

from trainers.data import augmentation
from trainers.data import folders
from trainers.data import reading
from trainers.data import tfrecords
from trainers.data import views
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists

_CHUNK = 256  # images handled at once while reading


class DecodedExamples:
  """Images of one size, in memory.

  Args:
    task: `ImageTask`.
    image_size: Side S of the images as the network sees them, in pixels.
    labels: int32 `[n]`.
    images: uint8 `[n, S, S, c]`, or, as stored, `[n, height, width, c]`.
    fitted: Which of these.
    files: Paths of the images' files, where each has one.
  """

  def __init__(self, task, image_size, labels, images, fitted, files=()):
    self._task = task
    self._image_size = image_size
    self.labels = labels
    self.files = files
    with tf.device('cpu:0'):  # also where there is a GPU: tf.data reads them
      self._images = tf.constant(images)
    self._fitted = fitted

  def images(self, rows, draws=None):
    """Returns images as the network sees them, uint8 `[k, S, S, c]`.

    Args:
      rows: int64 `[k]`, numbers of examples.
      draws: float32 `[k, 5]`, as from `augmentation.draw`: the images are
        augmented as the task declares. Default: they are not.
    """
    x = tf.gather(self._images, rows)
    if not self._fitted:
      x = views.fit(self._task, x, self._image_size)
    return _shift(self._task, x, draws)


class EncodedExamples:
  """Images that are decoded at each use.

  Args:
    task: `ImageTask`.
    image_size: Side S of the images as the network sees them, in pixels.
    labels: int32 `[n]`.
    read: Function from numbers of examples, int64 `[k]`, to their encoded
      images, string `[k]`.
    files: As of `DecodedExamples`.
  """

  def __init__(self, task, image_size, labels, read, files=()):
    self._task = task
    self._image_size = image_size
    self.labels = labels
    self.files = files
    self._read = read

  def images(self, rows, draws=None):
    """As `DecodedExamples.images`."""
    x = views.decode(self._task, self._read(rows), self._image_size, draws)
    return _shift(self._task, x, draws)


def _shift(task, images, draws):
  """Shifts images as the task declares; crops were made when decoding."""
  if draws is None or task.augmentation in ('none', 'crop_flip'):
    return images
  return augmentation.shift(
      images, draws, flip=task.augmentation == 'shift_flip')


class StoredExamples:
  """Where examples come from: prepared data sets and folders of images.

  Another source has the same two methods, as `made_up.MadeUpExamples` has.

  Args:
    data_dir: TFDS's data directory. Default None: TFDS's own default.
  """

  def __init__(self, data_dir=None):
    self._data_dir = data_dir

  def open(self, task, split, image_size, limit_bytes):
    """As `open_examples`."""
    return open_examples(task, split, image_size, self._data_dir, limit_bytes)

  def class_list(self, name):
    """As `class_lists.read`."""
    return class_lists.read(name, self._data_dir)


def open_examples(task, split, image_size, data_dir, limit_bytes):
  """Opens a stored split as its size and its augmentation ask for.

  Small images are decoded and kept in memory: as the network sees them, or, if
  these take more than `limit_bytes`, as they are stored. Images that are
  larger, are cropped at random or take more than that either way stay on disk
  and are decoded at each use.

  Args:
    task: `ImageTask`.
    split: Stored split, or several, joined by '+'.
    image_size: Side of the square images, in pixels.
    data_dir: TFDS's data directory, or None for TFDS's default.
    limit_bytes: Most bytes that images in memory may take.

  Returns:
    `DecodedExamples` or `EncodedExamples`.

  Raises:
    ValueError: If the data is missing or not as the task declares it.
  """
  if task.folder:
    return _open_folder(task, split, image_size, limit_bytes)
  builder = builders.open_builder(task, data_dir)
  count = reading.num_stored(task, split, builder)
  if task.is_small and task.augmentation != 'crop_flip':
    height, width, channels = task.image_shape
    for fitted, pixels in ((True, image_size ** 2), (False, height * width)):
      if count * pixels * channels <= limit_bytes:
        images, labels = reading.read_split(
            task, split, builder, image_size if fitted else None)
        return DecodedExamples(task, image_size, labels, images, fitted)
  records = tfrecords.open_records(task, split, builder)
  return EncodedExamples(
      task, image_size, reading.check_labels(task, split, records.labels),
      records.read)


def _open_folder(task, split, image_size, limit_bytes):
  """As `open_examples`, from image files."""
  files, labels = folders.list_files(task, split)
  sizes = folders.check_files(
      files, task.image_shape[:2] if task.has_fixed_size else None)
  if split == task.train_split:  # those of other splits are likely the same
    folders.warn_of_cuts(task, sizes)
  with tf.device('cpu:0'):
    paths = tf.constant(files)
  encoded = EncodedExamples(
      task, image_size, labels,
      lambda rows: tf.map_fn(tf.io.read_file, tf.gather(paths, rows)), files)
  num_bytes = len(labels) * image_size ** 2 * task.image_shape[2]
  if (not task.is_small or task.augmentation == 'crop_flip'
      or num_bytes > limit_bytes):
    return encoded
  chunks = tf.data.Dataset.range(len(labels)).batch(_CHUNK).map(encoded.images)
  images = np.concatenate(list(chunks.as_numpy_iterator()))
  return DecodedExamples(
      task, image_size, labels, images, fitted=True, files=files)
