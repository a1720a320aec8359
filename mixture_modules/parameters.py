"""The variables of an isometric model by name, and how many they are."""

import math

from keras import ops

from mixture_modules import task_norms


def parts(model):
  """{name: layer} of everything that can be frozen by itself."""
  named = {'bank': model.bank, 'input_adapter': model.input_adapter,
           'output_adapter/1': model.output_adapter[0],
           'output_adapter/2': model.output_adapter[1],
           'affine': model.affine, 'shared_signature': model.shared_signature}
  named.update({f'heads/{name}': head for name, head in model.heads.items()})
  for name, task in model.tasks.items():
    named[f'tasks/{name}/signature'] = task.signature
    named[f'tasks/{name}/affine'] = task.affine
  return {name: layer for name, layer in named.items() if layer is not None}


def named_variables(model):
  """{name: variable} of everything that an `IsometricModel` holds."""
  named = {f'bank/{s}': model.bank.templates(s) for s in model.bank.slots}
  layers = {'input_adapter': model.input_adapter,
            'output_adapter/1': model.output_adapter[0],
            'output_adapter/2': model.output_adapter[1]}
  layers.update({f'heads/{n}': head for n, head in model.heads.items()})
  for name, layer in layers.items():
    named.update({f'{name}/{v.name}': v for v in layer.variables})
  named.update(_norm_variables('affine', model.affine, ('gamma', 'beta')))
  if model.shared_signature is not None:
    named['shared_signature/logits'] = model.shared_signature.logits
  for name, task in model.tasks.items():
    prefix = f'tasks/{name}'
    if task.signature.logits is not None:
      named[f'{prefix}/signature/logits'] = task.signature.logits
    named.update(_norm_variables(
        f'{prefix}/affine', task.affine, ('gamma', 'beta')))
    named.update(_norm_variables(
        f'{prefix}/statistics', task.statistics, ('mean', 'variance')))
    named[f'{prefix}/num_updates'] = task.statistics.num_updates
  named['dropout_seeds'] = model.dropout_seeds.state
  return named


def _norm_variables(prefix, layer, kinds):
  if layer is None:
    return {}
  return {f'{prefix}/{kind}/{site}': variable for kind in kinds
          for site, variable in getattr(layer, kind).items()}


def report(model):
  """{part: number of trained parameters}, 'total' and 'statistics'."""
  counts = {'input_adapter': 0, 'templates': 0, 'output_adapter': 0,
            'signatures': 0, 'private_norms': 0, 'heads': 0}
  moving = [v for t in model.tasks.values() for v in t.statistics.variables]
  untrained = {id(v) for v in (*moving, model.dropout_seeds.state)}
  for name, variable in named_variables(model).items():
    if id(variable) not in untrained:
      counts[_part(name)] += int(ops.size(variable))
  counts['total'] = sum(counts.values())
  counts['statistics'] = 2 * sum(
      math.prod(shape) for shape in task_norms.shapes(model.config).values())
  return counts


def _part(name):
  """The part of the report that a named variable counts for."""
  if name.endswith('/logits'):
    return 'signatures'
  if name.startswith('affine/'):
    site = name.rsplit('/', 1)[-1]
    return {'input': 'input_adapter', 'hidden': 'output_adapter',
            'embedding': 'output_adapter'}.get(site, 'templates')
  parts = {'bank': 'templates', 'input_adapter': 'input_adapter',
           'output_adapter': 'output_adapter', 'heads': 'heads'}
  return parts.get(name.split('/')[0], 'private_norms')


def count_own(model, task):
  """Number of trained parameters that only this task of the model has."""
  heads = [t.head_name for t in model.tasks.values()]
  own = [task.signature.logits]
  own += task.affine.variables if task.affine else []
  own += task.head.variables if heads.count(task.head_name) == 1 else []
  return sum(int(ops.size(v)) for v in own if v is not None)
