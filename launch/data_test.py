"""Tests of `launch.data`, on small made data."""

import contextlib
import io
import json
import os
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch import data
from launch.reports import signature_plots
from launch.testing import in_process
from trainers.data import catalog
from trainers.data import pipeline
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists
from trainers.testing import made_photos
from trainers.testing import mocking

_COLOURS = {'blue': (0, 0, 255), 'red': (255, 0, 0)}


def write_folder(path, counts):
  """Writes one-coloured images, {class: how many}."""
  for name, count in counts.items():
    (path / name).mkdir(parents=True)
    for i in range(count):
      image = np.full([70, 80, 3], _COLOURS[name], np.uint8)
      (path / name / f'{i}.png').write_bytes(
          tf.io.encode_png(image).numpy())


def find_row(output, first):
  """Returns the cells of the line that begins with a cell."""
  line, = (line.split() for line in output.splitlines()
           if line.split()[:1] == [first] and len(line.split()) > 1)
  return line


class DataTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.data_dir = directory.name
    builders.open_builder(catalog.get_task('optdigits'), cls.data_dir)
    made_photos.prepare(cls.data_dir)

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    self.enterContext(contextlib.chdir(self.directory))
    self.images = self.directory / 'images'

  def run_command(self, **values):
    """Returns what the command prints."""
    values = {'data_dir': self.data_dir, **values}
    return in_process.run(
        data, *(f'--{name}={value}' for name, value in values.items()))

  def find_pictures(self):
    return sorted(path.relative_to(self.directory).as_posix()
                  for path in self.directory.rglob('*.png')
                  if self.images not in path.parents)

  # The list

  def test_lists_everything(self):
    output = self.run_command()
    for name in catalog.task_names():
      self.assertIn(f'\n{name} ', output)
    for name in catalog.group_names():
      self.assertIn(f'\ngroup {name}: ', output)
    self.assertIn('target usps', output)
    self.assertEqual(
        find_row(output, 'mnist'),
        ['mnist', '10', '28x28x1', '60,000', '10,000', 'no', 'CC', 'BY-SA',
         '3.0'])
    self.assertEqual(
        find_row(output, 'optdigits')[:6],
        ['optdigits', '10', '8x8x1', '1,437', '360', 'yes'])
    self.assertEqual(
        find_row(output, 'domainnet/real')[1:6],
        ['100', 'varies', '120,906*', '52,041*', 'no'])
    self.assertEqual(
        find_row(output, 'imagenet2012')[5:9], ['no,', 'files', 'by', 'hand'])
    self.assertEqual(
        find_row(output, 'aircraft')[3:8], ['6,667', 'a', 'fifth', 'of', 'it'])

  def test_list_prepares_nothing_and_cannot_fail(self):
    with (tempfile.TemporaryDirectory() as empty,
          mock.patch.object(builders.tfds, 'builder', side_effect=ValueError)):
      output = self.run_command(data_dir=empty)
      self.assertEmpty(os.listdir(empty))
    self.assertEqual(find_row(output, 'optdigits')[5], 'no')

  # Tasks

  def test_shows_tasks(self):
    write_folder(self.images, {'blue': 20, 'red': 10})
    with mock.patch.object(
        signature_plots, 'save_images',
        wraps=signature_plots.save_images) as save:
      output = self.run_command(
          tasks=f'optdigits,folder:{self.images},optdigits', batch='3')
    # Of the folder's 30 images 10 are for the test, and 2 for validation.
    self.assertEqual(
        find_row(output, 'optdigits'),
        ['optdigits', '32x32', '10', '1,293', '144', '360', '8', '(125)', '3',
         '(132)'])
    row = find_row(output, f'folder:{self.images}')
    self.assertEqual(row[1:6], ['128x128', '2', '18', '2', '10'])
    self.assertEqual((row[6], row[8]), ('red', 'blue'))
    for text in ('CC BY 4.0', 'bundled with scikit-learn', '8x8x1, in',
                 'classes  blue, red', 'Picture: runs/data/'):
      self.assertIn(text, output)
    (strips, path), = (call.args for call in save.call_args_list)
    self.assertEqual(self.find_pictures(), [str(path)])
    self.assertEqual([caption.split(', ', 1) for caption, *_ in strips], [
        ['optdigits', 'training images, augmentation: shift'],
        ['optdigits', 'test images'],
        [f'folder:{self.images}', 'training images, augmentation: crop_flip'],
        [f'folder:{self.images}', 'test images']])
    task_data = pipeline.load_tasks(['optdigits'], 32, self.data_dir)[
        'optdigits']
    for (_, images, titles), batches in zip(strips, (
        task_data.train_batches(3, seed=0),
        task_data.eval_batches('test', 3, every=120))):
      expected, labels = next(iter(batches))
      np.testing.assert_array_equal(images, expected)
      self.assertEqual(titles, [str(label) for label in labels.numpy()])
    for _, images, titles in strips[2:]:
      self.assertEqual(images.shape, (3, 128, 128, 3))
      for image, title in zip(images, titles):
        np.testing.assert_allclose(
            image[64, 64], np.array(_COLOURS[title]) / 127.5 - 1)

  def test_seed_size_augmentation_and_picture(self):
    with mock.patch.object(signature_plots, 'save_images') as save:
      output = self.run_command(
          tasks='optdigits+blur', image_size='8', augmentation='none',
          seed='5', batch='2', picture='new/batch.png')
    (strips, path), = (call.args for call in save.call_args_list)
    self.assertEqual(path, pathlib.Path('new/batch.png'))
    self.assertIn('Picture: new/batch.png', output)
    expected, _ = next(iter(pipeline.load_tasks(
        ['optdigits+blur'], 8, self.data_dir, 'none')[
            'optdigits+blur'].train_batches(2, seed=5)))
    np.testing.assert_array_equal(strips[0][1], expected)

  def test_pool_shows_the_test_images_of_each_member(self):
    with mock.patch.object(signature_plots, 'save_images') as save:
      output = self.run_command(tasks='pool:optdigits|optdigits+blur')
    (strips, path), = (call.args for call in save.call_args_list)
    self.assertEqual(path.name, 'pool-optdigits-optdigits+blur.png')
    self.assertEqual(
        [caption for caption, *_ in strips],
        ['pool:optdigits|optdigits+blur, training images, augmentation: shift',
         'optdigits, test images', 'optdigits+blur, test images'])
    self.assertEqual(
        find_row(output, 'pool:optdigits|optdigits+blur')[1:6],
        ['32x32', '10', '2,586', '288', '720'])

  def test_group_tells_its_target(self):
    with (mocking.mock_data(),
          mock.patch.object(signature_plots, 'save_images') as save,
          mock.patch.object(builders, 'make_ready')):
      output = self.run_command(
          tasks='digits,domainnet/real', batch='2', data_dir='/nowhere')
    self.assertIn('group digits: mnist, mnist_corrupted/shear,', output)
    self.assertRegex(output, r'target\s+usps')
    self.assertLen(save.call_args.args[0], 12)
    self.assertEqual(find_row(output, 'svhn_cropped')[1:6],
                     ['32x32', '10', '29', '3', '32'])
    # Class names as TFDS knows them.
    self.assertIn('classes  aircraft_carrier, airplane,', output)

  def test_prepares_only_if_asked(self):
    with tempfile.TemporaryDirectory() as empty:
      with self.assertRaisesRegex(ValueError, 'mnist: .*: prepare it'):
        self.run_command(tasks='mnist', data_dir=empty)
      self.assertEmpty(os.listdir(empty))
      with mock.patch.object(
          builders, 'prepare', side_effect=ValueError('no network')) as prepare:
        with self.assertRaisesRegex(ValueError, 'no network\nno network'):
          self.run_command(tasks='mnist,kmnist', prepare='true', data_dir=empty)
        self.assertEqual(
            [call.args for call in prepare.call_args_list],
            [(catalog.get_task('mnist'), empty),
             (catalog.get_task('kmnist'), empty)])
    with (mock.patch.object(
        builders, 'prepare', wraps=builders.prepare) as prepare,
          mock.patch.object(signature_plots, 'save_images') as save):
      self.run_command(tasks='optdigits', prepare='true')
    prepare.assert_any_call(catalog.get_task('optdigits'), self.data_dir)
    save.assert_called_once()

  # Faults

  def test_names_all_that_is_missing_before_reading(self):
    with (mock.patch.object(pipeline.TaskData, 'labels') as labels,
          self.assertRaisesRegex(ValueError, '^mnist: .*\nkmnist: .*')):
      self.run_command(tasks='optdigits,mnist,kmnist')
    labels.assert_not_called()
    self.assertEmpty(self.find_pictures())

  def test_a_missing_class_list_is_found_before_reading(self):
    with (mock.patch.object(catalog, 'get_task', lambda name, data_dir:
                            self._make_listed(name)),
          mock.patch.object(pipeline.TaskData, 'labels') as labels,
          self.assertRaisesRegex(
              ValueError, 'class list .*domainnet100.json')):
      self.run_command(tasks='photos')
    labels.assert_not_called()

  def test_a_fault_does_not_hide_the_other_tasks(self):
    write_folder(self.images, {'blue': 9, 'red': 9})
    (self.images / 'red' / 'no.png').write_text('no image')
    output = io.StringIO()
    with (contextlib.redirect_stdout(output),
          self.assertRaisesRegex(ValueError, 'no.png')):
      data.FLAGS.unparse_flags()
      data.FLAGS(['data', f'--tasks=folder:{self.images},optdigits',
                  f'--data_dir={self.data_dir}', '--picture=a.png'])
      data.main()
    self.assertEqual(find_row(output.getvalue(), 'optdigits')[3], '1,293')
    self.assertEqual(self.find_pictures(), ['a.png'])

  def test_replaces_only_its_own_default_picture(self):
    for _ in range(2):
      output = self.run_command(tasks='optdigits', batch='1')
    self.assertIn('Picture: runs/data/optdigits.png', output)
    path = self.directory / 'mine.png'
    path.write_text('mine')
    with self.assertRaisesRegex(ValueError, 'mine.png, which exists'):
      self.run_command(tasks='optdigits', picture=str(path))
    self.assertEqual(path.read_text(), 'mine')

  @parameterized.named_parameters(
      ('name', 'did you mean mnist', {'tasks': 'optdigits,mnits'}),
      ('size', 'image_size >= 1', {'tasks': 'optdigits', 'image_size': '0'}),
      ('picture', 'ends in .png', {'tasks': 'optdigits', 'picture': 'a.jpg'}),
      ('pool', 'same classes', {'tasks': 'pool:optdigits|cifar100'}),
      ('nothing_to_prepare', '--prepare needs --tasks', {'prepare': 'true'}),
  )
  def test_errors(self, message, values):
    with (mock.patch.object(pipeline.TaskData, 'labels') as labels,
          self.assertRaisesRegex(ValueError, message)):
      self.run_command(**values)
    labels.assert_not_called()
    self.assertEmpty(self.find_pictures())

  def test_has_no_flags_of_runs(self):
    with self.assertRaisesRegex(flags.UnrecognizedFlagError, 'epochs'):
      self.run_command(tasks='optdigits', epochs='3')

  # The class list

  def _make_listed(self, name):
    return made_photos.make_task(
        name=name, num_classes=2, class_names=None, class_list='domainnet100')

  def test_writes_a_class_list(self):
    with (mock.patch.object(catalog, 'get_task', lambda name, data_dir=None:
                            self._make_listed(name)),
          mock.patch.dict(class_lists.LISTS, domainnet100=class_lists.ClassList(
              tasks=('photos', 'others'), length=2)),
          mock.patch.object(signature_plots, 'save_images')):
      output = self.run_command(write_class_list='domainnet100')
      path = pathlib.Path(self.data_dir) / 'class_lists' / 'domainnet100.json'
      self.addCleanup(path.unlink)
      self.assertIn(f'Class list: {path}', output)
      self.assertEqual(find_row(output, 'bright'), ['bright', '1', '16'])
      content = json.loads(path.read_text())
      self.assertEqual(content['labels'], [0, 1])
      self.assertEqual(content['class_names'], ['dark', 'bright'])
      self.assertEqual(content['details'], {
          'counted': {'photos': 23, 'others': 23},
          'training_images': [16, 16]})
      # Now tasks can be read through it.
      output = self.run_command(tasks='photos')
    self.assertEqual(
        find_row(output, 'photos')[1:6], ['128x128', '2', '14', '2', '5'])
    self.assertIn('classes  dark, bright\n', output)

  def test_class_list_needs_all_its_data(self):
    with self.assertRaisesRegex(
        ValueError, '^domainnet/clipart: (.*\n){5}domainnet/sketch: .*$'):
      self.run_command(write_class_list='domainnet100')


if __name__ == '__main__':
  tf.test.main()
