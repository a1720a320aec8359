"""Writing files whole or not at all, and reading ordinary ones alone."""

import contextlib
import glob
import os
import pathlib
import re
import secrets
import shutil
import stat

try:
  import fcntl
except ImportError:  # there are no such locks but on POSIX
  fcntl = None


def write(path, data, overwrite=True):
  """Writes a file so that its name only ever stands for the whole.

  Args:
    path: File to write.
    data: Its bytes.
    overwrite: Whether a file of that name is replaced.

  Raises:
    ValueError: If there is a file of that name that is not to be replaced, or
      no such directory.
    OSError: If it cannot be written; it names the file.
  """
  path = pathlib.Path(path)
  if not path.parent.is_dir():
    raise ValueError(f'Expected a file in a directory, received {path}; there '
                     f'is no directory {path.parent}: make it first.')
  with naming(path), scratch(path) as temporary:
    with open(temporary, 'wb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    if overwrite:
      os.replace(temporary, path)
    else:
      _link(temporary, path)
  if os.name == 'posix':  # elsewhere, directories cannot be opened
    directory = os.open(path.parent, os.O_RDONLY)
    try:
      os.fsync(directory)
    finally:
      os.close(directory)


def read(path):
  """The bytes of an ordinary file.

  Raises:
    ValueError: If it is a pipe, a device or the like, which could be endless.
    OSError: If it cannot be read.
  """
  # Opening a pipe would wait for someone to write.
  descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0)
                       | getattr(os, 'O_BINARY', 0))
  with open(descriptor, 'rb') as file:
    check_ordinary(path, os.fstat(descriptor))
    return file.read()


def check_ordinary(path, status=None):
  """Raises ValueError if there is something that is no ordinary file.

  Args:
    path: Path of a file.
    status: As `os.stat` gives it. Default: found out.
  """
  mode = (status or os.stat(path)).st_mode
  if not stat.S_ISREG(mode):
    kind = 'directory' if stat.S_ISDIR(mode) else 'pipe, device or the like'
    raise ValueError(f'Expected an ordinary file, received {path}, a {kind}: '
                     'name a file, or remove it.')


def check_writable(directory):
  """Raises ValueError if nothing can be written into a directory."""
  if not os.access(directory, os.W_OK | os.X_OK):
    raise ValueError(
        f'Expected a directory that can be written, received {directory}: '
        'change its permissions, or choose another.')


@contextlib.contextmanager
def naming(path):
  """A context in which errors of the system name a file: this one."""
  try:
    yield
  except OSError as error:
    if error.errno is None:
      raise
    raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextlib.contextmanager
def scratch(path, is_directory=False):
  """A context that gives a new empty file beside a path, and removes it.

  What killed processes left beside the path is removed, too.

  Args:
    path: What the file will be renamed to, once it is whole.
    is_directory: Whether it is to be a directory.
  """
  path = pathlib.Path(path)
  # Of two processes that write one file, each has a temporary of its own.
  for leftover in path.parent.glob(f'.*-{glob.escape(path.name)}.tmp'):
    if not is_scratch(leftover):
      continue
    with contextlib.suppress(OSError), locked(leftover):
      remove(leftover)
  while True:
    with contextlib.ExitStack() as stack:
      temporary = path.with_name(f'.{secrets.token_hex(4)}-{path.name}.tmp')
      if is_directory:
        temporary.mkdir()
      else:
        open(temporary, 'xb').close()
      stack.callback(remove, temporary)
      try:
        stack.enter_context(locked(temporary))
      except (BlockingIOError, FileNotFoundError):
        continue  # another process has taken it for a leftover
      except OSError:
        pass  # without locks nothing is removed, either
      yield temporary
      return


def is_scratch(path):
  """Whether a path has the name of what `scratch` gives."""
  return bool(re.fullmatch(r'\.[0-9a-f]{8}-.+\.tmp', path.name))


@contextlib.contextmanager
def locked(path, flags=os.O_RDONLY):
  """A context in which no other process can lock a file or directory.

  The lock ends with the process, however that ends. It gives the descriptor.

  Args:
    path: File or directory; links are not followed.
    flags: Of `os.open`.

  Raises:
    BlockingIOError: If another has locked it.
    FileNotFoundError: If it is not there, or has gone meanwhile.
    OSError: If it cannot be locked, as on some file systems.
  """
  if fcntl is None:
    raise OSError(f'{path} cannot be locked on this system')
  descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
      raise FileNotFoundError(f'{path} is another file now')
    yield descriptor
  finally:
    os.close(descriptor)


def remove(path):
  """Removes a file or directory, if it is there."""
  if path.is_dir() and not path.is_symlink():
    shutil.rmtree(path, ignore_errors=True)
  else:
    path.unlink(missing_ok=True)


def _link(temporary, path):
  """Gives a file its name unless that is taken."""
  taken = ValueError(f'Expected a new file, received {path}, which exists and '
                     'is not overwritten: choose another name.')
  try:
    os.link(temporary, path)
  except FileExistsError:
    raise taken from None
  except OSError:  # a file system without links
    if os.path.lexists(path):
      raise taken from None
    os.replace(temporary, path)
