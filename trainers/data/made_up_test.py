"""Tests of `made_up`, and of every declaration through the pipeline."""

import pathlib
import tempfile

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from trainers.data import catalog
from trainers.data import made_up
from trainers.data import pipeline

_SIZE = 16
_OF_NO_BATCH = {  # fields that decide nothing of how batches are made
    'name', 'tfds_name', 'version', 'splits', 'num_classes', 'class_names',
    'licence', 'origin', 'manual_files', 'paper_use'}


def load(name):
  return pipeline.load_pool(
      [catalog.get_task(name)], _SIZE, made_up.MadeUpExamples(40))


def one_of_each_kind():
  """Names of declared data sets, no two of which make batches alike."""
  kinds = {}
  for name in catalog.task_names():
    kinds.setdefault(str([
        item for item in sorted(vars(catalog.get_task(name)).items())
        if item[0] not in _OF_NO_BATCH]), name)
  return kinds.values()


class MadeUpTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(*catalog.task_names())
  def test_every_declared_data_set_loads(self, name):
    task, data = catalog.get_task(name), load(name)
    sizes = [data.num_examples(split) for split in pipeline.SPLITS]
    stored = 40 * (1 + task.train_split.count('+'))  # of the training split
    test = 40 if task.test_split else stored // 5
    stored -= 0 if task.test_split else test
    validation = 40 if task.validation_split else stored // 10
    stored -= 0 if task.validation_split else validation
    self.assertEqual(sizes, [stored, validation, test])
    for split in pipeline.SPLITS:
      labels = data.labels(split)
      self.assertEqual(labels.dtype, np.int32)
      self.assertAllInRange(labels, 0, task.num_classes - 1)
    self.assertGreaterEqual(
        len(set(data.labels('train'))), min(task.num_classes, 6))

  @parameterized.parameters(*one_of_each_kind())
  def test_every_kind_of_data_set_makes_batches(self, name):
    data = load(name)
    images, labels = next(iter(data.train_batches(8, seed=0)))
    self.assertEqual(images.shape, (8, _SIZE, _SIZE, 3))
    self.assertAllInRange(images, -1, 1)
    self.assertGreater(float(tf.math.reduce_std(images)), 0.01)
    self.assertContainsSubset(labels.numpy(), data.labels('train'))
    images, labels = next(iter(data.eval_batches('test', 5)))
    self.assertEqual(images.shape, (5, _SIZE, _SIZE, 3))
    self.assertAllEqual(labels, data.labels('test')[:5])

  def test_folders_are_read_from_their_files(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for number in range(20):
      PIL.Image.new('L', (8, 8), 10 * number).save(
          root / f'{number:02}.png')
    name = f'images:{root}'
    made, stored = (
        pipeline.load_tasks([name], 8, labelled=False, made_up=value)[name]
        for value in (True, False))
    self.assertEqual(made.describe(), stored.describe())


if __name__ == '__main__':
  tf.test.main()
