"""Whole-image transforms by name, as in the paper's Figure 2b.

Each maps a uint8 batch `[n, height, width, channels]` to another of the same
shape. Lengths are relative to the image, so that a transform looks the same at
every size. Parameters were chosen by eye, so that digits stay readable at
32 x 32; the paper gives none.
"""

import numpy as np
import tensorflow as tf

BLUR_SIGMA = 0.05  # of the side: 1.6 pixels at 32
BOUNDARY_RADIUS = 1 / 32  # of the side: 1 pixel at 32


def blur_matrix(size, sigma):
  """Returns the Gaussian blur of a line, `[size, size]` float32.

  B[i, j] is proportional to exp(-(i - j)^2 / (2 sigma^2)), with j mirrored at
  both ends. Columns sum to one: the mass of every line is kept.

  Args:
    size: Pixels in a line.
    sigma: Standard deviation in pixels, above 0.
  """
  reach = int(np.ceil(4 * sigma))
  offsets = np.arange(-reach, reach + 1)
  kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
  kernel /= kernel.sum()
  matrix = np.zeros([size, size])
  columns = np.arange(size)
  for offset, weight in zip(offsets, kernel):
    target = (columns + offset) % (2 * size)  # mirror: ... 1 0 | 0 1 ...
    target = np.minimum(target, 2 * size - 1 - target)
    np.add.at(matrix, (target, columns), weight)
  return matrix.astype(np.float32)


def blur(images):
  """Blurs by a Gaussian of `BLUR_SIGMA` of each side."""
  height, width = images.shape[1:3]
  rows = tf.constant(blur_matrix(height, BLUR_SIGMA * height))
  columns = tf.constant(blur_matrix(width, BLUR_SIGMA * width))
  x = tf.cast(images, tf.float32)  # [n, h, w, c]
  x = tf.einsum('ij,njwc->niwc', rows, x)
  x = tf.einsum('ij,nhjc->nhic', columns, x)
  return tf.cast(tf.round(tf.clip_by_value(x, 0, 255)), tf.uint8)


def boundary(images):
  """Keeps what a dilation adds: dilate(x) - x, the outline of what is bright.

  The outer gradient, not the inner one: a stroke of two pixels has no inside
  left to outline, and would come out as it went in.
  """
  height, width = images.shape[1:3]
  window = [2 * max(1, round(BOUNDARY_RADIUS * side)) + 1
            for side in (height, width)]
  x = tf.cast(images, tf.float32)
  dilated = tf.nn.max_pool2d(x, window, strides=1, padding='SAME')
  return tf.cast(dilated - x, tf.uint8)


TRANSFORMS = {'blur': blur, 'boundary': boundary}


def check_names(names):
  """Raises ValueError if a name in `names` is not a transform's."""
  for name in names:
    if name not in TRANSFORMS:
      raise ValueError(
          f'Expected a transform of {sorted(TRANSFORMS)}, received {name!r}: '
          f'write `<data set>+<transform>`, for example `mnist+blur`.')


def apply(images, names):
  """Applies the transforms `names` to a batch, first name first.

  Args:
    images: uint8 `[n, height, width, channels]`, sides known.
    names: Names of transforms.

  Returns:
    uint8, same shape.

  Raises:
    ValueError: If a name is unknown.

  Source: Figure 2b.
  """
  check_names(names)
  for name in names:
    images = TRANSFORMS[name](images)
  return images
