"""Tests of the lock on a work directory."""

import errno
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest

from mixture_modules import files
from trainers.runs import work_lock

# Another process that has the lock, as far as the system knows.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], 'w')
fcntl.flock(file, fcntl.LOCK_EX)
print('process 7 on another', file=file, end='', flush=True)
print('locked', flush=True)
sys.stdin.read()
"""


class WorkLockTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory())) / 'deep' / 'run'
    self.path = self.directory / work_lock.LOCK

  def take(self):
    """Takes the directory and gives it back; the text in the lock."""
    with work_lock.WorkLock() as lock:
      lock.take(self.directory)
      lock.take(self.directory)  # it has it already
      return self.path.read_text()

  def test_says_who_has_it_and_leaves_nothing(self):
    for _ in range(2):
      self.assertRegex(self.take(), rf'process {os.getpid()} on .*, since 2')
      self.assertEmpty(list(self.directory.iterdir()))
    with self.assertRaises(KeyError), work_lock.WorkLock() as lock:
      lock.take(self.directory)
      raise KeyError
    self.take()

  def test_one_at_a_time_and_free_once_the_other_is_killed(self):
    self.directory.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, '-c', _HOLDER, self.path], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True) as holder:
      self.addCleanup(holder.kill)
      self.assertEqual(holder.stdout.readline(), 'locked\n')
      with self.assertRaisesRegex(
          ValueError, 'Expected a work directory that no other process uses, '
          f'received {self.directory}, which process 7 on another uses: wait'):
        self.take()
      holder.kill()
    self.assertTrue(self.path.exists())
    self.assertIn(str(os.getpid()), self.take())

  def test_a_lock_that_is_given_back_meanwhile(self):
    self.directory.mkdir(parents=True)
    samestat, times = os.path.samestat, []

    def gone_once(*args):
      times.append(args)
      if len(times) == 1:  # the holder has removed it as it ended
        self.path.unlink()
        self.path.touch()
        return False
      return samestat(*args)

    with mock.patch.object(os.path, 'samestat', gone_once):
      self.take()
    self.assertLen(times, 2)

  def test_goes_on_without_locks_and_says_so(self):
    none = OSError(errno.ENOLCK, 'No locks available')
    with (mock.patch.object(files.fcntl, 'flock', side_effect=none),
          self.assertWarnsRegex(UserWarning, 'cannot be locked .*No locks'),
          work_lock.WorkLock() as lock):
      lock.take(self.directory)


if __name__ == '__main__':
  absltest.main()
