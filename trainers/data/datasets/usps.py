"""TFDS builder `usps`: the target of the digit tasks (section 4.4)."""

import bz2
import hashlib
import pathlib

from absl import logging
import numpy as np
from sklearn import datasets as sklearn_datasets
import tensorflow_datasets as tfds

NAME = 'usps'
VERSION = '1.0.0'
SPLITS = {'train': 7_291, 'test': 2_007}
_URL = 'https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/'
_FILES = {'train': 'usps.bz2', 'test': 'usps.t.bz2'}
# As published. TFDS's own checksums are SHA-256, which is not.
_MD5 = {
    'usps.bz2': 'ec16c51db3855ca6c91edd34d0e9b197',
    'usps.t.bz2': '8ea070ee2aca1ac39742fdd1ef5ed118',
}

_DESCRIPTION = """
Handwritten digits from envelopes of the United States Postal Service, as 16 x
16 grey images, white on black. LIBSVM distributes them as text, with pixels
from -1 to 1; here these are scaled to 0 to 255.
"""

_CITATION = """
@article{hull1994database,
  title = {A database for handwritten text recognition research},
  author = {Hull, J. J.},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {16},
  number = {5},
  pages = {550--554},
  year = {1994}
}
"""


class Usps(tfds.core.GeneratorBasedBuilder):
  """9,298 handwritten digits: 7,291 to train and 2,007 to test.

  The files are taken from the manual directory if they are there, else they
  are downloaded.

  Raises:
    ValueError: If a file is not what its publishers describe.

  Source: section 4.4.
  """

  RELEASE_NOTES = {VERSION: 'First version.'}
  VERSION = tfds.core.Version(VERSION)
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'Nothing is needed where {_URL} can be reached. Elsewhere, put its '
      f'{" and ".join(_MD5)} into the folder {NAME} of the manual directory.')

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        description=_DESCRIPTION,
        features=tfds.features.FeaturesDict({
            'image': tfds.features.Image(shape=(16, 16, 1)),
            'label': tfds.features.ClassLabel(num_classes=10),
        }),
        supervised_keys=('image', 'label'),
        homepage=f'{_URL.removesuffix("/")}.html#usps',
        citation=_CITATION)

  def _split_generators(self, dl_manager):
    return {
        split: self._generate_examples(split, _find_file(dl_manager, name))
        for split, name in _FILES.items()
    }

  def _generate_examples(self, split, path):
    for index, (image, label) in enumerate(_read_file(path, SPLITS[split])):
      yield index, {'image': image, 'label': label}


def _find_file(dl_manager, name):
  """Returns the path of a file put there by hand, or else downloads it."""
  try:
    path = pathlib.Path(dl_manager.manual_dir) / NAME / name
  except AssertionError:  # TFDS's sign that there is no manual directory.
    path = None
  if path and path.exists():
    _check(path.is_file(), path, 'an ordinary file', 'another kind')
    received = _md5(path)
    if received != _MD5[name]:
      logging.warning(
          '%s: %s has md5 %s; %s is published. Figures may differ.', NAME,
          path, received, _MD5[name])
    return path
  path = pathlib.Path(dl_manager.download(_URL + name))
  received = _md5(path)
  if received != _MD5[name]:
    # Else TFDS would take it for good the next time.
    path.unlink()
    path.with_suffix(f'{path.suffix}.INFO').unlink()
    raise ValueError(
        f'{NAME}: expected a file of md5 {_MD5[name]} at {_URL + name}, '
        f'received {received}: try again, or put a good copy into the folder '
        f'{NAME} of the manual directory.')
  return path


def _md5(path):
  return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _read_file(path, size):
  """Returns `size` pairs of an image, uint8 `[16, 16, 1]`, and its digit."""
  try:
    with bz2.open(path) as file:
      values, labels = sklearn_datasets.load_svmlight_file(
          file, n_features=256, zero_based=False)
  except (OSError, EOFError, ValueError) as error:
    raise ValueError(
        f'{path}: expected a bz2 file in LIBSVM\'s format with 256 features, '
        f'received {error}: get it anew from {_URL}.') from error
  values = values.toarray()
  _check(len(labels) == size, path, f'{size:,} images', f'{len(labels):,}')
  others = np.setdiff1d(labels, range(1, 11)).tolist()
  _check(not others, path, 'labels from 1 to 10', f'{others} among them')
  # Written so that NaN fails.
  _check(
      (abs(values) <= 1).all(), path, 'pixels from -1 to 1',
      f'{values.min():g} to {values.max():g}')
  images = np.round((values + 1) * (255 / 2)).astype(np.uint8)
  return zip(images.reshape(-1, 16, 16, 1), labels.astype(int) - 1)


def _check(is_met, path, expected, received):
  if not is_met:
    raise ValueError(
        f'{path}: expected {expected}, received {received}: get the file anew '
        f'from {_URL}.')
