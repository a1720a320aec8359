"""What a task owns: signature, norm parameters and statistics, head.

Section 4.3. Per-layer parameters are stacked along a leading layer axis
`[L, channels]`: a task is then about ten variables, not hundreds.
"""

import re

import keras


class NormAffine(keras.layers.Layer):
  """gamma and beta of named norm sites.

  Args:
    shapes: {site: shape}; body sites have shape `[L, channels]`.
    **kwargs: As for any Keras layer.
  """

  def __init__(self, shapes, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self.gamma, self.beta = (
        {site: self.add_weight(name=f'{site}_{name}', shape=shape,
                               initializer=initializer, autocast=False)
         for site, shape in shapes.items()}
        for name, initializer in (('gamma', 'ones'), ('beta', 'zeros')))

  def __contains__(self, site):
    return site in self.gamma


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

  def move(self, batch, momentum):
    """Moves the statistics towards those of a batch.

    Under `tf.distribute`, replicas' statistics are averaged (the variables'
    aggregation), so that replicas stay equal.

    Args:
      batch: {site: (mean, variance)}, each of the site's shape.
      momentum: Weight of the old value.
    """
    for site, statistics in batch.items():
      for moving, value in zip((self.mean[site], self.variance[site]),
                               statistics):
        moving.assign(moving * momentum + value * (1 - momentum))


class Task(keras.layers.Layer):
  """One task of an `IsometricModel`: what is its own, and its head.

  Args:
    task_name: The task's name; any text.
    head_name: Name of its head; tasks with one label set may share a head.
    head: The Keras layer from embedding to logits.
    signature: The task's `Signature`.
    statistics: Its `NormStatistics`.
    affine: Its private `NormAffine`, or None.
  """

  def __init__(self, task_name, head_name, head, signature, statistics,
               affine=None):
    super().__init__(name=layer_name(task_name))
    self.task_name = task_name
    self.head_name = head_name
    self.head = head
    self.signature = signature
    self.statistics = statistics
    self.affine = affine

  @property
  def num_classes(self):
    """Number of logits."""
    return self.head.units


def layer_name(task_name):
  """A task's name as Keras allows it for a layer."""
  return re.sub(r'[^A-Za-z0-9_.\-]', '_', task_name) or 'task'


def copy_variables(target, source):
  """Copies the variables of one layer into another of the same kind."""
  for to, value in zip(target.variables, source.variables):
    to.assign(value)
