"""A user's own images without code: one folder for each class, or no labels.

The class folders lie in PATH/train and PATH/test, optionally also in
PATH/validation, or directly in PATH; images without labels lie in PATH itself.
Hidden files and folders, Thumbs.db and desktop.ini are ignored. `decoding` says
what is seen of a file.
"""

import dataclasses
import hashlib
import multiprocessing.pool
import os
import pathlib
import warnings

import numpy as np
import tqdm

from trainers.data import augmentation
from trainers.data import decoding
from trainers.data import image_task

_SPLITS = {'train', 'validation', 'test'}
_IGNORED = ('desktop.ini', 'thumbs.db')
_THREADS = 8
_TEST_SHARE = 0.2  # of the images is for the test where no folder is
# Of images without labels:
_LEAST = 20  # so that each split has two, to compare
_LOOKED_AT = 10  # to see whether they have one size
_ELONGATED = 2  # times as long as wide
_SHARE = 0.1  # of the images may be so before it is told
_NAMED = 3  # of the files that are damaged within


def make_task(name, path):
  """Returns the task of a folder of images.

  Args:
    name: Name of the task.
    path: Directory as described above; `~` is the home directory.

  Returns:
    `ImageTask`. Classes are the names of the class folders in order. Without
    PATH/test, about a fifth of the training images is for the test: a file's
    own name decides, so that adding, removing or renaming one moves no other.
    Images of one size of at most 64 x 64 pixels are shifted, others are cropped
    at random and mirrored.

  Raises:
    ValueError: If the directory is not as described above. But for one of each
      class, files are not opened: `check_files` does so.
  """
  path = _absolute(name, path)
  files = _list_splits(path)
  names = tuple(files['train'])
  for split, others in files.items():
    _check_same_classes(path, split, names, others)
  if len(names) < 2:
    raise ValueError(
        f'{path}: expected at least 2 class folders, received only '
        f'{names[0]!r}: add a folder for each other class.')
  files = _hold_out(path, files)
  return _declare(
      name, path, files, [paths[0] for paths in files['train'].values()],
      num_classes=len(names),
      class_names=names,
      validation_split='validation' if 'validation' in files else None)


def make_unlabelled_task(name, path):
  """Returns the task of a folder of images that have no labels.

  Args:
    name: Name of the task.
    path: Directory of image files; `~` is the home directory.

  Returns:
    `ImageTask` without classes. About a fifth of the images is for the test, as
    of `make_task`; so is the augmentation.

  Raises:
    ValueError: If the directory holds anything else, or fewer than 20 images.
      But for some, files are not opened: `check_files` does so.
  """
  path = _absolute(name, path)
  files = _hold_out(path, _list_unlabelled(path))
  train, = files['train'].values()
  return _declare(name, path, files, train[::-(-len(train) // _LOOKED_AT)],
                  num_classes=None)


def _absolute(name, path):
  if not path:
    kind = name.partition(':')[0]
    raise ValueError(
        f'{name}: expected a directory of images, received no path: write '
        f'`{kind}:PATH`.')
  return os.path.abspath(os.path.expanduser(path))


def _declare(name, path, files, some, **facts):
  """Returns the `ImageTask` of files, some of which are looked at."""
  task = image_task.ImageTask(
      name=name,
      folder=path,
      splits={split: sum(map(len, classes.values()))
              for split, classes in files.items()},
      image_shape=_find_shape(some),
      augmentation='crop_flip',
      **facts)
  return dataclasses.replace(
      task, augmentation='shift') if task.is_small else task


def list_files(task, split):
  """Returns the image files of a split, class by class.

  Args:
    task: `ImageTask` with a folder.
    split: One of `task.splits`.

  Returns:
    Paths, a list of strings, and labels, int32 `[n]`; of a task without
    labels all 0.

  Raises:
    ValueError: If the directory is not as the task's maker expects it.
  """
  files = (_list_splits if task.is_labelled else _list_unlabelled)(task.folder)
  classes = _hold_out(task.folder, files)[split]
  counts = [len(paths) for paths in classes.values()]
  labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
  return sum(classes.values(), []), labels


def check_files(paths, size=None):
  """Checks all files, as `check_image` does, and shows how far it is.

  Warns of JPEG files that are damaged within, and names some.

  Args:
    paths: Paths of image files.
    size: As for `check_image`.

  Returns:
    (height, width) of each.

  Raises:
    ValueError: If a file is not an image; it names the first. If 16-bit greys
      use fewer bits in all files, which would leave few shades of them.
  """
  with (decoding.hear_damage() as damage,
        multiprocessing.pool.ThreadPool(_THREADS) as pool):
    checks = pool.imap(
        lambda path: check_image(path, size), paths, chunksize=16)
    sizes, bits = zip(*tqdm.tqdm(
        checks, desc='Checking images', total=len(paths), delay=2))
  if damage:
    _warn_of_damage(paths, len(damage))
  bits = [found for found in bits if found is not None]
  if bits and max(bits) < 16:
    raise ValueError(
        f'{os.path.dirname(paths[0])}: expected 16-bit images that use 16 '
        f'bits, received {len(bits)} whose brightest grey has {max(bits)}: '
        f'multiply their pixels by {2 ** (16 - max(bits))}, or convert them to '
        '8 bits.')
  return sizes


def _warn_of_damage(paths, count):
  """Names the first of `count` files that are damaged within."""
  named = []
  for path in paths:
    with decoding.hear_damage() as damage:
      check_image(path)
    named += [f'{path} ({text})' for text in damage]
    if len(named) >= min(count, _NAMED):
      break
  warnings.warn(
      f'{count} of {len(paths)} images are JPEG files that are damaged within, '
      f'such as {", ".join(named)}. Parts of them may be grey or of other '
      'colours: look at them, and remove or get anew what is spoilt.',
      stacklevel=3)


def warn_of_cuts(task, sizes):
  """Warns if many images are elongated and the task's view cuts them off.

  Many is more than a tenth; one class is often all that is elongated.

  Args:
    task: `ImageTask`.
    sizes: (height, width) of each image, in pixels.
  """
  if task.is_small or task.view != 'centre':
    return
  ratios = [max(size) / min(size) for size in sizes]
  ratios = [ratio for ratio in ratios if ratio > _ELONGATED]
  if len(ratios) > _SHARE * len(sizes):
    seen = augmentation.CENTRE ** 2 / np.median(ratios)
    warnings.warn(
        f'{task.folder}: {len(ratios)} of {len(sizes)} images are more than '
        f'{_ELONGATED} times as long as wide. Evaluation sees their middle '
        f'alone, {seen:.0%} of the typical one. To show all of them, choose '
        'view=whole or view=pad.', stacklevel=2)


def check_image(path, size=None):
  """Checks that an image file can be decoded.

  Args:
    path: Path of a file.
    size: Height and width that the image is to have, in pixels. Default: any.

  Returns:
    (height, width) in pixels, and how many bits 16-bit greys use; None of other
    images.

  Raises:
    ValueError: If it is not a whole file of `decoding.FORMATS`.
  """
  try:
    encoded = pathlib.Path(path).read_bytes()
  except OSError as error:
    fault = f'{error}: mend or remove it'
  else:
    fault = decoding.find_fault(encoded)
    received = None if fault else decoding.read_size(encoded)
    if size not in (None, received) and not fault:
      fault = (f'{received[0]} x {received[1]} pixels where others have '
               f'{size[0]} x {size[1]}: resize it')
  if fault:
    raise ValueError(
        f'{path}: expected an image file ({", ".join(decoding.FORMATS)}), '
        f'received {fault}.')
  return received, decoding.num_grey_bits(encoded)


def _find_shape(paths):
  """Returns the shape of all images if these are small and of one size."""
  sizes = {check_image(path)[0] for path in paths}
  first = sizes.pop()
  if sizes or max(first) > image_task.SMALL:
    return None, None, 3
  return *first, 3


def _list_splits(path):
  """Returns {split with a folder: {class: paths of its image files}}."""
  return {split: _list_classes(directory)
          for split, directory in _find_splits(path).items()}


def _hold_out(path, files):
  """Returns `files` with a test split, held out of train if there is none."""
  if 'test' in files:
    return files
  test = {name: [path for path in paths if _is_held_out(path)]
          for name, paths in files['train'].items()}
  train = {name: [path for path in paths if not _is_held_out(path)]
           for name, paths in files['train'].items()}
  without = [name for name, paths in train.items() if not paths]
  if without or not any(test.values()):
    raise ValueError(
        f'{path}: expected enough images in each class for training, and for '
        f'the test, which gets about a fifth of them by their names, received '
        f'no image for {without or "the test"}: add images, or put those for '
        f'the test into {os.path.join(path, "test")}.')
  return {**files, 'train': train, 'test': test}


def _is_held_out(path):
  """Whether a file is for the test; nothing but its name decides.

  A rank among the names would move other files whenever one comes or goes, and
  so make training images of test images.
  """
  digest = hashlib.sha256(os.path.basename(path).encode()).digest()
  return int.from_bytes(digest[:8], 'big') < _TEST_SHARE * 2 ** 64


def _find_splits(path):
  """Returns {stored split: directory of its class folders}."""
  folders = _list_folders(path)
  if 'train' not in folders:
    return {'train': path}
  others = sorted(set(folders) - _SPLITS)
  if others:
    if not _scan(os.path.join(path, 'train'))[0]:  # a class of that name
      return {'train': path}
    raise ValueError(
        f'{path}: expected no folders beside train, validation and test, '
        f'received {", ".join(others)}: rename or move them.')
  return {split: os.path.join(path, split) for split in folders}


def _list_classes(directory):
  """Returns {class: paths of its image files}, both sorted."""
  classes = {}
  for name in _list_folders(directory):
    path = os.path.join(directory, name)
    classes[name] = _list_images(
        path, f'if {name} is no class but a split, name it train, validation '
        'or test')
  return classes


def _list_unlabelled(path):
  """Returns {'train': {name of no meaning: paths of all image files}}."""
  images = _list_images(path, 'if folders are classes, write folder:PATH')
  if len(images) < _LEAST:
    raise ValueError(
        f'{path}: expected at least {_LEAST} images, received {len(images)}: '
        f'add images.')
  return {'train': {'': images}}


def _list_images(path, remedy):
  """Returns the paths of the image files in `path`, sorted, if all are."""
  folders, files = _scan(path)
  if folders:
    raise ValueError(
        f'{path}: expected only image files in this folder, received the '
        f'folder {folders[0]}: move its images up, or, {remedy}.')
  if not files:
    raise ValueError(
        f'{path}: expected images in this folder, received an empty one: add '
        f'images, or remove the folder.')
  for file in files:
    if not file.lower().endswith(decoding.SUFFIXES):
      raise ValueError(
          f'{os.path.join(path, file)}: expected only images in this folder '
          f'({", ".join(decoding.SUFFIXES)}), received another file: remove or '
          'convert it.')
  return [os.path.join(path, file) for file in files]


def _list_folders(path):
  """Returns the names of the folders in `path`, which holds nothing else."""
  folders, files = _scan(path)
  if files:
    raise ValueError(
        f'{os.path.join(path, files[0])}: expected only folders in {path}, '
        f'received this file: move it into the folder of its class, or '
        f'elsewhere.')
  if not folders:
    raise ValueError(
        f'{path}: expected a folder for each class, received none: put the '
        f'images of each class into a folder of its name.')
  return folders


def _scan(path):
  """Returns the names of folders and of files in `path`, sorted."""
  names = {True: [], False: []}
  try:
    with os.scandir(path) as entries:
      for entry in entries:
        hidden = entry.name.startswith('.') or entry.name.lower() in _IGNORED
        if not hidden:
          entry.name.encode()  # a name that TensorFlow cannot read
          names[entry.is_dir()].append(entry.name)
          if not (entry.is_dir() or entry.is_file()):
            raise ValueError(
                f'{entry.path}: expected a file or a folder, received a broken '
                'link, a pipe, a device or the like: mend or remove it.')
  except OSError as error:
    raise ValueError(
        f'{path}: expected a directory of images that can be read, received '
        f'{error.strerror}: check the path and its permissions.') from error
  except UnicodeEncodeError as error:
    raise ValueError(
        f'{path}: expected names in UTF-8, received {error.object!r}: rename '
        f'this file.') from error
  return sorted(names[True]), sorted(names[False])


def _check_same_classes(path, split, names, others):
  missing = sorted(set(names) - set(others))
  superfluous = sorted(set(others) - set(names))
  if missing or superfluous:
    raise ValueError(
        f'{path}: expected the classes of train in {split}, received classes '
        f'that differ (missing: {", ".join(missing) or "none"}; superfluous: '
        f'{", ".join(superfluous) or "none"}): rename, add or remove folders.')
