"""Copies of a trained model whose layers run in another order (section B)."""

from mixture_modules.isometric import detaching
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import task_norms


def rearrange(model, layers, mixtures, into=None):
  """A copy of a model with other layers in other places.

  With every layer go the gamma, beta and moving statistics that are its own,
  in each task or in the model; all else is copied as it is. The copy's
  signatures are of the kind 'linear': the given mixtures themselves, no row
  of them shared.

  Args:
    model: `IsometricModel`.
    layers: For each layer of the copy, which layer of `model` it is, from 0;
      a layer may be there several times, or not at all.
    mixtures: {task: `[len(layers), K]`}.
    into: An earlier copy, with as many layers, to be overwritten; functions
      that were traced of it stay valid.

  Returns:
    `IsometricModel`, which shares no variable with `model`.

  Raises:
    ValueError: If `into` has another number of layers.

  Source: section B; what goes with a layer is our choice.
  """
  copy = _blank(model, len(layers)) if into is None else into
  if copy.config.num_layers != len(layers):
    raise ValueError(
        f'Expected a copy of {len(layers)} layers to overwrite, received one '
        f'of {copy.config.num_layers}: leave `into` out.')
  source = model.named_variables()
  for name, task in copy.tasks.items():
    task.signature.assign(mixtures[name])
  for key, variable in copy.named_variables().items():
    if key.endswith('/signature/logits'):
      continue
    value = source[key].numpy()
    if key.rsplit('/', 1)[-1] in task_norms.BODY_SITES:
      value = value[list(layers)]  # [L, channels]
    variable.assign(value)
  return copy


def _blank(model, num_layers):
  """A model of the same tasks, with that many layers and fresh variables."""
  config = model.config.replace(
      num_layers=num_layers, signature='linear', signature_init='uniform',
      shared_half=None)
  copy = isometric_model.IsometricModel(config, {}, dtype=model.dtype_policy)
  for name, task in model.tasks.items():
    copy.add_task(name, task.num_classes, head=task.head_name)
    for part in detaching.detached_parts(model, task):
      copy.detach(name, part)
  return copy
