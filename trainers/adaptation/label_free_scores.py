"""How well a network does on images without labels: scores for choosing.

Pure functions of arrays. Model choice in unsupervised adaptation cannot read
the target's labels (section 4.4; the paper did not choose so). The scores are
our choice.
"""

import numpy as np

from mixture_modules import regularizers

# Whether the higher value is the better one.
SCORES = {'entropy': False, 'information': True, 'density': True,
          'domain_accuracy': False}
_MOST = 2000  # examples that are compared with one another


def entropy(probabilities):
  """Mean entropy of the predictions, in nats: low if they are sure.

      E[-sum_c p_c log p_c]

  Args:
    probabilities: `[examples, classes]`.

  Source: Grandvalet and Bengio (2005).
  """
  p = np.asarray(probabilities, 'float64')
  return float(np.mean(_entropies(p)))


def information(probabilities):
  """Entropy of the mean prediction minus mean entropy, in nats.

      H[E[p]] - E[H[p]]

  From 0, all predictions alike, to log(classes), all sure and every class as
  often: unlike `entropy` it falls if all images come to be of one class.

  Args:
    probabilities: `[examples, classes]`.

  Source: Krause et al. (2010); Liang et al. (2020).
  """
  p = np.asarray(probabilities, 'float64')
  return float(_entropies(p.mean(0))) - entropy(p)


def density(probabilities, temperature=0.05):
  """Soft neighbourhood density of the predictions, in nats: high is good.

  With s_ij the cosine of the predictions of images i and j, it is the mean
  over i of the entropy of softmax_j(s_ij / temperature), j other than i: how
  many neighbours an image has, as the network sees it.

  Args:
    probabilities: `[examples, classes]`, two or more; of more than 2,000 only
      some, evenly chosen, are used.
    temperature: Of the softmax.

  Source: Saito et al. (2021).
  """
  p = np.asarray(probabilities, 'float64')
  p = p[::-(-len(p) // _MOST)]  # evenly chosen
  p = p / np.linalg.norm(p, axis=-1, keepdims=True)
  similarities = p @ p.T / temperature
  np.fill_diagonal(similarities, -np.inf)
  similarities -= similarities.max(-1, keepdims=True)
  weights = np.exp(similarities)
  return float(np.mean(_entropies(weights / weights.sum(-1, keepdims=True))))


def num_classes_predicted(probabilities):
  """The number of classes that predictions fall on, `exp(H[E[p]])`.

  Args:
    probabilities: `[examples, classes]`.

  Returns:
    From 1, all of one class, to the number of classes, all as often.
  """
  p = np.asarray(probabilities, 'float64')
  return float(np.exp(_entropies(p.mean(0))))


def domain_accuracy(source, target, ridge=0.1):
  """How well a linear discriminator tells domains apart, on unseen examples.

  Least squares of the domain (+1, -1; both weigh the same) on standardised
  features, fitted on one half of the examples and tried on the other, and the
  other way round.

  Args:
    source: `[examples, d]`, features of the sources.
    target: `[examples, d]`, features of the target.
    ridge: Weight of the squared coefficients, as a share of the features'
      variance.

  Returns:
    Mean of the accuracies on both domains: 0.5 if they cannot be told apart.

  Source: the proxy A-distance of Ben-David et al. (2007), with a linear
  discriminator of closed form in the place of one that is trained.
  """
  domains = [np.asarray(x, 'float64') for x in (source, target)]
  halves = [[x[start::2] for x in domains] for start in (0, 1)]
  return float(np.mean([
      _accuracy(*_fit(fitted, ridge), tried)
      for fitted, tried in (halves, halves[::-1])]))


def _entropies(p):
  """Entropies of distributions `[..., n]`, float64."""
  return regularizers.entropies(p, arrays=np)


def _fit(domains, ridge):
  """(weights, threshold) of a discriminator; above it means the first."""
  source, target = domains
  first, second = source.mean(0), target.mean(0)
  # Each domain has half of the weight; the fit's direction is that of linear
  # discriminant analysis.
  within = (np.cov(source.T, bias=True) + np.cov(target.T, bias=True)) / 2
  within = np.atleast_2d(within)
  total = within + np.outer(first - second, first - second) / 4
  scale = np.sqrt(np.diag(total)) + 1e-6
  total = total / np.outer(scale, scale) + ridge * np.eye(len(total))
  weights = np.linalg.solve(total, (first - second) / scale) / scale
  return weights, weights @ (first + second) / 2


def _accuracy(weights, threshold, domains):
  source, target = domains
  return (np.mean(source @ weights > threshold)
          + np.mean(target @ weights <= threshold)) / 2


def is_better(score, value, other):
  """Whether a value of a score is better than another.

  Args:
    score: One of `SCORES`.
    value: The one.
    other: The other.
  """
  return value > other if SCORES[score] else value < other
