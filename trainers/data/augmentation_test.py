"""Tests of `augmentation`."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import augmentation


def _draw(kind, seed=0, batch_size=4_000, image_size=32):
  return augmentation.draw(
      kind, tf.constant([seed, 7], tf.int64), batch_size, image_size).numpy()


def _moved(image, down, right, mirrored):
  """NumPy twin of `augmentation.move` for one image."""
  size = image.shape[0]
  source = image[:, ::-1] if mirrored else image
  out = np.zeros_like(image)
  for y in range(size):
    for x in range(size):
      if 0 <= y - down < size and 0 <= x - right < size:
        out[y, x] = source[y - down, x - right]
  return out


class AugmentationTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((32, 4), (16, 2), (2, 0))
  def test_shifts_are_uniform_up_to_an_eighth(self, image_size, reach):
    shifts = _draw('shift', image_size=image_size)[:, :2]
    values, counts = np.unique(shifts, return_counts=True)
    self.assertAllEqual(values, np.arange(-reach, reach + 1))
    self.assertAllClose(
        counts / shifts.size, np.full(len(values), 1 / len(values)), atol=0.02)
    if reach:
      self.assertLess(abs(np.corrcoef(shifts.T)[0, 1]), 0.05)

  @parameterized.parameters(('none', 0), ('shift', 0), ('shift_flip', 0.5))
  def test_share_of_flips(self, kind, expected):
    self.assertAllClose(_draw(kind)[:, 2].mean(), expected, atol=0.03)

  def test_none_moves_nothing(self):
    self.assertAllEqual(_draw('none'), np.zeros([4_000, 3]))

  def test_draws_are_a_function_of_the_seed(self):
    self.assertAllEqual(_draw('shift_flip'), _draw('shift_flip'))
    self.assertNotAllEqual(_draw('shift_flip'), _draw('shift_flip', seed=1))

  @parameterized.parameters(1, 3)
  def test_move_matches_numpy(self, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, [6, 16, 16, channels], np.uint8)
    draws = np.array([[0, 0, 0], [2, 0, 0], [0, -2, 0],
                      [0, 0, 1], [1, 2, 1], [-2, -1, 1]], np.int32)
    self.assertAllEqual(
        augmentation.move(images, draws),
        [_moved(image, *draw) for image, draw in zip(images, draws)])


if __name__ == '__main__':
  tf.test.main()
