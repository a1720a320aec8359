"""Where training runs: one device, several, or several machines."""

import json
import os

import tensorflow as tf

from mixture_modules import checks

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
    ValueError: For another name, or if TF_CONFIG does not list workers.
  """
  checks.one_of('strategy', name, NAMES)
  if name == 'multi_worker':
    _check_tf_config()
    return tf.distribute.MultiWorkerMirroredStrategy()
  if name == 'mirrored':
    devices = (tf.config.list_logical_devices('GPU')
               or tf.config.list_logical_devices('CPU'))
    return tf.distribute.MirroredStrategy([d.name for d in devices])
  return tf.distribute.get_strategy()


def is_chief(strategy):
  """Whether this process writes files; true but for workers after the first."""
  resolver = strategy.cluster_resolver
  if resolver is None:
    return True
  if 'chief' in resolver.cluster_spec().jobs:
    return resolver.task_type == 'chief'
  return not resolver.task_id


def _check_tf_config():
  text = os.environ.get('TF_CONFIG', '')
  try:
    config = json.loads(text)
    jobs, task = config['cluster'], config['task']
    known = 0 <= task['index'] < len(jobs[task['type']])
  except (ValueError, KeyError, TypeError):
    known = False
  if not known:
    raise ValueError(
        'Expected in $TF_CONFIG the workers and which of them this process '
        f'is, received {text!r}: set it to something like '
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": '
        '{"type": "worker", "index": 0}}.')
