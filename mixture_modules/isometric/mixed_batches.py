"""One batch whose images belong to different tasks (section 4.3)."""

from keras import ops
import numpy as np


def predict_mixed(model, images, task_ids):
  """Logits of a batch of images, each by a task of its own.

  The images of one task are computed together. The result is that of calling
  the model with one image after the other, in inference.

  Args:
    model: `IsometricModel`.
    images: `[batch, H, W, 3]` floats.
    task_ids: Name of one task for all images, or a sequence of `batch` names.

  Returns:
    List of `batch` float32 arrays, the logits `[classes of its task]`.

  Raises:
    ValueError: If a task is not there, or names are not as many as images.
  """
  images = np.asarray(images)
  model.config.check_images(images.shape)
  if isinstance(task_ids, str):
    task_ids = [task_ids] * len(images)
  task_ids = [str(name) for name in task_ids]
  if len(task_ids) != len(images):
    raise ValueError(
        f'Expected the name of one task for all, or one for each of '
        f'{len(images)} images, received {len(task_ids)} names.')
  unknown = sorted(set(task_ids) - set(model.tasks))
  if unknown:
    raise ValueError(f'Expected names of the tasks {list(model.tasks)}, '
                     f'received {unknown}.')
  logits = [None] * len(images)
  for name in dict.fromkeys(task_ids):
    chosen = [i for i, other in enumerate(task_ids) if other == name]
    rows = ops.convert_to_numpy(model(images[chosen], task=name))
    for i, row in zip(chosen, rows):
      logits[i] = row
  return logits
