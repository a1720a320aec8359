"""The norms of an isometric model: who owns what, and one pass through them.

Section 4.1. gamma and beta are the bank's (mixed by xi), a task's or the
model's; moving statistics are always a task's. Those of the body are stacked
along a leading layer axis `[L, channels]`: a task is then about ten variables,
not hundreds.
"""

import keras
from keras import ops

from mixture_modules import normalization
from mixture_modules import tracking

BODY_SITES = ('expand', 'depthwise', 'project')
ADAPTER_SITES = ('input', 'hidden', 'embedding')
SITES = BODY_SITES + ADAPTER_SITES


def shapes(config, sites=SITES):
  """{site: shape} of gamma, beta, mean and variance of a configuration."""
  c, e, layers = config.channels, config.expanded_channels, config.num_layers
  c1, c2 = config.adapter_filters
  every = {'input': (c,), 'expand': (layers, e), 'depthwise': (layers, e),
           'project': (layers, c), 'hidden': (c1,), 'embedding': (c2,)}
  return {site: every[site] for site in sites}


class NormAffine(keras.layers.Layer):
  """gamma and beta of named norm sites.

  Args:
    shapes: {site: shape}; body sites have shape `[L, channels]`.
    **kwargs: As for any Keras layer.
  """

  def __init__(self, shapes, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self.gamma, self.beta = {}, {}
    self.add_sites(shapes)
    self.built = True

  def __contains__(self, site):
    return site in self.gamma

  def add_sites(self, shapes):
    """Takes on more sites, {site: shape}; gamma is 1, beta 0."""
    with tracking.unlocked(self):
      for name, initializer in (('gamma', 'ones'), ('beta', 'zeros')):
        getattr(self, name).update({
            site: self.add_weight(name=f'{site}_{name}', shape=shape,
                                  initializer=initializer, autocast=False)
            for site, shape in shapes.items()})

  def assign(self, values):
    """Copies gamma and beta of sites, {site: (gamma, beta)}."""
    for site, (gamma, beta) in values.items():
      self.gamma[site].assign(ops.convert_to_numpy(gamma))
      self.beta[site].assign(ops.convert_to_numpy(beta))

  def values(self):
    """{site: (gamma, beta)}, the variables."""
    return {site: (self.gamma[site], self.beta[site]) for site in self.gamma}

  def save_own_variables(self, store):
    """Saves variables by name: the order in which sites came is no matter."""
    for variable in self.variables:
      store[variable.name] = variable.numpy()

  def load_own_variables(self, store):
    """Loads variables by name."""
    for variable in self.variables:
      variable.assign(store[variable.name])


class NormStatistics(keras.layers.Layer):
  """Moving mean and variance of named norm sites; always a task's own.

  Args:
    shapes: {site: shape}; body sites have shape `[L, channels]`.
    **kwargs: As for any Keras layer.
  """

  def __init__(self, shapes, **kwargs):
    super().__init__(dtype='float32', trainable=False, **kwargs)
    self.mean, self.variance = (
        {site: self.add_weight(name=f'{site}_{name}', shape=shape,
                               initializer=initializer, trainable=False,
                               autocast=False, aggregation='mean')
         for site, shape in shapes.items()}
        for name, initializer in (('mean', 'zeros'), ('variance', 'ones')))
    self.num_updates = self.add_weight(
        name='num_updates', shape=(), initializer='zeros', trainable=False,
        dtype='int64', autocast=False, aggregation='only_first_replica')
    self.built = True

  def move(self, batch, momentum):
    """Moves the statistics towards those of a batch.

    After n moves the old value's weight is min(momentum, (1 + n) / (10 + n)).
    With `momentum` from the start, a variance that is far below its initial 1
    would still be too large by a fifth after 400 steps (seen), once for each
    layer of the body.

    Under `tf.distribute`, replicas' statistics are averaged (the variables'
    aggregation), so that replicas stay equal.

    Args:
      batch: {site: (mean, variance)}, each of the site's shape.
      momentum: Weight of the old value in the long run.
    """
    n = ops.cast(self.num_updates, 'float32')
    momentum = ops.minimum(momentum, (1 + n) / (10 + n))
    self.num_updates.assign_add(1)
    for site, statistics in batch.items():
      for moving, value in zip((self.mean[site], self.variance[site]),
                               statistics):
        moving.assign(moving * momentum + value * (1 - momentum))


class Norms:
  """The norms of one forward pass of one task.

  Finds gamma and beta where they live (task, model, or the mixed templates),
  normalises, and keeps the batch's statistics until `commit` moves the
  task's. It lives as long as the call: nothing traced stays on the model.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
    rows: List of L `template_bank.ResolvedRow`s.
    training: Whether to use and collect the batch's statistics.
  """

  def __init__(self, model, task, rows, training):
    self._config = model.config
    self._task = task
    self._training = bool(training)
    self._affine = {site: _find_affine(model, task, rows, site)
                    for site in SITES}
    self._moving = {site: self._find_statistics(site)
                    for site in SITES}
    self._batch = {site: [] for site in self._affine}

  def _find_statistics(self, site):
    statistics = self._task.statistics
    return list(zip(_rows(site, statistics.mean[site]),
                    _rows(site, statistics.variance[site])))

  def __call__(self, x, site):
    """Normalises the output of a site of the adapters."""
    y, *statistics = normalization.batch_norm(
        x, *self._affine[site][0], *self._moving[site][0],
        self._config.norm_epsilon, self._training)
    self.collect({site: statistics})
    return y

  def of_layer(self, layer):
    """{site of the body: (gamma, beta, mean, variance)} of one layer."""
    return {site: (*self._affine[site][layer], *self._moving[site][layer])
            for site in BODY_SITES}

  def collect(self, statistics):
    """Keeps {site: [mean, variance]} of the batch; of layers, in order."""
    for site, values in statistics.items():
      self._batch[site].append(values)

  def commit(self):
    """Moves the task's statistics towards the batch's, in training."""
    if not self._training:
      return
    batch = {}
    for site, collected in self._batch.items():
      if site in ADAPTER_SITES:
        batch[site] = collected[0]
      else:
        batch[site] = [ops.stack(values) for values in zip(*collected)]
    self._task.statistics.move(batch, self._config.norm_momentum)


def affine_values(model, task, sites):
  """gamma and beta that a task computes with, whoever owns them.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
    sites: Names of sites.

  Returns:
    {site: (gamma, beta)}, tensors of the shapes that `shapes` gives.
  """
  rows = model.bank.resolve(task.signature)
  values = {}
  for site in sites:
    pairs = _find_affine(model, task, rows, site)
    values[site] = (pairs[0] if site in ADAPTER_SITES else
                    tuple(ops.stack(kind) for kind in zip(*pairs)))
  return values


def _find_affine(model, task, rows, site):
  """List of (gamma, beta), one for each layer; adapters have one."""
  for owner in (task.affine, model.affine):
    if owner is not None and site in owner:
      return list(zip(_rows(site, owner.gamma[site]),
                      _rows(site, owner.beta[site])))
  return [(row[f'{site}/gamma'], row[f'{site}/beta']) for row in rows]


def _rows(site, variable):
  """List of the values of each layer; adapters have one."""
  value = ops.convert_to_tensor(variable)
  return [value] if site in ADAPTER_SITES else ops.unstack(value)
