"""Regularisers that pull mixtures towards one-hot (section 3.2).

Pure functions of mixtures and templates, and `MixtureRegularizer` for layers.
Each sums over the rows that it is given, of one signature or of several.
`entropies` serves whatever else measures an entropy.
"""

import dataclasses
from typing import Literal

from keras import ops

from mixture_modules import checks


def entropies(shares, axis=-1, arrays=ops):
  """Entropy of distributions, `-sum_k p_k log p_k`, in nats.

  Args:
    shares: `[..., K]`, not negative; sums along `axis` are 1.
    axis: Axis or axes of the sum; None sums over all.
    arrays: Module that computes: Keras' `ops`, or `numpy`, which keeps float64
      under every backend.

  Source: section 3.2.
  """
  return -arrays.sum(
      shares * arrays.log(arrays.maximum(shares, 1e-12)), axis=axis)


def entropy(mixtures):
  """Sum over layers of `H[xi] = -sum_k xi_k log xi_k`, in nats.

  Args:
    mixtures: `[L, K]`, rows on the simplex.

  Returns:
    Scalar; 0 for one-hot rows, `L log K` for uniform ones.

  Source: section 3.2 ("Entropy regularization").
  """
  return entropies(mixtures, axis=None)


def clustering(mixtures, pairwise, distance='identity'):
  """Sum over layers of `sum_k xi_k g(|mean - theta_k|)`.

  theta_k are all of template k's parameters, and `mean = sum_k xi_k theta_k`.
  With P the squared distances between templates,

      |mean - theta_k|^2 = sum_i xi_i P_ik - 1/2 sum_ij xi_i P_ij xi_j

  for rows that sum to 1, so that one K x K matrix serves all layers of all
  tasks.

  g is 'identity', g(d) = d, 'square', d^2, or 'bounded',

      g(d) = d^2 / (d^2 + s^2),  s^2 = mean_{i < j} P_ij

  which is 1/2 at the typical distance between templates, whatever the scale
  of the weights: neither saturated nor flat. No gradient goes through s, lest
  templates be attracted and s shrink along, to no avail.

  Args:
    mixtures: `[L, K]`, rows that sum to 1.
    pairwise: `[K, K]`, the bank's `squared_distances`.
    distance: g, one of `DISTANCES`.

  Returns:
    Scalar, float32; 0 for one-hot rows.

  Raises:
    ValueError: If there is no such distance.

  Source: section 3.2 ("Clustering" regularizer); the bounded g is our choice.
  """
  checks.one_of('distance', distance, DISTANCES)
  xi = ops.cast(mixtures, pairwise.dtype)
  # The formula's error is that of the sum, which float32 rounds.
  xi = xi / ops.sum(xi, axis=-1, keepdims=True)
  to_templates = ops.matmul(xi, pairwise)  # [L, K]
  spread = ops.sum(xi * to_templates, axis=-1, keepdims=True) / 2
  squared = ops.maximum(to_templates - spread, 0.0)
  return ops.cast(
      ops.sum(xi * DISTANCES[distance](squared, pairwise)), 'float32')


def squared_distances(bank, slots=None):
  """Squared distances between the whole templates of a bank.

      P_ij = |theta_i - theta_j|^2 = G_ii + G_jj - 2 G_ij

  with the Gram matrix `G = sum_slots Theta Theta^T`. It is the costly part of
  `clustering`: make it once a step.

  Args:
    bank: `TemplateBank` of K templates.
    slots: Names of the slots that count. Default: all.

  Returns:
    `[K, K]`, float64: what differs little between templates would be lost in
    the difference of float32 squares.
  """
  gram = 0.0
  for slot in bank.slots if slots is None else slots:
    theta = ops.cast(bank.templates(slot), 'float64')
    theta = ops.reshape(theta, (bank.num_templates, -1))
    # The same distances of smaller numbers; of equal templates exactly 0.
    theta = theta - ops.mean(theta, axis=0)
    gram += ops.matmul(theta, ops.transpose(theta))
  squares = ops.diagonal(gram)
  return ops.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0.0)


def _identity(squared, pairwise):
  del pairwise
  positive = squared > 0
  # The slope of the root is infinite at 0, the least distance: 0 is taken.
  roots = ops.sqrt(ops.where(positive, squared, 1.0))
  return ops.where(positive, roots, 0.0)


def _square(squared, pairwise):
  del pairwise
  return squared


def _bounded(squared, pairwise):
  templates = pairwise.shape[0]
  pairs = max(1, templates * (templates - 1))
  scale = ops.stop_gradient(ops.sum(pairwise) / pairs)
  return squared / (squared + ops.where(scale > 0, scale, 1.0))


# g(d) as functions of d^2 `[L, K]` and of all squared distances `[K, K]`.
DISTANCES = {'identity': _identity, 'square': _square, 'bounded': _bounded}


@dataclasses.dataclass(frozen=True)
class MixtureRegularizer:
  """The regularisers of a mixture layer, as the trainers weigh them.

      entropy * H[xi] + clustering * sum_k xi_k g(|mean - theta_k|)

  Here theta_k are the parameters of template k that the signature mixes: those
  of the layer, or of all layers that share it.

      mm.MixtureConv2D(16, 3, bank=bank, mixture_regularizer={'entropy': .01})

  Args:
    entropy: Weight of `regularizers.entropy`.
    clustering: Weight of `regularizers.clustering`.
    clustering_distance: Its g.

  Call arguments:
    mixtures: `[L, K]`, rows that sum to 1.
    slots: {bank: names of its slots} that they mix.

  Returns:
    Scalar, float32; the loss to be added.

  Raises:
    ValueError: If a weight is negative, or there is no such distance.

  Source: section 3.2.
  """

  entropy: float = 0.0
  clustering: float = 0.0
  clustering_distance: Literal[*sorted(DISTANCES)] = 'identity'

  def __post_init__(self):
    checks.types(self)
    checks.not_negative('entropy', self.entropy)
    checks.not_negative('clustering', self.clustering)

  def __call__(self, mixtures, slots):
    """The weighted sum of both."""
    loss = ops.zeros((), 'float32')
    if self.entropy:
      loss += self.entropy * ops.cast(entropy(mixtures), 'float32')
    if self.clustering:
      pairwise = sum(squared_distances(bank, names)
                     for bank, names in slots.items())
      loss += self.clustering * clustering(
          mixtures, pairwise, self.clustering_distance)
    return loss


def get(regularizer):
  """A `MixtureRegularizer` or None, from what a layer is given.

  Args:
    regularizer: One, a dictionary of its arguments, or None.

  Raises:
    ValueError: If it is none of these.
  """
  if isinstance(regularizer, dict):
    names = [field.name for field in dataclasses.fields(MixtureRegularizer)]
    for name in regularizer:
      checks.one_of('an argument of mixture_regularizer', name, names)
    return MixtureRegularizer(**regularizer)
  if regularizer is not None:
    checks.is_a('mixture_regularizer', regularizer, MixtureRegularizer)
  return regularizer


def serialize(regularizer):
  """The dictionary of arguments that `get` takes back, or None."""
  return None if regularizer is None else dataclasses.asdict(regularizer)
