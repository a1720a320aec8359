"""Reads a split from TFDS into memory: decoded, resized, transformed, once."""

from absl import logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import optdigits
from trainers.data import transforms

_CHUNK = 256  # images handled at once while reading


def read_split(task, split, image_size, data_dir, limit_bytes):
  """Returns all images and labels of a TFDS split, in TFDS's order.

  Args:
    task: `ImageTask`.
    split: TFDS split, one of `task.splits`.
    image_size: Side of the square images returned, in pixels.
    data_dir: TFDS's data directory, or None for TFDS's default.
    limit_bytes: Most bytes that the images may take.

  Returns:
    Images, uint8 `[n, image_size, image_size, channels]`, and labels, int32
    `[n]`.

  Raises:
    ValueError: If the data is missing, larger than the limit, or not as the
      task declares it.

  Source: our choice.
  """
  dataset = _open(task, split, image_size, data_dir, limit_bytes)
  _check_spec(task, dataset.element_spec)
  # Images of varying size can only be handled one by one.
  dataset = dataset.batch(_CHUNK if task.has_fixed_size else 1).prefetch(2)
  images, labels, num_bytes = [], [], 0
  for chunk in dataset:
    images.append(_prepare_images(task, chunk['image'], image_size).numpy())
    labels.append(_prepare_labels(task, split, chunk['label'].numpy()))
    num_bytes += images[-1].nbytes
    if num_bytes > limit_bytes:
      raise ValueError(_limit_message(task, split, num_bytes, limit_bytes))
  if not images:
    raise ValueError(
        f'{task.name}: expected at least 1 example in split {split!r}, '
        f'received an empty one: prepare {task.tfds_name} anew.')
  images, labels = np.concatenate(images), np.concatenate(labels)
  if len(labels) != task.splits[split]:
    logging.warning(
        '%s: split %r has %d examples here; %d are published.',
        task.name, split, len(labels), task.splits[split])
  return images, labels


def _open(task, split, image_size, data_dir, limit_bytes):
  """Returns the split's `tf.data.Dataset`; downloads nothing."""
  if split not in task.splits:
    raise ValueError(
        f'{task.name}: expected a split of {sorted(task.splits)}, received '
        f'{split!r}: use one of these.')
  if task.tfds_name == optdigits.NAME:
    optdigits.prepare(data_dir)
  builder = tfds.builder(task.tfds_reference, data_dir=data_dir)
  if builder.info.splits:  # Empty for mocks, and where nothing is prepared.
    _check_recorded(task, split, builder, image_size, limit_bytes)
  try:
    return builder.as_dataset(
        split=split, read_config=tfds.ReadConfig(try_autocache=False))
  except AssertionError as error:  # TFDS's sign that files are missing.
    raise ValueError(
        f'{task.name}: expected the prepared TFDS data set '
        f'{task.tfds_reference} in {builder.data_path}, received no such '
        f'directory: prepare it with `tfds build {task.tfds_name} '
        f'--data_dir={builder.data_dir_root}`, or say where it is with '
        f'--data_dir. Nothing is downloaded unasked.') from error


def _check_recorded(task, split, builder, image_size, limit_bytes):
  """Checks what prepared data says about itself, before it is read."""
  try:
    num_examples = builder.info.splits[split].num_examples
  except (KeyError, ValueError) as error:
    raise ValueError(
        f'{task.name}: expected split {split!r} in {builder.data_path}, '
        f'received {sorted(builder.info.splits)}: prepare {task.tfds_name} '
        f'anew with all its splits.') from error
  num_bytes = num_examples * image_size ** 2 * task.image_shape[2]
  if num_bytes > limit_bytes:
    raise ValueError(_limit_message(task, split, num_bytes, limit_bytes))


def _limit_message(task, split, num_bytes, limit_bytes):
  return (
      f'{task.name}: expected the images of split {split!r} to take at most '
      f'{limit_bytes / 2 ** 20:,.1f} MiB of memory, received '
      f'{num_bytes / 2 ** 20:,.1f} MiB: choose a smaller image size. '
      f'Larger data sets are not streamed yet.')


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


def _prepare_images(task, images, image_size):
  """Turns stored images `[n, h, w, c]` into uint8 of the size asked for."""
  if images.dtype == tf.float32:
    images = _uint8_from_float(task, images)
  if task.transpose:
    images = tf.transpose(images, [0, 2, 1, 3])
  if task.pad:
    images = tf.pad(
        images, [[0, 0], [task.pad, task.pad], [task.pad, task.pad], [0, 0]])
  if tuple(images.shape[1:3]) != (image_size, image_size):
    shrinks = max(images.shape[1:3]) > image_size  # Else it changes nothing.
    images = tf.image.resize(images, [image_size] * 2, antialias=shrinks)
    images = tf.cast(tf.round(tf.clip_by_value(images, 0, 255)), tf.uint8)
  return transforms.apply(images, task.transforms)


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


def _prepare_labels(task, split, stored):
  """Turns stored labels `[n]` into int32 from 0, or raises."""
  if np.any(stored < 0):
    raise ValueError(
        f'{task.name}: expected labels in split {split!r}, received '
        f'{stored.min()}, the sign of a missing label: use a split that has '
        f'labels.')
  labels = stored - task.label_offset
  if labels.min() < 0 or labels.max() >= task.num_classes:
    low = task.label_offset
    raise ValueError(
        f'{task.name}: expected labels from {low} to '
        f'{low + task.num_classes - 1} in split {split!r}, received '
        f'{stored.min()} to {stored.max()}: mend num_classes or label_offset '
        f'in the declaration, or the data set.')
  return labels.astype(np.int32)
