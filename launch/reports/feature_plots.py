"""Pictures of features before and after an adaptation (section 4.4).

As in `launch.reports.run_plots`, each `plot_x` draws one thing on given axes,
each `save_x` makes a whole picture.
"""

from matplotlib import lines
from matplotlib import patheffects
from matplotlib import pyplot as plt
import numpy as np

from launch.reports import projections
from launch.reports import signature_plots

# Tol's light colours, for what stands behind the target's black.
_SOURCES = ('#77aadd', '#eedd88', '#44bb99', '#ffaabb', '#ee8866', '#99ddff',
            '#aaaa00', '#bbbbbb')
_MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
_TARGET = '#111111'
# Tol's muted colours, and a grey that is none of them.
_CLASSES = ('#332288', '#88ccee', '#44aa99', '#117733', '#999933', '#ddcc77',
            '#cc6677', '#882255', '#aa4499', '#666666')
_HALO = (patheffects.withStroke(linewidth=2.5, foreground='white'),)
_PANEL = 4.4  # inches


def plot_domains(sources, target, ax):
  """Sources in light colours, a marker for each, and the target above them.

  Args:
    sources: {data set: coordinates `[n, 2]`}.
    target: Coordinates `[n, 2]`.
    ax: Axes to draw on.

  Returns:
    The drawn points, those of the target last.
  """
  drawn = [ax.scatter(*points.T, s=9, linewidths=0, alpha=0.75, label=name,
                      color=_SOURCES[number % len(_SOURCES)],
                      marker=_MARKERS[number % len(_MARKERS)])
           for number, (name, points) in enumerate(sources.items())]
  return [*drawn, ax.scatter(*target.T, s=11, color=_TARGET, linewidths=0.4,
                             edgecolors='white', zorder=3)]


def plot_classes(sources, target, names, ax):
  """Each point in the colour of the class that is predicted, sources pale.

  Up to ten classes have their names above most of the sources' images of them;
  or of the target's, where there are no sources.

  Args:
    sources: (predicted classes `[n]`, coordinates `[n, 2]`) of all sources.
    target: The same of the target.
    names: Names of the classes.
    ax: Axes to draw on, with their limits.
  """
  for (classes, points), style in (
      (sources, {'s': 8, 'alpha': 0.3, 'linewidths': 0}),
      (target, {'s': 15, 'edgecolors': 'white', 'linewidths': 0.4,
                'zorder': 3})):
    ax.scatter(*points.T, c=[_class_color(k) for k in classes], **style)
  if len(names) > len(_CLASSES):
    return
  classes, points = sources if len(sources[0]) else target
  left, right = ax.get_xlim()
  for number, name in enumerate(names):
    if np.any(classes == number):
      x, y = points[classes == number].T
      x = np.median(x)
      place = (x - left) / (right - left)
      ax.text(x, np.quantile(y, 0.85), name, fontsize=8, weight='bold',
              ha='left' if place < 0.15 else 'right' if place > 0.85 else
              'center', va='bottom', path_effects=_HALO, zorder=4)


def _class_color(number):
  return _CLASSES[number % len(_CLASSES)]


def save_features(features, path):
  """Draws domains, and below them classes, of one t-SNE of all points.

  All panels are on the same axes: the target as it began, and as it ended.

  Args:
    features: `adaptation_features.Features`.
    path: PNG to write, or a binary file that is open.
  """
  states = _states(features)
  sources, targets = _place(features, projections.neighbours)
  heights = [_height(features), _PANEL + (
      1.0 if len(features.class_names) <= len(_CLASSES) else 0.5)]
  figure = plt.figure(figsize=(_width(features), sum(heights)),
                      layout='constrained')
  above, below = figure.subfigures(2, height_ratios=heights)
  _draw_domains(above, features, sources, targets,
                't-SNE of all panels\' points, no unit')
  panels = _panels(below, states, [*sources.values(), *targets])
  classes = np.concatenate(
      [np.empty(0, int), *(found for found, _ in features.sources.values())])
  points = np.concatenate([np.empty([0, 2]), *sources.values()])
  for ax, (found, _), target in zip(panels, states.values(), targets):
    plot_classes((classes, points), (found, target), features.class_names, ax)
  for ax in figure.axes:  # numbers would mean nothing
    ax.tick_params(length=0, labelbottom=False, labelleft=False)
  _explain_classes(below, features)
  signature_plots.save(figure, path)


def save_components(features, path):
  """Draws domains on the first two principal components of all points.

  Args:
    features: `adaptation_features.Features`.
    path: PNG to write, or a binary file that is open.
  """
  shares = []

  def project(points):
    found, share = projections.principal_components(points)
    shares.extend(share)
    return found

  sources, targets = _place(features, project)
  figure = plt.figure(figsize=(_width(features), _height(features)),
                      layout='constrained')
  _draw_domains(figure, features, sources, targets, *(
      f'{word} principal component ({share:.0%} of variance)'
      for word, share in zip(('first', 'second'), shares)))
  signature_plots.save(figure, path)


def _states(features):
  """{title of a panel: (predicted classes, embeddings) of the target}."""
  if features.after is None:
    return {'the target as it begins': features.before}
  return {'before the adaptation': features.before,
          'after the adaptation': features.after}


def _place(features, project):
  """({source: coordinates}, [coordinates of the target in each panel])."""
  parts = [embeddings for _, embeddings in (
      *features.sources.values(), *_states(features).values())]
  points = project(np.concatenate(parts))
  points = np.split(points, np.cumsum([len(part) for part in parts])[:-1])
  count = len(features.sources)
  return dict(zip(features.sources, points)), points[count:]


def _width(features):
  return max(6.5, _PANEL * len(_states(features)))


def _columns(features):
  """Of the legend of domains."""
  return 2 if features.after is None else 3


def _height(features):
  """Of the panels of domains, and what stands above and below."""
  lines_of_legend = -(-(len(features.sources) + 1) // _columns(features))
  return _PANEL + 0.65 + 0.2 * lines_of_legend


def _panels(figure, titles, parts):
  """Square axes of the same limits, side by side; all points are within."""
  points = np.concatenate(parts)
  low, high = points.min(0), points.max(0)
  half = 0.54 * (high - low).max() + 1e-9
  axes = figure.subplots(1, len(titles), squeeze=False)[0]
  for ax, title in zip(axes, titles):
    ax.set_title(title, fontsize=9)
    for middle, limit in zip((low + high) / 2, (ax.set_xlim, ax.set_ylim)):
      limit(middle - half, middle + half)
    ax.set_box_aspect(1)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.2)
    ax.set_axisbelow(True)
  return axes


def _draw_domains(figure, features, sources, targets, xlabel, ylabel=''):
  axes = _panels(figure, _states(features), [*sources.values(), *targets])
  for ax, target in zip(axes, targets):
    drawn = plot_domains(sources, target, ax)
    ax.set_xlabel(xlabel, fontsize=8)
  axes[0].set_ylabel(ylabel, fontsize=8)
  drawn[-1].set_label(f'target: {features.target}')
  figure.legend(handles=drawn, loc='outside lower center', fontsize=8,
                ncols=_columns(features), markerscale=1.8)
  figure.suptitle(f'Features of {features.target}'
                  + ' and of its sources' * bool(sources), fontsize=10)


def _explain_classes(figure, features):
  names = features.class_names
  text = 'By predicted class' + '; sources pale' * bool(features.sources)
  if len(names) > len(_CLASSES):
    text += f'. {len(names)} classes: colours repeat'
  else:
    figure.legend(
        handles=[lines.Line2D([], [], linestyle='', marker='o', markersize=5,
                              color=_class_color(number), label=name)
                 for number, name in enumerate(names)],
        loc='outside lower center', ncols=5, fontsize=8)
  figure.suptitle(text, fontsize=10)
