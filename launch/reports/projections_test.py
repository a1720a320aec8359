"""Tests of maps of points to a plane."""

from absl.testing import absltest
import numpy as np

from launch.reports import projections


def _clusters(size=15):
  """Two groups of points `[2 * size, 5]`, far from each other."""
  points = np.random.default_rng(0).normal(size=(2 * size, 5))
  points[size:, 2] += 20
  return points


class ProjectionsTest(absltest.TestCase):

  def test_components_match_numpy(self):
    points = np.random.default_rng(0).normal(
        size=(30, 4)) @ np.diag([1, 5, 0.1, 3]) + 7
    found, shares = projections.principal_components(points)
    centred = points - points.mean(0)
    _, lengths, directions = np.linalg.svd(centred)
    expected = centred @ directions[:2].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected))
    np.testing.assert_allclose(
        shares, lengths[:2] ** 2 / (lengths ** 2).sum())
    # The second entry is the largest of the first direction, and positive.
    self.assertGreater(np.corrcoef(found[:, 0], points[:, 1])[0, 1], 0.9)

  def test_components_of_one_dimension_and_of_none(self):
    found, shares = projections.principal_components([[1.0], [3.0]])
    np.testing.assert_allclose(found, [[-1, 0], [1, 0]])
    np.testing.assert_allclose(shares, [1, 0])
    found, shares = projections.principal_components(np.ones([5, 3]))
    np.testing.assert_array_equal(found, np.zeros([5, 2]))
    np.testing.assert_array_equal(shares, [0, 0])

  def test_neighbours_stay_together(self):
    points = _clusters()
    found = projections.neighbours(points)
    self.assertEqual(found.shape, (30, 2))
    distances = np.linalg.norm(found[:, None] - found, axis=-1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(distances.argmin(1) < 15,
                                  np.arange(30) < 15)
    np.testing.assert_array_equal(projections.neighbours(points), found)

  def test_few_points_and_equal_ones(self):
    for points in (_clusters(2), np.ones([9, 3])):
      self.assertTrue(np.isfinite(projections.neighbours(points)).all())


if __name__ == '__main__':
  absltest.main()
