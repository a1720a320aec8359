"""Lists, prepares, checks and shows data (sections 4.2 to 4.4 and A.2).

    python -m launch.data
    python -m launch.data --tasks=digits,usps
    python -m launch.data --tasks=folder:my/images --image_size=128
    python -m launch.data --tasks=usps --prepare
    python -m launch.data --write_class_list=domainnet100

Without flags it lists all data sets and groups. Tasks are read, so that faults
show, counted, and drawn as networks see them. Nothing is downloaded without
--prepare.
"""

import pathlib
import re

from absl import flags

from launch import entry
from launch.reports import data_report
from launch.reports import results_text
from launch.reports import signature_plots
from mixture_modules import memory
from trainers.data import catalog
from trainers.data import count_classes
from trainers.data import image_task
from trainers.data import pipeline
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists
from trainers.data.datasets import missing_data

FLAGS = flags.FlagValues()
_TASKS = flags.DEFINE_list(
    'tasks', None, 'Data sets to show, each with optional transforms '
    '(mnist+blur); groups (digits); folder:PATH, pool:A|B, tfds:NAME.',
    flag_values=FLAGS)
_PREPARE = flags.DEFINE_bool(
    'prepare', False, 'First download and prepare what is not prepared.',
    flag_values=FLAGS)
_WRITE_CLASS_LIST = flags.DEFINE_enum(
    'write_class_list', None, sorted(class_lists.LISTS), 'List of classes to '
    'make from prepared data and to write into the data directory.',
    flag_values=FLAGS)
_BATCH = flags.DEFINE_integer(
    'batch', 16, 'Images to draw of each task and split.', lower_bound=1,
    flag_values=FLAGS)
_IMAGE_SIZE = flags.DEFINE_integer(
    'image_size', None, 'Side of the drawn images, in pixels. Default: 32 if '
    'all stored images of a task are small, else 128.', flag_values=FLAGS)
_AUGMENTATION = flags.DEFINE_enum(
    'augmentation', None, image_task.AUGMENTATIONS, 'How training images are '
    'varied. Default: as each data set declares.', flag_values=FLAGS)
_VIEW = flags.DEFINE_enum(
    'view', None, list(image_task.VIEWS), 'What is seen of an image, as of '
    'launch.train. Default: as each data set declares.', flag_values=FLAGS)
_SEED = flags.DEFINE_integer(
    'seed', 0, 'Seed of order and augmentation.', flag_values=FLAGS)
_PICTURE = flags.DEFINE_string(
    'picture', None, 'New PNG file for the picture. Default: '
    'runs/data/<tasks>.png, which is replaced.', flag_values=FLAGS)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.', flag_values=FLAGS)

_SMALL_SIZE, _LARGE_SIZE = 32, 128  # of small images and others, by default
_LONGEST_NAME = 100  # of the default picture


def main():
  """Does what the flags ask for."""
  if _PREPARE.value and not (_TASKS.value or _WRITE_CLASS_LIST.value):
    raise ValueError('--prepare needs --tasks: name the data sets to be '
                     'prepared.')
  if _WRITE_CLASS_LIST.value:
    print(data_report.format_class_list(count_classes.write_class_list(
        _WRITE_CLASS_LIST.value, _DATA_DIR.value, _PREPARE.value)))
  if _TASKS.value:
    _show(_TASKS.value, _picture_path(_TASKS.value))
  if not (_WRITE_CLASS_LIST.value or _TASKS.value):
    print(data_report.format_catalog(_DATA_DIR.value))


def _show(names, picture):
  """Reads tasks, prints what they are, draws them; then raises all faults."""
  data, faults = _try_all(_load, dict.fromkeys(catalog.expand_names(names)))
  missing_data.raise_all(faults)
  tasks = tuple(dict.fromkeys(task for each in data for task in each.tasks))
  builders.make_ready(tasks, _DATA_DIR.value, _PREPARE.value)
  looks, faults = _try_all(_look, data)
  if looks:
    rows, strips = zip(*looks)
    print(results_text.align([data_report.LOOK, *rows]))
    print('Images as networks see them; classes by number of training images.')
    for task in tasks:
      print(f'\n{data_report.format_facts(task, _DATA_DIR.value)}')
    for name in names:
      if name.split('+')[0] in catalog.group_names():
        print(f'\n{data_report.format_group(name)}')
    picture.parent.mkdir(parents=True, exist_ok=True)
    signature_plots.save_images(sum(strips, []), picture)
    print(f'\nPicture: {picture}')
  missing_data.raise_all(faults)


def _load(name):
  """The `TaskData` of a task or a pool, nothing read yet."""
  def load(size):
    memory.check({'the images to draw': 4 * 3 * _BATCH.value * size ** 2},
                 'draw fewer or smaller ones')
    return pipeline.load_tasks(
        [name], size, _DATA_DIR.value, _AUGMENTATION.value,
        view=_VIEW.value)[name]

  if _IMAGE_SIZE.value is not None:
    return load(_IMAGE_SIZE.value)
  data = load(_LARGE_SIZE)
  small = all(task.is_small for task in data.tasks)
  return load(_SMALL_SIZE) if small else data


def _look(data):
  return data_report.look(
      data, _BATCH.value, _SEED.value, _DATA_DIR.value)


def _try_all(function, items):
  """What a function makes of items, and its errors at the others."""
  made, faults = [], []
  for item in items:
    try:
      made.append(function(item))
    except ValueError as error:
      faults.append(error)
  return made, faults


def _picture_path(names):
  """Where the picture goes; nothing but a default picture is replaced."""
  if _PICTURE.value is None:
    name = re.sub(r'[^\w+,.-]+', '-', ','.join(names), flags=re.ASCII)
    return pathlib.Path(f'runs/data/{name[:_LONGEST_NAME]}.png')
  path = pathlib.Path(_PICTURE.value)
  if path.suffix != '.png' or path.exists():
    raise ValueError(
        f'--picture expected a new file whose name ends in .png, received '
        f'{path}{", which exists" if path.exists() else ""}: give another '
        f'name.')
  return path


if __name__ == '__main__':
  entry.run(main, FLAGS)
