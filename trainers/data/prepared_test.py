"""Tests of `prepared`, over small data sets that are prepared here."""

import tempfile

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import prepared
from trainers.data.datasets import missing_data


class _Config(tfds.core.BuilderConfig):

  def __init__(self, name, splits, shape=(8, 8, 1), label='label'):
    super().__init__(name=name)
    self.splits = splits
    self.shape = shape
    self.label = label


class PreparedToy(tfds.core.GeneratorBasedBuilder):
  """A few black images in every form that `prepared` meets."""

  VERSION = tfds.core.Version('1.2.3')
  BUILDER_CONFIGS = [
      _Config('three', ('train', 'validation', 'test')),
      _Config('two', ('train', 'validation'), (None, None, 3)),
      _Config('one', ('train',), (65, 64, 3)),
      _Config('part', ('part',)),
      _Config('unlabelled', ('train',), label='tag'),
      _Config('alpha', ('train',), (8, 8, 4)),
  ]

  def _info(self):
    config = self.builder_config
    return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict({
            'image': tfds.features.Image(shape=config.shape),
            config.label: tfds.features.ClassLabel(names=['no', 'yes']),
        }))

  def _split_generators(self, dl_manager):
    del dl_manager
    return {split: self._generate_examples(2 + number)
            for number, split in enumerate(self.builder_config.splits)}

  def _generate_examples(self, count):
    shape = [side or 9 for side in self.builder_config.shape]
    for key in range(count):
      yield key, {'image': np.zeros(shape, np.uint8), 'label': key % 2}


class PreparedTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = cls.enterClassContext(tempfile.TemporaryDirectory())
    for config in ('three', 'two', 'one', 'part', 'alpha'):
      builder = tfds.builder(f'prepared_toy/{config}', data_dir=cls.data_dir)
      builder.download_and_prepare()

  def _make_task(self, config, data_dir=None):
    return prepared.make_task(
        f'tfds:{config}', f'prepared_toy/{config}', data_dir or self.data_dir)

  def test_takes_everything_from_the_files(self):
    task = self._make_task('three')
    self.assertEqual(task.name, 'tfds:three')
    self.assertEqual(task.tfds_reference, 'prepared_toy/three:1.2.3')
    self.assertEqual(task.splits, {'train': 2, 'validation': 3, 'test': 4})
    self.assertEqual(task.class_names, ('no', 'yes'))
    self.assertEqual(task.num_classes, 2)
    self.assertEqual(task.image_shape, (8, 8, 1))

  @parameterized.parameters(
      ('three', 'validation', 'test', 'shift'),
      ('two', None, 'validation', 'crop_flip'),
      ('one', None, None, 'crop_flip'),
      ('three@test', 'validation', 'test', 'shift'),
      ('three@validation', None, 'validation', 'shift'),
      ('three@train', 'validation', None, 'shift'),
      ('two@train', 'validation', None, 'crop_flip'))
  def test_roles_and_augmentation(self, config, validation, test, augmentation):
    task = self._make_task(config)
    self.assertEqual(task.validation_split, validation)
    self.assertEqual(task.test_split, test)
    self.assertEqual(task.augmentation, augmentation)

  @parameterized.parameters(
      ('nothing', 'Dataset nothing not found.*catalog'),
      ('prepared_toy/four', "received 'prepared_toy/four' .*configuration"),
      ('prepared_toy/two@test', "of train, validation behind .*'test': use"),
      ('../x', 'expected a data set of TFDS'),
      ('', "received ''"))
  def test_refuses_a_name(self, reference, message):
    with self.assertRaisesRegex(ValueError, message):
      prepared.make_task('tfds:x', reference, self.data_dir)

  def test_refuses_what_is_not_prepared(self):
    empty = tempfile.mkdtemp(dir=self.get_temp_dir())
    with self.assertRaisesRegex(
        missing_data.MissingDataError, 'such directory: prepare it') as raised:
      self._make_task('one', empty)
    self.assertEqual(raised.exception.missing, (
        missing_data.Missing(empty, tfds_name='prepared_toy/one'),))

  def test_refuses_other_features(self):
    with self.assertRaisesRegex(
        ValueError, r'received image \(Image\), tag \(ClassLabel\)'):
      self._make_task('unlabelled')

  def test_refuses_other_channels(self):
    with self.assertRaisesRegex(ValueError, r'received \(8, 8, 4\)'):
      self._make_task('alpha')

  def test_refuses_data_without_a_training_split(self):
    with self.assertRaisesRegex(ValueError, 'called train, received part'):
      self._make_task('part')


if __name__ == '__main__':
  tf.test.main()
