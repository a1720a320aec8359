"""Makes a list of classes from counts of training images (section 4.4)."""

import dataclasses
import pathlib

import numpy as np

from trainers.data import catalog
from trainers.data import examples
from trainers.data import pipeline
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists

_SMALL_SIZE = 32  # of images that are counted and not looked at


@dataclasses.dataclass(frozen=True)
class CountedClasses:
  """A class list that was written.

  Args:
    path: The file.
    labels: Stored labels, ascending.
    class_names: Their names.
    images: Number of training images of each, in all data sets together.
  """

  path: pathlib.Path
  labels: tuple[int, ...]
  class_names: tuple[str, ...]
  images: tuple[int, ...]


def write_class_list(name, data_dir=None, prepare=False):
  """Counts training images, and writes the list of the commonest classes.

  Args:
    name: A key of `class_lists.LISTS`.
    data_dir: TFDS's data directory. Default None: TFDS's own default.
    prepare: Whether to prepare the data sets that are not prepared.

  Returns:
    `CountedClasses`.

  Raises:
    ValueError: If data is missing, its classes differ, or another list is
      there already.
  """
  wanted = class_lists.LISTS[name]
  tasks = [builders.with_all_classes(catalog.get_task(task), data_dir)
           for task in wanted.tasks]
  pipeline.check_same_classes(tasks)
  builders.make_ready(tasks, data_dir, prepare)
  counts = {task.name: _count(task, data_dir) for task in tasks}
  total = sum(counts.values())
  labels = class_lists.most_frequent(total, wanted.length)
  names = tuple(tasks[0].class_names[label] for label in labels)
  images = tuple(total[list(labels)].tolist())
  path = class_lists.write(
      name, labels, names,
      {'counted': {task: int(count.sum()) for task, count in counts.items()},
       'training_images': list(images)}, data_dir)
  return CountedClasses(path, labels, names, images)


def _count(task, data_dir):
  """Training images of each class, `[num_classes]`."""
  data = pipeline.load_pool(
      [task], _SMALL_SIZE, examples.StoredExamples(data_dir),
      validation_fraction=0)
  return np.bincount(data.labels('train'), minlength=task.num_classes)
