"""Tests of `augmentation`."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import augmentation


def _draw(seed=0, batch_size=4_000):
  return augmentation.draw(
      tf.constant([seed, 7], tf.int64), batch_size).numpy()


def _shifted(image, draw, flip):
  """NumPy twin of `augmentation.shift` for one image."""
  size = image.shape[0]
  reach = round(size / 8)
  down, right = np.floor(draw[:2] * (2 * reach + 1)).astype(int) - reach
  source = image[:, ::-1] if flip and draw[2] < 0.5 else image
  out = np.zeros_like(image)
  for y in range(size):
    for x in range(size):
      if 0 <= y - down < size and 0 <= x - right < size:
        out[y, x] = source[y - down, x - right]
  return out


def _window(height, width, draw, proportional=False):
  """NumPy twin of `augmentation.random_window`."""
  area = (0.3 + draw[3] * 0.7) * height * width
  ratio = (3 / 4) ** (1 - draw[4]) * (4 / 3) ** draw[4]
  if proportional:
    ratio *= width / height
  rows = int(np.clip(np.round(np.sqrt(area / ratio)), 1, height))
  columns = int(np.clip(np.round(np.sqrt(area * ratio)), 1, width))
  return (int(draw[0] * (height - rows + 1)),
          int(draw[1] * (width - columns + 1)), rows, columns)


class AugmentationTest(parameterized.TestCase, tf.test.TestCase):

  def test_draws_are_uniform_and_unrelated(self):
    draws = _draw()
    self.assertEqual(draws.shape, (4_000, 5))
    self.assertAllInRange(draws, 0, 1, open_upper_bound=True)
    self.assertAllClose(np.quantile(draws, [0.25, 0.5, 0.75], axis=0),
                        np.repeat([[0.25], [0.5], [0.75]], 5, 1), atol=0.03)
    self.assertAllClose(np.corrcoef(draws.T), np.eye(5), atol=0.06)

  def test_draws_are_a_function_of_the_seed(self):
    self.assertAllEqual(_draw(), _draw())
    self.assertNotAllEqual(_draw(), _draw(seed=1))

  @parameterized.parameters((16, 1), (16, 3), (2, 1))
  def test_shift_matches_numpy(self, size, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, [40, size, size, channels], np.uint8)
    draws = _draw(batch_size=40)
    for flip in (False, True):
      self.assertAllEqual(
          augmentation.shift(images, draws, flip),
          [_shifted(*each, flip) for each in zip(images, draws)])

  @parameterized.parameters((32, 4), (16, 2), (2, 0))
  def test_shifts_are_uniform_up_to_an_eighth(self, size, reach):
    image = np.zeros([1, size, size, 1], np.uint8)
    image[0, size // 2, size // 2] = 1
    images = np.repeat(image, 4_000, 0)
    moved = augmentation.shift(images, _draw(), flip=False).numpy()
    shifts = np.argwhere(moved[..., 0])[:, 1:] - size // 2
    values, counts = np.unique(shifts, return_counts=True)
    self.assertAllEqual(values, np.arange(-reach, reach + 1))
    self.assertAllClose(
        counts / shifts.size, np.full(len(values), 1 / len(values)), atol=0.02)

  @parameterized.product(
      size=((60, 40), (1, 1), (3, 500)), proportional=(False, True))
  def test_random_windows_match_numpy_and_lie_within(self, size, proportional):
    height, width = size
    for draw in _draw(batch_size=200):
      window = [int(x) for x in augmentation.random_window(
          tf.constant(height), tf.constant(width), tf.constant(draw),
          proportional)]
      self.assertSequenceAlmostEqual(  # a half is rounded
          window, _window(height, width, draw, proportional), delta=1)
      top, left, rows, columns = window
      self.assertAllInRange([top, top + rows], 0, height)
      self.assertAllInRange([left, left + columns], 0, width)

  def test_random_windows_reach_everywhere(self):
    windows = np.array([_window(100, 100, draw) for draw in _draw()])
    top, left, rows, columns = windows.T
    self.assertAllClose((rows * columns).mean() / 100 ** 2, 0.64, atol=0.04)
    self.assertEqual((top.min(), (top + rows).max()), (0, 100))
    self.assertEqual((left.min(), (left + columns).max()), (0, 100))

  @parameterized.parameters(
      (80, 80, (5, 5, 70, 70)), (80, 160, (5, 45, 70, 70)),
      (1, 1, (0, 0, 1, 1)))
  def test_centre_window(self, height, width, expected):
    window = augmentation.centre_window(tf.constant(height), tf.constant(width))
    self.assertAllEqual(window, expected)


if __name__ == '__main__':
  tf.test.main()
