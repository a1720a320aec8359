"""Few examples of a data set, with equal shares of its classes (our choice)."""

import numpy as np


def ranks(labels, seed):
  """Place of each example among those of its class, in a seeded order.

  Args:
    labels: Integers `[n]`.
    seed: Integer.

  Returns:
    int64 `[n]`; those below r are r random examples of each class.
  """
  order = np.random.default_rng(seed).permutation(len(labels))
  order = order[np.argsort(labels[order], kind='stable')]
  ordered = labels[order]
  found = np.empty(len(labels), 'int64')
  found[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
  return found


def choose(labels, count, seed, per_class=None):
  """A seeded choice of examples, of all classes as equally many as can be.

  Args:
    labels: Integers `[n]`.
    count: How many to choose, at most; all, where there are no more.
    seed: Integer.
    per_class: How many of a class, at most. Default: no limit.

  Returns:
    Their places, int64 `[min(count, ..)]`, in order.
  """
  rank = ranks(labels, seed)
  order = np.random.default_rng(seed).permutation(len(labels))
  order = order[np.argsort(rank[order], kind='stable')]
  if per_class is not None:
    order = order[rank[order] < per_class]
  return np.sort(order[:count])
