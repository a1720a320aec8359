"""Tests of `optdigits`, on the real images."""

import tempfile

import numpy as np
from sklearn import datasets as sklearn_datasets
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data.datasets import optdigits


def _read(data_dir, split):
  dataset = tfds.builder(optdigits.NAME, data_dir=data_dir).as_dataset(
      split=split, batch_size=-1)
  return dataset['image'].numpy(), dataset['label'].numpy()


class OptdigitsTest(tf.test.TestCase):

  def test_splits_are_all_images_once_with_equal_shares_of_classes(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    tfds.builder(optdigits.NAME, data_dir=data_dir).download_and_prepare()
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


if __name__ == '__main__':
  tf.test.main()
