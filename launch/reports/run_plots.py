"""Pictures of a report: Figures 2 and 4, curves, and paths of signatures.

Each `plot_x` draws one thing on given axes; each `save_x` makes a whole
picture. Colours are told apart by colour-blind readers, and none carries a
meaning alone.
"""

from matplotlib import colors
from matplotlib import patches
from matplotlib import pyplot as plt
from matplotlib import ticker
import numpy as np

from launch.reports import signature_plots
from mixture_modules import self_organization

# Okabe and Ito's colours for lines; Tol's muted ones for areas.
_LINES = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9',
          '#000000')
_STYLES = ('-', '--', ':')
_OURS = ('-', '-.', ':')  # the paper's is '--'
_MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
_AREAS = ('#332288', '#88ccee', '#117733', '#ddcc77', '#cc6677', '#aa4499',
          '#44aa99', '#999933', '#882255')
_STEP = 'training step'
_ROWS = 50  # tasks side by side: `_texts` has letters for so many
_PALE = 0.78  # share of white in the colour of what is not shared


def plot_tasks(mixtures, ax):
  """Tasks side by side, layer by layer, shared layers marked (Figure 2).

  A square is a layer of a task. Its number and colour are the strongest
  template, where it is shared that of the group's mean. Full colour: shared
  with another task, as `self_organization.sharing` has it; pale: not. Groups
  of one layer with the same strongest template are told apart by letters. A
  dashed frame surrounds layers that all tasks share.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    ax: Axes to draw on.

  Returns:
    The drawn image, `[tasks, L, 3]`.
  """
  rows = {task: self_organization.as_shares(xi)
          for task, xi in mixtures.items()}
  numbers = {task: number for number, task in enumerate(rows)}
  sharing = self_organization.sharing(rows)
  canvas = np.ones([len(rows), len(sharing), 3])
  for layer, groups in enumerate(sharing):
    templates = [int(self_organization.strongest(
        np.mean([rows[task][layer] for task in group], 0)))
                 for group in groups]
    for text, template, group in zip(
        _texts(groups, templates), templates, groups):
      shared = len(group) > 1
      color = np.array(colors.to_rgb(_AREAS[template % len(_AREAS)]))
      if not shared:
        color = _PALE + (1 - _PALE) * color
      dark = color @ [0.299, 0.587, 0.114] < 0.5
      for task in group:
        canvas[numbers[task], layer] = color
        ax.text(layer, numbers[task], text, ha='center', va='center',
                fontsize=7 if shared else 6.5, color='white' if dark else
                'black' if shared else '0.35',
                weight='bold' if shared else 'normal')
  image = ax.imshow(canvas, aspect='auto')
  ax.set_xticks(range(len(sharing)), range(1, len(sharing) + 1), fontsize=7)
  ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
  ax.tick_params(length=0)
  ax.set_xlabel('layer (input on the left, logits on the right)')
  # White gaps between the squares.
  ax.set_xticks(np.arange(len(sharing) + 1) - 0.5, minor=True)
  ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
  ax.grid(which='minor', color='white', linewidth=1.5)
  ax.tick_params(which='minor', length=0)
  ax.spines[:].set_visible(False)
  by_all = [len(rows) > 1 and len(groups) == 1 for groups in sharing]
  start = 0
  for shared, length in self_organization.runs(by_all):
    if shared:
      ax.add_patch(patches.Rectangle(
          (start - 0.5, -0.5), length, len(rows), fill=False, linewidth=1.8,
          edgecolor='black', linestyle='--', clip_on=False, zorder=3))
    start += length
  return image


def _texts(groups, templates):
  """What stands in the squares of each group of a layer."""
  shared = [k for k, group in zip(templates, groups) if len(group) > 1]
  letters = {k: iter('abcdefghijklmnopqrstuvwxyz') for k in shared
             if shared.count(k) > 1}
  return [f'{k + 1}' + (next(letters[k]) if len(group) > 1 and k in letters
                        else '')
          for k, group in zip(templates, groups)]


def save_tasks(mixtures, path):
  """Draws `plot_tasks` with an explanation; of many, `signature_plots.some`.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    path: PNG to write, or a binary file that is open.
  """
  mixtures, left_out = signature_plots.some(mixtures, _ROWS)
  layers = len(next(iter(mixtures.values())))
  figure, ax = plt.subplots(layout='constrained', figsize=(
      max(6.5, 0.3 * layers + 0.08 * max(map(len, mixtures)) + 0.3),
      1.2 + 0.28 * len(mixtures)))
  plot_tasks(mixtures, ax)
  figure.suptitle(
      'Tasks side by side: strongest template of each layer\n'
      'full colour: shared with another task; pale: not shared; dashed: shared '
      f'by all{left_out}', fontsize=10)
  signature_plots.save(figure, path)


def plot_distances(kinds, ax):
  """Mean distance between signatures, over the layers (Figure 2b's claim).

  Args:
    kinds: {kind of pairs: `[L]` mean total variation}.
    ax: Axes to draw on.

  Returns:
    The drawn lines.
  """
  lines = []
  for i, (kind, values) in enumerate(kinds.items()):
    lines += ax.plot(
        range(1, len(values) + 1), values, label=kind, color=_LINES[i],
        marker=_MARKERS[i], linestyle=_STYLES[i], markersize=4)
  _number_layers(ax.xaxis, len(values))
  ax.set_xlabel('layer (input on the left, logits on the right)')
  ax.set_ylabel('mean total variation\n(0 shared, 1 disjoint)')
  ax.set_ylim(bottom=0)
  ax.grid(alpha=0.3)
  return lines


def save_distances(kinds, path):
  """Draws `plot_distances`.

  Args:
    kinds: {kind of pairs: `[L]` mean total variation}.
    path: PNG to write, or a binary file that is open.
  """
  figure, ax = plt.subplots(layout='constrained', figsize=(7.5, 3.4))
  lines = plot_distances(kinds, ax)
  figure.legend(handles=lines, loc='outside lower center', ncols=3, fontsize=8)
  ax.set_title('How far apart the signatures of two tasks are', fontsize=10)
  signature_plots.save(figure, path)


def plot_curves(training, validation, ax, xlabel=_STEP):
  """Curves over training steps, a colour or line style for each task.

  Args:
    training: {task: (steps, values)}, drawn as lines.
    validation: The same, drawn as marks on lines.
    ax: Axes to draw on.
    xlabel: What is in the place of steps, if anything is.

  Returns:
    The lines of `training`, for a legend.
  """
  names = list(training)
  lines = []
  for name, (steps, values) in training.items():
    color, style = _line(names.index(name))
    lines += ax.plot(steps, values, style, color=color, label=name, marker='.',
                     linewidth=1, markersize=2, alpha=0.7)
  for name, (steps, values) in validation.items():
    color, style = _line(names.index(name))
    ax.plot(steps, values, style, color=color, linewidth=1.5, markersize=5,
            marker=_MARKERS[names.index(name) % len(_MARKERS)],
            markeredgecolor='white', markeredgewidth=0.5)
  ax.set_xlabel(xlabel)
  ax.grid(alpha=0.3)
  return lines


def _line(number):
  """Colour and style of a line."""
  return (_LINES[number % len(_LINES)],
          _STYLES[number // len(_LINES) % len(_STYLES)])


def save_curves(panels, title, path, xlabel=_STEP):
  """Draws `plot_curves` side by side, with one legend.

  As many tasks as there are different lines, at most (`signature_plots.some`).

  Args:
    panels: Of each what its axis says, 'linear' or 'log', and the two
      arguments of `plot_curves`.
    title: Above the picture.
    path: PNG to write, or a binary file that is open.
    xlabel: As for `plot_curves`.
  """
  figure, axes = plt.subplots(
      1, len(panels), squeeze=False, layout='constrained',
      figsize=(4.6 * len(panels), 3.9))
  for ax, (label, scale, training, validation) in zip(axes[0], panels):
    drawn, left_out = signature_plots.some(
        training, len(_LINES) * len(_STYLES), 'lines')
    marks = {name: validation[name] for name in drawn if name in validation}
    lines = plot_curves(drawn, marks, ax, xlabel)
    ax.set_ylabel(label)
    ax.set_yscale(scale)
    if scale == 'log':
      ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
      ax.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
      ax.yaxis.set_minor_formatter(ticker.NullFormatter())
  figure.legend(handles=lines, loc='outside lower center', ncols=3, fontsize=8)
  figure.suptitle(title + left_out, fontsize=10)
  signature_plots.save(figure, path)


def plot_path(steps, mixtures, ax):
  """A signature over training: a line of the picture for each layer.

  The lighter, the larger the layer's largest share of the mixture; a dot where
  its strongest template changed.

  Args:
    steps: `n` training steps, growing.
    mixtures: `[n, L, K]` mixture weights.
    ax: Axes to draw on.

  Returns:
    The drawn mesh, for a colour bar.
  """
  xi = np.asarray(mixtures)
  largest = self_organization.max_shares(xi)  # [n, L]
  steps = np.asarray(steps)  # each stands for half the way to those beside it
  edges = [steps[0], *(steps[1:] + steps[:-1]) / 2, steps[-1]]
  layers = np.arange(largest.shape[1] + 1) + 0.5
  mesh = ax.pcolormesh(edges, layers, largest.T, cmap='cividis',
                       vmin=1 / max(2, xi.shape[-1]), vmax=1)
  sequences = self_organization.strongest(xi)
  when, layer = np.nonzero(sequences[1:] != sequences[:-1])
  ax.scatter(steps[when + 1], layer + 1, s=7, color='white',
             edgecolors='black', linewidths=0.5, zorder=3)
  _number_layers(ax.yaxis, largest.shape[1])
  ax.set_xlim(edges[0], edges[-1])
  ax.set_ylim(layers[-1], layers[0])  # the input is above
  return mesh


def _number_layers(axis, layers):
  axis.set_ticks(range(1, layers + 1, max(1, layers // 8)))


def save_paths(steps, paths, path):
  """Draws `plot_path` for every task; of many, `signature_plots.some`.

  Args:
    steps: `n` training steps, growing; at least two.
    paths: {task: `[n, L, K]` mixture weights}.
    path: PNG to write, or a binary file that is open.
  """
  paths, left_out = signature_plots.some(paths, signature_plots.MOST_TASKS)
  columns = min(3, len(paths))
  lines = -(-len(paths) // columns)
  layers = np.shape(next(iter(paths.values())))[1]
  height = 1.2 + lines * max(2.2, 0.5 + 0.085 * layers)
  figure, axes = plt.subplots(
      lines, columns, squeeze=False, layout='constrained',
      figsize=(max(6.5, 3.4 * columns + 1), height))
  for ax in axes.flat[len(paths):]:
    ax.set_axis_off()
  for ax, (name, mixtures) in zip(axes.flat, paths.items()):
    mesh = plot_path(steps, mixtures, ax)
    ax.set_title(name, fontsize=9, loc='left')
    ax.tick_params(labelsize=8)
  figure.supxlabel('training step', fontsize=10)
  figure.supylabel('layer (input above, logits below)', fontsize=10)
  figure.colorbar(mesh, ax=axes, aspect=5 * height,
                  label='largest share of the mixture weights')
  figure.suptitle(
      'Path of the signatures: the lighter, the closer a layer is to one '
      f'template\n(dots: its strongest template changed){left_out}',
      fontsize=10)
  signature_plots.save(figure, path)


def plot_accuracy(cells, series, ax):
  """Accuracy over L, a line for each K, the paper's beside ours (Figure 4).

  Args:
    cells: Of each {'templates': K, 'layers': L, 'paper': percent or None,
      'label': which of several commands, or '', 'top1': percent of each of
      our runs}.
    series: All (K, label) of the picture, sorted; they decide colours, marks
      and styles.
    ax: Axes to draw on.

  Returns:
    {(K, whose): drawn line}; ours have bars from the least to the largest.
  """
  drawn = {}
  counts, labels = (sorted(set(each)) for each in zip(*series))
  for number, (templates, label) in enumerate(series):
    color = _LINES[counts.index(templates) % len(_LINES)]
    marker = _MARKERS[number % len(_MARKERS)]
    own = sorted((c for c in cells if c['templates'] == templates),
                 key=lambda c: c['layers'])
    # Several commands have one figure of the paper.
    paper = {c['layers']: c['paper'] for c in own if c['paper'] is not None}
    if paper and (templates, 'paper') not in drawn:
      drawn[templates, 'paper'], = ax.plot(
          *zip(*paper.items()), '--', color=color, marker=marker, linewidth=1,
          markerfacecolor='white')
    ours = [c for c in own if c['label'] == label and c['top1']]
    if ours:
      middle = np.array([np.median(c['top1']) for c in ours])
      drawn[templates, f'ours ({label})' if label else 'ours'] = ax.errorbar(
          [c['layers'] for c in ours], middle,
          [middle - [min(c['top1']) for c in ours],
           [max(c['top1']) for c in ours] - middle], color=color,
          marker=marker, capsize=3,
          linestyle=_OURS[labels.index(label) % len(_OURS)])
  layers = sorted({c['layers'] for c in cells})
  ax.set_xscale('log', base=2)
  ax.set_xticks(layers, layers)
  ax.set_xlim(layers[0] / 1.4, layers[-1] * 1.4)
  ax.minorticks_off()
  ax.set_xlabel('layers L')
  ax.grid(alpha=0.3)
  return drawn


def save_accuracy(kinds, path):
  """Draws `plot_accuracy` for every kind of signature.

  Args:
    kinds: {kind of signature: cells, as of `plot_accuracy`}.
    path: PNG to write, or a binary file that is open.
  """
  figure, axes = plt.subplots(
      1, len(kinds), squeeze=False, sharey=True, layout='constrained',
      figsize=(max(6.5, 2.6 * len(kinds) + 0.8), 4.2))
  series = sorted({(cell['templates'], cell['label'])
                   for cells in kinds.values() for cell in cells})
  drawn = {}
  for ax, (kind, cells) in zip(axes[0], kinds.items()):
    drawn.update(plot_accuracy(cells, series, ax))
    ax.set_title(kind, fontsize=9)
  axes[0, 0].set_ylabel('top-1 accuracy, %')
  figure.legend(
      [drawn[key] for key in sorted(drawn)],
      [f'K = {templates}, {whose}' for templates, whose in sorted(drawn)],
      loc='outside lower center', fontsize=8,
      ncols=min(4, len({templates for templates, _ in drawn})))
  figure.suptitle('Accuracy over the number of layers', fontsize=10)
  signature_plots.save(figure, path)
