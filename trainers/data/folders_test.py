"""Tests of `folders`."""

import contextlib
import dataclasses
import io
import os
import pathlib
import tempfile
from unittest import mock
import warnings

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from trainers.data import folders


def _encode(kind, mode='RGB', **kwargs):
  """Returns the bytes of a picture of 40 x 30 pixels."""
  pixels = np.arange(40 * 30 * 3).reshape(30, 40, 3) % 251
  image = PIL.Image.fromarray(pixels.astype(np.uint8)).convert(mode)
  file = io.BytesIO()
  image.save(file, kind, **kwargs)
  return file.getvalue()


_PICTURE = _encode('PNG')


class FoldersTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))

  def _add(self, *names, content=_PICTURE):
    for name in names:
      path = self.root / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)

  def _make_task(self):
    return folders.make_task('folder:toy', str(self.root))

  def test_classes_directly_in_the_folder(self):
    self._add('dog/b.jpg', 'dog/a.PNG', 'dog/c.png', 'dog/d.png', 'dog/e.png',
              'dog/f.png', 'cat/z.Jpeg', 'cat-2/x.gif',
              'dog/.hidden', 'cat/Thumbs.db', '.git/config', 'DESKTOP.INI')
    task = self._make_task()
    self.assertEqual(task.name, 'folder:toy')
    self.assertEqual(task.class_names, ('cat', 'cat-2', 'dog'))
    self.assertEqual(task.num_classes, 3)
    self.assertEqual(task.splits, {'train': 7, 'test': 1})
    self.assertEqual(task.validation_split, None)
    (train, labels), (test, test_labels) = (
        folders.list_files(task, split) for split in ('train', 'test'))
    self.assertCountEqual(
        [os.path.relpath(path, self.root) for path in train + test],
        ['cat/z.Jpeg', 'cat-2/x.gif', 'dog/a.PNG', 'dog/b.jpg', 'dog/c.png',
         'dog/d.png', 'dog/e.png', 'dog/f.png'])
    self.assertEqual(train, sorted(train, key=lambda path: path.split('/')))
    self.assertAllEqual(labels, [0, 1, 2, 2, 2, 2, 2])
    self.assertAllEqual(test_labels, [2])
    self.assertEqual(labels.dtype, np.int32)

  def _split_names(self):
    task = self._make_task()
    return {split: {os.path.relpath(path, self.root)
                    for path in folders.list_files(task, split)[0]}
            for split in ('train', 'test')}

  def test_a_fifth_is_for_the_test_by_name_alone(self):
    self._add(*(f'{kind}/{i}.png' for kind in 'ab' for i in range(100)))
    task = self._make_task()
    self.assertBetween(task.splits['test'], 30, 50)
    test, labels = folders.list_files(task, 'test')
    half = len(test) // 2
    self.assertAllEqual(labels, [0] * half + [1] * half)
    self.assertEqual([pathlib.Path(path).name for path in test[:half]],
                     [pathlib.Path(path).name for path in test[half:]])

  def test_files_that_come_and_go_move_no_other(self):
    self._add(*(f'{kind}/{i}.png' for kind in 'ab' for i in range(20)))
    before = self._split_names()
    self._add(*(f'a/new{i}.jpg' for i in range(9)))
    (self.root / 'b/3.png').unlink()
    (self.root / 'a/4.png').rename(self.root / 'a/four.png')
    after = self._split_names()
    self.assertEmpty(before['train'] & after['test'])
    self.assertEmpty(before['test'] & after['train'])

  @parameterized.named_parameters(
      ('small', (28, 28), (28, 28), (28, 28, 3), 'shift'),
      ('large', (65, 28), (65, 28), (None, None, 3), 'crop_flip'),
      ('differ', (28, 28), (28, 30), (None, None, 3), 'crop_flip'))
  def test_small_images_of_one_size(self, size, other, shape, augmentation):
    for name, (height, width) in (('a', size), ('b', other)):
      file = io.BytesIO()
      PIL.Image.new('L', (width, height)).save(file, 'PNG')
      self._add(*(f'{name}/{i}.png' for i in range(5)),
                content=file.getvalue())
    task = self._make_task()
    self.assertEqual(task.image_shape, shape)
    self.assertEqual(task.augmentation, augmentation)

  def test_an_image_of_another_size_is_named(self):
    self._add('a/1.png')
    folders.check_files([str(self.root / 'a/1.png')], (30, 40))
    with self.assertRaisesRegex(
        ValueError, 'a/1.png: .*30 x 40 pixels where others have 28 x 28'):
      folders.check_files([str(self.root / 'a/1.png')], (28, 28))

  @parameterized.parameters(
      ((60, 360), 2, 'centre', '2 of 10 images .* 13% of the typical one'),
      ((360, 60), 2, 'centre', '2 of 10'), ((60, 120), 2, 'centre', None),
      ((60, 360), 1, 'centre', None), ((60, 360), 2, 'whole', None),
      ((60, 360), 2, 'pad', None))
  def test_warns_of_elongated_images(self, size, count, view, message):
    self._add('a/0.png', 'a/1.png', 'b/0.png', 'b/1.png')
    task = dataclasses.replace(
        self._make_task(), view=view, image_shape=(None, None, 3))
    sizes = [size] * count + [(300, 400)] * (10 - count)
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter('always')
      folders.warn_of_cuts(task, sizes)
    if message is None:
      self.assertEmpty(caught)
    else:
      self.assertRegex(str(caught[0].message), message)
      self.assertRegex(str(caught[0].message), 'view=whole or view=pad')

  def test_refuses_names_that_are_not_utf8(self):
    self._add('a/1.png', 'b/1.png')
    with open(os.fsencode(self.root / 'b') + b'/\xff.png', 'wb'):
      pass
    with self.assertRaisesRegex(ValueError, '/b: expected names in UTF-8'):
      self._make_task()

  def test_refuses_too_few_for_a_test(self):
    self._add('a/1.png', 'b/1.png')  # neither is held out
    with self.assertRaisesRegex(ValueError, "no image for the test: .*'test'|"
                                'no image for the test: add images'):
      self._make_task()
    self._add('b/0.png')
    (self.root / 'b/1.png').unlink()
    with self.assertRaisesRegex(ValueError, r"no image for \['b'\]: add"):
      self._make_task()

  @parameterized.parameters(
      ((), None), (('test',), None), (('validation',), 'validation'),
      (('test', 'validation'), 'validation'))
  def test_splits(self, others, validation_split):
    self._add(*(f'train/a/{i}.png' for i in range(5)), 'train/b/1.jpg')
    for split in others:
      self._add(f'{split}/b/{split}.jpg', f'{split}/a/{split}.jpg')
    task = self._make_task()
    sizes = {'train': 6} if 'test' in others else {'train': 5, 'test': 1}
    self.assertEqual(task.splits, {**sizes, **{split: 2 for split in others}})
    self.assertEqual(task.validation_split, validation_split)
    self.assertEqual(task.test_split, 'test')
    for split in others:
      paths, labels = folders.list_files(task, split)
      self.assertEqual(paths, [
          str(self.root / split / name / f'{split}.jpg') for name in 'ab'])
      self.assertAllEqual(labels, [0, 1])

  def test_a_class_may_be_called_train(self):
    self._add('train/1.jpg', 'car/1.jpg',
              *(f'test/{i}.png' for i in range(5)))
    self.assertEqual(self._make_task().class_names, ('car', 'test', 'train'))

  def test_home_and_relative_paths_are_made_absolute(self):
    self._add(*(f'a/{i}.png' for i in range(5)), 'b/1.jpg')
    with mock.patch.dict(os.environ, {'HOME': str(self.root.parent)}):
      task = folders.make_task('toy', f'~/{self.root.name}')
    self.assertEqual(task.folder, str(self.root))
    relative = folders.make_task('toy', os.path.relpath(self.root))
    self.assertEqual(relative.folder, str(self.root))

  @parameterized.named_parameters(
      ('nothing', [], 'expected a folder for each class, received none'),
      ('only_hidden', ['.cache/a.jpg'], 'for each class, received none'),
      ('one_class', ['a/1.jpg'], "at least 2 class folders, received only 'a'"),
      ('empty_class', ['a/1.jpg', 'b/.hidden'], '/b: .*received an empty one'),
      ('stray', ['a/1.jpg', 'b/notes.txt'], '/b/notes.txt: .*only images'),
      ('heic', ['a/1.jpg', 'b/1.heic'], '/b/1.heic: .*remove or convert'),
      ('no_suffix', ['a/1.jpg', 'b/jpg'], '/b/jpg: .*another file'),
      ('beside', ['a/1.jpg', 'b/1.jpg', 'x.jpg'], '/x.jpg: .*only folders'),
      ('nested', ['a/1.jpg', 'b/1.jpg', 'b/c/1.jpg'],
       '/b: .*received the folder c: .*name it train'),
      ('only_test', ['test/a/1.jpg', 'test/b/1.jpg'],
       '/test: .*received the folder a: .*name it train'),
      ('other_split', ['train/a/1.jpg', 'train/b/1.jpg', 'val/a/1.jpg'],
       'beside train, validation and test, received val'),
      ('no_classes', ['train/1.jpg', 'test/1.jpg'], '/1.jpg: .*only folders'),
      ('differ', ['train/a/1.jpg', 'train/b/1.jpg', 'test/b/1.jpg',
                  'test/c/1.jpg'],
       'of train in test, .*missing: a; superfluous: c'))
  def test_refuses_a_folder(self, names, message):
    self._add(*names)
    with self.assertRaisesRegex(ValueError, message):
      self._make_task()

  def test_images_without_labels(self):
    self._add(*(f'{i}.png' for i in range(21)), '.hidden', 'Thumbs.db')
    task = folders.make_unlabelled_task('images:toy', str(self.root))
    self.assertEqual(task.name, 'images:toy')
    self.assertFalse(task.is_labelled)
    self.assertIsNone(task.class_names)
    self.assertEqual(task.splits, {'train': 15, 'test': 6})
    self.assertEqual(task.image_shape, (30, 40, 3))
    paths = sum((folders.list_files(task, split)[0] for split in task.splits),
                [])
    self.assertCountEqual(
        paths, [str(self.root / f'{i}.png') for i in range(21)])
    self.assertAllEqual(folders.list_files(task, 'train')[1], [0] * 15)

  def test_sizes_of_images_without_labels_are_compared(self):
    self._add(*(f'{i}.png' for i in range(20)))
    PIL.Image.new('L', (40, 31)).save(self.root / '1.png')
    task = folders.make_unlabelled_task('images:toy', str(self.root))
    self.assertFalse(task.has_fixed_size)
    self.assertEqual(task.augmentation, 'crop_flip')

  @parameterized.named_parameters(
      ('classes', ['a/1.jpg', 'b/1.jpg'],
       'received the folder a: .*classes, write folder:PATH'),
      ('nothing', [], 'received an empty one'),
      ('stray', ['1.jpg', 'notes.txt'], '/notes.txt: .*only images'),
      ('few', [f'{i}.png' for i in range(19)],
       'at least 20 images, received 19: add images'))
  def test_refuses_images_without_labels(self, names, message):
    self._add(*names)
    with self.assertRaisesRegex(ValueError, message):
      folders.make_unlabelled_task('images:toy', str(self.root))

  @parameterized.parameters(
      ('nowhere', 'nowhere: .*No such file or directory'),
      ('file', 'file: .*Not a directory'))
  def test_refuses_what_is_no_directory(self, name, message):
    self._add('file')
    with self.assertRaisesRegex(ValueError, message):
      folders.make_task('toy', str(self.root / name))

  def test_refuses_no_path(self):
    with self.assertRaisesRegex(ValueError, 'folder:: .*received no path'):
      folders.make_task('folder:', '')
    with self.assertRaisesRegex(ValueError, 'write `images:PATH`'):
      folders.make_unlabelled_task('images:', '')

  def test_refuses_what_must_not_be_read(self):
    self._add('a/1.jpg', 'b/1.jpg')
    error = PermissionError(13, 'Permission denied')
    with (mock.patch.object(os, 'scandir', side_effect=error),
          self.assertRaisesRegex(ValueError, 'Permission denied: check')):
      self._make_task()

  @parameterized.named_parameters(
      ('empty', b'', 'another kind'),
      ('text', b'not an image', 'another kind'),
      ('tiff', _encode('TIFF'), 'received TIFF: convert it'),
      ('half_jpeg', _encode('JPEG')[:-300], 'a truncated or damaged file'),
      ('jpeg', _encode('JPEG')[:-2], 'a truncated or damaged file'),
      ('png_head', _encode('PNG')[:30], 'another kind or only the beginning'),
      ('half_png', _encode('PNG')[:-150], 'a truncated or damaged file'),
      ('png', _encode('PNG')[:-14], 'a truncated or damaged file'),
      ('bmp', _encode('BMP')[:-2], 'a truncated or damaged file'),
      ('gif', _encode('GIF', 'P')[:-300], 'a truncated or damaged file'))
  def test_refuses_an_image(self, content, message):
    self._add('image.jpg', content=content)
    path = self.root / 'image.jpg'
    with self.assertRaisesRegex(ValueError, f'^{path}: .*{message}'):
      folders.check_image(path)

  @parameterized.parameters('pipe', 'link')
  def test_refuses_what_is_no_ordinary_file(self, kind):
    self._add(*(f'{name}/{i}.png' for name in 'ab' for i in range(9)))
    path = self.root / 'a' / 'x.png'
    os.mkfifo(path) if kind == 'pipe' else path.symlink_to('nowhere')
    with self.assertRaisesRegex(ValueError, f'^{path}: .*a broken link, a pip'):
      self._make_task()
    path.rename(self.root / 'b' / '.hidden.png')
    self._make_task()

  def test_refuses_a_broken_link(self):
    path = self.root / 'link.jpg'
    path.symlink_to('nowhere')
    with self.assertRaisesRegex(ValueError, f'^{path}: .*No such file'):
      folders.check_image(path)

  def test_refuses_a_huge_image(self):
    self._add('huge.png', content=_encode('PNG'))
    with (mock.patch.object(PIL.Image, 'MAX_IMAGE_PIXELS', 100),
          self.assertRaisesRegex(ValueError, 'huge.png: .*exceeds limit')):
      folders.check_image(self.root / 'huge.png')

  def test_warns_of_jpeg_files_that_are_damaged_within(self):
    file = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(
        0, 256, (64, 64, 3), np.uint8)).save(file, 'JPEG')
    whole = file.getvalue()
    names = [f'{i}.jpg' for i in range(9)]
    self._add(*names, content=whole)
    half = len(whole) // 2
    self._add(*names[2:7], content=whole[:half] + whole[half + 500:])
    paths = [str(self.root / name) for name in names]
    with self.assertWarnsRegex(
        UserWarning, '5 of 9 images are JPEG .*such as .*2.jpg .premature end '
        'of data segment., .*4.jpg .[^,]*. Parts of'):
      self.assertEqual(folders.check_files(paths), ((64, 64),) * 9)
    folders.check_files(paths[:2])

  def test_refuses_what_tensorflow_cannot_decode(self):
    self._add('a.jpg', content=_encode('JPEG'))
    with (mock.patch.object(
        tf.io, 'decode_jpeg', side_effect=tf.errors.InvalidArgumentError(
            None, None, 'no')),
          self.assertRaisesRegex(ValueError, 'a.jpg: .* TensorFlow cannot')):
      folders.check_image(self.root / 'a.jpg')

  def test_refuses_16_bit_images_that_use_fewer(self):
    for name, top in (('a', 4095), ('b', 900)):
      pixels = np.linspace(0, top, 80).reshape(8, 10).astype(np.uint16)
      PIL.Image.fromarray(pixels).save(self.root / f'{name}.png')
    paths = sorted(map(str, self.root.iterdir()))
    with self.assertRaisesRegex(ValueError, 'received 2 .* has 12: .* by 16'):
      folders.check_files(paths)
    PIL.Image.fromarray(np.full((8, 10), 40_000, np.uint16)).save(paths[1])
    folders.check_files(paths)

  def test_names_the_first_fault_of_many_files(self):
    self._add(*(f'{i:02}.jpg' for i in range(60)), content=_encode('JPEG'))
    paths = sorted(map(str, self.root.iterdir()))
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
      folders.check_files(paths)
      self._add('37.jpg', '41.jpg', content=b'text')
      with self.assertRaisesRegex(ValueError, '/37.jpg: expected'):
        folders.check_files(paths)
    self.assertEmpty(stderr.getvalue())  # short work shows no progress


if __name__ == '__main__':
  tf.test.main()
