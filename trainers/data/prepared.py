"""Any prepared TFDS data set of images with labels, without a declaration."""

import tensorflow_datasets as tfds

from trainers.data import image_task
from trainers.data.datasets import missing_data


def make_task(name, reference, data_dir=None):
  """Returns the task of a TFDS data set, as its files describe it.

  Args:
    name: Name of the task.
    reference: TFDS's name, `beans`, with its configuration if it has several:
      `cmaterdb/devanagari`; with `@SPLIT` behind it, that split is the test.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Returns:
    `ImageTask`. The test split is the one that is named, else 'test', else
    'validation'; where that is 'train' or there is none, it is a seeded fifth
    of 'train'. Images of one size of at most 64 x 64 pixels are shifted,
    others are cropped at random and mirrored.

  Raises:
    ValueError: If there is no such data set, it is not prepared, or it has no
      training split or no image and label.
  """
  reference, _, chosen = reference.partition('@')
  try:
    builder = tfds.builder(reference, data_dir=data_dir)
  except ValueError as error:
    raise ValueError(
        f'{name}: expected a data set of TFDS, received {reference!r} '
        f'({str(error).splitlines()[0]}): take a name, and a configuration, '
        f'from https://www.tensorflow.org/datasets/catalog.') from error
  image, label = _find_features(name, builder)
  splits = _find_splits(name, reference, builder)
  if chosen and chosen not in splits:
    raise ValueError(f'{name}: expected a split of {", ".join(splits)} behind '
                     f'the @, received {chosen!r}: use one of these.')
  test = chosen or next(
      (split for split in ('test', 'validation') if split in splits), 'train')
  small = None not in image.shape and max(image.shape[:2]) <= image_task.SMALL
  config = builder.builder_config
  return image_task.ImageTask(
      name=name,
      tfds_name=f'{builder.name}/{config.name}' if config else builder.name,
      version=str(builder.version),
      splits=splits,
      num_classes=label.num_classes,
      class_names=label.names,
      image_shape=image.shape,
      validation_split=('validation' if 'validation' in splits
                        and test != 'validation' else None),
      test_split=test if test != 'train' else None,
      augmentation='shift' if small else 'crop_flip',
      origin=builder.info.homepage)


def _find_features(name, builder):
  """Returns the features called image and label."""
  features = dict(builder.info.features)
  image, label = features.get('image'), features.get('label')
  if (isinstance(image, tfds.features.Image)
      and isinstance(label, tfds.features.ClassLabel)):
    return image, label
  received = ', '.join(f'{key} ({type(feature).__name__})'
                       for key, feature in features.items())
  raise ValueError(
      f'{name}: expected the features image (Image) and label (ClassLabel), '
      f'received {received}: take a data set that has them, or write a TFDS '
      f'builder that renames its features.')


def _find_splits(name, reference, builder):
  """Returns {split: examples} of the splits that are not empty."""
  splits = {split: info.num_examples
            for split, info in builder.info.splits.items()
            if info.num_examples}
  if not splits:
    raise missing_data.MissingDataError(
        f'{name}: expected a prepared data set in {builder.data_path}, '
        'received no such directory: prepare it, or name the data_dir that '
        'has it. Nothing is downloaded unasked.',
        [missing_data.Missing(
            str(builder.data_dir_root), tfds_name=reference)])
  if 'train' not in splits:
    raise ValueError(
        f'{name}: expected a split called train, received '
        f'{", ".join(splits)}: take a data set that has one.')
  return splits
