"""Tests of the pictures."""

import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from matplotlib import image as mpl_image
from matplotlib import pyplot as plt
import numpy as np

from launch.reports import signature_plots


class PlotsTest(parameterized.TestCase):

  def test_signature(self):
    figure, ax = plt.subplots()
    self.addCleanup(plt.close, figure)
    xi = np.array([[0.2, 0.8], [1.0, 0.0], [0.4, 0.6]])  # [L, K]
    image = signature_plots.plot_signature(xi, ax)
    np.testing.assert_allclose(image.get_array(), xi.T)
    self.assertEqual(image.get_clim(), (0, 1))
    dots, = ax.collections
    np.testing.assert_array_equal(
        dots.get_offsets(), [[0, 1], [1, 0], [2, 1]])
    self.assertEqual([t.get_text() for t in ax.get_xticklabels()],
                     ['1', '2', '3'])
    self.assertEqual([t.get_text() for t in ax.get_yticklabels()], ['1', '2'])

  def test_negative_weights(self):
    figure, ax = plt.subplots()
    self.addCleanup(plt.close, figure)
    image = signature_plots.plot_signature(np.array([[-2.0, 1.0]]), ax, -2, 2)
    dots, = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), [[0, 0]])
    orange, violet = image.cmap(image.norm([-2.0, 2.0]))[:, :3]
    self.assertGreater(orange[0], orange[2] + 0.3)
    self.assertGreater(violet[2], violet[1] + 0.2)
    np.testing.assert_allclose(image.cmap(image.norm(0.0))[:3], 0.97, atol=0.02)

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
        signature_plots.save_signatures(mixtures, path)
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

  def test_some_of_many(self):
    self.assertEqual(signature_plots.some([1, 2, 3], 3), ([1, 2, 3], ''))
    kept, note = signature_plots.some(
        {f'{i}': i for i in range(300)}, 5)
    self.assertEqual(list(kept.items()), [
        ('0', 0), ('1', 1), ('2', 2), ('298', 298), ('299', 299)])
    self.assertIn('the first 3 and the last 2 of 300 tasks', note)

  @parameterized.parameters(
      (300, 2, 2, 24), (30, 2, 300, 10), (3, 3000, 2, 3))
  def test_what_is_drawn_is_bounded(self, tasks, layers, templates, drawn):
    xi = np.full([layers, templates], 1 / templates)
    figures = []
    with mock.patch.object(
        signature_plots, 'save', lambda figure, path: figures.append(figure)):
      signature_plots.save_signatures(
          {f'task{i}': xi for i in range(tasks)}, 'unused')
    figure, = figures
    self.addCleanup(plt.close, figure)
    *axes, _ = figure.axes
    self.assertLen(axes, drawn)
    width, height = figure.get_size_inches()
    self.assertLessEqual(width, 33)
    self.assertLessEqual(height, 62)
    self.assertLessEqual(len(axes[0].get_yticks()), 34)
    self.assertLess(len(axes[0].get_title(loc='left')), 300)
    self.assertEqual(f'of {tasks} tasks' in figure.get_suptitle(),
                     drawn < tasks)

  def test_strips_are_bounded(self):
    strips = [(f'{i}', np.zeros([1, 8, 8, 3]), ['x']) for i in range(100)]
    with mock.patch.object(signature_plots, 'save') as save:
      signature_plots.save_images(strips, 'unused')
    figure, _ = save.call_args.args
    self.addCleanup(plt.close, figure)
    self.assertLen(figure.axes, 48)
    self.assertIn('of 100 strips', figure.get_suptitle())

  def test_images(self):
    figure, ax = plt.subplots()
    self.addCleanup(plt.close, figure)
    values = np.linspace(-1, 1, 18)
    images = np.tile(values[:, None, None, None], [1, 32, 32, 3])
    titles = [f'class {i}' for i in range(17)] + ['The_Great_Wall_of_China']
    signature_plots.plot_images(images, titles, ax)
    drawn, = ax.get_images()
    canvas = drawn.get_array()
    self.assertLen(ax.texts, 18)
    for text, image, title in zip(ax.texts, values, titles):
      # Each title stands above the middle of its image.
      x, y = text.get_position()
      cell = canvas[int(y) + 2:int(y) + 33, int(x) - 15:int(x) + 16]
      np.testing.assert_allclose(cell, (image + 1) / 2, err_msg=title)
    self.assertEqual([text.get_text() for text in ax.texts[:17]], titles[:17])
    self.assertEqual(ax.texts[17].get_text(), 'The_Great_Wall…')
    self.assertLen({text.get_position()[1] for text in ax.texts}, 2)

  @parameterized.parameters((1, 1, 8), (3, 16, 32), (2, 20, 128))
  def test_strips_of_images(self, num_strips, num_images, size):
    images = np.zeros([num_images, size, size, 3], np.float32)
    strips = [(f'strip {i}', images, ['The_Great_Wall_of_China'] * num_images)
              for i in range(num_strips)]
    figures = []
    close, plt.close = plt.close, figures.append
    try:
      with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'images.png'
        signature_plots.save_images(strips, path)
        picture = mpl_image.imread(path)
    finally:
      plt.close = close
    figure, = figures
    self.addCleanup(close, figure)
    self.assertEqual([ax.get_title(loc='left') for ax in figure.axes],
                     [caption for caption, *_ in strips])
    # Nothing is cut off or covered: the outermost pixels are white, captions
    # end above their images, titles are no wider than an image.
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
      self.assertGreater(edge.min(), 0.99)
    figure.draw_without_rendering()
    for above, below in zip(figure.axes, figure.axes[1:]):
      self.assertGreater(
          above.get_window_extent().y0, below.get_tightbbox().y1)
    left, right = figure.axes[0].transData.transform([[0, 0], [size, 0]])[:, 0]
    for text in figure.axes[0].texts:
      self.assertLess(text.get_window_extent().width, right - left)


if __name__ == '__main__':
  absltest.main()
