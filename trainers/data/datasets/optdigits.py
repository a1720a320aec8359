"""TFDS builder `optdigits`: scikit-learn's bundled digits, no download."""

import numpy as np
from sklearn import datasets as sklearn_datasets
import tensorflow_datasets as tfds

NAME = 'optdigits'
VERSION = '1.0.0'
_SPLIT_SEED = 0
_TEST_EVERY = 5  # one image in five is for the test: 360 of 1,797

_DESCRIPTION = """
Handwritten digits of 13 people as 8 x 8 grey images: the test part of UCI's
"Optical Recognition of Handwritten Digits", as scikit-learn bundles it. Each
pixel counts the ink in a 4 x 4 block of a 32 x 32 bitmap, 0 to 16; here that is
scaled to 0 to 255. Train and test are a seeded cut with equal shares of every
class; writers are in both.
"""

_CITATION = """
@misc{alpaydin1998optical,
  title = {Optical Recognition of Handwritten Digits},
  author = {Alpaydin, E. and Kaynak, C.},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49}
}
"""


class Optdigits(tfds.core.GeneratorBasedBuilder):
  """1,797 real handwritten digits: 1,437 to train and 360 to test.

  Source: our choice, for a first run without any download.
  """

  RELEASE_NOTES = {VERSION: 'First version.'}
  VERSION = tfds.core.Version(VERSION)

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        description=_DESCRIPTION,
        features=tfds.features.FeaturesDict({
            'image': tfds.features.Image(shape=(8, 8, 1)),
            'label': tfds.features.ClassLabel(num_classes=10),
        }),
        supervised_keys=('image', 'label'),
        homepage='https://archive.ics.uci.edu/dataset/80',
        citation=_CITATION)

  def _split_generators(self, dl_manager):
    del dl_manager  # Nothing to download.
    return {
        'train': self._generate_examples(is_test=False),
        'test': self._generate_examples(is_test=True),
    }

  def _generate_examples(self, is_test):
    source = sklearn_datasets.load_digits()
    images = np.round(source.images * (255 / 16)).astype(np.uint8)
    # Shuffled, then ordered by class: every fifth is an equal share of each.
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(images))
    order = order[np.argsort(source.target[order], kind='stable')]
    for position, index in enumerate(order):
      if (position % _TEST_EVERY == 0) == is_test:
        yield int(index), {
            'image': images[index][..., np.newaxis],
            'label': int(source.target[index]),
        }
