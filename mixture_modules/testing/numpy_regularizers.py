"""The regularisers in NumPy, as section 3.2 defines them; for tests."""

import itertools

import numpy as np


def direct_entropy(mixtures):
  """-sum_l sum_k xi_lk log xi_lk."""
  return -sum(x * np.log(x) for x in mixtures.astype('float64').ravel() if x)


def whole_templates(bank):
  """`[K, parameters]` float64: all parameters of each template."""
  return np.concatenate(
      [bank.templates(slot).numpy().reshape(bank.num_templates, -1)
       for slot in bank.slots], axis=1).astype('float64')


def direct_clustering(mixtures, bank, distance, scale=None):
  """sum_l sum_k xi_lk g(|mean_l - theta_k|), on whole flat templates.

  `scale` is the bounded g's s, by default the templates'.
  """
  theta = whole_templates(bank)
  scale = scale or np.sqrt(np.mean(
      [np.sum((one - other) ** 2)
       for one, other in itertools.combinations(theta, 2)]))
  g = {'identity': lambda d: d, 'square': lambda d: d ** 2,
       'bounded': lambda d: d ** 2 / (d ** 2 + scale ** 2)}[distance]
  total = 0.0
  for xi in mixtures.astype('float64'):
    mean = sum(x * t for x, t in zip(xi, theta))
    for x, t in zip(xi, theta):
      total += x * g(np.sqrt(np.sum((mean - t) ** 2)))
  return total
