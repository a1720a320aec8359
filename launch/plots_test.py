"""Tests of the pictures."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
from matplotlib import image as mpl_image
from matplotlib import pyplot as plt
import numpy as np

from launch import plots


class PlotsTest(parameterized.TestCase):

  def test_signature(self):
    figure, ax = plt.subplots()
    self.addCleanup(plt.close, figure)
    xi = np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6]])  # [L, K]
    image = plots.plot_signature(xi, ax)
    np.testing.assert_allclose(image.get_array(), xi.T)
    self.assertEqual(image.get_clim(), (0, 1))
    dots, = ax.collections
    np.testing.assert_array_equal(
        dots.get_offsets(), [[0, 1], [1, 0], [2, 1]])
    self.assertEqual([t.get_text() for t in ax.get_xticklabels()],
                     ['1', '2', '3'])
    self.assertEqual([t.get_text() for t in ax.get_yticklabels()], ['1', '2'])

  @parameterized.parameters((1, 8, 4), (5, 16, 4), (3, 48, 16), (1, 1, 1))
  def test_picture_explains_itself(self, num_tasks, num_layers, num_templates):
    rng = np.random.default_rng(0)
    mixtures = {f'mnist_corrupted/shot_noise+{i}': rng.dirichlet(
        np.ones(num_templates), num_layers) for i in range(num_tasks)}
    figures = []
    close, plt.close = plt.close, figures.append
    try:
      with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'signatures.png'
        plots.save_signatures(mixtures, path)
        picture = mpl_image.imread(path)
    finally:
      plt.close = close
    figure, = figures
    self.addCleanup(close, figure)
    *axes, bar = figure.axes
    self.assertLen(axes, num_tasks)
    for ax, name in zip(axes, mixtures):
      self.assertStartsWith(ax.get_title(loc='left'), name)
      self.assertEqual(ax.get_ylabel(), 'template k')
    self.assertIn('layer', axes[-1].get_xlabel())
    self.assertIn('mixture weight', bar.get_ylabel())
    self.assertIn('which templates', figure.get_suptitle())
    height, width, _ = picture.shape
    self.assertGreater(min(height, width), 200)
    # Nothing is cut off: the outermost pixels are white.
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
      self.assertGreater(edge.min(), 0.99)
    self.assertLess(picture[..., :3].min(), 0.5)


if __name__ == '__main__':
  absltest.main()
