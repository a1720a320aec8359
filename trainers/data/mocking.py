"""Made-up images in the place of every data set, for trying commands."""

import contextlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog

_SIDE = 64  # of images whose sizes vary


@contextlib.contextmanager
def mock_data(num_examples=32):
  """Lets every declared data set hold a few random images; reads no files.

  Args:
    num_examples: Examples in each split.
  """
  tasks = {task.tfds_name: task for task in map(
      catalog.get_task, catalog.task_names())}

  def as_dataset(builder, **kwargs):
    del kwargs
    config = builder.builder_config
    task = tasks.get(builder.name) or tasks[f'{builder.name}/{config.name}']
    spec = {'image': tf.TensorSpec(task.image_shape, tf.uint8),
            'label': tf.TensorSpec([], tf.int64)}
    return tf.data.Dataset.from_generator(
        lambda: _examples(task, num_examples), output_signature=spec)

  with tfds.testing.mock_data(num_examples, as_dataset_fn=as_dataset):
    yield


def _examples(task, num_examples):
  rng = np.random.default_rng(0)
  shape = [side or _SIDE for side in task.image_shape]
  for _ in range(num_examples):
    yield {'image': rng.integers(0, 256, shape, np.uint8),
           'label': rng.integers(task.num_classes) + task.label_offset}
