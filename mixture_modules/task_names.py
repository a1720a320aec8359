"""Names of tasks: any text, and what Keras allows of it for a layer."""

import re
import zlib


def check_new(name, names):
  """`name`, if it can become a task's.

  Args:
    name: Text.
    names: Names of the tasks there are.

  Raises:
    ValueError: If it is no text, empty, or taken.
  """
  if not isinstance(name, str) or not name:
    raise ValueError(f'A task needs a name, some text, received {name!r}.')
  if name in names:
    raise ValueError(f'There is a task {name!r} already. Tasks: '
                     f'{list(names)}; choose another name.')
  return name


def layer_name(task_name):
  """A task's name as Keras allows it for a layer; different for each."""
  name = re.sub(r'[^A-Za-z0-9_.\-]', '_', task_name)
  if name == task_name:
    return name
  return f'{name}_{zlib.crc32(task_name.encode()):08x}'
