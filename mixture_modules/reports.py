"""What sharing costs and saves: parameters of a model, slot by slot.

    print(mm.report(model))

Sharing pays where more layers have one shape than there are templates. A shape
that only one layer has costs K times its plain parameters.
"""

import collections
import dataclasses
import math

from mixture_modules import checks
from mixture_modules import converting
from mixture_modules import mixture_layer
from mixture_modules import rebuilding
from mixture_modules.isometric import isometric_block


@dataclasses.dataclass(frozen=True)
class SlotUse:
  """A slot and the layers on it.

  Args:
    slot: Its name.
    shape: Shape of one template.
    num_templates: K.
    num_layers: How many layers compute with it.
  """

  slot: str
  shape: tuple
  num_templates: int
  num_layers: int

  @property
  def parameters(self):
    """Of the templates: K times the shape's size."""
    return self.num_templates * math.prod(self.shape)

  @property
  def plain_parameters(self):
    """Of as many plain layers."""
    return self.num_layers * math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Report:
  """Parameters of a model beside its plain twin; `str` gives a table.

  Args:
    slots: List of `SlotUse`.
    signatures: Parameters of the signatures.
    others: Parameters of all else, statistics of norms included.
  """

  slots: list
  signatures: int
  others: int

  @property
  def parameters(self):
    """All of the model."""
    return self.others + self.signatures + sum(
        slot.parameters for slot in self.slots)

  @property
  def plain_parameters(self):
    """All of the same model with plain layers."""
    return self.others + sum(slot.plain_parameters for slot in self.slots)

  def __str__(self):
    rows = [('slot', 'shape', 'templates', 'layers', 'parameters', 'plain')]
    rows += [(use.slot, 'x'.join(map(str, use.shape)), use.num_templates,
              use.num_layers, f'{use.parameters:,}',
              f'{use.plain_parameters:,}') for use in self.slots]
    rows += [('signatures', '', '', '', f'{self.signatures:,}', '0'),
             ('all else', '', '', '', f'{self.others:,}', f'{self.others:,}'),
             ('model', '', '', '', f'{self.parameters:,}',
              f'{self.plain_parameters:,}')]
    widths = [max(len(str(row[i])) for row in rows) for i in range(6)]
    lines = ['  '.join(
        f'{cell!s:<{width}}' if i < 2 else f'{cell!s:>{width}}'
        for i, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    ratio = self.parameters / max(self.plain_parameters, 1)
    return '\n'.join([*lines, f'{ratio:.2f} times the plain model.'])


def report(model):
  """Slots of a model, the layers on each, and parameters beside plain ones.

      print(mm.report(model))

  Args:
    model: Built Keras model with mixture layers, nested ones included.

  Returns:
    `Report`.

  Raises:
    ValueError: If the model is not built, has no mixture layer, or is or
      holds an `IsometricModel`, whose block stands for all of its layers.
  """
  _check(model)
  layers = [layer for layer in model._flatten_layers()
            if isinstance(layer, mixture_layer.MixtureLayer)]
  if not layers:
    raise ValueError(f'Expected a model with mixture layers, received '
                     f'{model.name!r} without: mm.forecast() tells what '
                     'sharing would do to a plain model.')
  slots, users = {}, collections.Counter()
  for layer in dict.fromkeys(layers):
    for name in layer.slots:
      slot = layer.bank.slot(name)
      slots[id(slot)] = slot
      users[id(slot)] += 1
  signatures = {id(layer.signature.logits): math.prod(
      layer.signature.logits.shape) for layer in layers
                if layer.signature and layer.signature.logits is not None}
  uses = [SlotUse(slot.slot, slot.shape, slot.num_templates, users[key])
          for key, slot in slots.items()]
  mixed = sum(use.parameters for use in uses) + sum(signatures.values())
  return Report(
      uses, sum(signatures.values()), model.count_params() - mixed)


def forecast(model, num_templates, bank_of=None, min_layers=1):
  """What a report would say if the layers of a plain model shared templates.

      plain = keras.applications.MobileNetV2(weights=None)
      print(mm.forecast(plain, num_templates=4))

  Convolutions, dense layers and norms of one kind and shape share; the last
  layer, which is usually the classifier, stays plain.

  Args:
    model: Built plain functional or Sequential model, nested ones included.
    num_templates: K of every bank.
    bank_of: Function from a layer to the name of its bank, such as that of its
      stage. Default: one bank for all.
    min_layers: Shapes that fewer layers of a bank have stay plain. With
      K + 1, no shape costs more than its plain layers.

  Returns:
    `Report`.

  Raises:
    ValueError: If the model is not built, or an argument is out of range.
  """
  _check(model)
  checks.positive_integer('num_templates', num_templates)
  checks.positive_integer('min_layers', min_layers)
  uses, signatures = [], 0
  for group in converting.group_layers(model, bank_of=bank_of):
    if len(group) < min_layers:
      continue
    signatures += num_templates * len(group)
    bank = bank_of(group[0]) if bank_of else ''
    for variable in rebuilding.parameters_of(group[0]):
      name = '/'.join(filter(
          None, [bank, type(group[0]).__name__, variable.name]))
      uses.append(SlotUse(
          name, tuple(variable.shape), num_templates, len(group)))
  mixed = sum(use.plain_parameters for use in uses)
  return Report(uses, signatures, model.count_params() - mixed)


def _check(model):
  if any(isinstance(layer, isometric_block.IsometricBlock)
         for layer in model._flatten_layers()):
    raise ValueError('Expected a model of drop-in layers, received an '
                     'IsometricModel, or a model around one: call '
                     'parameter_report() of it.')
  rebuilding.check_built(model)
