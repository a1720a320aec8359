"""Random shifts and flips of a batch, as pure functions of given draws."""

import tensorflow as tf

SHIFT = 1 / 8  # of the side, in each direction: 4 pixels at 32


def draw(kind, seed, batch_size, image_size):
  """Draws how each image of a global batch is to be moved.

  Args:
    kind: 'none', 'shift' or 'shift_flip'.
    seed: int64 `[2]`; the draws are a function of it.
    batch_size: Images in the global batch.
    image_size: Side of the images, in pixels.

  Returns:
    int32 `[batch_size, 3]`: pixels down, pixels right, 1 if mirrored.

  Source: our choice.
  """
  reach = round(SHIFT * image_size) if kind != 'none' else 0
  shifts = tf.random.stateless_uniform(
      [batch_size, 2], seed=seed, minval=-reach, maxval=reach + 1,
      dtype=tf.int32, alg='philox')
  flips = tf.random.stateless_uniform(
      [batch_size, 1], seed=seed + 1, maxval=2, dtype=tf.int32, alg='philox',
      minval=0)
  return tf.concat([shifts, flips * int(kind == 'shift_flip')], axis=1)


def move(images, draws):
  """Shifts and mirrors each image; what comes in from outside is black.

  Args:
    images: uint8 `[b, size, size, c]`.
    draws: int32 `[b, 3]`, as from `draw`.

  Returns:
    uint8 `[b, size, size, c]`: pixel (y, x) is the old one at
    (y - down, x - right), mirrored before it is shifted.

  Source: our choice.
  """
  size = images.shape[1]
  reach = round(SHIFT * size)
  grid = tf.range(size)[tf.newaxis]  # [1, size]
  rows = grid - draws[:, 0:1]  # [b, size]
  columns = grid - draws[:, 1:2]
  columns = tf.where(draws[:, 2:3] == 1, size - 1 - columns, columns)
  images = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
  images = tf.gather(images, rows + reach, axis=1, batch_dims=1)
  return tf.gather(images, columns + reach, axis=2, batch_dims=1)
