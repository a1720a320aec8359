"""Tests that the view of a task without labels has none."""

import pathlib
import tempfile
from unittest import mock

import numpy as np
import PIL.Image
import tensorflow as tf

from trainers.data import catalog
from trainers.data import made_up
from trainers.data import pipeline
from trainers.data import unlabelled


class UnlabelledImagesTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data = pipeline.load_pool(
        [catalog.get_task('usps')], 8, made_up.MadeUpExamples(23))
    self.view = unlabelled.UnlabelledImages(self.data)

  def test_batches_are_the_images_alone(self):
    spec = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    for ours, theirs in (
        (self.view.train_batches(6, seed=1, start_step=2).take(3),
         self.data.train_batches(6, seed=1, start_step=2).take(3)),
        (self.view.eval_batches('test', 7, every=2),
         self.data.eval_batches('test', 7, every=2))):
      self.assertTrue(ours.element_spec.is_subtype_of(spec))
      for images, (expected, _) in zip(ours, theirs, strict=True):
        self.assertAllEqual(images, expected)

  def test_has_no_labels(self):
    self.assertFalse(hasattr(self.view, 'labels'))
    self.assertFalse(hasattr(self.view, 'describe'))
    self.assertEqual(self.view.num_examples('test'), 23)
    self.assertEqual((self.view.name, self.view.num_classes), ('usps', 10))

  def test_labels_are_not_looked_at(self):
    def first():
      return next(iter(self.view.train_batches(8, seed=0)))
    expected = first()
    with mock.patch.object(self.data, 'labels', None):
      self.assertAllEqual(first(), expected)


class FolderTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    for number in range(20):
      PIL.Image.new('L', (8, 8), 10 * number).save(
          self.root / f'{number:02}.png')
    self.name = f'images:{self.root}'
    self.data = self.load()

  def load(self):
    return pipeline.load_tasks([self.name], 8, labelled=False)[self.name]

  def test_files_are_in_the_order_of_the_images(self):
    self.data.describe()  # opens all splits
    (self.root / '00000.png').write_bytes(b'')  # it comes too late
    seen = []
    for split, size in (('train', 12), ('validation', 1), ('test', 7)):
      images, = unlabelled.UnlabelledImages(self.data).eval_batches(split, 99)
      pixels = np.round((images.numpy()[:, 0, 0, 0] + 1) * 127.5)
      numbers = [int(pathlib.Path(path).stem)
                 for path in self.data.files(split)]
      self.assertAllEqual(pixels, 10 * np.array(numbers))
      self.assertLen(numbers, size)
      seen += numbers
    self.assertCountEqual(seen, range(20))

  def test_there_are_no_labels(self):
    self.assertFalse(self.data.is_labelled)
    for call in (lambda: self.data.labels('train'),
                 lambda: self.data.train_batches(4, 0),
                 lambda: self.data.eval_batches('test', 4),
                 lambda: pipeline.load_tasks([self.name], 8),
                 lambda: pipeline.load_tasks([f'pool:usps|{self.name}'], 8)):
      with self.assertRaisesRegex(ValueError, 'of use to an adaptation alone'):
        call()

  def test_other_files_are_other_data(self):
    before = self.data.describe()
    self.assertEqual(self.load().describe(), before)
    self.assertIsNone(before['class_names'])
    first = pathlib.Path(self.data.files('test')[0])
    first.rename(first.with_stem('zz'))
    self.assertNotEqual(self.load().describe(), before)


if __name__ == '__main__':
  tf.test.main()
