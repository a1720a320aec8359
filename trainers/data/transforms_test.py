"""Tests of `transforms`."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import transforms


def _digit_like(size=32):
  """Two images with a bright frame of 4 pixels well inside: [2, S, S, 1]."""
  images = np.zeros([2, size, size, 1], np.uint8)
  images[:, 8:24, 8:24] = 255
  images[:, 12:20, 12:20] = 0
  images[1] //= 2
  return images


class TransformsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.product(
      name=sorted(transforms.TRANSFORMS), shape=[(32, 32, 1), (28, 20, 3)])
  def test_keeps_shape_and_type(self, name, shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    out = transforms.apply(images, [name])
    self.assertEqual((out.shape, out.dtype), (images.shape, tf.uint8))

  @parameterized.parameters(*sorted(transforms.TRANSFORMS))
  def test_images_of_a_batch_do_not_mix(self, name):
    images = _digit_like()
    self.assertAllEqual(
        transforms.apply(images, [name])[1:],
        transforms.apply(images[1:], [name]))

  def test_blur_matrix_matches_its_formula(self):
    """B[i, j]: Gaussian of i - j, with j mirrored at both ends."""
    size, sigma = 6, 0.7
    expected = np.zeros([size, size])
    for j in range(size):
      for offset in range(-3, 4):
        i = j + offset
        i = -1 - i if i < 0 else 2 * size - 1 - i if i >= size else i
        expected[i, j] += np.exp(-offset ** 2 / (2 * sigma ** 2))
    expected /= sum(np.exp(-o ** 2 / (2 * sigma ** 2)) for o in range(-3, 4))
    self.assertAllClose(transforms.blur_matrix(size, sigma), expected)

  def test_blur_keeps_mass_and_lowers_variance(self):
    images = _digit_like()
    blurred = transforms.blur(images).numpy().astype(np.float64)
    self.assertAllClose(
        blurred.mean((1, 2, 3)), images.mean((1, 2, 3)), rtol=0.01)
    self.assertAllLess(
        blurred.var((1, 2, 3)) / images.var((1, 2, 3)), 0.8)

  @parameterized.parameters(0, 100, 255)
  def test_blur_leaves_a_constant_image(self, value):
    images = np.full([1, 16, 16, 3], value, np.uint8)
    self.assertAllEqual(transforms.blur(images), images)

  @parameterized.parameters(0, 100, 255)
  def test_boundary_of_a_constant_image_is_zero(self, value):
    images = np.full([1, 16, 16, 3], value, np.uint8)
    self.assertAllEqual(transforms.boundary(images), np.zeros_like(images))

  def test_boundary_of_a_square_is_the_ring_around_it(self):
    images = np.zeros([1, 32, 32, 1], np.uint8)
    images[:, 10:20, 12:16] = 200
    expected = np.zeros_like(images)
    expected[:, 9:21, 11:17] = 200
    expected -= images
    self.assertAllEqual(transforms.boundary(images), expected)

  def test_names_are_applied_first_to_last(self):
    images = _digit_like()
    blurred_first = transforms.apply(images, ['blur', 'boundary'])
    self.assertAllEqual(
        blurred_first, transforms.boundary(transforms.blur(images)))
    self.assertNotAllEqual(
        blurred_first, transforms.apply(images, ['boundary', 'blur']))

  def test_refuses_unknown_name(self):
    with self.assertRaisesRegex(
        ValueError, r"'blur', 'boundary'.*received 'edge'"):
      transforms.apply(_digit_like(), ['blur', 'edge'])


if __name__ == '__main__':
  tf.test.main()
