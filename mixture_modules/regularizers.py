"""Regularisers that pull mixtures towards one-hot (section 3.2).

Pure functions of mixtures and templates. Each sums over the layers of one
signature; callers sum over tasks and multiply by their weight.
"""

from keras import ops

DISTANCES = {
    'identity': lambda squared: ops.sqrt(squared + 1e-12),
    'square': lambda squared: squared,
}


def entropy(mixtures):
  """Sum over layers of `H[xi] = -sum_k xi_k log xi_k`, in nats.

  Args:
    mixtures: `[L, K]`, rows on the simplex.

  Returns:
    Scalar; 0 for one-hot rows, `L log K` for uniform ones.

  Source: section 3.2 ("Entropy regularization").
  """
  return -ops.sum(mixtures * ops.log(ops.maximum(mixtures, 1e-12)))


def clustering(mixtures, bank, distance='identity'):
  """Sum over layers of `sum_k xi_k g(|mean - theta_k|)`.

  theta_k are all of template k's parameters, and `mean = sum_k xi_k theta_k`.
  With P the squared distances between templates,

      |mean - theta_k|^2 = sum_i xi_i P_ik - 1/2 sum_ij xi_i P_ij xi_j

  for rows that sum to 1, so one K x K matrix serves all layers.

  Args:
    mixtures: `[L, K]`, rows that sum to 1.
    bank: `TemplateBank` of K templates.
    distance: g, 'identity' or 'square'.

  Returns:
    Scalar; 0 for one-hot rows.

  Raises:
    ValueError: If there is no such distance.

  Source: section 3.2 ("Clustering" regularizer).
  """
  if distance not in DISTANCES:
    raise ValueError(f'distance must be one of {sorted(DISTANCES)}, received '
                     f'{distance!r}.')
  pairwise = _squared_distances(bank)  # [K, K]
  to_templates = ops.matmul(mixtures, pairwise)  # [L, K]
  spread = ops.sum(mixtures * to_templates, axis=-1, keepdims=True) / 2
  squared = ops.maximum(to_templates - spread, 0.0)
  return ops.sum(mixtures * DISTANCES[distance](squared))


def _squared_distances(bank):
  """`[K, K]` squared distances between whole templates."""
  gram = 0.0
  for slot in bank.slots:
    theta = ops.cast(bank.templates(slot), 'float32')
    theta = ops.reshape(theta, (bank.num_templates, -1))
    # Distances do not change, and the products cancel less.
    theta = theta - ops.mean(theta, axis=0)
    gram += ops.matmul(theta, ops.transpose(theta))
  squares = ops.diagonal(gram)
  return ops.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0.0)
