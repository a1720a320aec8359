"""Files are written whole or not at all."""

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from mixture_modules import files


class FilesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    self.path = self.directory / 'file'

  def assertHolds(self, content):
    self.assertEqual(self.path.read_bytes(), content)
    self.assertEqual(list(self.directory.iterdir()), [self.path])

  @parameterized.parameters(True, False)
  def test_writes_and_leaves_nothing_else(self, overwrite):
    files.write(self.path, b'one', overwrite)
    self.assertHolds(b'one')

  def test_overwrites(self):
    files.write(str(self.path), b'one')
    files.write(str(self.path), b'two')
    self.assertHolds(b'two')

  def test_directory_must_be_there(self):
    with self.assertRaisesRegex(ValueError, 'no directory .*nowhere: make it'):
      files.write(self.directory / 'nowhere' / 'file', b'one')

  @parameterized.parameters(True, False)
  def test_does_not_overwrite(self, has_links):
    self.path.write_bytes(b'one')
    link = os.link if has_links else mock.Mock(side_effect=OSError)
    with (mock.patch.object(os, 'link', link),
          self.assertRaisesRegex(ValueError, 'which exists')):
      files.write(self.path, b'two', overwrite=False)
    self.assertHolds(b'one')

  def test_without_links(self):
    with mock.patch.object(os, 'link', side_effect=OSError):
      files.write(self.path, b'one', overwrite=False)
    self.assertHolds(b'one')

  def test_a_dangling_link_is_not_overwritten(self):
    self.path.symlink_to(self.directory / 'elsewhere')
    with self.assertRaisesRegex(ValueError, 'which exists'):
      files.write(self.path, b'one', overwrite=False)
    self.assertTrue(self.path.is_symlink())

  @parameterized.parameters(True, False)
  def test_a_failed_write_changes_nothing(self, overwrite):
    files.write(self.path, b'one')
    with (mock.patch.object(os, 'fsync', side_effect=OSError('full')),
          self.assertRaisesRegex(OSError, 'full')):
      files.write(self.path, b'two', overwrite)
    self.assertHolds(b'one')


if __name__ == '__main__':
  absltest.main()
