"""Measures of self-organisation (sections 4.2, 4.3 and B; Figures 2 and 3).

Pure functions of mixtures `[L, K]`: how close a signature is to a sequence of
templates, whether that sequence is progressive, and which layers tasks share.
A layer's strongest template is that of its largest mixture weight; those of
all layers make the signature's sequence, such as 1-2-2-3.
"""

import itertools

import numpy as np

from mixture_modules import regularizers
from mixture_modules import signatures

SHARED = 0.1  # largest total variation between rows that count as shared


def max_weights(mixtures):
  """Largest mixture weight of each layer, `max_k |xi[l, k]|`.

  Args:
    mixtures: `[L, K]` mixture weights; tanh and linear ones may be negative.

  Returns:
    `[L]` array; of a softmax from 1/K (all alike) to 1 (one-hot).

  Source: sections 4.2 and B ("max_i xi_i is about 1 for most layers").
  """
  return np.abs(mixtures).max(-1)


def as_shares(mixtures):
  """Mixtures on the scale of a softmax, with their signs.

      p[l, k] = xi[l, k] / sum_j |xi[l, j]|

  Weights of tanh and linear signatures have no sum, and batch norm undoes
  their scale: what is said of all kinds alike is said of p. The weights of a
  softmax and of fixed signatures are shares already and stay as they are.

  Args:
    mixtures: `[.., L, K]` mixture weights of one signature.

  Returns:
    Array of the same shape; the sizes of a row sum to 1, or are all 0.
  """
  mixtures = np.asarray(mixtures)
  if signatures.is_softmax(mixtures):
    return mixtures
  mixtures = np.asarray(mixtures, 'float64')
  sizes = np.abs(mixtures).sum(-1, keepdims=True)
  return mixtures / np.maximum(sizes, 1e-12)


def max_shares(mixtures):
  """Largest share of each layer, `max_k |p[l, k]|` of `as_shares`.

  Args:
    mixtures: `[.., L, K]` mixture weights of one signature.

  Returns:
    `[.., L]` array from 1/K (all alike) to 1 (one template alone); of a
    softmax the same as `max_weights`.

  Source: our choice, for ablations beside the softmax.
  """
  return max_weights(as_shares(mixtures))


def entropies(mixtures):
  """Entropy of each layer's mixture, in nats.

      H[l] = -sum_k |p[l, k]| log |p[l, k]|

  p is of `as_shares`, of a softmax xi itself.

  Args:
    mixtures: `[L, K]` mixture weights.

  Returns:
    `[L]` array from 0 (one-hot) to log K (all alike).

  Source: section 3.2; p is our choice.
  """
  p = np.abs(np.asarray(as_shares(mixtures), 'float64'))
  return np.maximum(regularizers.entropies(p, arrays=np), 0.0)


def strongest(mixtures):
  """Strongest template of each layer, from 0: `argmax_k |xi[l, k]|`."""
  return np.abs(mixtures).argmax(-1)


def last_change(steps, mixtures):
  """When a layer's strongest template last became another one.

  Args:
    steps: `n` training steps, growing.
    mixtures: `[n, L, K]` mixture weights at these steps.

  Returns:
    The first of the steps with today's sequence of strongest templates; None
    if it is that of the start.

  Source: our choice, to tell a signature that organised itself from one that
  was drawn to the templates it began with.
  """
  sequences = strongest(mixtures)  # [n, L]
  changed, = np.nonzero((sequences[1:] != sequences[:-1]).any(-1))
  return steps[changed[-1] + 1] if len(changed) else None


def runs(sequence):
  """Uninterrupted repeats of a template: [(template, length), ...].

  Args:
    sequence: Template of each layer, such as `strongest(mixtures)`.
  """
  return [(template, len(list(repeats)))
          for template, repeats in itertools.groupby(sequence)]


def runs_per_template(sequence):
  """Number of runs for each template that is used.

  Args:
    sequence: Template of each layer.

  Returns:
    1 if every template that is used stands in one uninterrupted run, as in
    1-1-2-2; more if templates come back, 2 in 1-2-1-2.

  Source: our choice, for "contiguous uninterrupted sequences" (section 4.2).
  """
  return len(runs(sequence)) / len(set(sequence))


def growth(sequence):
  """Whether runs grow towards the tail: rank correlation (Spearman's).

  Of each run's number and its length; equal lengths share their mean rank.

  Args:
    sequence: Template of each layer.

  Returns:
    1 if every run is longer than the one before, -1 if shorter; NaN if all
    runs are of one length, or there is one only.

  Source: our choice, for "the number of repetitions grows towards the end of
  the model" (section 4.2).
  """
  lengths = np.array([length for _, length in runs(sequence)])
  if (lengths == lengths[0]).all():
    return float('nan')
  ranks = ((lengths[:, None] > lengths).sum(1)
           + (lengths[:, None] == lengths).sum(1) / 2)
  return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def is_progressive(sequence):
  """Whether a sequence has the paper's progressive pattern.

  Args:
    sequence: Template of each layer.

  Returns:
    True if every template that is used stands in one run, no run is shorter
    than the one before, and the last is longer than the first. 1-2-2-3-3-3
    is progressive; 1-1-2-2 and 1-2-2-1-1-1 are not.

  Source: section 4.2.
  """
  lengths = [length for _, length in runs(sequence)]
  return (runs_per_template(sequence) == 1 and lengths == sorted(lengths)
          and lengths[-1] > lengths[0])


def distances(mixtures):
  """Total variation between the signatures of every two tasks.

  Of `as_shares`, so that it is 1 at most: where templates are disjoint, or
  their weights opposite.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.

  Returns:
    {(one, other): `[L]` array}, pairs in the order of the tasks.
  """
  shares = {name: as_shares(xi) for name, xi in mixtures.items()}
  return {(one, other): signatures.total_variation(shares[one], shares[other])
          for one, other in itertools.combinations(shares, 2)}


def sharing(mixtures, threshold=SHARED):
  """Which tasks share which layer.

  Tasks share a layer if the total variation between any two of their rows is
  at most the threshold: no more than that share of the weight would have to
  move from template to template to make them equal. A task joins the first
  group that it can.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    threshold: Largest distance within a group. Default 0.1: rows that are
      far closer than random ones, but need not agree to the last digit.

  Returns:
    For each layer a list of groups, each a tuple of tasks in their order; a
    task that shares the layer with none is a group of its own.

  Source: our choice, for the dashed rectangles of Figure 2.
  """
  between = distances(mixtures)
  layers = []
  for layer in range(len(next(iter(mixtures.values())))):
    groups = []
    for task in mixtures:
      for group in groups:
        if all(between[other, task][layer] <= threshold for other in group):
          group.append(task)
          break
      else:
        groups.append([task])
    layers.append([tuple(group) for group in groups])
  return layers


def pairs_by_kind(labels):
  """Pairs of tasks by what they have in common.

  Args:
    labels: {task: (data set, augmentation)}.

  Returns:
    {'same augmentation': pairs of different data sets, 'same data set': pairs
    of different augmentations, 'neither': pairs that differ in both}, without
    kinds that have no pair; pairs are in the order of the tasks.

  Source: the claim of Figure 2b.
  """
  kinds = {'same augmentation': [], 'same data set': [], 'neither': []}
  for one, other in itertools.combinations(labels, 2):
    same_set, same_augmentation = (
        a == b for a, b in zip(labels[one], labels[other]))
    kind = ('same augmentation' if same_augmentation else
            'same data set' if same_set else 'neither')
    kinds[kind].append((one, other))
  return {kind: pairs for kind, pairs in kinds.items() if pairs}


def early_late(values):
  """Means of `[L]` values over the first and the last quarter of the layers."""
  quarter = max(1, len(values) // 4)
  return float(np.mean(values[:quarter])), float(np.mean(values[-quarter:]))
