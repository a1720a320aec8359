"""Tests of `builders`, without a network."""

import contextlib
import dataclasses
import errno
import io
import os
import pathlib
import shutil
import tempfile
from unittest import mock

from absl.testing import parameterized
import requests
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog
from trainers.data.datasets import builders
from trainers.data.datasets import missing_data
from trainers.data.datasets import optdigits

_OPTDIGITS = catalog.get_task('optdigits')
_USPS = catalog.get_task('usps')


class _Response:
  """Stands for an answer of the network; None breaks the connection."""

  headers = {}

  def __init__(self, url, status_code, chunks):
    self.url = url
    self.status_code = status_code
    self._chunks = chunks

  def __enter__(self):
    return self

  def __exit__(self, *args):
    pass

  def iter_content(self, chunk_size):
    del chunk_size
    for chunk in self._chunks:
      if chunk is None:
        raise requests.exceptions.ChunkedEncodingError('connection broken')
      yield chunk


def _network(status_code=200, chunks=()):
  """Lets every address give this answer."""
  return mock.patch.object(
      requests.Session, 'get',
      lambda self, url, **kwargs: _Response(url, status_code, chunks))


class BuildersTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))
    self.enter_context(mock.patch.object(
        requests.Session, 'get', side_effect=requests.ConnectionError))

  def _files(self, *parts):
    return [path for path in self.data_dir.joinpath(*parts).rglob('*')
            if path.is_file()]

  @parameterized.parameters(*catalog.task_names())
  def test_every_data_set_opens_without_a_download(self, name):
    task = catalog.get_task(name)
    builder = builders.open_builder(task, self.data_dir)
    self.assertEqual(
        str(builder.data_path),
        f'{self.data_dir}/{task.tfds_reference.replace(":", "/")}')
    self.assertEqual(builder.data_path.exists(), name == 'optdigits')

  @parameterized.named_parameters(
      ('name', 'nosuch', '1.0.0', 'received Dataset nosuch not found.: corr'),
      ('config', 'emnist/nosuch', '3.1.0', 'BuilderConfig nosuch not found'),
      ('version', 'mnist', '9.9.9', 'at version 9.9.9, only: 3.0.1'))
  def test_refuses_what_tfds_lacks(self, tfds_name, version, message):
    task = dataclasses.replace(
        _USPS, name='toy', tfds_name=tfds_name, version=version)
    with self.assertRaisesRegex(
        ValueError, f'toy: expected a TFDS data set {tfds_name}:{version}, .*'
        f'{message}'):
      builders.open_builder(task, self.data_dir)

  @parameterized.named_parameters(
      ('tfds', 'emnist/letters+blur', 'emnist/letters',
       '{root}/emnist/letters/3.1.0, received no such directory: prepare it, '
       'or name the data_dir'),
      ('own', 'usps', None, 'directory: prepare it, or name'),
      ('by_hand', 'office_caltech10/dslr', None,
       'put the images as office_caltech10/<domain>/<class>/*.jpg into '
       '{root}/downloads/manual, then prepare it'))
  def test_says_what_is_missing(self, name, tfds_name, message):
    task = catalog.get_task(name)
    error = builders.missing_error(
        task, builders.open_builder(task, self.data_dir))
    self.assertEqual(error.missing, (
        missing_data.Missing(str(self.data_dir), name, tfds_name),))
    text = str(error)
    self.assertStartsWith(text, f'{name}: expected the prepared TFDS data set')
    self.assertIn(message.format(root=self.data_dir), text)
    self.assertEndsWith(text, 'Nothing is downloaded unasked.')

  def test_checks_that_data_is_there(self):
    builders.check_prepared(_OPTDIGITS, self.data_dir)
    with self.assertRaisesRegex(
        missing_data.MissingDataError, 'usps: .*: prepare it'):
      builders.check_prepared(_USPS, self.data_dir)
    with self.assertRaisesRegex(
        missing_data.MissingDataError, 'domainnet100.*: write it'):
      builders.check_prepared(dataclasses.replace(
          _OPTDIGITS, class_names=None, class_list='domainnet100'),
                              self.data_dir)

  def test_optical_digits_prepare_themselves_without_a_word(self):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      builder = builders.open_builder(_OPTDIGITS, self.data_dir)
    self.assertEqual((out.getvalue(), err.getvalue()), ('', ''))
    self.assertEqual(builder.info.splits['test'].num_examples, 360)

  def test_prepares_once_and_says_so(self):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      builders.prepare(_OPTDIGITS, self.data_dir)
      self.assertIn('Dataset optdigits downloaded and prepared', out.getvalue())
      self.assertIn('Generating train examples', err.getvalue())
      out.truncate(0)
      builder = builders.prepare(_OPTDIGITS, self.data_dir)
    self.assertNotIn('optdigits', out.getvalue())
    self.assertEqual(builder.info.splits['test'].num_examples, 360)

  def test_another_process_may_finish_first(self):
    generate = optdigits.Optdigits._generate_examples
    waiting = [self.data_dir]

    def generate_late(builder, is_test):
      if waiting:  # Once, while this one is at work.
        builders.prepare(_OPTDIGITS, waiting.pop())
      return generate(builder, is_test)

    with mock.patch.object(
        optdigits.Optdigits, '_generate_examples', generate_late):
      builder = builders.prepare(_OPTDIGITS, self.data_dir)
    self.assertLen(builder.as_dataset(split='test'), 360)
    self.assertEqual(os.listdir(self.data_dir / optdigits.NAME), ['1.0.0'])

  def test_every_builder_has_its_own_downloads(self):
    with mock.patch.object(
        tfds.download.DownloadManager, '__init__',
        side_effect=OSError) as manager:
      for task in (_USPS, catalog.get_task('emnist/letters')):
        with self.assertRaises(ValueError):
          builders.prepare(task, self.data_dir)
    downloads = self.data_dir / 'downloads'
    for call, name in zip(manager.mock_calls, ('usps', 'emnist')):
      self.assertEqual(call.kwargs['download_dir'], downloads / name)
      self.assertEqual(
          call.kwargs['extract_dir'], downloads / name / 'extracted')
      self.assertEqual(call.kwargs['manual_dir'], downloads / 'manual')

  @parameterized.named_parameters(
      ('status', {'status_code': 404}, 'HTTP code: 404'),
      ('broken', {'chunks': [b'half', None]}, 'received connection broken'),
      ('checksum', {'chunks': [b'another']}, 'has wrong checksum'))
  def test_a_failed_download_leaves_nothing(self, answer, message):
    task = catalog.get_task('mnist')
    with _network(**answer), self.assertRaisesRegex(
        ValueError, f'(?s)mnist: expected to download http.*{message}.*: try '
        'again where the network reaches it'):
      builders.prepare(task, self.data_dir)
    self.assertEmpty(self._files())

  def test_names_the_address_and_the_other_way(self):
    url = 'https://www.example.org/file'
    error = requests.ConnectionError(
        'no route', request=requests.Request('GET', url))
    with (mock.patch.object(requests.Session, 'get', side_effect=error),
          self.assertRaisesRegex(
              ValueError, f'usps: expected to download {url}, received no route'
              f': .* manual directory is {self.data_dir}/downloads/manual. .*'
              ' put its usps.bz2 and usps.t.bz2 into the folder usps')):
      builders.prepare(_USPS, self.data_dir)

  @parameterized.parameters(False, True)
  def test_names_the_files_to_be_put_by_hand(self, has_others):
    if has_others:
      (self.data_dir / 'downloads/manual/usps').mkdir(parents=True)
    with self.assertRaisesRegex(
        ValueError, 'imagenet2012: expected ILSVRC2012_img_train.tar and .* in '
        f'{self.data_dir}/downloads/manual, received'):
      builders.prepare(catalog.get_task('imagenet2012'), self.data_dir)
    self.assertEmpty(self._files())

  @parameterized.parameters(
      OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
      tf.errors.ResourceExhaustedError(None, None, 'No space left on device'))
  def test_a_full_disk_leaves_nothing(self, error):
    generate = optdigits.Optdigits._generate_examples

    def generate_some(builder, is_test):
      yield from list(generate(builder, is_test))[:100]
      raise error

    with (mock.patch.object(
        optdigits.Optdigits, '_generate_examples', generate_some),
          self.assertRaisesRegex(
              ValueError, 'optdigits: expected to prepare optdigits:1.0.0 in '
              '.*, received .*No space left on device.*: make room')):
      builders.prepare(_OPTDIGITS, self.data_dir)
    self.assertEmpty(self._files())

  def test_refuses_too_small_a_disk(self):
    with (mock.patch.object(
        shutil, 'disk_usage', return_value=mock.Mock(free=0)),
          self.assertRaisesRegex(ValueError, 'received Not enough disk space')):
      builders.prepare(_OPTDIGITS, self.data_dir)

  def test_refuses_a_directory_that_cannot_be_written(self):
    file = self.data_dir / 'file'
    file.touch()
    with self.assertRaisesRegex(
        ValueError, f'expected to prepare .* in {file}/.* data_dir that can'):
      builders.open_builder(_OPTDIGITS, file / 'below_a_file')

  def test_tells_what_is_prepared(self):
    data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())
    task = catalog.get_task('optdigits')
    self.assertFalse(builders.is_prepared(task, data_dir))
    builders.prepare(task, data_dir, quiet=True)
    self.assertTrue(builders.is_prepared(task, data_dir))
    self.assertFalse(builders.is_prepared(catalog.get_task('usps'), data_dir))


if __name__ == '__main__':
  tf.test.main()
