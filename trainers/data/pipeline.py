"""The one input pipeline: batches as pure functions of (seed, step).

Global position p = step * batch_size + i lies in epoch p // N, at place p % N
of that epoch's permutation; the permutation is a function of (seed, task,
epoch), the augmentation of (seed, task, step). So no iterator is ever stored:
a run that resumes at step s says `start_step=s`.
"""

import hashlib

import numpy as np
import tensorflow as tf

from trainers.data import augmentation
from trainers.data import catalog
from trainers.data import reading

SPLITS = ('train', 'validation', 'test')
CACHE_LIMIT_BYTES = 2 * 2 ** 30  # of one TFDS split of one task
_VALIDATION_SEED = 0


class TaskData:
  """The images of a task, in memory, as batches for training and evaluation.

  A split is read at its first use, decoded, resized and transformed once, and
  kept as uint8; while it is read it takes twice its size.

  Args:
    task: `ImageTask`.
    image_size: Side S of the square images, in pixels.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    validation_fraction: Share of the training split held out where the data
      set has no validation split. Default 0.1. The choice depends on the
      number of examples only, so that it is the same for a data set, its
      transforms and its corruptions, and for every seed.
    cache_limit_bytes: Most bytes for the images of one TFDS split.

  Raises:
    ValueError: If an argument is out of range; later, if the data is missing,
      too large or not as declared.

  Source: sections 4.2 to 4.4; validation is our choice.
  """

  def __init__(self, task, image_size, data_dir=None, validation_fraction=0.1,
               cache_limit_bytes=CACHE_LIMIT_BYTES):
    if image_size < 1:
      raise ValueError(
          f'{task.name}: expected image_size >= 1, received {image_size}: give '
          f'the side of the images in pixels, for example 32.')
    if not 0 <= validation_fraction < 1:
      raise ValueError(
          f'{task.name}: expected 0 <= validation_fraction < 1, received '
          f'{validation_fraction}: give the share to hold out, for example '
          f'0.1.')
    self.task = task
    self.image_size = image_size
    self._data_dir = data_dir
    self._validation_fraction = validation_fraction
    self._cache_limit_bytes = cache_limit_bytes
    self._cache = {}

  def num_examples(self, split):
    """Returns how many examples 'train', 'validation' or 'test' has here."""
    return len(self._load(split)[2])

  def train_batches(self, batch_size, seed, start_step=0, augment=True,
                    num_shards=1, num_pipelines=1, pipeline_id=0):
    """Returns the endless training batches from `start_step` on.

    Epochs follow one another without a gap: a batch may end one and begin the
    next, and no example is dropped.

    Args:
      batch_size: Images of a step, over all shards together.
      seed: Integer; order and augmentation are functions of it.
      start_step: Global step of the first batch.
      augment: Whether to augment as the task declares.
      num_shards: Replicas that share a batch
        (`InputContext.num_replicas_in_sync`).
      num_pipelines: Pipelines that feed them
        (`InputContext.num_input_pipelines`).
      pipeline_id: Which of them this is (`InputContext.input_pipeline_id`).

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1, and
      labels, int32 `[b]`, with b = batch_size / num_shards: for each step one
      element for each shard of this pipeline. All shards of all pipelines in
      order are the batch that a single one gets.

    Raises:
      ValueError: If the numbers do not fit.
    """
    self._check_batching(
        batch_size, start_step, num_shards, num_pipelines, pipeline_id)
    shards = num_shards // num_pipelines
    shard_size = batch_size // num_shards
    first_row = pipeline_id * shards * shard_size
    images, labels, rows = self._load('train')
    with tf.device('cpu:0'):
      rows = tf.constant(rows)
    kind = self.task.augmentation if augment else 'none'
    order_seed = self._seed(seed, 'order')
    augmentation_seed = self._seed(seed, 'augmentation')

    def select(step, positions):
      """Splits this pipeline's part of the global batch by shard."""
      draws = augmentation.draw(
          kind,
          tf.random.experimental.stateless_fold_in(augmentation_seed, step),
          batch_size, self.image_size)  # [batch_size, 3]
      mine = slice(first_row, first_row + shards * shard_size)
      return (tf.reshape(positions[mine], [shards, shard_size]),
              tf.reshape(draws[mine], [shards, shard_size, 3]))

    def batch(positions, draws):
      index = tf.gather(rows, positions)
      x = tf.gather(images, index)
      if kind != 'none':
        x = augmentation.move(x, draws)
      return _to_float(x), tf.gather(labels, index)

    positions = _positions(
        len(rows), order_seed, start_step * batch_size, batch_size)
    steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
    return (
        tf.data.Dataset.zip(steps, positions)
        .map(select)
        .unbatch()
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE))

  def eval_batches(self, split, batch_size):
    """Returns every example of a split once, in order, not augmented.

    Args:
      split: 'train', 'validation' or 'test'.
      batch_size: Images in a batch; the last batch has what remains.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1, and
      labels, int32 `[b]`.

    Raises:
      ValueError: If the split is unknown or batch_size below 1.
    """
    _check_at_least(self.task, 'batch_size', batch_size, 1)
    images, labels, rows = self._load(split)

    def batch(index):
      return _to_float(tf.gather(images, index)), tf.gather(labels, index)

    return (
        tf.data.Dataset.from_tensor_slices(rows)
        .batch(batch_size)
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE))

  def _load(self, split):
    """Returns (images, labels, rows of these that are the split)."""
    if split not in SPLITS:
      raise ValueError(
          f'{self.task.name}: expected a split of {SPLITS}, received '
          f'{split!r}: use one of these.')
    source = {
        'train': self.task.train_split,
        'validation': self.task.validation_split or self.task.train_split,
        'test': self.task.test_split,
    }[split]
    if source not in self._cache:
      images, labels = reading.read_split(
          self.task, source, self.image_size, self._data_dir,
          self._cache_limit_bytes)
      with tf.device('cpu:0'):  # Also where there is a GPU: tf.data reads them.
        self._cache[source] = tf.constant(images), tf.constant(labels)
    images, labels = self._cache[source]
    return images, labels, self._rows(split, len(labels))

  def _rows(self, split, num_stored):
    """Returns which of the stored examples are the split, int64, sorted."""
    rows = np.arange(num_stored)
    if split == 'test' or self.task.validation_split is not None:
      return rows
    num_held_out = round(self._validation_fraction * num_stored)
    if self._validation_fraction:
      num_held_out = max(1, num_held_out)
    rows = np.random.default_rng(_VALIDATION_SEED).permutation(num_stored)
    held_out, kept = rows[:num_held_out], rows[num_held_out:]
    rows = held_out if split == 'validation' else kept
    if not len(rows):
      raise ValueError(
          f'{self.task.name}: expected at least 1 example in split {split!r}, '
          f'received an empty one: {num_stored} examples are cut by '
          f'validation_fraction={self._validation_fraction}; choose another.')
    return np.sort(rows)

  def _seed(self, seed, purpose):
    """Returns an int64 `[2]` for a purpose; unrelated for other tasks."""
    text = f'{seed}/{self.task.name}/{purpose}'
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    with tf.device('cpu:0'):
      return tf.constant(np.frombuffer(digest, '<i8'))

  def _check_batching(self, batch_size, start_step, num_shards, num_pipelines,
                      pipeline_id):
    _check_at_least(self.task, 'batch_size', batch_size, 1)
    _check_at_least(self.task, 'start_step', start_step, 0)
    _check_at_least(self.task, 'num_shards', num_shards, 1)
    _check_at_least(self.task, 'num_pipelines', num_pipelines, 1)
    if batch_size % num_shards:
      raise ValueError(
          f'{self.task.name}: expected batch_size to be a multiple of the '
          f'{num_shards} replicas, received {batch_size}: use '
          f'{batch_size // num_shards * num_shards or num_shards} or another '
          f'multiple.')
    if num_shards % num_pipelines:
      raise ValueError(
          f'{self.task.name}: expected num_shards to be a multiple of '
          f'num_pipelines={num_pipelines}, received {num_shards}: give every '
          f'pipeline the same number of replicas.')
    if not 0 <= pipeline_id < num_pipelines:
      raise ValueError(
          f'{self.task.name}: expected 0 <= pipeline_id < {num_pipelines}, '
          f'received {pipeline_id}: pass the InputContext\'s own numbers.')


def load_tasks(names, image_size, data_dir=None):
  """Returns {name: `TaskData`} of tasks, nothing read yet.

  Args:
    names: Names of tasks, as `catalog.get_task` takes them.
    image_size: Side of the square images, in pixels.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Raises:
    ValueError: If a task does not exist.
  """
  return {name: TaskData(catalog.get_task(name), image_size, data_dir)
          for name in names}


def _check_at_least(task, name, value, least):
  if value < least:
    raise ValueError(
        f'{task.name}: expected {name} >= {least}, received {value}: give a '
        f'number from {least} on.')


def _positions(num_examples, seed, start, batch_size):
  """Returns batches of places in `range(num_examples)`, epoch after epoch.

  Each epoch is a permutation drawn anew; `start` is the first global position.
  (`tf.random.experimental.index_shuffle` would need no permutation in memory,
  but was seen to repeat after 256 epochs and to keep neighbours together.)
  """
  first_epoch, skipped = divmod(start, num_examples)

  def order(epoch):
    places = tf.random.experimental.stateless_shuffle(
        tf.range(num_examples, dtype=tf.int64),
        seed=tf.random.experimental.stateless_fold_in(seed, epoch),
        alg='philox')
    begin = tf.where(epoch == first_epoch, skipped, 0)
    return places[begin:]

  return (
      tf.data.Dataset.counter(first_epoch, dtype=tf.int64)
      .map(order)
      .prefetch(1)
      .rebatch(batch_size, drop_remainder=True))


def _to_float(images):
  """Turns uint8 `[b, S, S, c]` into float32 `[b, S, S, 3]` from -1 to 1."""
  x = tf.cast(images, tf.float32) / 127.5 - 1
  return x if images.shape[-1] == 3 else tf.repeat(x, 3, axis=-1)
