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

import dataclasses
import pathlib
import re
import textwrap

from absl import app
from absl import flags
import numpy as np

from launch import entry
from launch import run_flags
from launch import shared_flags
from launch.reports import results_text
from launch.reports import signature_plots
from trainers.data import catalog
from trainers.data import examples
from trainers.data import pipeline
from trainers.data import transforms
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists

_PREPARE = flags.DEFINE_bool(
    'prepare', False, 'First download and prepare what is not prepared.')
_WRITE_CLASS_LIST = flags.DEFINE_enum(
    'write_class_list', None, sorted(class_lists.LISTS), 'List of classes to '
    'make from prepared data and to write into the data directory.')
_BATCH = flags.DEFINE_integer(
    'batch', 16, 'Images to draw of each task and split.', lower_bound=1)
_PICTURE = flags.DEFINE_string(
    'picture', None, 'New PNG file for the picture. Default: '
    'runs/data/<tasks>.png, which is replaced.')
_DATA_DIR = shared_flags.DATA_DIR
# These flags are those of a run.
_TASKS, _IMAGE_SIZE, _AUGMENTATION, _SEED = _RUN = [
    flags.FLAGS[name]
    for name in ('tasks', 'image_size', 'augmentation', 'seed')]
for _name in (*(flag.name for flag in _RUN), 'data_dir'):
  flags.declare_key_flag(_name)

_SMALL_SIZE, _LARGE_SIZE = 32, 128  # of small images and others, by default
_LONGEST_NAME = 100  # of the default picture


def main(argv):
  """Does what the flags ask for."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  _check_flags()
  if _WRITE_CLASS_LIST.value:
    write_class_list(_WRITE_CLASS_LIST.value)
  if _TASKS.value:
    show(_TASKS.value)
  if not (_WRITE_CLASS_LIST.value or _TASKS.value):
    list_all()


def list_all():
  """Prints all data sets and groups."""
  tasks = [catalog.get_task(name) for name in catalog.task_names()]
  width = max(len(task.licence) for task in tasks)
  rows = [('data set', 'classes', 'image', 'train', 'test', 'prepared',
           'licence'.ljust(width))]
  rows += [(task.name, str(task.num_classes), _shape(task), *_sizes(task),
            _readiness(task), task.licence.ljust(width)) for task in tasks]
  print(results_text.align(rows))
  print('Sizes as published; * counts all classes, where only a list of them '
        'is used.')
  for name in catalog.group_names():
    print(_group(name))
  print(f'Names can be followed by +{" or +".join(transforms.TRANSFORMS)}. '
        'Other data: folder:PATH (a folder\nof images for each class), '
        'images:PATH (without labels, to adapt to),\n'
        'tfds:NAME[:CONFIGURATION]; several as one: pool:A|B.')


def show(names):
  """Reads tasks, prints what they are, draws them.

  Args:
    names: Names of tasks, pools and groups.

  Raises:
    ValueError: If a task does not exist; if data is missing, before any is
      read; if data is faulty, after the other tasks were shown.
  """
  path = _picture_path(names)
  data, faults = _try_all(
      _load, dict.fromkeys(catalog.expand_names(names)))
  _raise_all(faults)
  tasks = tuple(dict.fromkeys(task for each in data for task in each.tasks))
  _make_ready(tasks)
  looks, faults = _try_all(_look, data)
  if looks:
    rows, strips = zip(*looks)
    print(results_text.align([
        ('task', 'image', 'classes', 'train', 'validation', 'test',
         'rarest class', 'commonest class'), *rows]))
    print('Images as networks see them; classes by number of training images.')
    for task in tasks:
      print(f'\n{_facts(task)}')
    for name in names:
      if name.split('+')[0] in catalog.group_names():
        print(f'\n{_group(name)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    signature_plots.save_images(sum(strips, []), path)
    print(f'\nPicture: {path}')
  _raise_all(faults)


def write_class_list(name):
  """Makes a class list from prepared data, writes and prints it.

  Args:
    name: A key of `class_lists.LISTS`.
  """
  wanted = class_lists.LISTS[name]
  tasks = [_with_all_classes(catalog.get_task(task)) for task in wanted.tasks]
  pipeline.check_same_classes(tasks)
  _make_ready(tasks)
  counts = {}
  for task in tasks:
    data = pipeline.load_pool(
        [task], _SMALL_SIZE, examples.StoredExamples(_DATA_DIR.value),
        validation_fraction=0)
    counts[task.name] = np.bincount(
        data.labels('train'), minlength=task.num_classes)
  total = sum(counts.values())
  labels = class_lists.most_frequent(total, wanted.length)
  class_names = [tasks[0].class_names[label] for label in labels]
  path = class_lists.write(
      name, labels, class_names,
      {'counted': {task: int(count.sum()) for task, count in counts.items()},
       'training_images': total[list(labels)].tolist()},
      _DATA_DIR.value)
  rows = [('class', 'stored label', 'training images')]
  rows += [(class_name, str(label), f'{total[label]:,}')
           for class_name, label in zip(class_names, labels)]
  print(results_text.align(rows))
  print(f'Class list: {path}')


def _check_flags():
  others = flags.FLAGS.flags_by_module_dict()[run_flags.__name__]
  others += [flags.FLAGS['workdir'], flags.FLAGS['smoke']]
  needless = [flag.name for flag in others
              if flag.present and flag not in _RUN]
  if needless:
    raise ValueError(f'launch.data has no use for --{needless[0]}: leave it '
                     'out.')
  if _PREPARE.value and not (_TASKS.value or _WRITE_CLASS_LIST.value):
    raise ValueError('--prepare needs --tasks: name the data sets to be '
                     'prepared.')


def _load(name):
  """The `TaskData` of a task or a pool, nothing read yet."""
  def load(size):
    return pipeline.load_tasks(
        [name], size, _DATA_DIR.value, _AUGMENTATION.value)[name]

  if _IMAGE_SIZE.value is not None:
    return load(_IMAGE_SIZE.value)
  data = load(_LARGE_SIZE)
  small = all(task.is_small for task in data.tasks)
  return load(_SMALL_SIZE) if small else data


def _make_ready(tasks):
  """Prepares data if it is asked for; an error names all that is missing."""
  _, faults = _try_all(_make_one_ready, tasks)
  _raise_all(faults)


def _make_one_ready(task):
  if _PREPARE.value and not task.folder:
    builders.prepare(task, _DATA_DIR.value)
  builders.check_prepared(task, _DATA_DIR.value)


def _try_all(function, items):
  """What a function makes of items, and its errors at the others."""
  made, faults = [], []
  for item in items:
    try:
      made.append(function(item))
    except ValueError as error:
      faults.append(str(error))
  return made, faults


def _raise_all(faults):
  if faults:
    raise ValueError('\n'.join(faults))


def _look(data):
  """A row of the table, and [(caption, images, their classes)]."""
  class_names = _class_names(data.tasks[0])

  def strip(caption, batches):
    images, labels = next(iter(batches))
    return caption, images.numpy(), [class_names[label] for label in labels]

  kinds = ', '.join(sorted({task.augmentation for task in data.tasks}))
  strips = [strip(f'{data.name}, training images, augmentation: {kinds}',
                  data.train_batches(_BATCH.value, _SEED.value or 0))]
  for member, task in enumerate(data.tasks):
    # Stored examples may be in the order of their classes.
    every = max(1, data.num_examples('test', member) // _BATCH.value)
    strips.append(strip(f'{task.name}, test images', data.eval_batches(
        'test', _BATCH.value, member, every)))
  side = strips[0][1].shape[1]
  counts = np.bincount(data.labels('train'), minlength=data.num_classes)
  row = (data.name, f'{side}x{side}', str(data.num_classes),
         *(f'{data.num_examples(split):,}' for split in pipeline.SPLITS),
         *(f'{class_names[label]} ({counts[label]:,})'
           for label in (counts.argmin(), counts.argmax())))
  return row, strips


def _facts(task):
  """A paragraph on a data set; what is not known is left out."""
  directory = task.folder or builders.open_builder(
      task, _DATA_DIR.value).data_path
  facts = {
      'images': f'{_shape(task)}, in {directory}',
      'classes': ', '.join(_class_names(task)),
      'licence': task.licence,
      'origin': task.origin,
      'paper': task.paper_use}
  return '\n'.join([task.name, *(
      textwrap.fill(f'{key:9}{text}', initial_indent='  ',
                    subsequent_indent=' ' * 11, width=80, max_lines=4,
                    break_on_hyphens=False, break_long_words=False)
      for key, text in facts.items() if text)])


def _group(name):
  """A paragraph on a group."""
  target = catalog.group_target(name)
  return textwrap.fill(
      f'group {name}: {", ".join(catalog.expand_names([name]))}'
      f'{f"; target {target}" if target else ""}', width=80,
      subsequent_indent='  ')


def _class_names(task):
  """Names as declared, else those that TFDS knows."""
  if task.class_names:
    return task.class_names
  names = _with_all_classes(task).class_names
  if task.class_list:
    return [names[label] for label in class_lists.read(
        task.class_list, _DATA_DIR.value)]
  return names


def _with_all_classes(task):
  """A task with all the classes that its TFDS data set has."""
  label = builders.open_builder(
      task, _DATA_DIR.value).info.features['label']
  return dataclasses.replace(
      task, class_list=None, num_classes=label.num_classes,
      class_names=label.names)


def _shape(task):
  """The shape of stored images: 28x28x1."""
  if not task.has_fixed_size:
    return 'varies'
  return 'x'.join(map(str, task.image_shape))


def _sizes(task):
  """Published numbers of training and test images."""
  mark = '*' if task.class_list else ''
  train = f'{task.num_stored(task.train_split):,}{mark}'
  if task.test_split is None:
    return train, 'a fifth of it'
  return train, f'{task.num_stored(task.test_split):,}{mark}'


def _readiness(task):
  if builders.is_prepared(task, _DATA_DIR.value):
    return 'yes'
  return 'no, files by hand' if task.manual_files else 'no'


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
  entry.run(main)
