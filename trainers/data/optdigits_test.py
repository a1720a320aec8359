"""Tests of `optdigits`, on the real images."""

import contextlib
import io
import os
import tempfile
from unittest import mock

import numpy as np
from sklearn import datasets as sklearn_datasets
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import optdigits


def _read(data_dir, split):
  dataset = tfds.builder(optdigits.NAME, data_dir=data_dir).as_dataset(
      split=split, batch_size=-1)
  return dataset['image'].numpy(), dataset['label'].numpy()


class OptdigitsTest(tf.test.TestCase):

  def test_splits_are_all_images_once_with_equal_shares_of_classes(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      optdigits.prepare(data_dir)
      optdigits.prepare(data_dir)  # Is there already: nothing to do.
    self.assertEqual((out.getvalue(), err.getvalue()), ('', ''))
    train, train_labels = _read(data_dir, 'train')
    test, test_labels = _read(data_dir, 'test')
    self.assertEqual((len(train), len(test)), (1_437, 360))
    source = sklearn_datasets.load_digits()
    scaled = np.round(source.images * 255 / 16).astype(np.uint8)[..., None]
    self.assertCountEqual(
        [(image.tobytes(), label) for image, label in zip(
            np.concatenate([train, test]),
            np.concatenate([train_labels, test_labels]))],
        [(image.tobytes(), label) for image, label in zip(
            scaled, source.target)])
    shares = np.bincount(test_labels) / np.bincount(source.target)
    self.assertAllClose(shares, np.full(10, 0.2), atol=0.005)

  def test_another_process_may_finish_first(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    generate = optdigits.Optdigits._generate_examples
    waiting = [data_dir]

    def generate_late(builder, is_test):
      if waiting:  # Once, while this one is at work.
        optdigits.prepare(waiting.pop())
      return generate(builder, is_test)

    with mock.patch.object(
        optdigits.Optdigits, '_generate_examples', generate_late):
      optdigits.prepare(data_dir)
    self.assertLen(_read(data_dir, 'test')[1], 360)
    self.assertEqual(
        os.listdir(os.path.join(data_dir, optdigits.NAME)), ['1.0.0'])

  def test_refuses_a_directory_that_cannot_be_written(self):
    handle, file = tempfile.mkstemp(dir=self.get_temp_dir())
    os.close(handle)
    with self.assertRaisesRegex(ValueError, 'expected to write.*--data_dir'):
      optdigits.prepare(os.path.join(file, 'below_a_file'))


if __name__ == '__main__':
  tf.test.main()
