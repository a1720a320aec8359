"""The one input pipeline: batches as pure functions of (seed, step).

Global position p = step * batch_size + i lies in epoch p // N, at place p % N
of that epoch's permutation; the permutation is a function of (seed, task,
epoch), the augmentation of (seed, task, step). So no iterator is ever stored:
a run that resumes at step s says `start_step=s`.
"""

import copy
import dataclasses
import hashlib
import os

import numpy as np
import tensorflow as tf

from trainers.data import augmentation
from trainers.data import catalog
from trainers.data import task_images

SPLITS = task_images.SPLITS
CACHE_LIMIT_BYTES = 2 * 2 ** 30  # of one stored split of one data set


class TaskData:
  """The images of a task as batches for training and evaluation.

  A split is opened at its first use. Small images are decoded, resized and
  transformed once and kept as uint8. Others are decoded at each use
  (`examples.open_examples`).

  Several data sets with the same classes can be pooled into one task: their
  examples are shuffled together, and each is augmented in its own way.

  Args:
    tasks: `ImageTask`, or several to be pooled.
    image_size: Side S of the square images, in pixels.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    name: What the pool is called. Default: the name of the only task.
    validation_fraction: Share of the training split held out where the data
      set has no validation split. Default 0.1; see `TaskImages`.
    cache_limit_bytes: Most bytes for the images of one stored split; about
      twice that stays in use.
    examples_per_class: Training images of each class to learn from, in each
      data set of a pool; a seeded choice. Default: all.
    examples_seed: Of that choice.

  Raises:
    ValueError: If an argument is out of range or the tasks' classes differ;
      later, if the data is missing or not as declared.

  Source: sections 4.2 to 4.4; validation is our choice.
  """

  def __init__(self, tasks, image_size, data_dir=None, name=None,
               validation_fraction=0.1, cache_limit_bytes=CACHE_LIMIT_BYTES,
               examples_per_class=None, examples_seed=0):
    tasks = tuple(tasks) if isinstance(tasks, (tuple, list)) else (tasks,)
    self.name = name or tasks[0].name
    if image_size < 1:
      raise ValueError(
          f'{self.name}: expected image_size >= 1, received {image_size}: give '
          f'the side of the images in pixels, for example 32.')
    if not 0 <= validation_fraction < 1:
      raise ValueError(
          f'{self.name}: expected 0 <= validation_fraction < 1, received '
          f'{validation_fraction}: give the share to hold out, for example '
          f'0.1.')
    if examples_per_class is not None:
      self._check_at_least('examples_per_class', examples_per_class, 1)
    check_same_classes(tasks)
    self.tasks = tasks
    self.num_classes = tasks[0].num_classes
    self.class_names = tasks[0].class_names
    self._image_size = image_size
    self._members = [
        task_images.TaskImages(
            task, image_size, data_dir, validation_fraction, cache_limit_bytes,
            examples_per_class, examples_seed)
        for task in tasks]

  def num_examples(self, split, member=None):
    """Returns how many examples a split has here.

    Args:
      split: 'train', 'validation' or 'test'.
      member: Number of a pool's member whose examples alone are counted.
        Default: all members'.
    """
    ends = self._ends(split)
    return int(ends[-1] if member is None else ends[member + 1] - ends[member])

  def members(self):
    """{name of each pooled data set: `TaskData` of it alone}.

    What has been read of a member's images is shared.
    """
    parts = {}
    for task, member in zip(self.tasks, self._members):
      part = copy.copy(self)
      part.name, part.tasks, part._members = task.name, (task,), [member]
      parts[task.name] = part
    return parts

  @property
  def is_labelled(self):
    """Whether the images have labels."""
    return self.num_classes is not None

  def files(self, split):
    """Returns the paths of the image files of a split, in its order.

    Only of tasks that are folders of images.
    """
    return sum((member.files(split) for member in self._members), [])

  def labels(self, split):
    """Returns the labels of 'train', 'validation' or 'test', int32 `[n]`.

    Raises:
      ValueError: If the images have none.
    """
    if not self.is_labelled:
      raise ValueError(_no_labels_message(self.name))
    return np.concatenate([member.labels(split) for member in self._members])

  def describe(self, splits=SPLITS):
    """Returns what a run that goes on must find as it was, for JSON.

    Args:
      splits: Splits to describe; they are read.

    Returns:
      {'class_names': list or None, 'splits': {split: {'examples': number,
      'labels': digest of all labels in order}}}; where there are no labels,
      'files', digest of the names of all files in order.
    """
    def digest(split):
      if self.is_labelled:
        key, facts = 'labels', self.labels(split).astype('<i4').tobytes()
      else:
        names = map(os.path.basename, self.files(split))
        key, facts = 'files', '/'.join(names).encode()
      return {key: hashlib.blake2b(facts, digest_size=8).hexdigest()}

    return {
        'class_names': self.class_names and list(self.class_names),
        'splits': {split: {'examples': self.num_examples(split),
                           **digest(split)} for split in splits}}

  def train_batches(self, batch_size, seed, start_step=0, augment=True,
                    num_shards=1, num_pipelines=1, pipeline_id=0,
                    labelled=True):
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
      labelled: Whether there are labels in the batches.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1, and
      labels, int32 `[b]`, or of images alone, with b = batch_size / num_shards:
      for each step one element for each shard of this pipeline. All shards of
      all pipelines in order are the batch that a single one gets.

    Raises:
      ValueError: If the numbers do not fit.
    """
    self._check_batching(
        batch_size, start_step, num_shards, num_pipelines, pipeline_id)
    shards = num_shards // num_pipelines
    shard_size = batch_size // num_shards
    first_row = pipeline_id * shards * shard_size
    size = self.num_examples('train')
    order_seed = self._seed(seed, 'order')
    augmentation_seed = self._seed(seed, 'augmentation')

    def select(step, places):
      """Splits this pipeline's part of the global batch by shard."""
      draws = augmentation.draw(
          tf.random.experimental.stateless_fold_in(augmentation_seed, step),
          batch_size)  # [batch_size, 5]
      mine = slice(first_row, first_row + shards * shard_size)
      return (tf.reshape(places[mine], [shards, shard_size]),
              tf.reshape(draws[mine], [shards, shard_size, -1]))

    batch = self._batch_function('train', labelled)
    steps = tf.data.Dataset.counter(start_step, dtype=tf.int64)
    places = _places(size, order_seed, start_step * batch_size, batch_size)
    return (
        tf.data.Dataset.zip(steps, places)
        .map(select)
        .unbatch()
        .map(batch if augment else lambda places, _: batch(places),
             num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE))

  def eval_batches(self, split, batch_size, member=None, every=1,
                   labelled=True, places=None):
    """Returns every example of a split once, in order, not augmented.

    Args:
      split: 'train', 'validation' or 'test'.
      batch_size: Images in a batch; the last batch has what remains.
      member: Number of a pool's member whose examples alone are returned.
        Default: all members', one after another.
      every: 2 leaves out every other example, and so on. Default 1: none.
      labelled: Whether there are labels in the batches.
      places: Places in the split of the examples to return alone. Default: all.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1, and
      labels, int32 `[b]`, or of images alone.

    Raises:
      ValueError: If the split is unknown or batch_size below 1.
    """
    self._check_at_least('batch_size', batch_size, 1)
    self._check_at_least('every', every, 1)
    ends = self._ends(split)
    first, last = (0, ends[-1]) if member is None else ends[member:member + 2]
    chosen = tf.data.Dataset.range(first, last, every)
    if places is not None:
      with tf.device('cpu:0'):
        chosen = tf.data.Dataset.from_tensor_slices(np.int64(places))
    return (
        chosen
        .batch(batch_size)
        .map(self._batch_function(split, labelled),
             num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE))

  def _batch_function(self, split, labelled):
    """Returns a function from places in a split, and draws, to a batch."""
    def images(places, draws=None):
      found = self._images(split, places, draws)
      side = self._image_size
      found = tf.ensure_shape(found, [places.shape[0], side, side, 3])
      return tf.cast(found, tf.float32) / 127.5 - 1

    if not labelled:
      return images
    with tf.device('cpu:0'):  # also where there is a GPU: tf.data reads them
      labels = tf.constant(self.labels(split))
    return lambda places, draws=None: (
        images(places, draws), tf.gather(labels, places))

  def _images(self, split, places, draws):
    """Returns images, uint8 `[k, S, S, 3]`, each from its member of a pool."""
    if len(self._members) == 1:
      return _colour(self._members[0].images(split, places, draws))
    ends = self._ends(split)
    rows, images = [], []
    for member, first, last in zip(self._members, ends, ends[1:]):
      mine = tf.where((first <= places) & (places < last))[:, 0]
      rows.append(tf.cast(mine, tf.int32))
      images.append(_colour(member.images(
          split, tf.gather(places, mine) - first,
          None if draws is None else tf.gather(draws, mine))))
    return tf.dynamic_stitch(rows, images)

  def _ends(self, split):
    """Returns where the places of each member of a pool end, after a 0."""
    return np.cumsum([0] + [len(m.labels(split)) for m in self._members])

  def _seed(self, seed, purpose):
    """Returns an int64 `[2]` for a purpose; unrelated for other tasks."""
    text = f'{seed}/{self.name}/{purpose}'
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    with tf.device('cpu:0'):
      return tf.constant(np.frombuffer(digest, '<i8'))

  def _check_batching(self, batch_size, start_step, num_shards, num_pipelines,
                      pipeline_id):
    self._check_at_least('batch_size', batch_size, 1)
    self._check_at_least('start_step', start_step, 0)
    self._check_at_least('num_shards', num_shards, 1)
    self._check_at_least('num_pipelines', num_pipelines, 1)
    if batch_size % num_shards:
      raise ValueError(
          f'{self.name}: expected batch_size to be a multiple of the '
          f'{num_shards} replicas, received {batch_size}: use '
          f'{batch_size // num_shards * num_shards or num_shards} or another '
          f'multiple.')
    if num_shards % num_pipelines:
      raise ValueError(
          f'{self.name}: expected num_shards to be a multiple of '
          f'num_pipelines={num_pipelines}, received {num_shards}: give every '
          f'pipeline the same number of replicas.')
    if not 0 <= pipeline_id < num_pipelines:
      raise ValueError(
          f'{self.name}: expected 0 <= pipeline_id < {num_pipelines}, '
          f'received {pipeline_id}: pass the InputContext\'s own numbers.')

  def _check_at_least(self, name, value, least):
    if value < least:
      raise ValueError(
          f'{self.name}: expected {name} >= {least}, received {value}: give a '
          f'number from {least} on.')


def load_tasks(names, image_size, data_dir=None, augmentation_kind=None,
               examples_per_class=None, examples_seed=0, labelled=True):
  """Returns {name: `TaskData`} of tasks and pools, nothing read yet.

  Args:
    names: Names of tasks, as `catalog.get_task` takes them, or of pools.
    image_size: Side of the square images, in pixels.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    augmentation_kind: Augmentation of all tasks. Default None: as each
      declares.
    examples_per_class: As for `TaskData`.
    examples_seed: As for `TaskData`.
    labelled: Whether tasks whose images have no labels are refused.

  Raises:
    ValueError: If a task does not exist, or has no labels, or the classes in a
      pool differ.
  """
  def load(name):
    if labelled and not catalog.is_labelled(name):
      raise ValueError(_no_labels_message(name))
    tasks = [catalog.get_task(member, data_dir)
             for member in catalog.data_sets([name])]
    if augmentation_kind:
      tasks = [dataclasses.replace(task, augmentation=augmentation_kind)
               for task in tasks]
    return TaskData(
        tasks, image_size, data_dir, name,
        examples_per_class=examples_per_class, examples_seed=examples_seed)
  return {name: load(name) for name in names}


def _no_labels_message(name):
  return (f'{name}: expected images with labels, received some without: they '
          'are of use to launch.adapt alone, as --target without supervision '
          'and without --init=oracle, or, with --source_free, as a source.')


def check_same_classes(tasks):
  """Raises ValueError if tasks that share their labels differ in classes.

  Args:
    tasks: `ImageTask`s or `TaskData`s. Names of classes are compared where
      both tasks have them.
  """
  first = tasks[0]
  named = next((task for task in tasks if task.class_names), first)
  for task in tasks[1:]:
    if task.num_classes != first.num_classes:
      raise ValueError(
          f'Expected tasks of one pool or head to have the same classes, '
          f'received {first.name} with {first.num_classes} and {task.name} '
          f'with {task.num_classes}: leave one out, or give each a head.')
    if task.class_names and task.class_names != named.class_names:
      differing = sorted(set(named.class_names) ^ set(task.class_names))
      raise ValueError(
          f'Expected tasks of one pool or head to have the same classes in '
          f'the same order, received {named.name} and {task.name}, which '
          f'differ in {", ".join(differing[:5]) or "order"}: leave one out, '
          f'rename its classes, or give each a head.')


def _colour(images):
  """Turns images `[k, S, S, 1 or 3]` into `[k, S, S, 3]`."""
  return images if images.shape[-1] == 3 else tf.repeat(images, 3, axis=-1)


def _places(num_examples, seed, start, batch_size):
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
