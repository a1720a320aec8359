"""Tests of `usps`, on files made here."""

import bz2
import hashlib
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data.datasets import usps


def _text(labels, pixels='1:-1 2:1 18:0.2'):
  """Returns lines of LIBSVM's format; pixels that are left out are 0."""
  return ''.join(f'{label} {pixels}\n' for label in labels).encode()


class UspsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))
    self.folder = self.data_dir / 'downloads/manual/usps'
    self.enter_context(mock.patch.dict(usps.SPLITS, train=20, test=10))

  def _put(self, test=None, train=None):
    """Writes the files by hand."""
    self.folder.mkdir(parents=True)
    digits = _text(range(1, 11))
    for name, data in (('usps.bz2', train or bz2.compress(2 * digits)),
                       ('usps.t.bz2', test or bz2.compress(digits))):
      (self.folder / name).write_bytes(data)

  def _build(self):
    builder = tfds.builder(usps.NAME, data_dir=self.data_dir)
    builder.download_and_prepare()
    return builder

  def _mock_download(self, files):
    """Serves the files by name in the place of the network."""
    served = []

    def download(unused_manager, url):
      name = url.rsplit('/', 1)[1]
      served.append(url)
      path = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir())) / name
      path.write_bytes(files[name])
      path.with_suffix('.bz2.INFO').touch()
      self.downloaded = path
      return path

    self.enter_context(mock.patch.object(
        tfds.download.DownloadManager, 'download', download))
    return served

  def test_reads_files_put_by_hand_and_downloads_nothing(self):
    self._put()
    served = self._mock_download({})
    with self.assertLogs('absl', 'WARNING') as log:
      builder = self._build()
    self.assertEmpty(served)
    self.assertRegex(log.output[0], 'usps.bz2 has md5 .*ec16.* is published')
    for split, size in usps.SPLITS.items():
      self.assertEqual(builder.info.splits[split].num_examples, size)
    examples = builder.as_dataset(split='test', batch_size=-1)
    # LIBSVM counts digits from 1.
    self.assertCountEqual(examples['label'].numpy(), range(10))
    image = np.full([16, 16, 1], 128, np.uint8)  # 127.5, to even
    image[0, :2, 0] = 0, 255
    image[1, 1] = 153  # 18 is the second pixel of the second row.
    self.assertAllEqual(examples['image'], [image] * 10)

  def test_published_files_pass_without_a_word(self):
    self._put()
    digests = {path.name: usps._md5(path) for path in self.folder.iterdir()}
    with (mock.patch.dict(usps._MD5, digests),
          self.assertNoLogs('absl', 'WARNING')):
      self._build()

  def test_downloads_what_is_not_there(self):
    files = {'usps.bz2': bz2.compress(_text(2 * list(range(1, 11)))),
             'usps.t.bz2': bz2.compress(_text(range(1, 11)))}
    served = self._mock_download(files)
    digests = {name: hashlib.md5(data).hexdigest()
               for name, data in files.items()}
    with mock.patch.dict(usps._MD5, digests):
      self._build()
    self.assertEqual(
        [url.removeprefix(usps._URL) for url in served],
        ['usps.bz2', 'usps.t.bz2'])

  def test_refuses_a_download_that_differs_and_forgets_it(self):
    self._mock_download({'usps.bz2': bz2.compress(_text([1]))})
    with self.assertRaisesRegex(
        ValueError, 'md5 ec16c51db3855ca6c91edd34d0e9b197 at https://www.*'
        '/usps.bz2, received .*put a good copy into the folder usps'):
      self._build()
    self.assertEmpty(list(self.downloaded.parent.iterdir()))

  @parameterized.named_parameters(
      ('truncated', bz2.compress(_text(range(1, 11)))[:-9], 'received Compres'),
      ('not_bz2', b'<html>404</html>', 'received Invalid data stream'),
      ('not_libsvm', bz2.compress(b'<html>404</html>'), 'could not convert'),
      ('features', bz2.compress(_text([1], '257:1')), 'contains 257 features'),
      ('count', bz2.compress(_text(range(1, 4))), '10 images, received 3'),
      ('empty', bz2.compress(b''), '10 images, received 0'),
      ('label', bz2.compress(_text(range(2, 12))),
       r'labels from 1 to 10, received \[11.0\]'),
      ('pixel', bz2.compress(_text(range(1, 11), '1:-1 2:128')),
       'pixels from -1 to 1, received -1 to 128'),
      ('nan', bz2.compress(_text(range(1, 11), '1:nan')), 'received nan'))
  def test_refuses(self, data, message):
    self._put(test=data)
    with self.assertRaisesRegex(ValueError, f'(?s)/usps.t.bz2: .*{message}'):
      self._build()
    self.assertEmpty(list((self.data_dir / usps.NAME).iterdir()))


if __name__ == '__main__':
  tf.test.main()
