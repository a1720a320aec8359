"""What a task file says of its task's data and training (section 4.3).

What a file from anywhere says is checked, and never opened as a path.
"""

import dataclasses
from typing import Literal

from mixture_modules import tensor_files
from trainers.data import catalog
from trainers.data import image_task
from trainers.data import pipeline
from trainers.data import transforms
from trainers.runs import strict_json

_VALUE_RANGE = (-1, 1)  # of all images that networks see


@dataclasses.dataclass(frozen=True)
class SplitFacts:
  """What a split holds.

  Args:
    examples: Number of images.
    labels: Digest of their labels, or None where they have none.
    files: Digest of their files' names and sizes, of folders of images.

  Raises:
    ValueError: If the number is out of range, or there is no digest.
  """

  examples: int
  labels: str | None = None
  files: str | None = None

  def __post_init__(self):
    _check_count(self.examples)
    if self.labels is None and self.files is None:
      raise ValueError('Expected a digest of labels or files, received '
                       f'{self}: give one of them.')


@dataclasses.dataclass(frozen=True)
class DataFacts:
  """What is known of a task's images.

  Args:
    splits: {split: what it holds}.
    examples_per_class: Of each class, where only so many images were used.
    examples_seed: Seed of that choice.
    view: What is seen of an image. Default: 'centre'.

  Raises:
    ValueError: If a number is out of range.
  """

  splits: dict[Literal[*pipeline.SPLITS], SplitFacts] | None = None
  examples_per_class: int | None = None
  examples_seed: int | None = None
  view: Literal[*image_task.VIEWS] | None = None

  def __post_init__(self):
    for count in (self.examples_per_class, self.examples_seed):
      if count is not None:
        _check_count(count)


def describe(saved, name):
  """What a task file says of a task's data and training, for JSON; no paths.

  Args:
    saved: `SavedModel`.
    name: The task.
  """
  facts = saved.tasks[name]
  return {**facts, 'dataset': _declared(facts.get('dataset', name)),
          'image_size': saved.model.config.image_size,
          'value_range': list(_VALUE_RANGE), 'steps': saved.step,
          'weights': saved.weights}


def read(metadata, path):
  """Facts of a task's data, as of `SavedModel.tasks`, of a file from anywhere.

  Args:
    metadata: That of `task_format.read_task_file`, which checks class names.
    path: The file, for the error.

  Raises:
    ValueError: If a fact is of another type, or out of range.
  """
  known = {field.name: metadata[field.name]
           for field in dataclasses.fields(DataFacts)
           if metadata.get(field.name) is not None}
  for key, value in known.items():
    try:
      strict_json.decode(DataFacts, {key: value}, path)
    except ValueError as error:
      raise ValueError(
          f'Expected facts of data in {path}, received {key}='
          f'{tensor_files.shorten(value)}: export the task again.') from error
  return {'class_names': metadata.get('class_names'), **known,
          'dataset': _declared(metadata.get('dataset'))}


def _declared(dataset):
  """A name, if it stands for declared data: None for a path or a pattern."""
  if not isinstance(dataset, str):
    return None
  try:
    members = catalog.data_sets([dataset])
  except ValueError:
    return None
  is_declared = all(
      name.split('+')[0] in catalog.task_names()
      and set(name.split('+')[1:]) <= set(transforms.TRANSFORMS)
      for name in members)
  return dataset if is_declared else None


def _check_count(count):
  if not 0 <= count < 2 ** 31:
    raise ValueError(
        f'Expected a number from 0 to 2**31, received {count}: count anew.')
