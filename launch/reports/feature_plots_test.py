"""Tests of the pictures of features."""

import io
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from matplotlib import colors
from matplotlib import image as mpl_image
from matplotlib import pyplot as plt
import numpy as np

from launch.reports import feature_plots
from launch.reports import projections
from trainers.adaptation import adaptation_features

_OFFICE = ('back_pack', 'bike', 'calculator', 'headphones', 'keyboard',
           'laptop_computer', 'monitor', 'mouse', 'mug', 'projector')


def make_features(num_sources=2, class_names=('0', '1', '2'), adapted=True):
  rng = np.random.default_rng(0)
  centres = 4 * rng.normal(size=(len(class_names), 6))

  def draw(shift):
    classes = np.arange(3 * len(class_names)) % len(class_names)
    return classes, centres[classes] + rng.normal(
        size=[len(classes), 6]) / 4 + shift

  return adaptation_features.Features(
      'folder:webcam', 'test', tuple(class_names),
      {f'mnist_corrupted/shot_noise{i}': draw(0) for i in range(num_sources)},
      draw(2), draw(0) if adapted else None)


class FeaturePlotsTest(parameterized.TestCase):

  def make_axes(self):
    figure, ax = plt.subplots()
    self.addCleanup(plt.close, figure)
    return ax

  def test_target_lies_above_light_sources(self):
    ax = self.make_axes()
    points = np.random.default_rng(0).normal(size=(8, 5, 2))
    drawn = feature_plots.plot_domains(
        dict(zip('abcdefg', points)), points[7], ax)
    self.assertEqual([each.get_label() for each in drawn[:-1]],
                     list('abcdefg'))
    np.testing.assert_array_equal(drawn[0].get_offsets(), points[0])
    np.testing.assert_array_equal(drawn[-1].get_offsets(), points[7])
    looks = [tuple(each.get_facecolor()[0]) for each in drawn]
    self.assertLen(set(looks), 8)
    self.assertLess(max(looks[-1][:3]), 0.2)
    for look, each in zip(looks[:-1], drawn):
      self.assertGreater(max(look), 0.6)
      self.assertLess(each.get_zorder(), drawn[-1].get_zorder())

  def test_classes(self):
    ax = self.make_axes()
    points = np.array([[0., 0], [1, 1], [1, 1], [5, 5]])
    feature_plots.plot_classes(
        (np.array([0, 2, 2, 2]), points), (np.array([1, 0]), points[:2]),
        ('cat', 'dog', 'cow'), ax)
    sources, target = ax.collections
    for drawn, classes in ((sources, [0, 2, 2, 2]), (target, [1, 0])):
      for color, number in zip(drawn.get_facecolor(), classes):
        self.assertEqual(colors.to_hex(color), feature_plots._CLASSES[number])
    self.assertLess(sources.get_facecolor()[0, 3], 0.5)  # pale
    self.assertEqual(target.get_facecolor()[0, 3], 1)
    # No image of a source is taken for a dog: it has no place.
    self.assertEqual([text.get_text() for text in ax.texts], ['cat', 'cow'])
    self.assertEqual(ax.texts[1].get_position()[0], 1)

  def test_names_stand_at_the_target_without_sources(self):
    ax = self.make_axes()
    none = np.empty(0, int), np.empty([0, 2])
    feature_plots.plot_classes(
        none, (np.array([1]), np.array([[3., 4]])), ('cat', 'dog'), ax)
    text, = ax.texts
    self.assertEqual((text.get_text(), text.get_position()), ('dog', (3, 4)))

  def test_many_classes_have_no_names(self):
    ax = self.make_axes()
    points = np.array([[0., 0], [1, 1]])
    both = np.array([0, 99]), points
    feature_plots.plot_classes(both, both, [str(k) for k in range(100)], ax)
    self.assertEmpty(ax.texts)

  @parameterized.named_parameters(
      ('digits', {'num_sources': 7, 'class_names': '0123456789'}),
      ('office', {'class_names': _OFFICE}),
      ('many_classes', {'class_names': [f'class {k}' for k in range(100)]}),
      ('target_alone', {'num_sources': 0}),
      ('not_adapted', {'adapted': False, 'class_names': _OFFICE}))
  def test_picture(self, options):
    features = make_features(**options)
    with mock.patch.object(
        projections, 'neighbours',
        lambda x: projections.principal_components(x)[0]):
      figure = self.draw(feature_plots.save_features, features)
    titles = (['before the adaptation', 'after the adaptation']
              if features.after else ['the target as it begins'])
    self.assertEqual([ax.get_title() for ax in figure.axes], 2 * titles)
    self.assertLen({ax.get_xlim() + ax.get_ylim() for ax in figure.axes}, 1)
    above, below = figure.subfigs
    self.assertEqual([text.get_text() for text in above.legends[0].texts],
                     [*features.sources, 'target: folder:webcam'])
    if len(features.class_names) <= 10:
      self.assertEqual([text.get_text() for text in below.legends[0].texts],
                       list(features.class_names))
    else:
      self.assertEmpty(below.legends)
      self.assertIn('100 classes: colours repeat',
                    below._suptitle.get_text())
    self.assertEqual('source' in below._suptitle.get_text(),
                     bool(features.sources))
    # The points of each panel are those of its state.
    first, last = (ax.collections[-1].get_offsets()
                   for ax in (above.axes[0], above.axes[-1]))
    self.assertEqual(np.array_equal(first, last), not features.after)

  def test_principal_components(self):
    figure = self.draw(feature_plots.save_components, make_features())
    before, after = figure.axes
    self.assertRegex(before.get_xlabel(), r'first .* \(\d+% of variance\)')
    self.assertRegex(before.get_ylabel(), r'second .* \(\d+% of variance\)')
    for ax in (before, after):
      self.assertLen(ax.collections, 3)
      for drawn in ax.collections:  # all is seen
        for (low, high), values in zip((ax.get_xlim(), ax.get_ylim()),
                                       drawn.get_offsets().T):
          self.assertBetween(values.min(), low, high)
          self.assertBetween(values.max(), low, high)
    np.testing.assert_array_equal(before.collections[0].get_offsets(),
                                  after.collections[0].get_offsets())

  def draw(self, save, features):
    """The figure that a function saves; nothing is cut off, or overlaps."""
    figures = []
    file = io.BytesIO()
    with mock.patch.object(plt, 'close', figures.append):
      save(features, file)
    figure, = figures
    self.addCleanup(plt.close, figure)
    file.seek(0)
    picture = mpl_image.imread(file)
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
      self.assertGreater(edge.min(), 0.99)
    for part in figure.subfigs or [figure]:
      title = part._suptitle.get_window_extent()
      for ax in part.axes:
        box = ax.get_window_extent()
        self.assertGreater(title.y0, box.y1)
        for legend in part.legends:
          self.assertLess(legend.get_window_extent().y1, box.y0)
    return figure


if __name__ == '__main__':
  absltest.main()
