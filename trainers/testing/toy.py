"""A small learnable problem and a small run, for tests of the trainers."""

import contextlib
import warnings

import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_config
from trainers import optimizers
from trainers.data import examples
from trainers.data import image_task
from trainers.data import pipeline
from trainers.runs import run_config

CLASSES = 4
_SIDE = 8  # pixels
_SIZES = {'train': 40, 'test': 23}


def make_data(names, sizes=None):
  """{task: `TaskData`} of made images; the bright quadrant is the class.

  Args:
    names: Names of tasks; each has images of its own.
    sizes: {'train', 'test'}: number of examples. A tenth of train, at least
      one, is held out for validation.
  """
  sizes = sizes or _SIZES
  def declare(name):
    return image_task.ImageTask(
        name=name, tfds_name=name, version='1.0.0', splits=sizes,
        num_classes=CLASSES, image_shape=(_SIDE, _SIDE, 1))

  return {name: pipeline.load_pool([declare(name)], _SIDE, _Quadrants(seed))
          for seed, name in enumerate(names)}


class _Quadrants:
  """A source of examples, as `examples.StoredExamples` is."""

  def __init__(self, seed):
    self._seed = seed

  def open(self, task, split, image_size, limit_bytes):
    del limit_bytes
    rng = np.random.default_rng([self._seed, split == 'test'])
    labels = rng.integers(CLASSES, size=task.splits[split]).astype('int32')
    images = rng.integers(0, 120, (len(labels), _SIDE, _SIDE, 1), 'uint8')
    half = _SIDE // 2
    for image, label in zip(images, labels):
      y, x = half * (label // 2), half * (label % 2)
      image[y : y + half, x : x + half] += 100
    return examples.DecodedExamples(task, image_size, labels, images, True)


def make_config(tasks=('one', 'two'), **changes):
  """A `RunConfig` of a model that is traced in a second.

  Args:
    tasks: Names of tasks.
    **changes: As for `RunConfig.replace`.
  """
  config = run_config.RunConfig(
      tasks=tuple(tasks),
      model=isometric_config.IsometricConfig(
          depth_multiplier=0.2, num_layers=2, num_templates=2, image_size=_SIDE,
          use_se=False, adapter_filters=(8, 16), dropout=0.0,
          norm_momentum=0.9),
      optimizer=optimizers.OptimizerConfig(),
      batch_size=8, steps=10, eval_batch_size=10)
  return config.replace(**changes)


@contextlib.contextmanager
def eagerly():
  """A context in which functions are run, not traced: quicker for few steps."""
  tf.config.run_functions_eagerly(True)
  try:
    with warnings.catch_warnings():  # of datasets, which are still traced
      warnings.filterwarnings('ignore', message='Even though the `tf.config')
      yield
  finally:
    tf.config.run_functions_eagerly(False)


def run_steps(trainer, steps, start=0, traced=True):
  """Scalars of some steps, as floats.

  Args:
    trainer: Trainer, as of `loop.Trainer`.
    steps: Number of steps.
    start: Number of the first one.
    traced: Whether steps are a graph, as in a run. A trace takes as long as
      ten steps without.
  """
  batches = trainer.batches(start)
  with contextlib.nullcontext() if traced else eagerly():
    return [{name: float(value) for name, value in trainer.train_step(
        tf.constant(step, tf.int64), next(batches)).items()}
            for step in range(start, start + steps)]
