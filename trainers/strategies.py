"""Where training runs: one device, several, or several machines."""

import tensorflow as tf

NAMES = ('default', 'mirrored', 'multi_worker')


def make_strategy(name):
  """The `tf.distribute` strategy of this name.

  Call it before any other use of TensorFlow: several workers must find one
  another before the runtime starts.

  Args:
    name: 'default' (one device), 'mirrored' (all GPUs of this machine, or all
      its logical CPUs) or 'multi_worker' (the processes that the environment
      variable TF_CONFIG lists).

  Raises:
    ValueError: For another name.
  """
  if name not in NAMES:
    raise ValueError(f'strategy must be one of {NAMES}, received {name!r}.')
  if name == 'multi_worker':
    return tf.distribute.MultiWorkerMirroredStrategy()
  if name == 'mirrored':
    devices = (tf.config.list_logical_devices('GPU')
               or tf.config.list_logical_devices('CPU'))
    return tf.distribute.MirroredStrategy([d.name for d in devices])
  return tf.distribute.get_strategy()


def is_chief(strategy):
  """Whether this process writes files; true but for workers after the first."""
  resolver = strategy.cluster_resolver
  return resolver is None or not resolver.task_id
