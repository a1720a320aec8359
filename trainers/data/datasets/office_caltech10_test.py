"""Tests of `office_caltech10`, on pictures made here."""

import collections
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
from PIL import Image
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import folders
from trainers.data.datasets import office_caltech10


def _names(paths):
  return [pathlib.Path(path).name for path in paths]


class OfficeCaltech10Test(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))
    self.manual_dir = self.data_dir / 'downloads/manual'
    self.folder = self.manual_dir / 'office_caltech10/dslr'

  def _put(self, num_images=6):
    """Writes pictures by hand; every second one is grey."""
    rng = np.random.default_rng(0)
    for name in office_caltech10.CLASS_NAMES:
      (self.folder / name).mkdir(parents=True)
      for i in range(num_images):
        pixels = rng.integers(0, 256, [9, 5 + i, 3], np.uint8)
        image = Image.fromarray(pixels).convert('RGB' if i % 2 else 'L')
        image.save(self.folder / name / f'frame_{i:04}.jpg')

  def _build(self):
    builder = tfds.builder('office_caltech10/dslr', data_dir=self.data_dir)
    builder.download_and_prepare()
    return builder

  def test_every_image_is_there_once_and_as_it_was(self):
    self._put()
    (self.folder / 'bike/.DS_Store').touch()
    (self.folder / '.cache').mkdir()
    builder = self._build()
    received = collections.Counter()
    for split in ('train', 'test'):
      for example in builder.as_dataset(
          split=split, decoders={'image': tfds.decode.SkipDecoding()}):
        received[example['image'].numpy(), example['label'].numpy()] += 1
    self.assertEqual(received, collections.Counter(
        (path.read_bytes(), label)
        for label, name in enumerate(office_caltech10.CLASS_NAMES)
        for path in (self.folder / name).glob('*.jpg')))
    for example in builder.as_dataset(split='test'):  # Grey ones too.
      self.assertEqual(example['image'].shape[::2], (9, 3))

  def test_the_cut_has_equal_shares_of_classes(self):
    self._put(num_images=15)
    test = self._build().as_dataset(split='test')
    labels = [example['label'].numpy() for example in test]
    self.assertAllEqual(np.bincount(labels), [3] * 10)

  def test_the_cut_depends_on_names_alone(self):
    self._put()
    images = office_caltech10._list_images(self.folder)
    list_files = folders.list_files
    with mock.patch.object(
        folders, 'list_files',
        lambda *args, **kwargs: (list_files(*args, **kwargs)[0][::-1], None)):
      self.assertEqual(office_caltech10._list_images(self.folder), images)
    # Written down: the same on every machine.
    self.assertEqual(_names(images[:6]), [
        f'frame_000{i}.jpg' for i in (0, 1, 2, 5, 3, 4)])
    elsewhere = self.folder.parent / 'amazon'
    self.folder.rename(elsewhere)
    self.assertNotEqual(
        _names(office_caltech10._list_images(elsewhere)), _names(images))

  @parameterized.parameters(
      ('amazon', 958), ('caltech', 1_123), ('dslr', 157), ('webcam', 295))
  def test_recorded_sizes_are_the_cut_of_the_published_ones(self, domain, size):
    test = len(range(0, size, 5))
    self.assertEqual(
        office_caltech10.SPLITS[domain], {'train': size - test, 'test': test})

  def test_label_order_is_that_of_the_names(self):
    names = office_caltech10.CLASS_NAMES
    self.assertEqual(names, tuple(sorted(names)))
    for domain in office_caltech10.DOMAINS:
      builder = tfds.builder(
          f'office_caltech10/{domain}', data_dir=self.data_dir)
      self.assertEqual(builder.info.features['label'].names, list(names))

  def test_refuses_other_classes(self):
    self._put()
    (self.folder / 'bike').rename(self.folder / 'bicycle')
    (self.folder / 'mug').rename(self.folder / 'cup')
    with self.assertRaisesRegex(
        ValueError, r'received others in .*/dslr \(missing: bike, mug; '
        r'superfluous: bicycle, cup\): rename'):
      self._build()

  def test_refuses_an_empty_class(self):
    self._put()
    for path in (self.folder / 'mug').iterdir():
      path.unlink()
    with self.assertRaisesRegex(ValueError, 'dslr/mug: .*received an empty'):
      self._build()

  @parameterized.named_parameters(
      ('text', lambda data: b'no picture'),
      ('truncated', lambda data: data[:-20]),
      ('empty', lambda data: b''))
  def test_refuses_a_file_that_is_no_image(self, spoil):
    self._put()
    path = self.folder / 'mug/frame_0003.jpg'
    path.write_bytes(spoil(path.read_bytes()))
    with self.assertRaisesRegex(ValueError, 'mug/frame_0003.jpg'):
      self._build()
    self.assertEmpty(list(self.data_dir.glob('office_caltech10/dslr/*')))

  def test_refuses_a_missing_domain(self):
    self.manual_dir.joinpath('other').mkdir(parents=True)
    with self.assertRaisesRegex(
        ValueError, 'class folders in .*/dslr, received no such directory: put '
        f'the images as .*jpg into {self.manual_dir}'):
      self._build()


if __name__ == '__main__':
  tf.test.main()
