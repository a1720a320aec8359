"""TFDS builder `office_caltech10`: ten objects, four domains (section 4.4)."""

import hashlib
import pathlib

import tensorflow_datasets as tfds

from trainers.data import folders

NAME = 'office_caltech10'
VERSION = '1.0.0'
CLASS_NAMES = (
    'backpack', 'bike', 'calculator', 'headphones', 'keyboard', 'laptop',
    'monitor', 'mouse', 'mug', 'projector')
# Domain -> sizes of the cut below, of 958, 1,123, 157 and 295 images.
SPLITS = {
    'amazon': {'train': 766, 'test': 192},
    'caltech': {'train': 898, 'test': 225},
    'dslr': {'train': 125, 'test': 32},
    'webcam': {'train': 236, 'test': 59},
}
DOMAINS = tuple(SPLITS)
MANUAL_FILES = f'the images as {NAME}/<domain>/<class>/*.jpg'
_SPLIT_SEED = 0
_TEST_EVERY = 5  # one image in five is for the test

_DESCRIPTION = """
Photographs of the ten kinds of object that Office-31 and Caltech-256 share, in
four domains: product pictures (amazon), Caltech-256, and an office through a
reflex camera (dslr) and a webcam. Train and test are a seeded cut with equal
shares of every class.
"""

_CITATION = """
@inproceedings{gong2012geodesic,
  title = {Geodesic Flow Kernel for Unsupervised Domain Adaptation},
  author = {Gong, Boqing and Shi, Yuan and Sha, Fei and Grauman, Kristen},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2012}
}
"""


class OfficeCaltech10(tfds.core.GeneratorBasedBuilder):
  """2,533 photographs of ten kinds of object, a configuration a domain.

  Images are stored as they are in their files.

  Raises:
    ValueError: If the class folders are not the ten expected, or one is empty,
      or a file in them is not an image.

  Source: section 4.4; the cut into train and test is our choice.
  """

  RELEASE_NOTES = {VERSION: 'First version.'}
  VERSION = tfds.core.Version(VERSION)
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name=domain, description=f'The domain {domain}.')
      for domain in DOMAINS
  ]
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'Put {MANUAL_FILES} into the manual directory; the domains are '
      f'{", ".join(DOMAINS)}, the classes {", ".join(CLASS_NAMES)}.')

  def _info(self):
    return tfds.core.DatasetInfo(
        builder=self,
        description=_DESCRIPTION,
        features=tfds.features.FeaturesDict({
            'image': tfds.features.Image(
                shape=(None, None, 3), encoding_format='jpeg'),
            'label': tfds.features.ClassLabel(names=CLASS_NAMES),
        }),
        supervised_keys=('image', 'label'),
        citation=_CITATION)

  def _split_generators(self, dl_manager):
    root = pathlib.Path(dl_manager.manual_dir) / NAME
    images = _list_images(root / self.builder_config.name)
    folders.check_files(images)
    return {
        'train': self._generate_examples(images, is_test=False),
        'test': self._generate_examples(images, is_test=True),
    }

  def _generate_examples(self, images, is_test):
    for position, path in enumerate(images):
      if (position % _TEST_EVERY == 0) == is_test:
        class_name, file = pathlib.Path(path).parts[-2:]
        yield f'{class_name}/{file}', {'image': path, 'label': class_name}


def _list_images(directory):
  """Returns the paths of a domain's images, class by class, shuffled in each.

  A digest of an image's name is its place, so that the cut is the same on every
  machine; every fifth image is an equal share of each class.
  """
  if not directory.is_dir():
    raise ValueError(
        f'{NAME}: expected class folders in {directory}, received no such '
        f'directory: put {MANUAL_FILES} into {directory.parents[1]}.')
  _check_classes(directory)
  task = folders.make_task(NAME, str(directory))
  images = sum((folders.list_files(task, split)[0] for split in task.splits),
               [])
  return sorted(images, key=_place)


def _check_classes(directory):
  received = {path.name for path in directory.iterdir()
              if path.is_dir() and not path.name.startswith('.')}
  missing = sorted(set(CLASS_NAMES) - received)
  superfluous = sorted(received - set(CLASS_NAMES))
  if missing or superfluous:
    raise ValueError(
        f'{NAME}: expected the same ten class folders in every domain, '
        f'received others in {directory} (missing: '
        f'{", ".join(missing) or "none"}; superfluous: '
        f'{", ".join(superfluous) or "none"}): rename, add or remove folders.')


def _place(path):
  name = '/'.join(pathlib.Path(path).parts[-3:])  # <domain>/<class>/<file>
  digest = hashlib.sha256(f'{_SPLIT_SEED}/{name}'.encode()).digest()
  return name.rsplit('/', 1)[0], digest
