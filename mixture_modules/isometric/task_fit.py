"""Whether a task of one model fits another (section 4.3).

A task works with the templates that it was trained on. Of what its model
shares with it, a task file holds a description and digests.
"""

import hashlib
import json

import keras
from keras import ops
import numpy as np

from mixture_modules import fixed_sequences
from mixture_modules import signatures
from mixture_modules import tensor_files
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_norms

_SHOWN = 5  # differences named in an error


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
  return combine(describe_model(model), shared_digests(model))


def combine(description, digests):
  """The fingerprint of a model of this description and these digests."""
  return hashlib.sha256(
      json.dumps([description, digests], sort_keys=True).encode()).hexdigest()


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


def describe_signature(kind, temperature, sequence):
  """What decides a signature besides its logits, for JSON."""
  return {'kind': 'fixed' if sequence else kind,
          'temperature': temperature if kind == 'softmax' else None,
          'sequence': sequence and list(sequence)}


def shared_digests(model):
  """{name: dtype, shape and SHA-256} of the variables that tasks share."""
  digests = {}
  for name, variable in parameters.shared_variables(model).items():
    value = ops.convert_to_numpy(variable)
    digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    digests[name] = f'{value.dtype}{list(value.shape)} {digest}'
  return digests


def check(model, header, tensors):
  """Checks all that must fit whatever the values of the shared weights are.

  Args:
    model: `IsometricModel`.
    header: As of `task_files.TaskFile`.
    tensors: As of `task_files.TaskFile`.

  Returns:
    Names of the shared variables that the task uses and whose values are not
    those that it was saved with.

  Raises:
    ValueError: If something does not fit; the message says what differs.
  """
  faults = _differences(describe_model(model), header['model'])
  faults += _signature_faults(model.config, model.seed, header['signature'])
  faults += _shape_faults(model, header, tensors)
  ours, theirs = shared_digests(model), header['shared']
  # Of another kind of model, these would say it all again.
  faults = faults or _differences(
      _shapes_of(ours), _shapes_of(theirs), 'shared ')
  if faults:
    raise ValueError(f'it does not fit the model: {list_some(faults, "; ")}')
  return [name for name, digest in ours.items() if digest != theirs[name]
          and not _has_own(model, name, tensors)]


def harden_alike(model, task, header):
  """Makes the signature of a task fixed if the file's is, and its model's not.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model, just made.
    header: As of `task_files.TaskFile`, of a file that was checked.
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
  return _differences(
      describe_signature(config.signature, config.temperature, sequence),
      described, 'signature ')


def _shapes_of(digests):
  return {name: str(digest).rpartition(' ')[0]
          for name, digest in digests.items()}


def _differences(ours, theirs, what=''):
  """Texts on how a file's description differs from the model's."""
  def show(described, key):
    if key not in described:
      return 'not there'
    return tensor_files.shorten(described[key])

  return [
      f'{what}{tensor_files.shorten(key)} is {show(theirs, key)}, in the model '
      f'{show(ours, key)}' for key in {**ours, **theirs}
      if key not in ours or key not in theirs or ours[key] != theirs[key]]


def _shape_faults(model, header, tensors):
  """What is wrong with names, shapes and dtypes of a task's tensors."""
  required, optional = _shapes(model, header)
  faults = [f'it lacks {name}' for name in required if name not in tensors]
  for name, array in tensors.items():
    allowed = list(dict.fromkeys(
        shapes[name] for shapes in (required, optional) if name in shapes))
    received = (array.shape, array.dtype.name)
    if not allowed:
      faults.append(f'{tensor_files.shorten(name)} is in no task of the model')
    elif received not in allowed:
      faults.append(f'{name} is {received[1]}{list(received[0])}, expected '
                    + ' or '.join(f'{d}{list(s)}' for s, d in allowed))
  return faults


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


def list_some(texts, separator=', '):
  """The first few of a list, for an error."""
  more = len(texts) - _SHOWN
  return separator.join(texts[:_SHOWN]) + (
      f'{separator}and {more} more' if more > 0 else '')
