"""The variables of an isometric model by name, and how many they are.

Names follow the structure (`bank/expand/kernel`,
`tasks/mnist/signature/logits`), not Keras' generated layer names, and are the
same in every process that builds the same model.
"""

import math

from keras import ops

from mixture_modules import mixture_se
from mixture_modules.isometric import task_norms


def parts(model):
  """{name: layer} of everything that can be frozen by itself."""
  named = {'bank': model.bank, 'block': model.block, **_adapters(model),
           'affine': model.affine,
           'shared_signature': model.shared_signature}
  named.update({f'heads/{name}': head for name, head in model.heads.items()})
  for name, task in model.tasks.items():
    own = {'signature': task.signature, 'affine': task.affine,
           **_adapters(task)}
    named.update({f'tasks/{name}/{part}': own[part] for part in own})
  return {name: layer for name, layer in named.items() if layer is not None}


def shared_variables(model):
  """{name: variable} of what tasks may share: no heads, no dropout seeds.

  Args:
    model: `IsometricModel`.
  """
  named = {f'bank/{s}': model.bank.templates(s) for s in model.bank.slots}
  named.update(_variables_of(_adapters(model)))
  named.update(_norm_variables('affine', model.affine, ('gamma', 'beta')))
  if model.shared_signature is not None:
    named['shared_signature/logits'] = model.shared_signature.logits
  return named


def shared_parts(model, task):
  """Layers and variables of the model, besides the block, that a task uses.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
  """
  parts = []
  if task.input_adapter is None:
    parts.append(model.input_adapter)
  if task.output_adapter is None:
    parts += model.output_adapter
  for site in task_norms.SITES:
    if task.affine is not None and site in task.affine:
      continue
    if model.affine is not None and site in model.affine:
      parts += [model.affine.gamma[site], model.affine.beta[site]]
    else:
      parts += [model.bank.slot(f'{site}/{kind}') for kind in ('gamma', 'beta')]
  return parts


def used_variable_ids(model, task):
  """Ids of all variables that a task computes with, shared or its own.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
  """
  parts = [model.block, task, *shared_parts(model, task)]
  return {id(variable) for part in parts
          for variable in getattr(part, 'variables', [part])}


def task_variables(model, task_name):
  """{name: variable} of what belongs to one task, with names of its own.

  `signature/logits` (rows that are not shared), `affine/gamma/expand`,
  `statistics/mean/input`, `num_updates`, `input_adapter/kernel`,
  `output_adapter/1/kernel`, and `head/kernel`, also of a head that is shared.

  Args:
    model: `IsometricModel`.
    task_name: Name of the task.
  """
  task = model.task(task_name)
  return {**_own_variables(task), **_variables_of({'head': task.head})}


def named_variables(model):
  """{name: variable} of everything that an `IsometricModel` holds.

  Args:
    model: `IsometricModel`.
  """
  shared = shared_variables(model)
  heads = _variables_of({f'heads/{n}': h for n, h in model.heads.items()})
  own = {f'tasks/{name}/{key}': variable
         for name, task in model.tasks.items()
         for key, variable in _own_variables(task).items()}
  return {**shared, **heads, **own,
          'dropout_seeds': model.dropout_seeds.state}


def _own_variables(task):
  """`task_variables` without the head."""
  named = {}
  if task.signature.logits is not None:
    named['signature/logits'] = task.signature.logits
  named.update(_norm_variables('affine', task.affine, ('gamma', 'beta')))
  named.update(_norm_variables(
      'statistics', task.statistics, ('mean', 'variance')))
  named['num_updates'] = task.statistics.num_updates
  return {**named, **_variables_of(_adapters(task))}


def _adapters(owner):
  """{name: convolution} of a model's or a task's adapters."""
  named = {'input_adapter': owner.input_adapter}
  for i, layer in enumerate(owner.output_adapter or (), 1):
    named[f'output_adapter/{i}'] = layer
  return {name: layer for name, layer in named.items() if layer is not None}


def _variables_of(layers):
  return {f'{name}/{variable.name}': variable
          for name, layer in layers.items() for variable in layer.variables}


def _norm_variables(prefix, layer, kinds):
  if layer is None:
    return {}
  return {f'{prefix}/{kind}/{site}': getattr(layer, kind)[site]
          for kind in kinds for site in task_norms.SITES
          if site in getattr(layer, kind)}


def report(model):
  """{part: number of parameters}; the parts add up to 'total'.

  Frozen ones count. A block has `templates / K` of them (with shared norms
  only if K = L). 'private_adapters' is there if a task has some. Moving
  statistics are never trained and stand apart, as 'statistics' (per task).

  Args:
    model: `IsometricModel`.

  Source: Table 7.
  """
  counts = {'input_adapter': 0, 'templates': 0, 'output_adapter': 0,
            'signatures': 0, 'private_norms': 0, 'heads': 0}
  for name, variable in shared_variables(model).items():
    counts[_shared_part(name)] += _size(variable)
  for head in model.heads.values():
    counts['heads'] += sum(_size(v) for v in head.variables)
  for task in model.tasks.values():
    for name, variable in _trained(task).items():
      part = _OWN_PARTS[name.split('/')[0]]
      counts[part] = counts.get(part, 0) + _size(variable)
  counts['total'] = sum(counts.values())
  counts['statistics'] = 2 * sum(
      math.prod(shape) for shape in task_norms.shapes(model.config).values())
  return counts


def count_at_least(config, classes=()):
  """Number of parameters of a model that is not made: all but its norms'.

  With channels c, e, s (of squeeze-and-excite), c1 and c2, patches of p pixels
  and C classes of a task,

      3 p^2 c + K (2 c e + 9 e + 2 e s + s + e) + c c1 + c1 c2
      + sum over tasks of (c2 + 1) C

  Args:
    config: `IsometricConfig`.
    classes: Number of classes of each task.

  Source: sections 4.1 and A.1.
  """
  c, e = config.channels, config.expanded_channels
  c1, c2 = config.adapter_filters
  block = 2 * c * e + 9 * e
  if config.use_se:
    s = mixture_se.make_divisible(e / 4)
    block += 2 * e * s + s + e
  return (3 * config.patch_size ** 2 * c + config.num_templates * block
          + c * c1 + c1 * c2 + sum((c2 + 1) * count for count in classes))


def count_own(model, task=None):
  """Number of trained parameters that only this task has.

  Args:
    model: `IsometricModel`.
    task: Name of the task. Default: the only one.
  """
  task = model.task(task)
  own = list(_trained(task).values())
  if [t.head for t in model.tasks.values()].count(task.head) == 1:
    own += task.head.variables
  return sum(_size(variable) for variable in own)


def list_tasks(model):
  """{task: what it is and has}, a row of a table for each task.

  Args:
    model: `IsometricModel`.

  Returns:
    {name: {'classes': number of them, 'head': name of the head,
    'own_parameters': number of trained parameters that only it has,
    'signature': strongest template of each layer, such as '1-2-2-3'}}.
  """
  return {name: {'classes': task.num_classes, 'head': task.head_name,
                 'own_parameters': count_own(model, name),
                 'signature': task.signature.notation()}
          for name, task in model.tasks.items()}


_OWN_PARTS = {'signature': 'signatures', 'affine': 'private_norms',
              'input_adapter': 'private_adapters',
              'output_adapter': 'private_adapters'}


def _trained(task):
  """Variables of a task, without the head, that can be trained."""
  return {name: variable for name, variable in _own_variables(task).items()
          if name.split('/')[0] in _OWN_PARTS}


def _shared_part(name):
  """The part of the report that a shared variable counts for."""
  first, *_, last = name.split('/')
  if first == 'affine':
    return {'input': 'input_adapter', 'hidden': 'output_adapter',
            'embedding': 'output_adapter'}.get(last, 'templates')
  return {'bank': 'templates', 'shared_signature': 'signatures'}.get(
      first, first)


def _size(variable):
  return int(ops.size(variable))
