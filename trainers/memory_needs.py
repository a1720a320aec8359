"""What a training needs of memory at least, refused before it begins (ours)."""

import tensorflow as tf

from mixture_modules import memory
from mixture_modules.isometric import parameters

_FLOAT = 4  # bytes
_UPDATE = 4  # numbers for a parameter: weight, gradient, RMSProp's two averages


def check(config, batch_size, classes=(), num_replicas=1):
  """Refuses a training that cannot fit into the memory of this machine.

  Lower bounds are summed, so that nothing is refused that could run. With S
  the side of the images, c and e channels, L layers and n positions, an image
  has

      3 S^2 + L n (c + 2 e)

  numbers: itself, and the inputs of the blocks' convolutions, which their
  gradients need. The latter count where there is no accelerator, whose memory
  is another.

  Args:
    config: `RunConfig`.
    batch_size: Images of all tasks in a step, over all replicas.
    classes: Number of classes of each task of a model that is yet to be made.
      Default: it is there.
    num_replicas: Replicas that share a batch; one at least is here.

  Raises:
    ValueError: If it cannot fit.

  Source: our choice.
  """
  model = config.model
  images = -(-batch_size // num_replicas)
  numbers = _FLOAT * 3 * model.image_size ** 2
  if not tf.config.list_physical_devices('GPU'):
    width = 2 if config.precision == 'mixed_bfloat16' else _FLOAT
    positions = (model.image_size // model.patch_size) ** 2
    numbers += width * model.num_layers * positions * (
        model.channels + 2 * model.expanded_channels)
  new = parameters.count_at_least(model, classes) if classes else 0
  needs = {
      f'the update of {new:,} parameters': _UPDATE * _FLOAT * new,
      f'a step of {images:,} images': images * numbers}
  memory.check(needs, 'choose a smaller batch_size or image_size'
               if max(needs, key=needs.get).startswith('a step') else
               'choose a smaller depth_multiplier, or fewer num_templates')
