"""Tests of `task_images`: the cut into train, validation and test."""

import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import examples
from trainers.data import task_images
from trainers.data.datasets import class_lists
from trainers.testing import made_photos

_SIZE = 8


class TaskImagesTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tempfile.mkdtemp()
    cls.builder = made_photos.prepare(cls.data_dir)

  def _images(self, fraction=0.1, **changes):
    return task_images.TaskImages(
        made_photos.make_task(**changes), _SIZE,
        examples.StoredExamples(self.data_dir), fraction, 0)

  def _all(self, images, split):
    """All images of a split, as bytes, which tell them apart."""
    count = len(images.labels(split))
    return [image.tobytes()
            for image in images.images(split, tf.range(count)).numpy()]

  def test_a_test_split_can_be_cut_from_the_training_split(self):
    images = self._images(test_split=None, train_split='train+test')
    sizes = [len(images.labels(split)) for split in task_images.SPLITS]
    self.assertEqual(sizes, [22, 2, 6])  # of 30: a fifth, a tenth of the rest
    parts = [self._all(images, split) for split in task_images.SPLITS]
    self.assertLen(set(sum(parts, [])), 30)

  def test_the_cut_is_no_choice_of_the_seed_or_the_transforms(self):
    one = self._images(test_split=None)
    other = self._images(test_split=None, transforms=('blur',), name='other')
    for split in task_images.SPLITS:
      self.assertAllEqual(one.labels(split), other.labels(split))

  def test_the_test_split_does_not_depend_on_validation(self):
    one, other = (self._images(test_split=None, fraction=f) for f in (0.1, 0.5))
    self.assertEqual(self._all(one, 'test'), self._all(other, 'test'))

  def test_a_class_list_keeps_and_renumbers(self):
    with mock.patch.object(class_lists, 'read', lambda *_: (2, 0)):
      images = self._images(
          class_list='two', num_classes=2, class_names=None, fraction=0.5)
      stored = np.array([e['label'] for e in self.builder.as_dataset(
          split='test').as_numpy_iterator()])
      kept = stored[stored != 1]
      self.assertAllEqual(images.labels('test'), np.where(kept == 2, 0, 1))
      everything = self._images()
      self.assertEqual(
          self._all(images, 'test'),
          [image for image, label in zip(
              self._all(everything, 'test'), stored) if label != 1])
      counts = [len(images.labels(s)) for s in ('train', 'validation')]
    self.assertEqual(counts, [7, 8])  # of the 15 of class 0 or 2

  def test_unlabelled_examples_are_refused(self):
    with (mock.patch.object(
        examples.tfrecords.Records, 'labels',
        property(lambda self: np.full([23], -1))),
          self.assertRaisesRegex(ValueError, 'the sign of a missing label')):
      self._images().labels('train')


if __name__ == '__main__':
  tf.test.main()
