"""Tests of `catalog`: names, and the declarations against TFDS's code."""

import pathlib
import tempfile

from absl.testing import parameterized
import PIL.Image
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog
from trainers.data.datasets import builders

# As published: TFDS's catalogue has all but those that our builders count.
_SIZES = {
    'optdigits': {'train': 1_437, 'test': 360},
    'mnist': {'train': 60_000, 'test': 10_000},
    'mnist_corrupted/fog': {'train': 60_000, 'test': 10_000},
    'kmnist': {'train': 60_000, 'test': 10_000},
    'fashion_mnist': {'train': 60_000, 'test': 10_000},
    'svhn_cropped': {'train': 73_257, 'test': 26_032, 'extra': 531_131},
    'usps': {'train': 7_291, 'test': 2_007},
    'usps_unpadded': {'train': 7_291, 'test': 2_007},
    'cifar10': {'train': 50_000, 'test': 10_000},
    'cifar100': {'train': 50_000, 'test': 10_000},
    'imagenet2012': {
        'train': 1_281_167, 'validation': 50_000, 'test': 100_000},
    'places365_small': {
        'train': 1_803_460, 'validation': 36_500, 'test': 328_500},
    'sun397': {'train': 76_128, 'validation': 10_875, 'test': 21_750},
    'food101': {'train': 75_750, 'validation': 25_250},
    'stanford_dogs': {'train': 12_000, 'test': 8_580},
    'cars196': {'train': 8_144, 'test': 8_041},
    'aircraft': {'train': 3_334, 'validation': 3_333, 'test': 3_333},
    'domainnet/clipart': {'train': 33_525, 'test': 14_604},
    'domainnet/infograph': {'train': 36_023, 'test': 15_582},
    'domainnet/painting': {'train': 50_416, 'test': 21_850},
    'domainnet/quickdraw': {'train': 120_750, 'test': 51_750},
    'domainnet/real': {'train': 120_906, 'test': 52_041},
    'domainnet/sketch': {'train': 48_212, 'test': 20_916},
}


def _make_folder(root, name):
  """Makes a folder of images."""
  for file in (*(f'a/{i}.png' for i in range(5)), 'b/1.png'):
    path = pathlib.Path(root, name, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new('RGB', (70, 90)).save(path)
  return str(pathlib.Path(root, name))


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
      names = catalog.expand_names([group])
      target = catalog.group_target(group)
      for name in names + ([target] if target else []):
        self.assertEqual(catalog.get_task(name).name, name)
      self.assertNotIn(target, names)

  def test_labels(self):
    for name, expected in (
        ('mnist', True), ('folder:a', True), ('pool:mnist|usps', True),
        ('images:a', False), ('images:a+blur', False),
        ('pool:mnist|images:a', False)):
      self.assertEqual(catalog.is_labelled(name), expected, name)

  def test_images_without_labels_may_be_transformed(self):
    path = _make_folder(self.get_temp_dir(), 'x+y') + '/a'
    for number in range(20):
      PIL.Image.new('RGB', (70, 90)).save(f'{path}/{number}.png')
    task = catalog.get_task(f'images:{path}+blur')
    self.assertEqual((task.folder, task.transforms), (path, ('blur',)))
    self.assertFalse(task.is_labelled)

  @parameterized.parameters(
      ('digits', 5, 'usps', 10),
      ('office_caltech10', 3, 'office_caltech10/webcam', 10),
      ('domainnet100', 5, 'domainnet/sketch', 100),
      ('natural5', 5, None, None), ('figure2b', 9, None, None))
  def test_groups_are_those_of_the_paper(
      self, group, num_sources, target, num_classes):
    sources = catalog.expand_names([group])
    self.assertLen(set(sources), num_sources)
    self.assertEqual(catalog.group_target(group), target)
    if target:  # Domains share their classes, and so a head.
      self.assertEqual(
          {catalog.get_task(name).num_classes for name in (*sources, target)},
          {num_classes})

  def test_targets_take_the_suffixes_of_their_group(self):
    self.assertEqual(catalog.group_target('digits+blur'), 'usps+blur')
    with self.assertRaisesRegex(ValueError, "group of digits.*'mnist'"):
      catalog.group_target('mnist')

  def test_pools(self):
    self.assertIsNone(catalog.pool_members('mnist'))
    self.assertIsNone(catalog.pool_members('folder:pool:x'))
    self.assertEqual(
        catalog.pool_members('pool:kmnist+blur|usps'), ('kmnist+blur', 'usps'))
    self.assertEqual(
        catalog.pool_members('pool:digits|usps'),
        (*catalog.expand_names(['digits']), 'usps'))
    with self.assertRaisesRegex(ValueError, "one task, received the pool"):
      catalog.get_task('pool:mnist|usps')

  @parameterized.parameters(
      'pool:', 'pool:mnist|', 'pool:mnist|mnist', 'pool:digits|mnist')
  def test_refuses_a_pool(self, name):
    with self.assertRaisesRegex(ValueError, 'different tasks or groups'):
      catalog.pool_members(name)

  @parameterized.parameters(
      ('plain', (), 'plain'), ('plain', ('blur',), 'plain'),
      ('a+b', ('boundary', 'blur'), 'a+b'), ('blur+c', (), 'blur+c'),
      ('a+c', ('blur', 'blur'), 'a+c'))
  def test_folders_may_have_a_plus_in_their_names(self, name, suffixes, folder):
    path = _make_folder(tempfile.mkdtemp(dir=self.get_temp_dir()), name)
    typed = '+'.join((f'folder:{path}', *suffixes))
    task = catalog.get_task(typed)
    self.assertEqual(task.name, typed)
    self.assertEqual(pathlib.Path(task.folder).name, folder)
    self.assertEqual(task.transforms, suffixes)
    self.assertEqual(catalog.expand_names([typed]), [typed])

  def test_other_data_sets_of_tfds(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    builders.prepare(catalog.get_task('optdigits'), data_dir, quiet=True)
    task = catalog.get_task('tfds:optdigits+blur', data_dir)
    self.assertEqual(task.name, 'tfds:optdigits+blur')
    self.assertEqual(task.splits, catalog.get_task('optdigits').splits)
    self.assertEqual(task.transforms, ('blur',))
    with self.assertRaisesRegex(ValueError, 'prepared data set in .*3.1.0'):
      catalog.get_task('tfds:emnist:letters', data_dir)

  @parameterized.parameters(
      ('mnits', "received 'mnits': did you mean mnist"),
      ('officecaltech10', r'did you mean .*office_caltech10(\?| or)'),
      ('nothing', 'Expected a data set of aircraft.*mnist_corrupted/.*'
       'folder:PATH .*tfds:NAME .*nothing'),
      ('digits', "one task, received the group 'digits' of mnist, "),
      ('mnist+sharpen', r"transform of .*blur.*, received 'sharpen'"),
      ('folder:nowhere+sharpen', 'nowhere.sharpen: .*No such file'),
      ('tfds:nothing', "tfds:nothing: .*received 'nothing'"),
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
    declared = {'emnist/letters': 37}.get(name, task.num_classes)
    if task.class_list:  # A part of DomainNet's classes is used.
      declared = 345
    self.assertEqual(features['label'].num_classes, declared)
    # Digits need no names.
    if task.class_names and not features['label'].names[0].isdigit():
      self.assertEqual(tuple(features['label'].names), task.class_names)

  @parameterized.parameters(*catalog.task_names())
  def test_declaration_says_where_images_come_from(self, name):
    task = catalog.get_task(name)
    self.assertNotEmpty(task.licence)
    self.assertNotEmpty(task.origin)
    needs_files = name == 'imagenet2012' or name.startswith('office_caltech10')
    self.assertEqual(bool(task.manual_files), needs_files)

  def test_every_configuration_of_tfds_is_declared(self):
    for family in ('emnist', 'mnist_corrupted', 'domainnet',
                   'office_caltech10'):
      configurations = tfds.builder_cls(family).BUILDER_CONFIGS
      self.assertCountEqual(
          [f'{family}/{config.name}' for config in configurations],
          [n for n in catalog.task_names() if n.startswith(f'{family}/')])

  def test_sizes_of_emnist_are_those_of_tfds(self):
    for config in tfds.builder_cls('emnist').BUILDER_CONFIGS:
      self.assertEqual(
          catalog.get_task(f'emnist/{config.name}').splits,
          {'train': config.train_examples, 'test': config.test_examples})

  @parameterized.parameters(*_SIZES.items())
  def test_sizes_are_the_published_ones(self, name, splits):
    self.assertEqual(catalog.get_task(name).splits, splits)

  def test_sizes_of_office_caltech10(self):
    self.assertEqual(
        [sum(catalog.get_task(f'office_caltech10/{domain}').splits.values())
         for domain in ('amazon', 'caltech', 'dslr', 'webcam')],
        [958, 1_123, 157, 295])

  def test_every_size_is_checked(self):
    families = ('emnist', 'mnist_corrupted', 'office_caltech10')
    self.assertContainsSubset(
        [name for name in catalog.task_names()
         if name.split('/')[0] not in families], _SIZES)

  @parameterized.parameters(
      ('imagenet2012', 'train', None, 'validation'),
      ('places365_small', 'train', None, 'validation'),
      ('food101', 'train', None, 'validation'),
      ('sun397', 'train', 'validation', 'test'),
      ('aircraft', 'train+validation', None, None))
  def test_roles_of_splits(self, name, train, validation, test):
    task = catalog.get_task(name)
    self.assertEqual(
        (task.train_split, task.validation_split, task.test_split),
        (train, validation, test))

  def test_photographs_are_cropped_and_small_images_shifted(self):
    for name in catalog.task_names():
      task = catalog.get_task(name)
      small = max(side or 1_000 for side in task.image_shape[:2]) <= 64
      self.assertEqual(task.augmentation == 'crop_flip', not small, name)
      self.assertEqual(  # "reshaped to 128 x 128"
          task.view == 'whole', name.startswith('domainnet/'), name)


if __name__ == '__main__':
  tf.test.main()
