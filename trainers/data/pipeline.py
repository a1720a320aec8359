"""Image tasks, and pools of them, as batches (sections 4.2 to 4.4).

A batch is a pure function of (seed, step): see `batches`.
"""

import dataclasses
import hashlib
import os

import numpy as np
import tensorflow as tf

from trainers.data import batches
from trainers.data import catalog
from trainers.data import examples
from trainers.data import made_up as made_up_lib
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

  Batches that were asked for before are the same `tf.data.Dataset` again.

  Args:
    parts: `TaskImages` of each data set; pools may share them.
    name: What the pool is called. Default: the name of the first data set.

  Raises:
    ValueError: If the classes or views differ; later, if the data is missing or
      not as declared.

  Source: sections 4.2 to 4.4.
  """

  def __init__(self, parts, name=None):
    self.parts = tuple(parts)
    self.tasks = tuple(part.task for part in self.parts)
    check_same_classes(self.tasks)
    self.name = name or self.tasks[0].name
    self.view = self.tasks[0].view
    if any(task.view != self.view for task in self.tasks):
      raise ValueError(
          f'{self.name}: expected one view of all images in a pool, received '
          f'{", ".join(f"{task.name}: {task.view}" for task in self.tasks)}: '
          'choose one view for all.')
    self.num_classes = self.tasks[0].num_classes
    self.class_names = self.tasks[0].class_names
    self._datasets = {}  # arguments: dataset, which never changes

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
    return {part.task.name: TaskData([part]) for part in self.parts}

  @property
  def is_labelled(self):
    """Whether the images have labels."""
    return self.num_classes is not None

  def files(self, split):
    """Returns the paths of the image files of a split, in its order.

    Only of tasks that are folders of images.
    """
    return sum((member.files(split) for member in self.parts), [])

  def labels(self, split):
    """Returns the labels of 'train', 'validation' or 'test', int32 `[n]`.

    Raises:
      ValueError: If the images have none.
    """
    if not self.is_labelled:
      raise ValueError(_no_labels_message(self.name))
    return np.concatenate([member.labels(split) for member in self.parts])

  def describe(self, splits=SPLITS):
    """Returns what a run that goes on must find as it was, for JSON.

    Args:
      splits: Splits to describe; they are read.

    Returns:
      {'class_names': list or None, 'splits': {split: {'examples': number,
      'labels': digest of all labels in order, 'files': digest of the names and
      sizes of all image files in order}}}; 'labels' where there are some,
      'files' of folders of images. Besides 'view', unless it is 'centre'.
    """
    def digest(facts):
      return hashlib.blake2b(facts, digest_size=8).hexdigest()

    def digests(split):
      found = {}
      if self.is_labelled:
        found['labels'] = digest(self.labels(split).astype('<i4').tobytes())
      paths = sum((member.files(split) for member in self.parts
                   if member.task.folder), [])
      if paths:
        found['files'] = digest('/'.join(
            f'{os.path.basename(path)}:{os.path.getsize(path)}'
            for path in paths).encode())
      return found

    return {
        'class_names': self.class_names and list(self.class_names),
        **({} if self.view == 'centre' else {'view': self.view}),
        'splits': {split: {'examples': self.num_examples(split),
                           **digests(split)} for split in splits}}

  def train_batches(self, batch_size, seed, start_step=0, augment=True,
                    num_shards=1, num_pipelines=1, pipeline_id=0,
                    labelled=True):
    """Returns the endless training batches from `start_step` on.

    Args:
      batch_size: As for `batches.train_places`, like all that follow but two.
      seed: Integer.
      start_step: Global step of the first batch.
      augment: Whether to augment as the task declares.
      num_shards: Replicas that share a batch.
      num_pipelines: Pipelines that feed them.
      pipeline_id: Which of them this is.
      labelled: Whether there are labels in the batches.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1, and
      labels, int32 `[b]`, or of images alone, with b = batch_size / num_shards:
      for each step one element for each shard of this pipeline.

    Raises:
      ValueError: If the numbers do not fit.
    """
    arguments = (batch_size, seed, start_step, num_shards, num_pipelines,
                 pipeline_id)

    def make():
      places = batches.train_places(
          self.name, self.num_examples('train'), *arguments)
      batch = self._batch_function('train', labelled)
      return _gather(
          places, batch if augment else lambda places, _: batch(places))

    return self._once(('train_batches', *arguments, augment, labelled), make)

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
    batches.check_at_least(self.name, 'batch_size', batch_size, 1)
    batches.check_at_least(self.name, 'every', every, 1)
    if places is not None:
      places = np.int64(places)

    def make():
      ends = self._ends(split)
      first, last = (
          (0, ends[-1]) if member is None else ends[member:member + 2])
      chosen = tf.data.Dataset.range(first, last, every)
      if places is not None:
        with tf.device('cpu:0'):
          chosen = tf.data.Dataset.from_tensor_slices(places)
      return _gather(
          chosen.batch(batch_size), self._batch_function(split, labelled))

    return self._once(
        ('eval_batches', split, batch_size, member, every, labelled,
         None if places is None else places.tobytes()), make)

  def _once(self, arguments, make):
    """Returns the dataset of these arguments, made at their first use.

    Making one traces its functions, which takes longer than reading a small
    split. Each evaluation asks for the same ones.
    """
    if arguments not in self._datasets:
      self._datasets[arguments] = make()
    return self._datasets[arguments]

  def _batch_function(self, split, labelled):
    """Returns a function from places in a split, and draws, to a batch."""
    def images(places, draws=None):
      found = self._images(split, places, draws)
      side = self.parts[0].image_size
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
    if len(self.parts) == 1:
      return _colour(self.parts[0].images(split, places, draws))
    ends = self._ends(split)
    rows, images = [], []
    for member, first, last in zip(self.parts, ends, ends[1:]):
      mine = tf.where((first <= places) & (places < last))[:, 0]
      rows.append(tf.cast(mine, tf.int32))
      images.append(_colour(member.images(
          split, tf.gather(places, mine) - first,
          None if draws is None else tf.gather(draws, mine))))
    return tf.dynamic_stitch(rows, images)

  def _ends(self, split):
    """Returns where the places of each member of a pool end, after a 0."""
    return np.cumsum([0] + [len(m.labels(split)) for m in self.parts])


def load_tasks(names, image_size, data_dir=None, augmentation_kind=None,
               examples_per_class=None, examples_seed=0, labelled=True,
               made_up=False, view=None):
  """Returns {name: `TaskData`} of tasks and pools, nothing read yet.

  Args:
    names: Names of tasks, as `catalog.get_task` takes them, or of pools.
    image_size: Side of the square images, in pixels.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    augmentation_kind: Augmentation of all tasks. Default None: as each
      declares.
    examples_per_class: As for `load_pool`.
    examples_seed: As for `load_pool`.
    labelled: Whether tasks whose images have no labels are refused.
    made_up: Whether images are random, and no data set is read.
    view: What is seen of all images, of `image_task.VIEWS`. Default None: as
      each task declares.

  Raises:
    ValueError: If a task does not exist, or has no labels, or the classes or
      views in a pool differ.
  """
  changes = {field: value for field, value in (
      ('augmentation', augmentation_kind), ('view', view)) if value}
  source = (made_up_lib.MadeUpExamples() if made_up
            else examples.StoredExamples(data_dir))

  def load(name):
    if labelled and not catalog.is_labelled(name):
      raise ValueError(_no_labels_message(name))
    tasks = [
        dataclasses.replace(catalog.get_task(member, data_dir), **changes)
        for member in catalog.data_sets([name])]
    return load_pool(
        tasks, image_size, source, name,
        examples_per_class=examples_per_class, examples_seed=examples_seed)
  return {name: load(name) for name in names}


def load_pool(tasks, image_size, source=None, name=None,
              validation_fraction=0.1, cache_limit_bytes=CACHE_LIMIT_BYTES,
              examples_per_class=None, examples_seed=0):
  """Returns the `TaskData` of one or several `ImageTask`s, nothing read yet.

  Args:
    tasks: `ImageTask`s to be pooled.
    image_size: Side S of the square images, in pixels.
    source: Where examples come from. Default: `examples.StoredExamples()`.
    name: As for `TaskData`.
    validation_fraction: Share of the training split held out where the data
      set has no validation split. Default 0.1; see `TaskImages`.
    cache_limit_bytes: Most bytes for the images of one stored split; about
      twice that stays in use.
    examples_per_class: Training images of each class to learn from, in each
      data set of a pool; a seeded choice. Default: all.
    examples_seed: Of that choice.

  Raises:
    ValueError: If an argument is out of range or the classes differ.

  Source: sections 4.2 to 4.4; validation is our choice.
  """
  name = name or tasks[0].name
  batches.check_at_least(name, 'image_size', image_size, 1)
  if not 0 <= validation_fraction < 1:
    raise ValueError(
        f'{name}: expected 0 <= validation_fraction < 1, received '
        f'{validation_fraction}: give the share to hold out, for example '
        f'0.1.')
  if examples_per_class is not None:
    batches.check_at_least(name, 'examples_per_class', examples_per_class, 1)
  source = source or examples.StoredExamples()
  return TaskData([
      task_images.TaskImages(
          task, image_size, source, validation_fraction, cache_limit_bytes,
          examples_per_class, examples_seed)
      for task in tasks], name)


def _no_labels_message(name):
  return (f'{name}: expected images with labels, received some without: they '
          'are of use to an adaptation alone, as a target without supervision '
          'and without init=oracle or, where it is source_free, as a source.')


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


def _gather(places, batch):
  """Returns batches, made of places and draws in the background."""
  batch = tf.autograph.experimental.do_not_convert(batch)
  return places.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(
      tf.data.AUTOTUNE)


def _colour(images):
  """Turns images `[k, S, S, 1 or 3]` into `[k, S, S, 3]`."""
  return images if images.shape[-1] == 3 else tf.repeat(images, 3, axis=-1)
