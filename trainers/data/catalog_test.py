"""Tests of `catalog`: names, and the declarations against TFDS's code."""

from absl.testing import parameterized
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog


class CatalogTest(parameterized.TestCase, tf.test.TestCase):

  def test_names_are_those_of_the_tasks(self):
    names = catalog.task_names()
    self.assertEqual([catalog.get_task(name).name for name in names], names)
    self.assertContainsSubset(
        ['optdigits', 'mnist', 'kmnist', 'fashion_mnist', 'svhn_cropped',
         'cifar10', 'cifar100', 'mnist_corrupted/shear', 'emnist/letters'],
        names)

  def test_suffixes_are_transforms_in_order(self):
    task = catalog.get_task('kmnist+boundary+blur')
    self.assertEqual(task.name, 'kmnist+boundary+blur')
    self.assertEqual(task.transforms, ('boundary', 'blur'))
    self.assertEqual(task.tfds_name, 'kmnist')

  def test_groups_expand_with_their_suffixes(self):
    self.assertEqual(
        catalog.expand_names(['kmnist', 'digits+blur']),
        ['kmnist', 'mnist+blur', 'mnist_corrupted/shear+blur',
         'mnist_corrupted/scale+blur', 'mnist_corrupted/shot_noise+blur',
         'svhn_cropped+blur'])

  def test_members_of_groups_exist(self):
    for group in catalog.group_names():
      for name in catalog.expand_names([group]):
        self.assertEqual(catalog.get_task(name).name, name)

  @parameterized.parameters(
      ('mnits', "received 'mnits': did you mean mnist"),
      ('nothing', 'Expected a data set of cifar10.*mnist_corrupted/.*nothing'),
      ('digits', "one task, received the group 'digits' of mnist, "),
      ('mnist+sharpen', r"transform of .*blur.*, received 'sharpen'"),
      ('', "received ''"))
  def test_refuses(self, name, message):
    with self.assertRaisesRegex(ValueError, message):
      catalog.get_task(name)

  @parameterized.parameters(*catalog.task_names())
  def test_declaration_agrees_with_tfds(self, name):
    task = catalog.get_task(name)
    with tfds.testing.mock_data():
      builder = tfds.builder(task.tfds_reference)
    features = builder.info.features
    self.assertEqual(str(builder.version), task.version)
    self.assertEqual(features['image'].shape, task.image_shape)
    if name != 'emnist/letters':  # 37 declared there, labels 1 to 26 occur.
      self.assertEqual(features['label'].num_classes, task.num_classes)
    # Digits need no names; ImageNet's are codes that nobody reads.
    if name != 'imagenet2012' and not features['label'].names[0].isdigit():
      self.assertEqual(tuple(features['label'].names), task.class_names)

  def test_every_configuration_of_tfds_is_declared(self):
    for family in ('emnist', 'mnist_corrupted'):
      configurations = tfds.builder_cls(family).BUILDER_CONFIGS
      self.assertCountEqual(
          [f'{family}/{config.name}' for config in configurations],
          [n for n in catalog.task_names() if n.startswith(f'{family}/')])

  def test_sizes_of_emnist_are_those_of_tfds(self):
    for config in tfds.builder_cls('emnist').BUILDER_CONFIGS:
      self.assertEqual(
          catalog.get_task(f'emnist/{config.name}').splits,
          {'train': config.train_examples, 'test': config.test_examples})

  @parameterized.parameters(
      ('optdigits', 1_437, 360), ('mnist', 60_000, 10_000),
      ('kmnist', 60_000, 10_000), ('fashion_mnist', 60_000, 10_000),
      ('mnist_corrupted/fog', 60_000, 10_000),
      ('svhn_cropped', 73_257, 26_032), ('cifar10', 50_000, 10_000),
      ('cifar100', 50_000, 10_000))
  def test_sizes_are_the_published_ones(self, name, train, test):
    splits = catalog.get_task(name).splits
    self.assertEqual((splits['train'], splits['test']), (train, test))


if __name__ == '__main__':
  tf.test.main()
