"""Tests of `tfrecords`, on files that TFDS wrote."""

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import tfrecords
from trainers.testing import made_photos


def _open(builder, split='train'):
  return tfrecords.open_records(made_photos.make_task(), split, builder)


def _in_order(builder, split):
  """What TFDS itself reads, image by image."""
  return list(builder.as_dataset(split=split).as_numpy_iterator())


class TfrecordsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.builder = made_photos.prepare(tempfile.mkdtemp())

  def _files(self, split='train'):
    return [pathlib.Path(p) for p in self.builder.info.splits[split].filepaths]

  @parameterized.parameters('train', 'test', 'train+test', 'test+train')
  def test_reads_what_tfds_reads_in_its_order(self, split):
    records = _open(self.builder, split)
    expected = _in_order(self.builder, split)
    self.assertAllEqual(records.labels, [e['label'] for e in expected])
    rows = np.random.default_rng(0).permutation(len(expected))
    encoded = records.read(tf.constant(rows))
    for row, image in zip(rows, encoded):
      self.assertAllEqual(tf.io.decode_png(image), expected[row]['image'])

  def test_reads_within_a_pipeline_and_repeats(self):
    records = _open(self.builder)
    dataset = tf.data.Dataset.from_tensors([5, 5, 0]).map(
        lambda rows: records.read(tf.cast(rows, tf.int64)))
    first, again, other = next(iter(dataset)).numpy()
    self.assertEqual(first, again)
    self.assertNotEqual(first, other)
    self.assertEqual(dataset.element_spec, tf.TensorSpec([None], tf.string))

  def test_many_shards(self):
    self.assertLen(self._files(), 3)

  def test_the_pass_is_made_once(self):
    labels = _open(self.builder).labels
    kept = pathlib.Path(self.builder.data_path, 'index-train.npz')
    self.assertTrue(kept.exists())
    with self._mock_scan() as scan:
      self.assertAllEqual(_open(self.builder).labels, labels)
    self.assertFalse(scan.called)
    self.assertEqual(self._others(), ['index-train.npz'])

  def _others(self):
    """Names of files that are not TFDS's own."""
    return [name for name in os.listdir(self.builder.data_path)
            if '.tfrecord-' not in name and not name.endswith(
                ('.json', '.labels.txt'))]

  def _mock_scan(self):
    return mock.patch.object(
        tfrecords, '_scan', wraps=tfrecords._scan)

  @parameterized.named_parameters(
      ('damaged', b'no archive'), ('empty', b''),
      ('cut', b'PK\3\4' + b'x' * 50))
  def test_a_bad_index_is_made_anew(self, content):
    labels = _open(self.builder).labels
    kept = pathlib.Path(self.builder.data_path, 'index-train.npz')
    kept.write_bytes(content)
    self.assertAllEqual(_open(self.builder).labels, labels)
    with self._mock_scan() as scan:
      _open(self.builder)
    self.assertFalse(scan.called)

  def test_an_index_that_is_a_pipe_is_made_anew(self):
    labels = _open(self.builder).labels
    kept = pathlib.Path(self.builder.data_path, 'index-train.npz')
    kept.unlink()
    os.mkfifo(kept)
    self.assertAllEqual(_open(self.builder).labels, labels)
    self.assertTrue(kept.is_file())

  def test_an_index_of_other_files_is_made_anew(self):
    _open(self.builder)
    file = self._files()[0]
    file.write_bytes(file.read_bytes() + self._files('test')[0].read_bytes())
    self.assertLen(_open(self.builder).labels, 23 + sum(
        1 for _ in tf.data.TFRecordDataset(self._files('test')[0])))

  def test_an_index_that_cannot_be_kept_is_used(self):
    with (mock.patch.object(
        tfrecords.np, 'savez', side_effect=OSError('read-only')),
          self.assertLogs(level='WARNING') as logs):
      self.assertLen(_open(self.builder).labels, 23)
    self.assertIn('read-only', logs.output[0])
    self.assertEqual(self._others(), [])

  @parameterized.named_parameters(
      ('truncated', lambda b: b[:-40]),
      ('flipped', lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:]),
      ('text', lambda b: b'this is no TFRecord file, but text'))
  def test_damaged_files_are_refused(self, damage):
    file = self._files()[1]
    file.write_bytes(damage(file.read_bytes()))
    with self.assertRaisesRegex(
        ValueError, 'photos: expected whole TFRecord files.*prepare'):
      _open(self.builder)

  @parameterized.parameters(0, 1, 2)
  def test_a_file_may_be_empty(self, number):
    records = [len(list(tf.data.TFRecordDataset(str(file))))
               for file in self._files()]
    expected = _in_order(self.builder, 'train')
    del expected[sum(records[:number]):sum(records[:number + 1])]
    self._files()[number].write_bytes(b'')
    opened = _open(self.builder)
    self.assertAllEqual(opened.labels, [e['label'] for e in expected])
    encoded = opened.read(tf.range(len(expected)))
    for image, example in zip(encoded, expected):
      self.assertAllEqual(tf.io.decode_png(image), example['image'])

  def test_other_labels_in_files_of_the_same_sizes_are_noticed(self):
    labels = _open(self.builder).labels
    for file in self._files():
      records = []
      for record in tf.data.TFRecordDataset(str(file)):
        example = tf.train.Example.FromString(record.numpy())
        value = example.features.feature['label'].int64_list.value
        value[0] = (value[0] + 1) % 3
        records.append(example.SerializeToString(deterministic=True))
      size = file.stat().st_size
      with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
          writer.write(record)
      self.assertEqual(file.stat().st_size, size)
    self.assertAllEqual(_open(self.builder).labels, (labels + 1) % 3)

  def test_float_images_are_refused(self):
    kind = type(self.builder.info.features['image'])
    with (mock.patch.object(kind, 'np_dtype', np.float32),
          self.assertRaisesRegex(ValueError, 'expected images of uint8')):
      _open(self.builder)

  def test_missing_file_is_refused(self):
    self._files()[0].unlink()
    with self.assertRaisesRegex(ValueError, 'on this machine, received'):
      _open(self.builder)

  def test_what_is_not_prepared_is_refused(self):
    builder = made_photos.MadePhotos(data_dir=tempfile.mkdtemp())
    with self.assertRaisesRegex(ValueError, 'received no such directory'):
      _open(builder)


if __name__ == '__main__':
  tf.test.main()
