"""Made-up images in the place of every data set, for trying commands."""

import contextlib
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog
from trainers.data import tfrecords
from trainers.data.datasets import class_lists

_SIDE = 64  # of images whose sizes vary


@contextlib.contextmanager
def mock_data(num_examples=32):
  """Lets every declared data set hold a few random images; reads no files.

  Args:
    num_examples: Examples in each split.
  """
  tasks = {task.tfds_name: task for task in map(
      catalog.get_task, catalog.task_names())}

  def as_dataset(builder, split, **kwargs):
    del kwargs
    count = num_examples * len(split.split('+'))
    config = builder.builder_config
    task = tasks.get(builder.name) or tasks[f'{builder.name}/{config.name}']
    spec = {'image': tf.TensorSpec(task.image_shape, tf.uint8),
            'label': tf.TensorSpec([], tf.int64)}
    return tf.data.Dataset.from_generator(
        lambda: _examples(task, count), output_signature=spec)

  with (tfds.testing.mock_data(num_examples, as_dataset_fn=as_dataset),
        mock.patch.object(tfrecords, 'open_records', _Records),
        mock.patch.object(class_lists, 'read', _first_classes)):
    yield


def _examples(task, num_examples):
  rng = np.random.default_rng(0)
  shape = [side or _SIDE for side in task.image_shape]
  for _ in range(num_examples):
    yield {'image': rng.integers(0, 256, shape, np.uint8),
           'label': rng.integers(task.num_classes) + task.label_offset}


class _Records:
  """In the place of `tfrecords.Records`, encoded images in memory."""

  def __init__(self, task, split, builder):
    del task
    examples = list(builder.as_dataset(split=split))
    self.labels = np.array([example['label'] for example in examples])
    self._encoded = tf.stack(
        [tf.io.encode_png(example['image']) for example in examples])

  def read(self, rows):
    return tf.gather(self._encoded, rows)


def _first_classes(name, data_dir):
  del data_dir
  return tuple(range(class_lists.LISTS[name].length))
