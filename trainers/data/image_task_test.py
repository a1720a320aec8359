"""Tests of `image_task`."""

import dataclasses

from absl.testing import parameterized
import tensorflow as tf

from trainers.data import image_task


def _task(**kwargs):
  return image_task.ImageTask(**{
      'name': 'toy', 'tfds_name': 'toy', 'version': '1.0.0',
      'splits': {'train': 20, 'test': 10}, 'num_classes': 2,
      'image_shape': (8, 8, 1), **kwargs})


class ImageTaskTest(parameterized.TestCase, tf.test.TestCase):

  def test_with_transforms_extends_name_and_transforms_only(self):
    task = _task()
    changed = task.with_transforms(['blur']).with_transforms(['boundary'])
    self.assertEqual(changed.name, 'toy+blur+boundary')
    self.assertEqual(changed.transforms, ('blur', 'boundary'))
    self.assertEqual(
        dataclasses.replace(changed, name='toy', transforms=()), task)

  def test_is_frozen_and_hashable(self):
    task = _task()
    with self.assertRaises(dataclasses.FrozenInstanceError):
      task.pad = 3
    self.assertLen({task, _task(), _task(pad=1)}, 2)

  def test_splits_are_a_copy(self):
    splits = {'train': 20, 'test': 10}
    task = _task(splits=splits)
    splits['train'] = 1
    self.assertEqual(task.splits['train'], 20)

  def test_reference_has_version_after_configuration(self):
    self.assertEqual(
        _task(tfds_name='emnist/letters').tfds_reference,
        'emnist/letters:1.0.0')

  @parameterized.parameters(
      ((8, 8, 1), True), ((None, None, 3), False), ((8, None, 3), False))
  def test_has_fixed_size(self, image_shape, expected):
    self.assertEqual(_task(image_shape=image_shape).has_fixed_size, expected)

  @parameterized.named_parameters(
      ('name', {'name': ''}, 'expected a non-empty name'),
      ('version', {'version': ''}, 'expected a non-empty version'),
      ('test_split', {'test_split': 'eval'}, "test_split.*received 'eval'"),
      ('validation_split', {'validation_split': 'dev'}, "received 'dev'"),
      ('no_train', {'splits': {'test': 10}}, "train_split.*received 'train'"),
      ('augmentation', {'augmentation': 'warp'}, "received 'warp'"),
      ('view', {'view': 'half'}, "view to be one of .*, received 'half'"),
      ('transform', {'transforms': ('sharpen',)}, "received 'sharpen'"),
      ('size', {'splits': {'train': 0, 'test': 1}}, 'at least 1 example'),
      ('classes', {'num_classes': 0}, 'num_classes >= 1, received 0'),
      ('no_labels', {'num_classes': None}, 'num_classes, which only a folder'),
      ('few_names', {'class_names': ('a',)}, '2 different class names'),
      ('same_names', {'class_names': ('a', 'a')}, 'received 1 different'),
      ('rank', {'image_shape': (8, 8)}, r'received \(8, 8\)'),
      ('channels', {'image_shape': (8, 8, 4)}, '1 or 3 channels'),
      ('side', {'image_shape': (0, 8, 1)}, r'received \(0, 8, 1\)'),
      ('pad', {'pad': -1}, 'pad >= 0, received -1'))
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      _task(**fields)


if __name__ == '__main__':
  tf.test.main()
