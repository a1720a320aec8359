"""Tests of the pictures of a report."""

import io
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from matplotlib import colors
from matplotlib import image as mpl_image
from matplotlib import patches
from matplotlib import pyplot as plt
import numpy as np

from launch.reports import run_plots
from launch.reports import signature_plots
from mixture_modules import self_organization


def _one_hot(notation, templates=4):
  return np.eye(templates)[[int(k) - 1 for k in notation.split('-')]]


class ReportPlotsTest(parameterized.TestCase):

  def make_axes(self):
    figure, ax = plt.subplots(figsize=(12, 6))
    self.addCleanup(plt.close, figure)
    return ax

  def test_tasks_side_by_side(self):
    ax = self.make_axes()
    image = run_plots.plot_tasks({
        'a': _one_hot('1-2-3-1'), 'b': _one_hot('1-2-3-2'),
        'c': _one_hot('1-2-4-3')}, ax)
    canvas = image.get_array()
    self.assertEqual(canvas.shape, (3, 4, 3))
    texts = {(round(text.get_position()[1]), round(text.get_position()[0])):
             text.get_text() for text in ax.texts}
    self.assertEqual(
        [[texts[task, layer] for layer in range(4)] for task in range(3)],
        [['1', '2', '3', '1'], ['1', '2', '3', '2'], ['1', '2', '4', '3']])
    # Shared squares are alike and darker than the same template unshared.
    np.testing.assert_array_equal(canvas[0, 2], canvas[1, 2])
    np.testing.assert_array_equal(canvas[0, 0], canvas[2, 0])
    self.assertLess(canvas[0, 0].sum() + 0.5, canvas[0, 3].sum())
    self.assertLess(canvas[0, 2].sum() + 0.5, canvas[2, 3].sum())
    frame, = (p for p in ax.patches if isinstance(p, patches.Rectangle))
    self.assertEqual((frame.get_xy(), frame.get_width(), frame.get_height()),
                     ((-0.5, -0.5), 2, 3))
    self.assertEqual([t.get_text() for t in ax.get_yticklabels()],
                     ['a', 'b', 'c'])

  def test_groups_with_one_template_have_letters(self):
    ax = self.make_axes()
    run_plots.plot_tasks({
        'a': [[1.0, 0.0]], 'b': [[0.6, 0.4]], 'c': [[1.0, 0.0]],
        'd': [[0.6, 0.4]], 'e': [[0.8, 0.2]]}, ax)
    self.assertEqual(sorted(text.get_text() for text in ax.texts),
                     ['1', '1a', '1a', '1b', '1b'])
    self.assertEmpty(ax.patches)

  def test_strongest_template_may_be_negative(self):
    ax = self.make_axes()
    xi = np.array([[-3.0, 1.0], [0.5, 2.0]])  # linear, [L, K]
    image = run_plots.plot_tasks(
        {'a': xi, 'b': 2 * xi, 'c': xi * [[-1, 1]]}, ax)
    texts = {(round(text.get_position()[1]), round(text.get_position()[0])):
             text.get_text() for text in ax.texts}
    self.assertEqual(texts, {(0, 0): '1', (1, 0): '1', (2, 0): '1',
                             (0, 1): '2', (1, 1): '2', (2, 1): '2'})
    # a and b differ in scale alone, c in a sign that matters.
    canvas = image.get_array()
    np.testing.assert_array_equal(canvas[0], canvas[1])
    self.assertLess(canvas[0, 0].sum() + 0.5, canvas[2, 0].sum())

  def test_path_of_linear_mixtures(self):
    ax = self.make_axes()
    mesh = run_plots.plot_path(
        [0, 10], [[[-3.0, 1.0]], [[2.0, 2.0]]], ax)  # [n, L, K]
    np.testing.assert_allclose(mesh.get_array(), [[0.75, 0.5]])

  def test_texts_are_readable(self):
    templates = len(run_plots._AREAS)
    ax = self.make_axes()
    rows = np.eye(templates)
    run_plots.plot_tasks({'a': rows, 'b': rows, 'c': rows[::-1]}, ax)
    canvas = ax.images[0].get_array()
    for text in ax.texts:
      layer, task = (round(value) for value in text.get_position())
      one, other = (_luminance(color) for color in (
          colors.to_rgb(text.get_color()), canvas[task, layer]))
      contrast = (max(one, other) + 0.05) / (min(one, other) + 0.05)
      self.assertGreater(contrast, 4, f'{text.get_text()} on task {task}')

  @parameterized.parameters((9, 32, 9), (2, 8, 4))
  def test_picture_of_tasks(self, num_tasks, num_layers, num_templates):
    rng = np.random.default_rng(0)
    rows = rng.integers(num_templates, size=num_layers)
    mixtures = {
        f'mnist_corrupted/shot_noise+{i}': np.eye(num_templates)[
            np.where(rng.random(num_layers) < 0.5, rows,
                     rng.integers(num_templates, size=num_layers))]
        for i in range(num_tasks)}
    figure, picture = self.draw(run_plots.save_tasks, mixtures)
    self.assertWhiteEdges(picture)
    figure.draw_without_rendering()
    ax, = figure.axes
    x, y = np.abs(ax.transData.transform([[1, 1]])
                  - ax.transData.transform([[0, 0]]))[0]
    for text in ax.texts:
      extent = text.get_window_extent()
      self.assertLess(extent.width, x)
      self.assertLess(extent.height, y)
    title = figure._suptitle.get_window_extent()
    self.assertGreater(title.y0, ax.get_window_extent().y1)

  def test_distances(self):
    ax = self.make_axes()
    one, other = run_plots.plot_distances(
        {'same data set': np.array([0.1, 0.2]), 'neither': np.ones(2)}, ax)
    np.testing.assert_array_equal(one.get_xdata(), [1, 2])
    np.testing.assert_array_equal(one.get_ydata(), [0.1, 0.2])
    self.assertEqual(other.get_label(), 'neither')
    self.assertIn('total variation', ax.get_ylabel())
    self.assertEqual(ax.get_ylim()[0], 0)

  def test_curves(self):
    ax = self.make_axes()
    training = {f'task {i}': ((10, 20), (i, i + 1)) for i in range(9)}
    lines = run_plots.plot_curves(
        training, {'task 8': ((20,), (5,))}, ax)
    self.assertEqual([line.get_label() for line in lines], list(training))
    self.assertLen(
        {(line.get_color(), line.get_linestyle()) for line in lines}, 9)
    mark = ax.lines[-1]
    self.assertEqual((list(mark.get_xdata()), list(mark.get_ydata())),
                     ([20], [5]))
    self.assertEqual(mark.get_color(), lines[8].get_color())

  @parameterized.parameters('linear', 'log')
  def test_picture_of_curves(self, scale):
    curves = {f'$a_{i}$': ((1, 2, 3), (2.0, 0.9, 0.3)) for i in range(2)}
    figure, picture = self.draw(
        run_plots.save_curves, [('loss, nats', scale, curves, {}),
                                   ('top-1, %', 'linear', curves, curves)],
        'Curves')
    self.assertWhiteEdges(picture)
    self.assertEqual([ax.get_ylabel() for ax in figure.axes],
                     ['loss, nats', 'top-1, %'])
    figure.draw_without_rendering()
    labels = [label.get_text() for ax in figure.axes
              for label in ax.get_yticklabels()]
    self.assertNotIn('$', ''.join(labels))
    if scale == 'log':
      self.assertContainsSubset(['0.5', '1', '2'], labels)
    self.assertEqual([text.get_text() for text in figure.legends[0].texts],
                     list(curves))

  def test_what_is_drawn_of_many_tasks_is_bounded(self):
    # One strongest template, but 150 groups in a layer: letters would not do.
    mixtures = {f'task{i}': np.array([[0.6, *np.eye(150)[i // 2] * 0.4]])
                for i in range(300)}
    curves = {name: ((1, 2), (1.0, 0.5)) for name in mixtures}
    for draw, arguments, drawn in (
        (run_plots.save_tasks, (mixtures,),
         lambda figure: len(figure.axes[0].get_yticks())),
        (run_plots.save_curves, ([('loss', 'linear', curves, curves)], 'Loss'),
         lambda figure: len(figure.legends[0].texts)),
        (run_plots.save_paths, ([1, 2], {
            name: np.stack([xi, xi]) for name, xi in mixtures.items()}),
         lambda figure: len(figure.axes) - 1)):
      with mock.patch.object(signature_plots, 'save') as save:
        draw(*arguments, 'unused')
      figure, _ = save.call_args.args
      self.addCleanup(plt.close, figure)
      self.assertBetween(drawn(figure), 20, 50)
      self.assertRegex(figure.get_suptitle(), r'drawn: .* of 300 ')

  def test_path(self):
    ax = self.make_axes()
    mixtures = np.array([  # [n, L, K]
        [[0.4, 0.6], [0.5, 0.5]], [[0.7, 0.3], [0.8, 0.2]],
        [[0.1, 0.9], [1.0, 0.0]]])
    mesh = run_plots.plot_path([0, 100, 150], mixtures, ax)
    np.testing.assert_allclose(
        mesh.get_array(), self_organization.max_weights(mixtures).T)
    self.assertEqual(mesh.get_clim(), (0.5, 1))
    self.assertEqual(ax.get_xlim(), (0, 150))
    self.assertGreater(*ax.get_ylim())  # the input is above
    _, dots = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), [[100, 1], [150, 1]])

  @parameterized.parameters((9, 32, 9), (4, 3, 2), (1, 1, 1))
  def test_picture_of_paths(self, num_tasks, num_layers, num_templates):
    rng = np.random.default_rng(0)
    paths = {f'mnist_corrupted/shot_noise+{i}': rng.dirichlet(
        np.ones(num_templates), [5, num_layers]) for i in range(num_tasks)}
    figure, picture = self.draw(
        run_plots.save_paths, [0, 50, 100, 150, 170], paths)
    self.assertWhiteEdges(picture)
    titles = [ax.get_title(loc='left') for ax in figure.axes]
    self.assertEqual(titles[:num_tasks], list(paths))
    self.assertIn('weight', figure.axes[-1].get_ylabel())

  def test_accuracy(self):
    ax = self.make_axes()
    drawn = run_plots.plot_accuracy([
        {'templates': 4, 'layers': 16, 'paper': 66.7, 'label': '',
         'top1': [60, 61, 64]},
        {'templates': 4, 'layers': 8, 'paper': 65.1, 'label': '', 'top1': []},
        {'templates': 8, 'layers': 16, 'paper': None, 'label': '',
         'top1': [50]}], [(2, ''), (4, ''), (8, '')], ax)
    self.assertCountEqual(
        drawn, [(4, 'paper'), (4, 'ours'), (8, 'ours')])
    np.testing.assert_array_equal(
        drawn[4, 'paper'].get_xydata(), [[8, 65.1], [16, 66.7]])
    line, _, (bar,) = drawn[4, 'ours'].lines
    np.testing.assert_array_equal(line.get_xydata(), [[16, 61]])
    np.testing.assert_allclose(
        bar.get_segments()[0], [[16, 60], [16, 64]])
    # The same K has the same colour in every panel.
    self.assertEqual(line.get_color(), drawn[4, 'paper'].get_color())
    self.assertEqual(line.get_color(), run_plots._LINES[1])
    self.assertEqual([t.get_text() for t in ax.get_xticklabels()],
                     ['8', '16'])

  def test_accuracy_of_several_commands(self):
    ax = self.make_axes()
    cells = [{'templates': 4, 'layers': 16, 'paper': 66.7, 'label': label,
              'top1': [top1]} for label, top1 in (('', 60), ('--x=1', 50))]
    drawn = run_plots.plot_accuracy(cells, [(4, ''), (4, '--x=1')], ax)
    self.assertCountEqual(
        drawn, [(4, 'paper'), (4, 'ours'), (4, 'ours (--x=1)')])
    one, other = (drawn[4, whose].lines[0] for whose in (
        'ours', 'ours (--x=1)'))
    self.assertEqual(one.get_color(), other.get_color())
    self.assertNotEqual(one.get_marker(), other.get_marker())
    self.assertNotEqual(one.get_linestyle(), other.get_linestyle())
    np.testing.assert_array_equal(other.get_xydata(), [[16, 50]])

  def test_picture_of_accuracy(self):
    cells = [{'templates': k, 'layers': layers, 'paper': 60 + k, 'label': '',
              'top1': [50 + k]} for k in (2, 16) for layers in (8, 32)]
    figure, picture = self.draw(run_plots.save_accuracy, {
        'cyclic': cells[:2], 'mixture': cells})
    self.assertWhiteEdges(picture)
    self.assertEqual([ax.get_title() for ax in figure.axes],
                     ['cyclic', 'mixture'])
    self.assertEqual(
        [text.get_text() for text in figure.legends[0].texts],
        ['K = 2, ours', 'K = 2, paper', 'K = 16, ours', 'K = 16, paper'])

  def draw(self, save, *arguments):
    """The figure that a function saves, and its pixels."""
    figures = []
    close, plt.close = plt.close, figures.append
    try:
      file = io.BytesIO()
      save(*arguments, file)
    finally:
      plt.close = close
    figure, = figures
    self.addCleanup(close, figure)
    file.seek(0)
    return figure, mpl_image.imread(file)

  def assertWhiteEdges(self, picture):
    """Nothing is cut off: the outermost pixels are white."""
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
      self.assertGreater(edge.min(), 0.99)


def _luminance(color):
  """Relative luminance, by WCAG 2."""
  values = np.asarray(color)
  linear = np.where(values <= 0.04045, values / 12.92,
                    ((values + 0.055) / 1.055) ** 2.4)
  return linear @ [0.2126, 0.7152, 0.0722]


if __name__ == '__main__':
  absltest.main()
