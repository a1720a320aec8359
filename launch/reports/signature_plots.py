"""Pictures of signatures and of data; those of a report are beside this."""

import io

import matplotlib

matplotlib.use('Agg')  # files, not windows

from matplotlib import pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from mixture_modules import files  # noqa: E402
from mixture_modules import self_organization  # noqa: E402
from mixture_modules import signatures  # noqa: E402

plt.rcParams['text.parse_math'] = False  # a task's name is no formula

_COLUMNS = 16  # images side by side
_CELL = 0.85  # inches that an image and its share of the gaps take
_TITLE = 15  # characters above an image, at most
# Most that a picture holds: a page longer is not read, and takes minutes.
MOST_TASKS = 24
_MOST_STRIPS = 48
_MOST_INCHES = 60  # of height
_ROWS = 32  # templates that have a line of text's height each
_LAYERS = 100  # that have a column's width each, and stand in the title
_SIGNATURES = (
    'Signatures: which templates each layer of each task is made of\n'
    '(dots mark the strongest; tasks share a layer where columns agree)')


def plot_signature(mixtures, ax, vmin=0.0, vmax=1.0):
  """Heat map of one signature: layers from left to right (Figure 3).

  Args:
    mixtures: `[L, K]` mixture weights.
    ax: Axes to draw on.
    vmin: Weight of the lightest blue; if negative, of the darkest orange.
    vmax: Weight of the darkest blue, or violet where weights can be negative.

  Returns:
    The drawn image, for a colour bar.
  """
  xi = np.asarray(mixtures)
  image = ax.imshow(xi.T, cmap='PuOr' if vmin < 0 else 'Blues', vmin=vmin,
                    vmax=vmax, aspect='auto')
  layers, templates = xi.shape
  step = max(1, layers // 16)
  ax.set_xticks(range(0, layers, step), range(1, layers + 1, step))
  step = max(1, templates // _ROWS)
  ax.set_yticks(range(0, templates, step), range(1, templates + 1, step))
  ax.set_ylabel('template k')
  # The strongest template of each layer, so that it reads without colours.
  ax.scatter(range(layers), self_organization.strongest(xi), s=6, color='white',
             edgecolors='black', linewidths=0.5)
  return image


def some(items, most, what='tasks'):
  """As many items as a picture holds, half of them the first, half the last.

  Args:
    items: List, or dictionary.
    most: How many it holds.
    what: What they are.

  Returns:
    (of the same kind, what a picture's title is to add: '' if it has all).
  """
  if len(items) <= most:
    return items, ''
  listed = list(items.items() if isinstance(items, dict) else items)
  first, last = most - most // 2, most // 2
  kept = type(items)(listed[:first] + listed[-last:])
  return kept, (f'\n(drawn: the first {first} and the last {last} of '
                f'{len(items)} {what})')


def save_signatures(mixtures, path, title=_SIGNATURES):
  """Draws the tasks' signatures, one above the other; of many tasks `some`.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    path: PNG to write, or a binary file that is open.
    title: Above the picture.
  """
  layers, templates = np.shape(next(iter(mixtures.values())))
  each = 0.7 + 0.16 * min(templates, _ROWS)
  mixtures, left_out = some(
      mixtures, min(MOST_TASKS, int(_MOST_INCHES / each)))
  height = max(2.5, 1.0 + each * len(mixtures))
  figure, axes = plt.subplots(
      len(mixtures), 1, squeeze=False, sharex=True, layout='constrained',
      figsize=(max(6.5, 0.3 * min(layers, _LAYERS) + 2), height))
  vmax = max(1.0, *(np.abs(xi).max() for xi in mixtures.values()))
  vmin = 0.0 if all(np.min(xi) >= 0 for xi in mixtures.values()) else -vmax
  for ax, (name, xi) in zip(axes[:, 0], mixtures.items()):
    image = plot_signature(xi, ax, vmin, vmax)
    notation = signatures.notation(xi[:_LAYERS]) + '…' * (layers > _LAYERS)
    ax.set_title(f'{name}   strongest: {notation}', fontsize=9, loc='left')
  axes[-1, 0].set_xlabel('layer (input on the left, logits on the right)')
  figure.colorbar(image, ax=axes[:, 0], aspect=5 * height,
                  label='mixture weight')
  figure.suptitle(title + left_out, fontsize=10)
  save(figure, path)


def plot_images(images, titles, ax):
  """Draws images side by side, in several lines if they are many.

  Args:
    images: `[n, S, S, 3]` from -1 to 1, as networks get them.
    titles: `n` strings; what is too long to stand above an image is cut.
    ax: Axes to draw on.
  """
  images = np.asarray(images)
  size = images.shape[1]
  side, top = _gaps(size)
  lines, columns = _grid(len(images))
  canvas = np.full(
      [lines * (size + top) + side, columns * (size + side) + side, 3], 0.88)
  for i, (image, title) in enumerate(zip(images, titles)):
    y = i // columns * (size + top) + top
    x = i % columns * (size + side) + side
    canvas[y:y + size, x:x + size] = (image + 1) / 2
    short = title if len(title) <= _TITLE else f'{title[:_TITLE - 1]}…'
    ax.text(x + size / 2 - 0.5, y - side / 2, short, fontsize=5.5,
            ha='center', va='bottom')
  ax.imshow(canvas)
  ax.set_axis_off()
  ax.set_anchor('W')


def save_images(strips, path):
  """Draws strips of images, one above the other; of many strips `some`.

  Args:
    strips: Of each its caption, images `[n, S, S, 3]` from -1 to 1, `n` titles.
    path: PNG to write.
  """
  strips, left_out = some(strips, _MOST_STRIPS, 'strips')
  grids = [_grid(len(images)) for _, images, _ in strips]
  heights = [0.3 + 1.15 * _CELL * lines for lines, _ in grids]
  figure, axes = plt.subplots(
      len(strips), 1, squeeze=False, layout='constrained',
      height_ratios=heights, figsize=(
          max(6.5, _CELL * max(columns for _, columns in grids)),
          sum(heights)))
  for ax, (caption, images, titles) in zip(axes[:, 0], strips):
    plot_images(images, titles, ax)
    ax.set_title(caption, fontsize=9, loc='left')
  if left_out:
    figure.suptitle(left_out.strip(), fontsize=10)
  save(figure, path)


def save(figure, path):
  """Writes a figure as PNG, to a path or an open binary file, and ends it."""
  png = io.BytesIO()
  figure.savefig(png, dpi=150)
  plt.close(figure)
  if isinstance(path, io.IOBase):
    path.write(png.getvalue())
  else:
    files.write(path, png.getvalue())


def _grid(num_images):
  """Lines and columns."""
  return -(-num_images // _COLUMNS), min(num_images, _COLUMNS)


def _gaps(size):
  """Pixels beside and above an image; a title stands above."""
  return max(1, round(size / 16)), max(2, round(size / 6))
