"""One batch whose images belong to different tasks (section 4.3)."""

from keras import ops
import numpy as np


def predict_mixed(models, images, task_ids):
  """Outputs of a batch of images, each by a task of its own.

  The images of one task are computed together. The result is that of one image
  after the other, in inference.

  Args:
    models: {task: function from images to outputs}.
    images: `[batch, ...]`.
    task_ids: Name of one task for all images, or a sequence of `batch` names.

  Returns:
    List of `batch` arrays, the outputs, `[classes of its task]`.

  Raises:
    ValueError: If a task is not there, or names are not as many as images.
  """
  images = np.asarray(images)
  if isinstance(task_ids, str):
    task_ids = [task_ids] * len(images)
  task_ids = [str(name) for name in task_ids]
  if len(task_ids) != len(images):
    raise ValueError(
        f'Expected the name of one task for all, or one for each of '
        f'{len(images)} images, received {len(task_ids)} names.')
  unknown = sorted(set(task_ids) - set(models))
  if unknown:
    raise ValueError(f'Expected names of the tasks {list(models)}, '
                     f'received {unknown}.')
  outputs = [None] * len(images)
  for name in dict.fromkeys(task_ids):
    chosen = [i for i, other in enumerate(task_ids) if other == name]
    rows = ops.convert_to_numpy(models[name](images[chosen]))
    for i, row in zip(chosen, rows):
      outputs[i] = row
  return outputs
