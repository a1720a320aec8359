"""What the network sees of a stored image: a square of the size asked for."""

import tensorflow as tf

from trainers.data import augmentation
from trainers.data import decoding
from trainers.data import transforms


def fit(task, images, image_size):
  """Brings stored images of one size to the size of the network.

  Args:
    task: `ImageTask`: says how images are turned upright, padded, seen and
      transformed.
    images: uint8 `[n, height, width, c]`, sides known.
    image_size: Side S of the result, in pixels.

  Returns:
    uint8 `[n, S, S, c]`.

  Source: sections 4.2 to 4.4, where images are "reshaped".
  """
  images = _upright(task, images)
  if tuple(images.shape[1:3]) != (image_size, image_size):
    shrinks = max(images.shape[1:3]) > image_size  # else it changes nothing
    images = _resize(task, images, image_size, antialias=shrinks)
  return transforms.apply(images, task.transforms)


def decode(task, encoded, image_size, draws=None):
  """Decodes images and brings them to the size of the network.

  What is seen is the task's view or, if it is augmented by random resized crops
  and draws are given, a random part, which is resized and padded as the view
  is. Photographs are decoded whole: those of many megapixels are better made
  smaller beforehand.

  Args:
    task: `ImageTask`.
    encoded: String `[n]`, files of `decoding.FORMATS`.
    image_size: Side S of the result, in pixels.
    draws: float32 `[n, 5]`, as from `augmentation.draw`, or None.

  Returns:
    uint8 `[n, S, S, c]`.

  Source: our choice, the usual preprocessing; with the view 'whole' section
  4.4, "reshaped to 128 x 128".
  """
  channels = task.image_shape[2]
  crops = task.augmentation == 'crop_flip' and draws is not None

  def one(element):
    encoded, draw = element
    image = decoding.decode_tensor(encoded, channels)
    image = tf.ensure_shape(image, [*task.image_shape[:2], channels])
    if task.is_small and not crops:
      return fit(task, image[tf.newaxis], image_size)[0]
    image = _upright(task, image[tf.newaxis])[0]
    height, width = tf.unstack(tf.shape(image)[:2])
    if crops:
      image = tf.image.crop_to_bounding_box(
          image, *augmentation.random_window(
              height, width, draw, proportional=task.view != 'centre'))
    elif task.view == 'centre':
      image = tf.image.crop_to_bounding_box(
          image, *augmentation.centre_window(height, width))
    image = _resize(task, image[tf.newaxis], image_size, antialias=True)
    if crops:
      image = tf.where(draw[2] < 0.5, tf.reverse(image, [2]), image)
    return transforms.apply(image, task.transforms)[0]

  return tf.map_fn(
      one, (encoded, encoded if draws is None else draws),
      fn_output_signature=tf.TensorSpec(
          [image_size, image_size, channels], tf.uint8))


def _upright(task, images):
  """Turns and pads `[n, height, width, c]` as the task says."""
  if task.transpose:
    images = tf.transpose(images, [0, 2, 1, 3])
  if task.pad:
    images = tf.pad(
        images, [[0, 0], [task.pad, task.pad], [task.pad, task.pad], [0, 0]])
  return images


def _resize(task, images, image_size, antialias):
  """Makes `[n, height, width, c]` square, padded if that is the task's view."""
  size = tf.fill([2], image_size)
  if task.view == 'pad':
    sides = tf.shape(images)[1:3]
    size = tf.maximum(1, tf.cast(tf.round(
        image_size * sides / tf.reduce_max(sides)), tf.int32))
  images = tf.image.resize(images, size, antialias=antialias)
  images = tf.cast(tf.round(tf.clip_by_value(images, 0, 255)), tf.uint8)
  if task.view == 'pad':
    images = tf.image.pad_to_bounding_box(
        images, *tf.unstack((image_size - size) // 2), image_size, image_size)
  return tf.ensure_shape(
      images, [None, image_size, image_size, images.shape[-1]])
