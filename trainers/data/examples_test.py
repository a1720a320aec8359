"""Tests of `examples`: where the images of a task are kept, and what comes."""

import dataclasses
import os
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
from PIL import Image
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import augmentation
from trainers.data import catalog
from trainers.data import examples
from trainers.data import folders
from trainers.data import views
from trainers.testing import made_photos

_SIZE = 16


def _draws(count):
  return augmentation.draw(tf.constant([0, 1], tf.int64), count)


def _photo_folder():
  """A folder of the training photographs, one folder for each class."""
  root = tempfile.mkdtemp()
  for i in range(made_photos.SIZES['train']):
    folder = os.path.join(root, made_photos.CLASSES[i % 3])
    os.makedirs(folder, exist_ok=True)
    Image.fromarray(made_photos.make_image('train', i)).save(
        os.path.join(folder, f'{i:02d}.png'))
  return root


class PhotosTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tempfile.mkdtemp()
    cls.builder = made_photos.prepare(cls.data_dir)

  def _open(self, limit=2 ** 30, **changes):
    return examples.open_examples(
        made_photos.make_task(**changes), 'train', _SIZE, self.data_dir, limit)

  @parameterized.parameters('crop_flip', 'shift_flip', 'shift', 'none')
  def test_images_of_varying_size_are_decoded_at_use(self, kind):
    opened = self._open(augmentation=kind)
    self.assertIsInstance(opened, examples.EncodedExamples)
    task = made_photos.make_task(augmentation=kind)
    stored = [e['image'] for e in self.builder.as_dataset(split='train')]
    rows = [7, 0, 22]
    encoded = tf.stack([tf.io.encode_png(stored[row]) for row in rows])
    plain = views.decode(task, encoded, _SIZE)
    self.assertAllEqual(opened.images(tf.constant(rows)), plain)
    seen = opened.images(tf.constant(rows), _draws(3))
    if kind == 'none':
      self.assertAllEqual(seen, plain)
    elif kind == 'crop_flip':
      self.assertAllEqual(seen, views.decode(task, encoded, _SIZE, _draws(3)))
    else:
      self.assertAllEqual(seen, augmentation.shift(
          plain, _draws(3), flip=kind == 'shift_flip'))

  def test_labels_out_of_range_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'labels from 0 to 1.*0 to 2'):
      self._open(num_classes=2, class_names=None)

  def test_other_sizes_than_published_are_told(self):
    with self.assertLogs('absl', 'WARNING') as log:
      self._open(splits={'train': 9, 'test': 7})
    self.assertIn('23 examples here; 9 are published', log.output[0])

  def test_a_folder_is_read_from_its_files(self):
    root = _photo_folder()
    task = dataclasses.replace(
        catalog.get_task(f'folder:{root}'), view='whole')
    seen = []
    for split in ('train', 'test'):
      opened = examples.open_examples(task, split, _SIZE, None, 2 ** 30)
      self.assertIsInstance(opened, examples.EncodedExamples)
      paths, labels = folders.list_files(task, split)
      self.assertAllEqual(opened.labels, labels)
      numbers = [int(path[-6:-4]) for path in paths]
      self.assertEqual([task.class_names[label] for label in labels],
                       [made_photos.CLASSES[i % 3] for i in numbers])
      encoded = tf.stack([tf.io.encode_png(made_photos.make_image('train', i))
                          for i in numbers])
      self.assertAllEqual(opened.images(tf.range(len(numbers))),
                          views.decode(task, encoded, _SIZE))
      seen += numbers
    self.assertCountEqual(seen, range(23))

  def test_a_folder_of_small_images_is_kept_in_memory(self):
    root = tempfile.mkdtemp()
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, [20, 9, 7, 3], np.uint8)
    for i, image in enumerate(stored):
      folder = os.path.join(root, 'ab'[i % 2])
      os.makedirs(folder, exist_ok=True)
      Image.fromarray(image).save(os.path.join(folder, f'{i:02d}.png'))
    task = catalog.get_task(f'folder:{root}')
    numbers = [int(path[-6:-4])
               for path in folders.list_files(task, 'train')[0]]
    size = len(numbers) * _SIZE ** 2 * 3
    for limit, kind in ((size, examples.DecodedExamples),
                        (size - 1, examples.EncodedExamples)):
      opened = examples.open_examples(task, 'train', _SIZE, None, limit)
      self.assertIsInstance(opened, kind)
      self.assertAllEqual(opened.images(tf.range(len(numbers))),
                          views.fit(task, stored[numbers], _SIZE))


  def test_large_images_of_one_size_are_decoded_at_use_too(self):
    with mock.patch.object(
        examples.tfrecords, 'open_records') as open_records:
      open_records.return_value.labels = np.zeros([23], np.int64)
      opened = self._open(image_shape=(65, 20, 3), augmentation='none')
    self.assertIsInstance(opened, examples.EncodedExamples)


class SizesTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tempfile.mkdtemp()
    # Files of 90 examples: TFDS would read a few of each in turn.
    tfds.builder('optdigits', data_dir=cls.data_dir).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=4))

  def _open(self, limit, image_size=_SIZE):
    return examples.open_examples(
        catalog.get_task('optdigits'), 'test', image_size, self.data_dir, limit)

  @parameterized.parameters(8, 16)
  def test_where_images_are_kept_changes_no_pixel(self, image_size):
    """In memory as seen, in memory as stored, on disk."""
    kinds, images = [], []
    for limit in (360 * image_size ** 2, 360 * 64, 360 * 64 - 1):
      opened = self._open(limit, image_size)
      kinds.append(type(opened).__name__)
      images.append(opened.images(tf.range(360), _draws(360)))
      self.assertEqual(opened.labels.dtype, np.int32)
    self.assertEqual(
        kinds, ['DecodedExamples', 'DecodedExamples', 'EncodedExamples'])
    self.assertAllEqual(images[0], images[1])
    self.assertAllEqual(images[0], images[2])
    self.assertEqual(images[0].shape, (360, image_size, image_size, 1))


if __name__ == '__main__':
  tf.test.main()
