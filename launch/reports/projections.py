"""Points of many dimensions in a plane, to be looked at.

Each map is of all points together, so that those of several panels can be
compared, and comes out the same each time.
"""

import numpy as np

_SEED = 0
_NEIGHBOURS = 30  # t-SNE's perplexity; of few points a third of them


def principal_components(points):
  """Projection on the two directions of the largest variance (PCA).

  A linear map: what is far apart in it is far apart.

  Args:
    points: `[n, d]`.

  Returns:
    `(coordinates [n, 2], shares [2])`: shares of the variance, from 0 to 1.
  """
  points = np.asarray(points, 'float64')
  centred = points - points.mean(0)
  variances, directions = np.linalg.eigh(centred.T @ centred)
  variances = np.maximum(np.pad(variances, (2, 0))[:-3:-1], 0)
  directions = np.pad(directions, ((0, 0), (2, 0)))[:, :-3:-1]  # [d, 2]
  # A direction and its opposite are as good: the largest entry is positive.
  largest = np.abs(directions).argmax(0)
  directions = directions * np.where(
      directions[largest, [0, 1]] < 0, -1, 1)
  return (centred @ directions,
          variances / max(np.sum(centred ** 2), 1e-30))


def neighbours(points):
  """t-SNE: who is close to whom; large distances mean little.

  Args:
    points: `[n, d]`, n of 4 at least.

  Returns:
    Coordinates `[n, 2]`.

  Source: van der Maaten and Hinton (2008).
  """
  from sklearn import manifold  # slow to import, and only here
  import threadpoolctl

  points = np.asarray(points, 'float32')
  start, _ = principal_components(points)
  # Small, as scikit-learn has it, and defined where all points are alike.
  start = 1e-4 * start / max(start[:, 0].std(), 1e-30)
  network = manifold.TSNE(
      perplexity=min(_NEIGHBOURS, (len(points) - 1) / 3),
      init=start.astype('float32'), random_state=_SEED)
  # Its threads wait for each other: on a busy machine, several were seen to
  # take eight times as long as one.
  with threadpoolctl.threadpool_limits(1):
    return network.fit_transform(points)
