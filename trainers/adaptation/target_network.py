"""A network that is adapted: its target, its sources, and what may move.

Sections 4.4 and D: of a target only its mixture weights (or its input
adapter) and its moving statistics are trained, of a source nothing is.
"""

import tensorflow as tf

from mixture_modules import regularizers
from mixture_modules.isometric import detaching
from mixture_modules.isometric import tune_scopes

PARTS = ('mixture', 'norm', 'input_adapter', 'output_adapter')


class TargetNetwork:
  """The target and the sources of an adaptation on one `IsometricModel`.

  Args:
    model: `IsometricModel` with the target among its tasks; the parts to be
      tuned are detached, should others share them.
    target: Name of the target's task.
    domains: {domain of the sources: its task}, several of one task where
      that is a pool; all tasks share the target's head.
    tune: Which parts of the target are trained, of `PARTS`.
    move_statistics: Whether the target is normalised in training by its
      batch, and its moving statistics follow; or by its moving statistics,
      which stay as they are.
    features_only: Whether the body's features alone are looked at: the norms
      of the output adapter, behind them, are then not among `variables`.

  Attributes:
    variables: {name: variable} to be trained, all of them the target's own.

  Raises:
    ValueError: If a part is not the target's own to be tuned, or a head is
      not shared.

  Source: sections 4.4 and D.3.
  """

  def __init__(self, model, target, domains, tune=('mixture',),
               move_statistics=True, features_only=False):
    check_tune(tune)
    self.model = model
    self.target = target
    self._domains = dict(domains)
    self._moved = move_statistics
    self.head = model.task(target).head
    for name in self._domains.values():
      if model.task(name).head is not self.head:
        raise ValueError(
            f'Expected the sources to share the head of {target!r}, received '
            f'{name!r} with a head of its own: adapt from tasks of one head.')
    self.variables = tune_scopes.tuned_variables(model, target, tune)
    affine = model.task(target).affine
    if features_only and affine:
      behind = {id(variable) for site, own in affine.values().items()
                if site in detaching.OUTPUT_SITES for variable in own}
      self.variables = {name: variable
                        for name, variable in self.variables.items()
                        if id(variable) not in behind}

  def own_variables(self):
    """{name: variable} of all that may move, statistics included."""
    prefix = f'tasks/{self.target}/'
    return {name: variable for name, variable
            in self.model.named_variables().items()
            if name.startswith(prefix)}

  def encode(self, images, move_statistics=True):
    """The target's features in training; see `IsometricModel.encode`.

    Args:
      images: `[b, H, W, 3]`.
      move_statistics: Whether its moving statistics follow, if they ever do.
    """
    return self.model.encode(
        images, task=self.target, training=self._moved,
        move_statistics=move_statistics)

  def encode_sources(self, batches):
    """{domain: (features, embedding)} with inference statistics; constants.

    Args:
      batches: {domain: (images, labels)}.
    """
    return {
        name: tuple(map(tf.stop_gradient, self.model.encode(
            images, task=self._domains[name], training=False)))
        for name, (images, _) in batches.items()}

  def predict(self, embedding):
    """Probabilities `[b, classes]` of the target's own head."""
    return tf.nn.softmax(self.head(embedding))

  def drop(self, embedding, seed, step, number=0):
    """Dropout, as before the head in training, from (seed, step, number).

    Args:
      embedding: `[b, c2]`.
      seed: Integer, of the run.
      step: Scalar integer tensor.
      number: Integer below 1,000; tells several masks of a step apart.
    """
    rate = self.model.config.dropout
    if not rate:
      return embedding
    return tf.nn.experimental.stateless_dropout(embedding, rate, tf.stack([
        tf.constant(1000 * seed + number, tf.int64),
        tf.cast(step, tf.int64)]))

  def weight_decay(self):
    """The model's, whose gradient reaches tuned kernels."""
    return tf.add_n(self.model.losses or [tf.zeros([])])


def check_tune(tune):
  """Raises ValueError unless `tune` names parts that are a target's own."""
  wrong = [part for part in tune if part not in PARTS]
  if wrong or not tune:
    raise ValueError(
        f'Expected parts of the target to tune, of {", ".join(PARTS)}, '
        f'received {", ".join(wrong) or "none"}: nothing of a source may '
        'move, and the head stays as the sources trained it.')


def batch_scores(target, probabilities):
  """{name: scalar} of a training batch, for the records.

  Args:
    target: Name of the target.
    probabilities: `[b, classes]`.

  Returns:
    'TARGET/entropy', mean entropy, and 'TARGET/information', the mean
    prediction's entropy minus that, in nats.
  """
  mean_entropy, information = entropies(probabilities)
  return {f'{target}/entropy': mean_entropy,
          f'{target}/information': information}


def entropies(probabilities):
  """(E[H[p]], H[E[p]] - E[H[p]]) of `[b, classes]`, in nats."""
  mean_entropy = tf.reduce_mean(regularizers.entropies(probabilities))
  of_mean = regularizers.entropies(tf.reduce_mean(probabilities, axis=0))
  return mean_entropy, of_mean - mean_entropy
