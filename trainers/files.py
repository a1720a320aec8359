"""Writing files whole or not at all."""

import os
import pathlib


def write(path, data):
  """Writes a file so that its name only ever stands for the whole.

  Args:
    path: File to write, or to replace.
    data: Its bytes.
  """
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.name}.tmp')
  try:
    with open(temporary, 'wb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  if os.name == 'posix':  # elsewhere, directories cannot be opened
    directory = os.open(path.parent, os.O_RDONLY)
    try:
      os.fsync(directory)
    finally:
      os.close(directory)
