"""Pictures, made from records only. The one file that needs matplotlib."""

import matplotlib

matplotlib.use('Agg')  # files, not windows

from matplotlib import pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from mixture_modules import signatures  # noqa: E402


def plot_signature(mixtures, ax, vmax=1.0):
  """Heat map of one signature: layers from left to right (Figure 3).

  Args:
    mixtures: `[L, K]` mixture weights.
    ax: Axes to draw on.
    vmax: Weight of the darkest colour.

  Returns:
    The drawn image, for a colour bar.
  """
  xi = np.asarray(mixtures)
  image = ax.imshow(xi.T, cmap='Blues', vmin=0, vmax=vmax, aspect='auto')
  layers, templates = xi.shape
  step = max(1, layers // 16)
  ax.set_xticks(range(0, layers, step), range(1, layers + 1, step))
  ax.set_yticks(range(templates), range(1, templates + 1))
  ax.set_ylabel('template k')
  # The strongest template of each layer, so that it reads without colours.
  ax.scatter(range(layers), xi.argmax(-1), s=6, color='white',
             edgecolors='black', linewidths=0.5)
  return image


def save_signatures(mixtures, path):
  """Draws every task's signature, one above the other.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    path: PNG to write.
  """
  layers, templates = np.shape(next(iter(mixtures.values())))
  height = 0.7 + 0.16 * templates
  figure, axes = plt.subplots(
      len(mixtures), 1, squeeze=False, sharex=True, layout='constrained',
      figsize=(max(6.5, 0.3 * layers + 2),
               max(2.5, 1.0 + height * len(mixtures))))
  for ax, (name, xi) in zip(axes[:, 0], mixtures.items()):
    image = plot_signature(xi, ax)
    ax.set_title(f'{name}   strongest: {signatures.notation(xi)}',
                 fontsize=9, loc='left')
  axes[-1, 0].set_xlabel('layer (input on the left, logits on the right)')
  figure.colorbar(image, ax=axes[:, 0], label='mixture weight')
  figure.suptitle(
      'Signatures: which templates each layer of each task is made of\n'
      '(dots mark the strongest; tasks share a layer where columns agree)',
      fontsize=10)
  figure.savefig(path, dpi=150)
  plt.close(figure)
