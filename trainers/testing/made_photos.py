"""A small TFDS data set of made photographs of varying size, for tests."""

import numpy as np
import tensorflow_datasets as tfds

from trainers.data import image_task

SIZES = {'train': 23, 'test': 7}
CLASSES = ('dark', 'bright', 'mixed')


class MadePhotos(tfds.core.GeneratorBasedBuilder):
  """30 images: example i has label i % 3 and sides 20 + i and 40 - i."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict({
            'image': tfds.features.Image(encoding_format='png'),
            'label': tfds.features.ClassLabel(names=CLASSES),
        }))

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing to download
    return {split: self._generate_examples(split) for split in SIZES}

  def _generate_examples(self, split):
    for i in range(SIZES[split]):
      yield i, {'image': make_image(split, i), 'label': i % 3}


def make_image(split, i):
  """Returns an image of soft colours that no other has, uint8."""
  rng = np.random.default_rng([i, split == 'test'])
  corners = rng.uniform(0, 255, [2, 2, 3])
  y = np.linspace(0, 1, 20 + i)[:, np.newaxis]
  x = np.linspace(0, 1, 40 - i)[:, np.newaxis]
  rows = np.stack([1 - y, y], 1)[..., 0]  # [height, 2]
  columns = np.stack([1 - x, x], 1)[..., 0]
  return np.round(np.einsum(
      'ia,jb,abc->ijc', rows, columns, corners)).astype(np.uint8)


def prepare(data_dir, num_shards=3):
  """Writes the data set into `data_dir`; returns its builder."""
  builder = MadePhotos(data_dir=data_dir)
  builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(num_shards=num_shards))
  return builder


def make_task(**changes):
  """Returns the data set's `ImageTask`, with fields changed."""
  return image_task.ImageTask(**{
      'name': 'photos', 'tfds_name': 'made_photos', 'version': '1.0.0',
      'splits': SIZES, 'num_classes': 3, 'class_names': CLASSES,
      'image_shape': (None, None, 3), 'augmentation': 'crop_flip', **changes})
