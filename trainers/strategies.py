"""Where training runs: one device, several, or several machines."""

import json
import os
import zlib

import numpy as np
import tensorflow as tf

from mixture_modules import checks
from trainers.runs import records

NAMES = ('default', 'mirrored', 'multi_worker')
_JOBS = ('chief', 'worker')
_TOLD = 2 ** 16  # bytes that a worker tells the others


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


def agree(strategy, prepare):
  """What `prepare` makes, once all workers would make the same.

  Workers that train other runs would mix their gradients without a word, and
  one that stops would leave the others waiting.

  Args:
    strategy: `tf.distribute` strategy.
    prepare: Function that returns (what it makes, what all workers must have
      alike, a dictionary that JSON can hold).

  Raises:
    ValueError: As `prepare` raises, in any of the workers; if workers differ.
  """
  if len(_workers(strategy)) == 1:
    return prepare()[0]
  fault, made = None, None
  try:
    made, told = prepare()
  except ValueError as error:
    fault, told = error, {'fault': str(error)}
  everyone = _tell(strategy, told)
  if fault is not None:
    raise fault
  for number, other in enumerate(everyone):
    if set(other) == {'fault'}:
      raise ValueError(f'Worker {number} has stopped, and this one with it: '
                       f'{other["fault"]}')
    changed = records.differences(other, everyone[0])
    if changed:
      raise ValueError(
          f'Worker {number} would train another run than worker 0 ({changed}): '
          'start all workers alike.')
  return made


def _workers(strategy):
  """The addresses of the processes that train together."""
  resolver = strategy.cluster_resolver
  if resolver is None:
    return ['this one']
  jobs = resolver.cluster_spec().as_dict()
  return [address for job in _JOBS for address in jobs.get(job, ())] or [
      'this one']


def _tell(strategy, facts):
  """The facts of all workers, dictionaries, in the order of the workers."""
  data = zlib.compress(json.dumps(facts).encode())
  if len(data) > _TOLD:  # too long to say what differs
    data = zlib.compress(json.dumps({'all': zlib.crc32(data)}).encode())
  block = np.frombuffer(data.ljust(_TOLD, b'\0'), 'uint8').astype('int32')
  told = strategy.gather(strategy.run(lambda: tf.constant(block[None])), 0)
  blocks = np.asarray(told)[::len(told) // len(_workers(strategy))]
  return [json.loads(zlib.decompressobj().decompress(
      block.astype('uint8').tobytes())) for block in blocks]


def _check_tf_config():
  text = os.environ.get('TF_CONFIG', '')
  try:
    config = json.loads(text)
    jobs, task = config['cluster'], config['task']
    known = (type(task['index']) is int and set(jobs) <= set(_JOBS)
             and 0 <= task['index'] < len(jobs[task['type']])
             and all(isinstance(addresses, list) for addresses in jobs.values())
             and all(map(_is_address, sum(jobs.values(), []))))
  except (ValueError, KeyError, TypeError):
    known = False
  if not known:
    raise ValueError(
        'Expected in $TF_CONFIG the workers and which of them this process '
        f'is, received {text!r}: set it to something like '
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": '
        '{"type": "worker", "index": 0}}.')


def _is_address(address):
  """Whether it is 'host:port'."""
  host, _, port = address.rpartition(':')
  return bool(host) and port.isdecimal() and 0 < int(port) < 2 ** 16
