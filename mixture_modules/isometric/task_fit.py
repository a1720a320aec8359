"""Whether a task of one model fits another (section 4.3).

A task works with the templates that it was trained on. Of what its model
shares with it, a task file holds a description and digests.
"""

import keras

from mixture_modules import fixed_sequences
from mixture_modules import signatures
from mixture_modules import task_format
from mixture_modules import tensor_files
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_norms


def fingerprint(model):
  """SHA-256 of what all tasks of a model share.

  Of names, shapes, dtypes and bytes of the shared variables, and of what else
  decides the model's function. Two models with one fingerprint compute the
  same with the same task, up to the precision of their activations.

  Args:
    model: `IsometricModel`.

  Returns:
    64 hexadecimal digits.
  """
  return task_format.combine(describe_model(model), shared_digests(model))


def describe_model(model):
  """What decides the function of a model besides its variables, for JSON."""
  config = model.config
  names = ('num_layers', 'num_templates', 'channels', 'patch_size', 'use_se',
           'norm', 'norm_epsilon', 'shared_half', 'original_input')
  activation = keras.activations.serialize(
      keras.activations.get(config.activation))
  return {**{name: getattr(config, name) for name in names},
          'adapter_filters': list(config.adapter_filters),
          'activation': str(activation)}


def shared_digests(model):
  """{name: dtype, shape and SHA-256} of the variables that tasks share."""
  return task_format.digests(parameters.shared_variables(model))


def check(model, header, tensors):
  """Checks all that must fit whatever the values of the shared weights are.

  Args:
    model: `IsometricModel`.
    header: As of `task_format.TaskFile`.
    tensors: As of `task_format.TaskFile`.

  Returns:
    Names of the shared variables that the task uses and whose values are not
    those that it was saved with.

  Raises:
    ValueError: If something does not fit; the message says what differs.
  """
  faults = task_format.differences(describe_model(model), header['model'])
  faults += _signature_faults(model.config, model.seed, header['signature'])
  faults += task_format.shape_faults(*_shapes(model, header), tensors)
  ours, theirs = shared_digests(model), header['shared']
  # Of another kind of model, these would say it all again.
  task_format.refuse_faults(faults or task_format.digest_faults(ours, theirs))
  return [name for name, digest in ours.items() if digest != theirs[name]
          and not _has_own(model, name, tensors)]


def harden_alike(model, task, header):
  """Makes the signature of a task fixed if the file's is, and its model's not.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model, just made.
    header: As of `task_format.TaskFile`, of a file that was checked.
  """
  if _is_hardened(model.config, header['signature']):
    model.detach(task.task_name, 'mixture')
    task.signature.become(_explicit(header['signature']['sequence']))


def _is_hardened(config, described):
  return (config.signature in signatures.TRAINED
          and described.get('kind') == 'fixed')


def _explicit(sequence):
  return '-'.join(str(number + 1) for number in sequence)


def _signature_faults(config, seed, described):
  """Texts on how a file's signature does not fit a model."""
  if _is_hardened(config, described):
    numbers = described.get('sequence')
    if (isinstance(numbers, list) and len(numbers) == config.num_layers
        and all(number in range(config.num_templates) for number in numbers)
        and all(isinstance(number, int) for number in numbers)):
      return []
    return [f'signature sequence is {tensor_files.shorten(numbers)}, expected '
            f'{config.num_layers} of the templates from 0 to '
            f'{config.num_templates - 1}']
  sequence = None
  if config.signature not in signatures.TRAINED:
    sequence = fixed_sequences.make_sequence(
        config.signature, config.num_layers, config.num_templates, seed)
  return task_format.differences(
      task_format.describe_signature(
          config.signature, config.temperature, sequence),
      described, 'signature ')


def _shapes(model, header):
  """{name: (shape, dtype)} of what a task must have, and of what it may."""
  config = model.config
  sites = task_norms.shapes(config).items()
  required = {'num_updates': ((), 'int64')}
  required.update({f'statistics/{kind}/{site}': (shape, 'float32')
                   for kind in ('mean', 'variance') for site, shape in sites})
  optional = {f'affine/{kind}/{site}': (shape, 'float32')
              for kind in ('gamma', 'beta') for site, shape in sites}
  if config.norm == 'private':
    required.update(optional)
  required['head/kernel'] = (
      (config.adapter_filters[1], header['num_classes']), 'float32')
  required['head/bias'] = ((header['num_classes'],), 'float32')
  rows, templates = config.num_layers, config.num_templates
  if (config.signature in signatures.TRAINED
      and not _is_hardened(config, header['signature'])):
    optional['signature/logits'] = ((rows, templates), 'float32')
    if model.shared_signature is not None:
      rows -= model.shared_signature.num_layers
    required['signature/logits'] = ((rows, templates), 'float32')
  for name, variable in parameters.shared_variables(model).items():
    if name.startswith(('input_adapter/', 'output_adapter/')):
      optional[name] = (tuple(variable.shape),
                        keras.backend.standardize_dtype(variable.dtype))
  return required, optional


def _has_own(model, name, tensors):
  """Whether a task has its own in the place of a shared variable."""
  if name == 'shared_signature/logits':
    logits = tensors.get('signature/logits')  # none in a hardened one
    return logits is None or len(logits) == model.config.num_layers
  kind, site, *parameter = name.split('/')
  if kind == 'bank' and parameter in (['gamma'], ['beta']):
    name = f'affine/{parameter[0]}/{site}'
  return name in tensors
