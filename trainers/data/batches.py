"""The order of training batches, a pure function of (seed, step).

Global position p = step * batch_size + i lies in epoch p // N, at place p % N
of that epoch's permutation; the permutation is a function of (seed, task,
epoch), the augmentation of (seed, task, step). So no iterator is ever stored:
a run that resumes at step s says `start_step=s`.
"""

import hashlib

import numpy as np
import tensorflow as tf

from trainers.data import augmentation


def train_places(name, num_examples, batch_size, seed, start_step=0,
                 num_shards=1, num_pipelines=1, pipeline_id=0):
  """Returns which examples each shard of each batch has, without end.

  Epochs follow one another without a gap: a batch may end one and begin the
  next, and no example is dropped.

  Args:
    name: Name of the task; each has an order of its own.
    num_examples: N.
    batch_size: Examples of a step, over all shards together.
    seed: Integer; order and augmentation are functions of it.
    start_step: Global step of the first batch.
    num_shards: Replicas that share a batch
      (`InputContext.num_replicas_in_sync`).
    num_pipelines: Pipelines that feed them
      (`InputContext.num_input_pipelines`).
    pipeline_id: Which of them this is (`InputContext.input_pipeline_id`).

  Returns:
    `tf.data.Dataset` of places, int64 `[b]`, and draws of
    `augmentation.draw`, float32 `[b, 5]`, with b = batch_size / num_shards: for
    each step one element for each shard of this pipeline. All shards of all
    pipelines in order are the batch that a single one gets.

  Raises:
    ValueError: If the numbers do not fit.
  """
  _check(name, batch_size, start_step, num_shards, num_pipelines, pipeline_id)
  shards = num_shards // num_pipelines
  shard_size = batch_size // num_shards
  first_row = pipeline_id * shards * shard_size
  augmentation_seed = _seed(seed, name, 'augmentation')

  @tf.autograph.experimental.do_not_convert
  def select(step, places):
    """Splits this pipeline's part of the global batch by shard."""
    draws = augmentation.draw(
        tf.random.experimental.stateless_fold_in(augmentation_seed, step),
        batch_size)  # [batch_size, 5]
    mine = slice(first_row, first_row + shards * shard_size)
    return (tf.reshape(places[mine], [shards, shard_size]),
            tf.reshape(draws[mine], [shards, shard_size, -1]))

  steps = tf.data.Dataset.range(start_step, tf.int64.max)
  places = endless_places(
      num_examples, _seed(seed, name, 'order'), start_step * batch_size,
      batch_size)
  return tf.data.Dataset.zip(steps, places).map(select).unbatch()


def endless_places(num_examples, seed, start, batch_size):
  """Returns batches of places in `range(num_examples)`, epoch after epoch.

  Each epoch is a permutation drawn anew.
  (`tf.random.experimental.index_shuffle` would need no permutation in memory,
  but was seen to repeat after 256 epochs and to keep neighbours together.)

  Args:
    num_examples: N.
    seed: int64 `[2]`.
    start: The first global position.
    batch_size: Places in a batch.
  """
  first_epoch, skipped = divmod(start, num_examples)

  @tf.autograph.experimental.do_not_convert
  def order(epoch):
    places = tf.random.experimental.stateless_shuffle(
        tf.range(num_examples, dtype=tf.int64),
        seed=tf.random.experimental.stateless_fold_in(seed, epoch),
        alg='philox')
    begin = tf.where(epoch == first_epoch, skipped, 0)
    return places[begin:]

  return (
      tf.data.Dataset.range(first_epoch, tf.int64.max)
      .map(order)
      .prefetch(1)
      .rebatch(batch_size, drop_remainder=True))


def check_at_least(task, name, value, least):
  """Raises ValueError if an argument, `name`, of a task is too small."""
  if value < least:
    raise ValueError(
        f'{task}: expected {name} >= {least}, received {value}: give a '
        f'number from {least} on.')


def _seed(seed, task, purpose):
  """Returns an int64 `[2]` for a purpose; unrelated for other tasks."""
  text = f'{seed}/{task}/{purpose}'
  digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
  with tf.device('cpu:0'):
    return tf.constant(np.frombuffer(digest, '<i8'))


def _check(task, batch_size, start_step, num_shards, num_pipelines,
           pipeline_id):
  check_at_least(task, 'batch_size', batch_size, 1)
  check_at_least(task, 'start_step', start_step, 0)
  check_at_least(task, 'num_shards', num_shards, 1)
  check_at_least(task, 'num_pipelines', num_pipelines, 1)
  if batch_size % num_shards:
    raise ValueError(
        f'{task}: expected batch_size to be a multiple of the {num_shards} '
        f'replicas, received {batch_size}: use '
        f'{batch_size // num_shards * num_shards or num_shards} or another '
        f'multiple.')
  if num_shards % num_pipelines:
    raise ValueError(
        f'{task}: expected num_shards to be a multiple of '
        f'num_pipelines={num_pipelines}, received {num_shards}: give every '
        f'pipeline the same number of replicas.')
  if not 0 <= pipeline_id < num_pipelines:
    raise ValueError(
        f'{task}: expected 0 <= pipeline_id < {num_pipelines}, received '
        f'{pipeline_id}: pass the InputContext\'s own numbers.')
