"""Random shifts, crops and flips, as pure functions of given draws."""

import math

import tensorflow as tf

SHIFT = 1 / 8  # of the side, in each direction: 4 pixels at 32
# Of the image's. Inception's 0.08 was worse for a small network and a short run
# (Office-Caltech10); it may be better for large ones.
CROP_AREA = (0.3, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)  # of width to height
CENTRE = 0.875  # of the shorter side, seen in evaluation


def draw(seed, batch_size):
  """Draws how each image of a global batch is to be moved.

  Args:
    seed: int64 `[2]`; the draws are a function of it.
    batch_size: Images in the global batch.

  Returns:
    float32 `[batch_size, 5]` from 0 to 1 (excluded): place from top to bottom,
    place from left to right, mirrored if below a half, area, aspect ratio.
    Each kind of augmentation uses those that it needs.
  """
  return tf.random.stateless_uniform([batch_size, 5], seed=seed, alg='philox')


def shift(images, draws, flip):
  """Shifts and mirrors each image; what comes in from outside is black.

  With r = round(SHIFT * size), an image goes floor(u0 (2r + 1)) - r pixels
  down and floor(u1 (2r + 1)) - r pixels to the right.

  Args:
    images: uint8 `[b, size, size, c]`.
    draws: float32 `[b, 5]`, as from `draw`.
    flip: Whether images with u2 < 1/2 are mirrored, before they are shifted.

  Returns:
    uint8 `[b, size, size, c]`.
  """
  size = images.shape[1]
  reach = round(SHIFT * size)
  moves = tf.cast(draws[:, :2] * (2 * reach + 1), tf.int32) - reach
  grid = tf.range(size)[tf.newaxis]  # [1, size]
  rows = grid - moves[:, 0:1]  # [b, size]
  columns = grid - moves[:, 1:2]
  if flip:
    columns = tf.where(draws[:, 2:3] < 0.5, size - 1 - columns, columns)
  images = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
  images = tf.gather(images, rows + reach, axis=1, batch_dims=1)
  return tf.gather(images, columns + reach, axis=2, batch_dims=1)


def random_window(height, width, draw_, proportional=False):
  """Returns the part of one image that a random resized crop keeps.

  With a the area, from `CROP_AREA` by u3, and r the ratio of width to height,
  log-uniform in `CROP_RATIO` by u4, the window has sqrt(a H W / r) rows and
  sqrt(a H W r) columns, at most the image's; u0 and u1 say where it lies.
  Where it is proportional, r is the ratio relative to the image's own, and the
  window has H sqrt(a / r) rows and W sqrt(a r) columns.

  Args:
    height: Of the image in pixels, int32 scalar tensor.
    width: Likewise.
    draw_: float32 `[5]`, a row from `draw`.
    proportional: Whether the window has about the image's proportions.

  Returns:
    int32 scalars top, left, height and width, in pixels.

  Source: our choice; Inception's, with a larger least area, and a window that
  is cut off where others draw again.
  """
  low, high = CROP_AREA
  area = low + draw_[3] * (high - low)
  low, high = map(math.log, CROP_RATIO)
  ratio = tf.exp(low + draw_[4] * (high - low))
  if not proportional:
    area *= tf.cast(height * width, tf.float32)
  rows, columns = tf.sqrt(area / ratio), tf.sqrt(area * ratio)
  if proportional:
    rows *= tf.cast(height, tf.float32)
    columns *= tf.cast(width, tf.float32)
  return _place(height, width, rows, columns, draw_)


def centre_window(height, width):
  """Returns the centred square of `CENTRE` of an image's shorter side.

  Resizing it is the same as to resize the image and to cut out the centre.

  Args:
    height: Of the image in pixels, int32 scalar tensor.
    width: Likewise.

  Returns:
    int32 scalars top, left, height and width, in pixels.

  Source: our choice; the usual one.
  """
  side = CENTRE * tf.cast(tf.minimum(height, width), tf.float32)
  return _place(height, width, side, side, tf.fill([2], 0.5))


def _place(height, width, rows, columns, places):
  """Rounds a window's sides and places it within the image."""
  rows = tf.clip_by_value(tf.cast(tf.round(rows), tf.int32), 1, height)
  columns = tf.clip_by_value(tf.cast(tf.round(columns), tf.int32), 1, width)
  room = tf.cast(tf.stack([height - rows, width - columns]) + 1, tf.float32)
  corner = tf.cast(places[:2] * room, tf.int32)
  return corner[0], corner[1], rows, columns
