"""Moving statistics of batch norms, estimated anew from images (our choice)."""

import tensorflow as tf


def make_observer(model):
  """The function by which a task's statistics follow images.

  Args:
    model: `IsometricModel`.

  Returns:
    Function of images `[b, S, S, 3]` and the name of a task; it is traced once
    for each task.
  """
  return tf.function(
      lambda images, task: model.encode(images, task, training=True)[1],
      autograph=False, jit_compile=False)


def reestimate(model, task_name, batches, observe=None):
  """Moves a task's statistics as if its training had just begun.

  Args:
    model: `IsometricModel`.
    task_name: Name of the task.
    batches: Dataset of images, or of (images, labels); labels are not looked
      at.
    observe: As from `make_observer`, where one was traced before.
  """
  observe = observe or make_observer(model)
  model.task(task_name).statistics.num_updates.assign(0)
  for batch in batches:
    images = batch[0] if isinstance(batch, tuple) else batch
    observe(images, task_name)
