"""Tests of `reading`, over TFDS's mocks and the real optical digits."""

import dataclasses
import tempfile

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog
from trainers.data import image_task
from trainers.data import reading
from trainers.data.datasets import builders


def _mock(images, labels):
  """Serves these examples, whichever data set is asked for."""
  dataset = tf.data.Dataset.from_tensor_slices(
      {'image': images, 'label': labels})
  return tfds.testing.mock_data(
      as_dataset_fn=lambda builder, **kwargs: dataset)


def _task(**kwargs):
  return dataclasses.replace(
      image_task.ImageTask(
          name='toy', tfds_name='mnist', version='3.0.1',
          splits={'train': 4, 'test': 4}, num_classes=3,
          image_shape=(4, 4, 1)), **kwargs)


def _images(n=4, dtype=np.uint8):
  values = np.arange(n * 16).reshape(n, 4, 4, 1) % 256
  return values.astype(dtype)


def _read(task, split='train', image_size=4, data_dir=None):
  builder = builders.open_builder(task, data_dir)
  return reading.read_split(task, split, builder, image_size)


class ReadingTest(parameterized.TestCase, tf.test.TestCase):

  def test_emnist_letters_counts_from_one(self):
    task = catalog.get_task('emnist/letters')
    labels = np.arange(1, 27)
    with _mock(np.zeros([26, 28, 28, 1], np.uint8), labels):
      self.assertAllEqual(_read(task)[1], np.arange(26))
      self.assertEqual(task.class_names[25], 'Z')
    with (_mock(np.zeros([1, 28, 28, 1], np.uint8), [0]),
          self.assertRaisesRegex(ValueError, 'labels from 1 to 26')):
      _read(task)

  @parameterized.parameters(
      *(name for name in catalog.task_names() if name.startswith('emnist/')))
  def test_emnist_comes_upright(self, name):
    upright = np.zeros([1, 28, 28, 1], np.uint8)
    upright[0, 5, 3:24] = 200  # The top bar of a 7.
    upright[0, 5:25, 23] = 200
    stored = upright.transpose([0, 2, 1, 3])
    with _mock(stored, [1]):
      images, _ = _read(catalog.get_task(name), image_size=28)
    self.assertAllEqual(images, upright)

  def test_same_size_is_bit_identical_and_in_order(self):
    images = _images(600)  # More than two chunks.
    with _mock(images, np.arange(600) % 3):
      read, labels = _read(_task())
    self.assertAllEqual(read, images)
    self.assertAllEqual(labels, np.arange(600) % 3)

  def test_pads_before_resizing(self):
    images = np.full([1, 4, 4, 1], 90, np.uint8)
    with _mock(images, [0]):
      read, _ = _read(_task(pad=2), image_size=8)
    expected = np.zeros([1, 8, 8, 1], np.uint8)
    expected[:, 2:6, 2:6] = 90
    self.assertAllEqual(read, expected)

  @parameterized.parameters(2, 3, 7, 32)
  def test_resizing_keeps_a_constant(self, image_size):
    with _mock(np.full([2, 4, 4, 1], 90, np.uint8), [0, 1]):
      read, _ = _read(_task(), image_size=image_size)
    self.assertAllEqual(read, np.full([2, image_size, image_size, 1], 90))

  def test_shrinking_averages(self):
    stripes = np.zeros([1, 4, 4, 1], np.uint8)
    stripes[:, :, ::2] = 200
    with _mock(stripes, [0]):
      read, _ = _read(_task(), image_size=1)
    self.assertAllClose(read, np.full([1, 1, 1, 1], 100))

  def test_transforms_come_after_resizing(self):
    task = _task(transforms=('boundary',))
    images = np.zeros([1, 4, 4, 1], np.uint8)
    images[:, 1:3, 1:3] = 100
    with _mock(images, [0]):
      plain, _ = _read(_task(), image_size=16)
      outlined, _ = _read(task, image_size=16)
    dilated = tf.nn.max_pool2d(plain.astype(np.float32), 3, 1, 'SAME')
    self.assertAllEqual(outlined, dilated - plain)

  def test_float_images_are_scaled(self):
    images = np.zeros([1, 4, 4, 1], np.float32)
    images[0, 0, :2, 0] = 1, 0.4
    with _mock(images, [0]):
      read, _ = _read(_task())
    self.assertAllEqual(read[0, 0, :3, 0], [255, 102, 0])

  def test_without_a_size_images_come_as_stored(self):
    with _mock(_images(), [0, 1, 2, 0]):
      read, _ = _read(_task(transpose=True), image_size=None)
    self.assertAllEqual(read, _images())

  def test_optdigits_prepares_itself_in_recorded_size(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    task = catalog.get_task('optdigits')
    for split in ('train', 'test', 'train+test'):
      images, labels = _read(task, split, 8, data_dir)
      self.assertLen(images, task.num_stored(split))
      self.assertLen(labels, task.num_stored(split))

  def test_counts_what_is_there_and_says_so(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    task = dataclasses.replace(
        catalog.get_task('optdigits'), splits={'train': 2_000, 'test': 360})
    builder = builders.open_builder(task, data_dir)
    with self.assertLogs('absl', 'WARNING') as log:
      self.assertEqual(reading.num_stored(task, 'train', builder), 1_437)
    self.assertIn('1437 examples here; 2000 are published', log.output[0])
    with self.assertNoLogs('absl', 'WARNING'):
      self.assertEqual(reading.num_stored(task, 'test', builder), 360)

  def test_refuses_missing_data(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    with self.assertRaisesRegex(
        ValueError, r'mnist:3.0.1 in .*mnist/3.0.1, received no such directory:'
        ' prepare it, or name the data_dir'):
      _read(catalog.get_task('mnist'), data_dir=data_dir)

  @parameterized.named_parameters(
      ('truncated', lambda b: b[:-9]), ('flipped', lambda b: b[:99] + b'?' * 9
                                        + b[108:]))
  def test_refuses_damaged_files(self, damage):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    task = catalog.get_task('optdigits')
    builder = builders.open_builder(task, data_dir)
    path, = builder.info.splits['test'].filepaths
    path.write_bytes(damage(path.read_bytes()))
    with self.assertRaisesRegex(
        ValueError, "optdigits: expected whole files of split 'test' in .*"
        'prepare optdigits anew'):
      _read(task, 'test', 8, data_dir)

  def test_refuses_a_split_that_was_not_prepared(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    task = dataclasses.replace(
        catalog.get_task('optdigits'),
        splits={'train': 1_437, 'test': 360, 'extra': 10})
    with self.assertRaisesRegex(
        ValueError, r"split 'extra' in .*received \['test', 'train'\]"):
      reading.num_stored(
          task, 'extra', builders.open_builder(task, data_dir))

  @parameterized.named_parameters(
      ('empty', _images(0), np.zeros([0], np.int64),
       "example in split 'train', received an empty one"),
      ('shape', np.zeros([1, 5, 4, 1], np.uint8), [0],
       r'shape \(4, 4, 1\), received \(5, 4, 1\)'),
      ('channels', np.zeros([1, 4, 4, 3], np.uint8), [0],
       r'received \(4, 4, 3\)'),
      ('dtype', _images(1, np.uint16), [0], 'received uint16'),
      ('nan', np.full([1, 4, 4, 1], np.nan, np.float32), [0],
       'finite images, received NaN'),
      ('range', np.full([1, 4, 4, 1], 255., np.float32), [0],
       'from 0 to 1, received values from 255 to 255'),
      ('high_label', _images(2), [0, 3],
       "labels from 0 to 2 in split 'train', received 0 to 3"),
      ('no_label', _images(2), [0, -1], 'received -1, the sign of a missing'))
  def test_refuses(self, images, labels, message):
    with _mock(images, labels), self.assertRaisesRegex(ValueError, message):
      _read(_task())


  @parameterized.parameters(
      ('tfds:x', 'test', 'for the test, tfds:x@train or tfds:x@validation.$'),
      ('tfds:x@validation+blur', 'validation', 'tfds:x@test or tfds:x@train.$'),
      ('tfds:x', 'train', 'use a split that has labels.$'),
      ('mnist', 'test', 'use a split that has labels.$'))
  def test_what_to_do_without_labels(self, name, split, message):
    task = dataclasses.replace(
        _task(), name=name, splits={'train': 2, 'validation': 2, 'test': 2},
        test_split=split if split != 'train' else 'test')
    with self.assertRaisesRegex(ValueError, message):
      reading.check_labels(task, split, np.array([0, -1]))


if __name__ == '__main__':
  tf.test.main()
