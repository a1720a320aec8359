"""Random access to the examples of TFRecord files, which TFDS writes.

TFRecord files are meant to be read from front to back. One pass over a split
notes where every record lies, and its label; from then on any example can be
read in any order. The notes are kept beside the files, so that the pass, which
reads everything once, is made once. A record is its length (8 bytes), a
checksum of that (4), its bytes, and a checksum of those (4); the pass checks
both.
"""

import os
import tempfile
import zipfile

from absl import logging
import numpy as np
import tensorflow as tf
import tqdm

from trainers.data.datasets import builders

_HEAD, _TAIL = 12, 4  # bytes of a record before and after its content
_CHUNK = 256
_READERS = 4


class Records:
  """The examples of one split: labels at hand, encoded images on disk.

  Args:
    paths: Names of the TFRecord files.
    index: int64 `[n, 4]`, a row for each example: file, first byte, length in
      bytes, stored label.
  """

  def __init__(self, paths, index):
    self._paths = paths
    self._index = index

  @property
  def labels(self):
    """Stored labels, int64 `[n]`."""
    return self._index[:, 3]

  def read(self, examples):
    """Returns the encoded images of examples.

    Args:
      examples: int64 `[k]`, numbers of examples.

    Returns:
      String `[k]`: images as they were encoded, JPEG for example.
    """
    records = tf.numpy_function(self._read, [examples], tf.string)
    images = tf.io.parse_example(
        records, {'image': tf.io.FixedLenFeature([], tf.string)})['image']
    return tf.ensure_shape(images, [None])

  def _read(self, examples):
    records = []
    for path, first, length, _ in self._index[examples]:
      with open(self._paths[path], 'rb', buffering=0) as file:
        file.seek(first)
        records.append(file.read(length))
    return np.array(records, object)


def open_records(task, split, builder):
  """Opens a split for random access; the first time, reads it once.

  Args:
    task: `ImageTask`, for messages.
    split: TFDS split, or several, joined by '+'.
    builder: TFDS builder whose data is prepared.

  Returns:
    `Records`.

  Raises:
    ValueError: If the files are damaged, not TFRecords or not on this machine,
      or have no image and label.
  """
  if not builder.info.splits:
    raise builders.missing_error(task, builder)
  file_format = builder.info.file_format.value
  if file_format != 'tfrecord':
    raise ValueError(
        f'{task.name}: expected TFRecord files in {builder.data_path}, '
        f'received {file_format}: prepare {task.tfds_name} anew in TFDS\'s '
        f'default format.')
  dtype = builder.info.features['image'].np_dtype
  if dtype != np.uint8:
    raise ValueError(
        f'{task.name}: expected images of uint8, received {dtype}: convert '
        f'them when the data set is built.')
  paths, parts = [], []
  for part in split.split('+'):
    files = [os.fspath(path) for path in builder.info.splits[part].filepaths]
    index = _load_or_scan(task, part, builder, files)
    parts.append(index + [len(paths), 0, 0, 0])
    paths += files
  return Records(paths, np.concatenate(parts))


def _load_or_scan(task, split, builder, paths):
  """Returns the index of one TFDS split."""
  try:
    status = [os.stat(path) for path in paths]
  except OSError as error:
    raise ValueError(
        f'{task.name}: expected the files of split {split!r} on this machine, '
        f'received {error}: copy them to a local directory and name it as '
        f'data_dir, or prepare {task.tfds_name} anew.') from error
  # Of each file its size and when it was last changed.
  state = [[file.st_size, file.st_mtime_ns] for file in status]
  store = os.path.join(os.fspath(builder.data_path), f'index-{split}.npz')
  index = _load(store, state)
  if index is None:
    index = _scan(task, split, paths, sum(file.st_size for file in status))
    _save(store, index, state)
  return index


def _scan(task, split, paths, num_bytes):
  """Reads all records of a split and notes where they lie, in order."""
  features = {'label': tf.io.FixedLenFeature([], tf.int64),
              'image': tf.io.FixedLenFeature([], tf.string)}

  def records(number, path):
    def note(record):
      return (tf.fill(tf.shape(record), number),
              tf.cast(tf.strings.length(record), tf.int64),
              tf.io.parse_example(record, features)['label'])
    return tf.data.TFRecordDataset(path).batch(_CHUNK).map(note)

  dataset = tf.data.Dataset.from_tensor_slices(
      (np.arange(len(paths)), paths)).interleave(
          records, cycle_length=_READERS, num_parallel_calls=_READERS)
  parts = []
  with tqdm.tqdm(
      total=num_bytes, unit='B', unit_scale=True, delay=2,
      desc=f'{task.name}: reading split {split} once') as progress:
    try:
      for part in dataset.as_numpy_iterator():
        parts.append(np.stack(part, axis=1))
        progress.update(parts[-1][:, 1].sum())
    except tf.errors.OpError as error:
      raise ValueError(
          f'{task.name}: expected whole TFRecord files with an image and a '
          f'label for each example in split {split!r}, received '
          f'{error.message}: prepare {task.tfds_name} anew.') from error
  if not parts:
    raise ValueError(
        f'{task.name}: expected at least 1 example in split {split!r}, '
        f'received an empty one: prepare {task.tfds_name} anew.')
  number, length, label = np.concatenate(parts).T
  order = np.argsort(number, kind='stable')  # files were read side by side
  number, length, label = number[order], length[order], label[order]
  whole = length + _HEAD + _TAIL
  before = np.cumsum(whole) - whole  # bytes of all records before each
  of_files = np.bincount(number, whole, len(paths)).astype(np.int64)
  begins = before - (np.cumsum(of_files) - of_files)[number]
  return np.stack([number, begins + _HEAD, length, label], axis=1)


def _load(store, state):
  """Returns the index kept in `store`, or None if it is not of these files."""
  try:
    if os.path.isfile(store):  # opening a pipe would wait
      with open(store, 'rb') as file, np.load(file) as kept:
        if kept['state'].tolist() == state:
          return kept['index']
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
    pass  # there is none, or it is damaged
  return None


def _save(store, index, state):
  """Keeps the index; two processes may do so at once."""
  try:
    with tempfile.TemporaryDirectory(dir=os.path.dirname(store)) as scratch:
      path = os.path.join(scratch, 'index.npz')
      np.savez(path, index=index, state=np.array(state))
      os.replace(path, store)
  except OSError as error:
    logging.warning('%s cannot be kept, it will be made anew each time: %s',
                    store, error)
