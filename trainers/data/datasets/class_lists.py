"""Lists of the classes that a task uses, where these depend on the data (4.4).

A list is written once, by a command, when the data is there, and lies in the
data directory: `<data_dir>/class_lists/<name>.json`.
"""

import dataclasses
import json
import os
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from trainers.data.datasets import groups
from trainers.data.datasets import missing_data


@dataclasses.dataclass(frozen=True)
class ClassList:
  """How a list is made: the most frequent classes of some tasks.

  Args:
    tasks: Names of the tasks whose training examples are counted, together.
    length: Classes in the list.

  Source: section 4.4, the caption of Table 3.
  """

  tasks: tuple[str, ...]
  length: int


_DOMAINNET100 = groups.GROUPS['domainnet100']

LISTS = {
    'domainnet100': ClassList(
        tasks=(*_DOMAINNET100.sources, _DOMAINNET100.target), length=100),
}


def most_frequent(counts, n):
  """Returns the `n` most frequent labels, ascending; ties go to the smaller.

  Args:
    counts: Integers `[num_stored_classes]`: examples of each stored label.
    n: How many labels.

  Raises:
    ValueError: If fewer than `n` labels occur.

  Source: section 4.4.
  """
  counts = np.asarray(counts, np.int64)
  num_present = np.count_nonzero(counts)
  if num_present < n:
    raise ValueError(
        f'Expected examples of at least {n} classes, received {num_present}: '
        f'count the whole training splits.')
  order = np.argsort(-counts, kind='stable')
  return tuple(sorted(order[:n].tolist()))


def read(name, data_dir=None):
  """Returns the stored labels of a list, ascending: the task's 0, 1, ...

  Args:
    name: A key of `LISTS`.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Raises:
    MissingDataError: If the list was not written yet or is damaged.
  """
  path = _path(name, data_dir)
  missing = [missing_data.Missing(str(path.parents[1]), class_list=name)]
  try:
    if path.exists() and not path.is_file():
      raise ValueError('it is no ordinary file')
    content = json.loads(path.read_text('utf-8'))
    labels = tuple(content['labels'])
    _check_labels(name, labels)
  except FileNotFoundError as error:
    raise missing_data.MissingDataError(
        f'Expected the class list {path}, received no such file: write it, '
        'once the data is prepared.', missing) from error
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise missing_data.MissingDataError(
        f'Expected a class list in {path}, received a damaged one ({error}): '
        'remove it and write it anew.', missing) from error
  return labels


def write(name, labels, class_names, details, data_dir=None):
  """Writes a list whole or not at all; one that is there must be the same.

  Args:
    name: A key of `LISTS`.
    labels: Stored labels, ascending.
    class_names: Their names, for readers.
    details: How it was made, a dictionary that JSON can hold.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Returns:
    Path of the file.

  Raises:
    ValueError: If the labels are no such list, another list is there, or the
      file cannot be written.
  """
  _check_labels(name, labels)
  path = _path(name, data_dir)
  if path.exists() and read(name, data_dir) != tuple(labels):
    raise ValueError(
        f'Expected the same class list as in {path}, received another: runs '
        f'may have used that one. Remove it to write it anew.')
  text = json.dumps(
      {'name': name, 'labels': list(labels), 'class_names': list(class_names),
       'details': details}, indent=1)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      temporary.write_text(f'{text}\n', 'utf-8')
      os.replace(temporary, path)
    finally:
      temporary.unlink(missing_ok=True)
  except OSError as error:
    raise ValueError(
        f'Expected to write the class list {path}, received {error}: give a '
        f'data_dir that can be written.') from error
  return path


def _path(name, data_dir):
  data_dir = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
  return pathlib.Path(data_dir) / 'class_lists' / f'{name}.json'


def _check_labels(name, labels):
  length = LISTS[name].length
  if (len(labels) != length
      or not all(type(label) is int and label >= 0 for label in labels)
      or list(labels) != sorted(set(labels))):
    raise ValueError(
        f'{name}: expected {length} different stored labels, ascending, '
        f'received {list(labels)}: list every class once.')
