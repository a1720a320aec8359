"""Writing files whole or not at all."""

import os
import pathlib
import secrets


def write(path, data, overwrite=True):
  """Writes a file so that its name only ever stands for the whole.

  Args:
    path: File to write.
    data: Its bytes.
    overwrite: Whether a file of that name is replaced.

  Raises:
    ValueError: If there is a file of that name that is not to be replaced, or
      no such directory.
  """
  path = pathlib.Path(path)
  if not path.parent.is_dir():
    raise ValueError(f'Expected a file in a directory, received {path}; there '
                     f'is no directory {path.parent}: make it first.')
  # Of two processes that write one file, each has a temporary of its own.
  temporary = path.with_name(f'.{secrets.token_hex(4)}-{path.name}.tmp')
  try:
    with open(temporary, 'xb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    if overwrite:
      os.replace(temporary, path)
    else:
      _link(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  if os.name == 'posix':  # elsewhere, directories cannot be opened
    directory = os.open(path.parent, os.O_RDONLY)
    try:
      os.fsync(directory)
    finally:
      os.close(directory)


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
