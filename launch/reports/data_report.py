"""What `launch.data` says of data sets, as text, and what it draws."""

import textwrap

import numpy as np

from launch.reports import results_text
from trainers.data import catalog
from trainers.data import image_task
from trainers.data import pipeline
from trainers.data import transforms
from trainers.data.datasets import builders

LOOK = ('task', 'image', 'classes', 'train', 'validation', 'test',
        'rarest class', 'commonest class')


def format_catalog(data_dir=None):
  """A table of all data sets, and the groups below it.

  Args:
    data_dir: TFDS's data directory. Default: TFDS's own.
  """
  tasks = [catalog.get_task(name) for name in catalog.task_names()]
  width = max(len(task.licence) for task in tasks)
  rows = [('data set', 'classes', 'image', 'train', 'test', 'prepared',
           'licence'.ljust(width))]
  rows += [(task.name, str(task.num_classes), _shape(task), *_sizes(task),
            _readiness(task, data_dir), task.licence.ljust(width))
           for task in tasks]
  return '\n'.join([
      results_text.align(rows),
      'Sizes as published; * counts all classes, where only a list of them is '
      'used.',
      *map(format_group, catalog.group_names()),
      f'Names can be followed by +{" or +".join(transforms.TRANSFORMS)}. Other '
      'data: folder:PATH (a folder\nof images for each class), images:PATH '
      '(without labels, to adapt to),\ntfds:NAME[:CONFIGURATION][@TEST_SPLIT];'
      ' several as one: pool:A|B.'])


def format_group(name):
  """A paragraph on a group.

  Args:
    name: Name of the group.
  """
  target = catalog.group_target(name)
  return textwrap.fill(
      f'group {name}: {", ".join(catalog.expand_names([name]))}'
      f'{f"; target {target}" if target else ""}', width=80,
      subsequent_indent='  ')


def format_facts(task, data_dir=None):
  """A paragraph on a data set; what is not known is left out.

  Args:
    task: `ImageTask` whose data is there.
    data_dir: TFDS's data directory. Default: TFDS's own.
  """
  directory = task.folder or builders.open_builder(task, data_dir).data_path
  facts = {
      'images': f'{_shape(task)}, in {directory}',
      'view': not task.is_small and image_task.VIEWS[task.view],
      'classes': ', '.join(builders.class_names(task, data_dir)),
      'licence': task.licence,
      'origin': task.origin,
      'paper': task.paper_use}
  return '\n'.join([task.name, *(
      textwrap.fill(f'{key:9}{text}', initial_indent='  ',
                    subsequent_indent=' ' * 11, width=80, max_lines=4,
                    break_on_hyphens=False, break_long_words=False)
      for key, text in facts.items() if text)])


def format_class_list(counted):
  """A table of a class list.

  Args:
    counted: `count_classes.CountedClasses`.
  """
  rows = [('class', 'stored label', 'training images')]
  rows += [(name, str(label), f'{images:,}') for name, label, images in zip(
      counted.class_names, counted.labels, counted.images)]
  return f'{results_text.align(rows)}\nClass list: {counted.path}'


def look(data, batch_size, seed, data_dir=None):
  """Reads a task's images.

  Args:
    data: `TaskData`.
    batch_size: Number of images to draw of each split.
    seed: Seed of their order and augmentation.
    data_dir: TFDS's data directory. Default: TFDS's own.

  Returns:
    (row of a table with the head `LOOK`, strips for
    `signature_plots.save_images`).
  """
  class_names = builders.class_names(data.tasks[0], data_dir)

  def strip(caption, batches):
    images, labels = next(iter(batches))
    return caption, images.numpy(), [class_names[label] for label in labels]

  kinds = ', '.join(sorted({task.augmentation for task in data.tasks}))
  strips = [strip(f'{data.name}, training images, augmentation: {kinds}',
                  data.train_batches(batch_size, seed))]
  for member, task in enumerate(data.tasks):
    # Stored examples may be in the order of their classes.
    every = max(1, data.num_examples('test', member) // batch_size)
    strips.append(strip(
        f'{task.name}, test images',
        data.eval_batches('test', batch_size, member, every)))
  side = strips[0][1].shape[1]
  counts = np.bincount(data.labels('train'), minlength=data.num_classes)
  row = (data.name, f'{side}x{side}', str(data.num_classes),
         *(f'{data.num_examples(split):,}' for split in pipeline.SPLITS),
         *(f'{class_names[label]} ({counts[label]:,})'
           for label in (counts.argmin(), counts.argmax())))
  return row, strips


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


def _readiness(task, data_dir):
  if builders.is_prepared(task, data_dir):
    return 'yes'
  return 'no, files by hand' if task.manual_files else 'no'
