"""Tests that the view of a task without labels has none."""

from unittest import mock

import tensorflow as tf

from trainers.data import catalog
from trainers.data import mocking
from trainers.data import pipeline
from trainers.data import unlabelled


class UnlabelledImagesTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data = pipeline.TaskData(catalog.get_task('usps'), 8)
    self.enterContext(mocking.mock_data(23))
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


if __name__ == '__main__':
  tf.test.main()
