"""Files are written whole or not at all."""

import errno
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

  def test_what_killed_writes_left_is_removed(self):
    left = self.directory / '.0123abcd-file.tmp'
    left.write_bytes(b'half')
    (self.directory / '.4567abcd-file.tmp').mkdir()
    files.write(self.path, b'one')
    self.assertHolds(b'one')

  def test_what_is_not_left_over_stays(self):
    names = ['.0123abcd-other.tmp', '.mine-file.tmp', '0123abcd-file.tmp',
             '.0123abcd-file.tmp']  # the last is being written
    for name in names:
      (self.directory / name).touch()
    with files.locked(self.directory / names[-1]):
      files.write(self.path, b'one')
    self.assertCountEqual(
        [path.name for path in self.directory.iterdir()], ['file', *names])

  @parameterized.parameters(True, False)
  def test_scratch_is_there_until_the_context_ends(self, is_directory):
    with files.scratch(self.path, is_directory) as one:
      self.assertEqual(one.is_dir(), is_directory)
      with files.scratch(self.path, is_directory) as other:  # another process
        self.assertTrue(one.exists())
        self.assertNotEqual(one, other)
    self.assertEmpty(list(self.directory.iterdir()))

  def test_without_locks_nothing_is_removed(self):
    left = self.directory / '.0123abcd-file.tmp'
    left.touch()
    with mock.patch.object(files, 'fcntl', None):
      files.write(self.path, b'one')
    left.unlink()
    self.assertHolds(b'one')

  @parameterized.parameters('fsync', 'replace')
  def test_errors_of_the_system_name_the_file(self, where):
    full = OSError(errno.ENOSPC, 'No space left on device')
    with (mock.patch.object(os, where, side_effect=full),
          self.assertRaisesRegex(OSError, f"No space .*: '{self.path}'$")):
      files.write(self.path, b'one')

  @parameterized.parameters(True, False)
  def test_a_failed_write_changes_nothing(self, overwrite):
    files.write(self.path, b'one')
    with (mock.patch.object(os, 'fsync', side_effect=OSError('full')),
          self.assertRaisesRegex(OSError, 'full')):
      files.write(self.path, b'two', overwrite)
    self.assertHolds(b'one')


if __name__ == '__main__':
  absltest.main()
