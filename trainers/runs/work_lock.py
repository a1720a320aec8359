"""One process at a time in a work directory (our choice)."""

import contextlib
import datetime
import os
import pathlib
import socket
import warnings

from mixture_modules import files

LOCK = '.lock'  # there while a process writes


class WorkLock:
  """A context, until whose end a work directory is this process's alone.

  The lock ends with the process, however that ends.

      with work_lock.WorkLock() as lock:
        lock.take('runs/a')
  """

  def __init__(self):
    self._stack = contextlib.ExitStack()
    self._is_taken = False

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self._stack.close()

  def take(self, workdir):
    """Takes a directory, which is made if need be; taken again it stays so.

    Args:
      workdir: The directory.

    Raises:
      ValueError: If another process has it.
    """
    if self._is_taken:
      return
    self._is_taken = True
    path = pathlib.Path(workdir) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
      try:
        descriptor = self._stack.enter_context(
            files.locked(path, os.O_RDWR | os.O_CREAT))
      except FileNotFoundError:
        continue  # the process that had it has ended just now
      except BlockingIOError:
        raise ValueError(
            'Expected a work directory that no other process uses, received '
            f'{workdir}, which {_holder(path)} uses: wait for its end, or stop '
            'it.') from None
      except OSError as error:
        warnings.warn(
            f'{workdir} cannot be locked ({error}): start no other run in it '
            'before this one has ended.', stacklevel=3)
        return
      break
    self._stack.callback(path.unlink, missing_ok=True)
    with files.naming(path):
      os.ftruncate(descriptor, 0)
      os.write(descriptor, (
          f'process {os.getpid()} on {socket.gethostname()}, since '
          f'{datetime.datetime.now():%Y-%m-%d %H:%M:%S},').encode())


def _holder(path):
  """Who has a lock, in words."""
  with contextlib.suppress(OSError, ValueError):
    return files.read(path).decode() or 'another process'
  return 'another process'
