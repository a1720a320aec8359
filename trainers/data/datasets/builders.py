"""Opens and prepares TFDS data sets, ours among them."""

import contextlib
import dataclasses
import io
import os
import shutil
import urllib.error

import requests
import tensorflow as tf
import tensorflow_datasets as tfds

# Importing a builder makes it known to TFDS.
from trainers.data.datasets import class_lists
from trainers.data.datasets import missing_data
from trainers.data.datasets import office_caltech10
from trainers.data.datasets import optdigits
from trainers.data.datasets import usps

_OWN = (office_caltech10.NAME, optdigits.NAME, usps.NAME)

# What TFDS raises where files are to be put by hand and are not there.
_MANUAL_ERRORS = (AssertionError, FileNotFoundError, tf.errors.NotFoundError)
_DOWNLOAD_ERRORS = (
    requests.RequestException, urllib.error.URLError,
    tfds.download.DownloadError,
    tfds.core.download.download_manager.NonMatchingChecksumError)
_STORAGE_ERRORS = (
    OSError, tf.errors.PermissionDeniedError, tf.errors.ResourceExhaustedError)


def open_builder(task, data_dir=None):
  """Returns the TFDS builder of a task, prepared or not; downloads nothing.

  The optical digits, which need no download, are prepared if they are not yet.

  Args:
    task: `ImageTask` of a TFDS data set.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Raises:
    ValueError: If TFDS has no such data set, configuration or version, or the
      optical digits cannot be written.
  """
  if task.tfds_name == optdigits.NAME:
    return prepare(task, data_dir, quiet=True)
  return _find_builder(task, data_dir)


def prepare(task, data_dir=None, quiet=False):
  """Downloads and prepares a task's data set unless it is there.

  Two processes may do so at once: each writes aside, the first to finish moves
  its files in place and the other uses those. A failure leaves nothing behind
  but downloads that were complete.

  Args:
    task: `ImageTask` of a TFDS data set.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    quiet: Whether TFDS is to report no progress.

  Returns:
    The TFDS builder.

  Raises:
    ValueError: If TFDS has no such data set; if files that are to be put by
      hand are missing or wrong, a download fails, or `data_dir` cannot be
      written.
  """
  builder = _find_builder(task, data_dir)
  # A directory for each builder: a shared one was seen to serve one data set's
  # files under the name of another.
  download_dir = builder.data_dir_root / 'downloads' / builder.name
  try:
    with _silence() if quiet else contextlib.nullcontext():
      builder.download_and_prepare(
          download_dir=download_dir,
          download_config=tfds.download.DownloadConfig(
              manual_dir=_manual_dir(builder)))
  except (*_MANUAL_ERRORS, *_DOWNLOAD_ERRORS, *_STORAGE_ERRORS) as error:
    if builder.data_path.exists():  # Another process was faster.
      return _find_builder(task, data_dir)
    _remove_partial_downloads(download_dir)
    raise ValueError(_failure_message(task, builder, error)) from error
  return builder


def is_prepared(task, data_dir=None):
  """Returns whether the data set of a task is there; prepares nothing.

  Args:
    task: `ImageTask` of a TFDS data set.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
  """
  data_dir = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
  return os.path.exists(os.path.join(data_dir, task.tfds_name, task.version))


def check_prepared(task, data_dir=None):
  """Checks that a task's data is there; reads and downloads nothing.

  Args:
    task: `ImageTask`, also of a folder, which was looked at when it was made.
    data_dir: TFDS's data directory. Default None: TFDS's own default.

  Raises:
    MissingDataError: If the data set is not prepared, or its list of classes
      not written.
  """
  if task.folder:
    return
  builder = open_builder(task, data_dir)
  if not builder.data_path.exists():
    raise missing_error(task, builder)
  if task.class_list:
    class_lists.read(task.class_list, data_dir)


def make_ready(tasks, data_dir=None, is_asked=False):
  """Checks that all data is there; prepares it first where that is asked for.

  Args:
    tasks: `ImageTask`s, also of folders.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    is_asked: Whether to prepare what is missing.

  Raises:
    ValueError: If data is missing or cannot be prepared; the message names all
      of it.
  """
  faults = []
  for task in tasks:
    try:
      if is_asked and not task.folder:
        prepare(task, data_dir)
      check_prepared(task, data_dir)
    except ValueError as error:
      faults.append(error)
  missing_data.raise_all(faults)


def class_names(task, data_dir=None):
  """Returns names of a task's classes: as declared, else those of TFDS.

  Args:
    task: `ImageTask` whose data is there.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
  """
  if task.class_names:
    return task.class_names
  names = with_all_classes(task, data_dir).class_names
  if task.class_list:
    return [names[label]
            for label in class_lists.read(task.class_list, data_dir)]
  return names


def with_all_classes(task, data_dir=None):
  """Returns a task with all the classes that its TFDS data set has.

  Args:
    task: `ImageTask` of a TFDS data set, prepared or not.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
  """
  label = open_builder(task, data_dir).info.features['label']
  return dataclasses.replace(
      task, class_list=None, num_classes=label.num_classes,
      class_names=label.names)


def missing_error(task, builder):
  """The `MissingDataError` of data that is not prepared.

  Args:
    task: `ImageTask` of a TFDS data set.
    builder: Its TFDS builder.
  """
  manual = (
      f'put {task.manual_files} into {_manual_dir(builder)}, then '
      if task.manual_files else '')
  return missing_data.MissingDataError(
      f'{task.name}: expected the prepared TFDS data set '
      f'{task.tfds_reference} in {builder.data_path}, received no such '
      f'directory: {manual}prepare it, or name the data_dir that has it. '
      'Nothing is downloaded unasked.',
      [missing_data.Missing(
          str(builder.data_dir_root), task.name,
          # TFDS's own command knows TFDS's own only.
          None if builder.name in _OWN else task.tfds_name)])


def _find_builder(task, data_dir):
  try:
    return tfds.builder(task.tfds_reference, data_dir=data_dir)
  except (AssertionError, ValueError) as error:
    reason = str(error).split('\n', 1)[0]  # Lists of all data sets follow.
    raise ValueError(
        f'{task.name}: expected a TFDS data set {task.tfds_reference}, '
        f'received {reason}: correct its name, configuration or version, or '
        f'install the release of TFDS that has it.') from error


def _manual_dir(builder):
  return builder.data_dir_root / 'downloads' / 'manual'


@contextlib.contextmanager
def _silence():
  with (contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO())):
    yield


def _remove_partial_downloads(download_dir):
  for path in download_dir.glob('*/*.tmp.*'):
    shutil.rmtree(path, ignore_errors=True)  # Other threads may be at work.


def _failure_message(task, builder, error):
  """Returns one message for what TFDS reports in many ways."""
  instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
  if isinstance(error, _DOWNLOAD_ERRORS):
    request = getattr(error, 'request', None)
    url = request.url if request is not None else task.origin
    by_hand = (
        f' The manual directory is {_manual_dir(builder)}. {instructions}'
        if instructions else '')
    return (
        f'{task.name}: expected to download {url}, received {error}: try again '
        f'where the network reaches it.{by_hand}')
  if isinstance(error, _MANUAL_ERRORS) and instructions:
    return (
        f'{task.name}: expected {task.manual_files or "files put by hand"} in '
        f'{_manual_dir(builder)}, received {error}: put the files there and '
        f'prepare the data set again.')
  return (
      f'{task.name}: expected to prepare {task.tfds_reference} in '
      f'{builder.data_path}, received {error}: make room, or give a data_dir '
      f'that can be written.')
