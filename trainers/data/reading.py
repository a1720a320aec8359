"""Reads a split from TFDS into memory: decoded, checked, once."""

import os

from absl import logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import views
from trainers.data.datasets import builders

_CHUNK = 256  # images handled at once while reading


def read_split(task, split, builder, image_size=None):
  """Returns all images and labels of a TFDS split, in TFDS's order.

  Args:
    task: `ImageTask` whose images have one size.
    split: TFDS split, or several, joined by '+'.
    builder: The data set's TFDS builder.
    image_size: Side S of the square images, in pixels. Default: images are
      returned as they are stored.

  Returns:
    Images, uint8 `[n, S, S, c]` or `[n, height, width, c]`, and labels, int32
    `[n]`.

  Raises:
    ValueError: If the data is missing or not as the task declares it.
  """
  try:
    # One file after another, as `tfrecords` reads them.
    dataset = builder.as_dataset(split=split, read_config=tfds.ReadConfig(
        try_autocache=False, interleave_cycle_length=1))
  except AssertionError as error:  # TFDS's sign that files are missing.
    raise builders.missing_error(task, builder) from error
  _check_spec(task, dataset.element_spec)
  images, labels = [], []
  try:
    for chunk in dataset.batch(_CHUNK).prefetch(2):
      images.append(_prepare(task, chunk['image'], image_size).numpy())
      labels.append(chunk['label'].numpy())
  except tf.errors.OpError as error:
    raise ValueError(
        f'{task.name}: expected whole files of split {split!r} in '
        f'{builder.data_path}, received {error.message}: prepare '
        f'{task.tfds_name} anew.') from error
  if not images:
    raise ValueError(
        f'{task.name}: expected at least 1 example in split {split!r}, '
        f'received an empty one: prepare {task.tfds_name} anew.')
  labels = check_labels(task, split, np.concatenate(labels))
  return np.concatenate(images), labels


def num_stored(task, split, builder):
  """Returns how many examples a stored split has, as far as it is known.

  Args:
    task: `ImageTask`.
    split: TFDS split, or several, joined by '+'.
    builder: The data set's TFDS builder.

  Raises:
    ValueError: If prepared data has no such split, or a file of it is a pipe,
      which would be read without end.
  """
  published = task.num_stored(split)
  if not builder.info.splits:  # for mocks, and where nothing is prepared
    return published
  try:
    count = builder.info.splits[split].num_examples
  except (KeyError, ValueError) as error:
    raise ValueError(
        f'{task.name}: expected split {split!r} in {builder.data_path}, '
        f'received {sorted(builder.info.splits)}: prepare {task.tfds_name} '
        f'anew with all its splits.') from error
  _check_ordinary(task, split, builder)
  if count != published:
    logging.warning(
        '%s: split %r has %d examples here; %d are published.',
        task.name, split, count, published)
  return count


def _check_ordinary(task, split, builder):
  for part in split.split('+'):
    for path in builder.info.splits[part].filepaths:
      if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(
            f'{task.name}: expected ordinary files of split {split!r}, '
            f'received {path}, a pipe, a device or the like: prepare '
            f'{task.tfds_name} anew.')


def check_labels(task, split, stored):
  """Turns stored labels into labels from 0.

  Args:
    task: `ImageTask`.
    split: Split of the labels, for messages.
    stored: `[n]` integers.

  Returns:
    int32 `[n]`. Of a task with a class list, the stored labels.

  Raises:
    ValueError: If labels are missing or out of range.
  """
  if np.any(stored < 0):
    name = task.name.partition('+')[0].partition('@')[0]
    others = [f'{name}@{other}' for other in sorted(task.splits)
              if split == task.test_split and other != split]
    raise ValueError(
        f'{task.name}: expected labels in split {split!r}, received '
        f'{stored.min()}, the sign of a missing label: use '
        + (f'another split for the test, {" or ".join(others)}.'
           if others and name.startswith('tfds:') else
           'a split that has labels.'))
  labels = stored - task.label_offset
  if task.class_list is None and (
      labels.min() < 0 or labels.max() >= task.num_classes):
    low = task.label_offset
    raise ValueError(
        f'{task.name}: expected labels from {low} to '
        f'{low + task.num_classes - 1} in split {split!r}, received '
        f'{stored.min()} to {stored.max()}: mend num_classes or label_offset '
        f'in the declaration, or the data set.')
  return labels.astype(np.int32)


def _check_spec(task, spec):
  """Checks the declared shape and kind of number against TFDS's."""
  shape = tuple(spec['image'].shape)
  if shape != task.image_shape:
    raise ValueError(
        f'{task.name}: expected images of shape {task.image_shape}, received '
        f'{shape}: mend image_shape in the declaration, or prepare '
        f'{task.tfds_reference} anew.')
  dtype = spec['image'].dtype
  if dtype not in (tf.uint8, tf.float32):
    raise ValueError(
        f'{task.name}: expected images of uint8, or of float32 from 0 to 1, '
        f'received {dtype.name}: convert them when the data set is built.')


def _prepare(task, images, image_size):
  """Turns stored images `[n, h, w, c]` into uint8 of the size asked for."""
  if images.dtype == tf.float32:
    images = _uint8_from_float(task, images)
  return images if image_size is None else views.fit(task, images, image_size)


def _uint8_from_float(task, images):
  values = images.numpy()
  if not np.all(np.isfinite(values)):
    raise ValueError(
        f'{task.name}: expected finite images, received NaN or infinity: '
        f'remove these images from the data set.')
  low, high = values.min(), values.max()
  if low < 0 or high > 1:
    raise ValueError(
        f'{task.name}: expected float images from 0 to 1, received values '
        f'from {low:.4g} to {high:.4g}: scale them when the data set is built.')
  return tf.cast(tf.round(images * 255), tf.uint8)
