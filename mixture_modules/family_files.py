"""Task files of a `TaskFamily` (section 4.3).

    mm.save_task(family, 'flowers', 'flowers.task')
    mm.load_task(copy_of_the_family, 'flowers.task')

The shared weights stay where they are: a file fits the family that it was
saved from and copies of it. `task_format` has the format.
"""

import hashlib
import json

import keras

from mixture_modules import checks
from mixture_modules import families
from mixture_modules import mixture_layer
from mixture_modules import task_format

# Of a configuration, what does not decide what a layer computes.
_LEFT_OUT = ('bank', 'signature', 'sharing', 'shared_object_id', 'trainable',
             'seed', 'build_config', 'compile_config', 'mixture_regularizer',
             'registered_name', 'module')
# What stands under these names layers.
_NAMING = ('name', 'keras_history', 'input_layers', 'output_layers')


def encode_task(family, name, metadata=None):
  """The bytes of a task file; arguments and errors as of `save_task`."""
  if name is None and len(family) == 1:
    name, = family
  task = family.task(name)
  first = next(iter(family))
  changed = task_format.differences(
      _describe_signatures(family.task(first)), _describe_signatures(task))
  checks.require(not changed, f'task {name!r}',
                 f'one with signatures of the kinds of task {first!r}', changed,
                 'save its model instead')
  header = {
      'name': name, 'num_classes': family.num_classes(name), 'head': None,
      'signature': _describe_signatures(task),
      'model': _describe_model(family, name),
      'shared': task_format.digests(_shared_variables(family, task)),
      'precision': task.model.dtype_policy.name}
  return task_format.encode(header, _own_variables(family, task), metadata)


def load_task(family, path, name=None, force=False):
  """Adds the task of a file; arguments and errors as of `load_task`."""
  file, changed = task_format.read_fitting(
      path, lambda file: _check(family, next(iter(family)), file), force)
  name = file.name if name is None else name
  model = family.add_task(name, file.header['num_classes'])
  try:
    for key, variable in _own_variables(family, family.task(name)).items():
      variable.assign(file.tensors[key])
  except BaseException:
    family.remove_task(name)
    raise
  task_format.warn(file, name, path, model.dtype_policy.name, changed)
  return model


def _check(family, name, file):
  """Names of shared variables that have changed; refuses what does not fit."""
  task, header = family.task(name), file.header
  faults = task_format.differences(
      _describe_model(family, name), header['model'])
  faults += task_format.differences(
      _describe_signatures(task), header['signature'], 'signature of ')
  required = {key: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype))
              for key, v in _own_variables(family, task).items()}
  for key, (shape, dtype) in required.items():
    if key.startswith('head/'):  # the last axis of kernel and bias
      required[key] = ((*shape[:-1], header['num_classes']), dtype)
  faults += task_format.shape_faults(required, {}, file.tensors)
  ours = task_format.digests(_shared_variables(family, task))
  task_format.refuse_faults(
      faults or task_format.digest_faults(ours, header['shared']))
  return [key for key, digest in ours.items()
          if digest != header['shared'][key]]


def _describe_signatures(task):
  return {place: task_format.describe_signature(
      layer.signature.kind, layer.signature.temperature,
      layer.signature.sequence)
          for place, layer in task.layers.items()
          if getattr(layer, 'signature', None)}


def _describe_model(family, name):
  """What decides what all tasks compute, besides variables, for JSON."""
  task = family.task(name)
  config = keras.saving.serialize_keras_object(task.model)
  for own in (config, config['config']):  # a model is called like its task
    own.pop('name', None)
  config = _relevant(config, family.head(name).name)
  numbers = {}  # of names: Keras counts the layers of all models
  for each in _names(config):
    numbers.setdefault(each, len(numbers))
  text = json.dumps(_replace(config, numbers), default=str)
  return {'layers': len(task.layers),
          'architecture': hashlib.sha256(text.encode()).hexdigest()}


def _relevant(config, head):
  """A configuration without what tasks differ in."""
  if isinstance(config, dict):
    if config.get('class_name') == '__keras_tensor__':  # its shape follows
      return {'keras_history': list(config['config']['keras_history'])}
    sizes = families.SIZES if config.get('name') == head else ()
    return {key: _relevant(config[key], head) for key in sorted(config)
            if key not in (*_LEFT_OUT, *sizes)}
  if isinstance(config, (list, tuple)):
    return [_relevant(each, head) for each in config]
  return config


def _names(config):
  """Yields the names of models, layers and operations in a configuration."""
  if isinstance(config, dict):
    own = config.get('config')
    if isinstance(own, dict) and 'name' in own and not str(
        config.get('class_name')).endswith('DTypePolicy'):
      yield own['name']
    config = list(config.values())
  for each in config if isinstance(config, list) else ():
    yield from _names(each)


def _replace(config, numbers, key=None):
  """A configuration with numbers for the names of layers."""
  if isinstance(config, dict):
    return {inner: _replace(each, numbers, inner)
            for inner, each in config.items()}
  if isinstance(config, list):
    return [_replace(each, numbers, key) for each in config]
  return numbers.get(config, config) if key in _NAMING and isinstance(
      config, str) else config


def _own_variables(family, task):
  """{name: variable} of what is the task's own."""
  own, seen = {}, set()
  for place, layer in task.layers.items():
    signature = getattr(layer, 'signature', None)
    if signature and signature.logits is not None and id(
        signature) not in seen:
      seen.add(id(signature))
      own[f'signature/{place}'] = signature.logits
    if families.is_norm(layer):
      own.update({f'norm/{place}/{v.name}': v
                  for v in families.norm_variables(layer)})
    if layer is task.layers[family.head_place]:
      own.update({f'head/{v.name}': v for v in layer.weights})
  return own


def _shared_variables(family, task):
  """{name: variable} of templates and plain layers."""
  shared, banks = {}, {}
  for place, layer in task.layers.items():
    if isinstance(layer, mixture_layer.MixtureLayer):
      number = banks.setdefault(id(layer.bank), len(banks) + 1)
      shared.update({f'bank_{number}/{slot}': layer.bank.templates(slot)
                     for slot in layer.slots})
    elif not families.is_norm(layer) and place != family.head_place:
      shared.update({f'layers/{place}/{number}/{v.name}': v
                     for number, v in enumerate(layer.weights)})
  return shared
