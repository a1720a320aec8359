"""Moments of features, and how far apart domains' are (sections 4.4, D.4)."""

import itertools

from keras import ops

_FLOOR = 1e-12  # of a squared distance: a root has no gradient at 0


def raw_moments(features, orders=(1, 2)):
  """The means of powers of features, `E[x^k]` of each, not centred.

  Args:
    features: `[examples, d]`.
    orders: The powers k.

  Returns:
    One `[d]` float32 for each order.

  Source: Peng et al. (2019), Definition 1.
  """
  features = ops.cast(features, 'float32')
  return [ops.mean(features ** order, axis=0) for order in orders]


def moment_distances(sources, target, orders=(1, 2)):
  """How far apart the moments of N sources and a target are, in two parts.

  With |.| the Euclidean norm,

      target part = sum_k 1/N sum_i |E[S_i^k] - E[T^k]|
      source part = sum_k 2/(N (N-1)) sum_{i < j} |E[S_i^k] - E[S_j^k]|

  and their sum is the moment distance. Where nothing of a source is trained,
  as here, the source part is constant: it has no gradient, and is for the
  records.

  Args:
    sources: List of `[examples, d]`, features of each source.
    target: `[examples, d]`.
    orders: The powers k.

  Returns:
    (target part, source part), scalars; the latter is 0 for one source. A
    distance below 1e-6 counts as 1e-6.

  Source: Peng et al. (2019), equation 1, with orders 1 and 2 (D.4).
  """
  moments = [raw_moments(features, orders) for features in sources]
  aim = raw_moments(target, orders)
  pairs = list(itertools.combinations(moments, 2))
  return (_mean_distance([(source, aim) for source in moments]),
          _mean_distance(pairs) if pairs else ops.zeros(()))


def _mean_distance(pairs):
  """Mean over pairs of the distances of all orders, summed."""
  distances = [
      ops.sqrt(ops.maximum(ops.sum((one - other) ** 2), _FLOOR))
      for first, second in pairs for one, other in zip(first, second)]
  return sum(distances) / len(pairs)


def discrepancy(logits, other_logits):
  """How far apart two heads are: `mean |softmax(a) - softmax(b)|`.

  The mean is over examples and classes.

  Args:
    logits: `[examples, classes]` of one head.
    other_logits: The same of the other.

  Returns:
    Scalar, from 0 to 2 / classes.

  Source: Saito et al. (2018), equation 2, which section 4.4's "min-max
  discrepancy" is.
  """
  return ops.mean(ops.abs(
      ops.softmax(logits, axis=-1) - ops.softmax(other_logits, axis=-1)))
