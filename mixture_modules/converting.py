"""Plain Keras models, converted to mixture layers (section 3.2).

Layers of one kind and shape share templates, one for each layer, so that the
model computes what it did. New tasks then mix what the layers have learnt.
"""

import collections

from keras import ops
import numpy as np

from mixture_modules import checks
from mixture_modules import layer_normalization
from mixture_modules import mixture_conv
from mixture_modules import mixture_conv_transpose
from mixture_modules import mixture_dense
from mixture_modules import mixture_depthwise
from mixture_modules import normalization
from mixture_modules import rebuilding
from mixture_modules import template_bank

_KERNELS = {each.stock: each for each in (
    mixture_conv.MixtureConv1D, mixture_conv.MixtureConv2D,
    mixture_conv_transpose.MixtureConv2DTranspose, mixture_dense.MixtureDense,
    mixture_dense.MixtureEinsumDense, mixture_depthwise.MixtureDepthwise)}
_NORMS = {each.stock: each for each in (
    layer_normalization.MixtureLayerNormalization,
    normalization.MixtureBatchNormalization)}
_MIXTURES = {**_KERNELS, **_NORMS}


def convert(model, num_templates=None, norms=False, leave_out=None,
            bank_of=None, min_layers=2):
  """A model of mixture layers that computes what a plain model computes.

      model = mm.convert(keras.applications.MobileNetV2())

  Layers of one kind and shape form a group, if they agree on regularisers,
  constraints, dtype, and whether they train. A group of n layers has a bank of
  n templates, the weights of its layers. Signatures are linear and start
  one-hot: outputs are the same, and mixtures learn at once, while a softmax
  near one template hardly does. Convolutions and dense layers are converted.
  `mm.fold` gives plain layers back.

  Args:
    model: Built functional or Sequential model, nested ones included.
    num_templates: K, at most. Groups of more layers get the K templates that
      come nearest to their weights by least squares. The model then has lost
      accuracy until it is tuned. Default: as many as layers.
    norms: Whether gamma and beta of norms are mixed, too.
    leave_out: Names of layers that stay plain. Default: the last one with
      weights, which is usually the classifier.
    bank_of: Function from a layer to the name of its bank, such as that of its
      stage. Layers share within a bank alone. Default: one name for all.
    min_layers: Groups of fewer layers stay plain.

  Returns:
    The Keras model, not compiled. Layers that are not converted are copies.

  Raises:
    ValueError: If the model has a call of its own or is not built,
      `leave_out` names no layer of it, an argument is out of range, or no group
      is large enough.

  Source: section 3.2, of trained weights; one-hot starts and groups are our
    choice.
  """
  rebuilding.check(model)
  if num_templates is not None:
    checks.positive_integer('num_templates', num_templates)
  checks.positive_integer('min_layers', min_layers)
  groups = [group for group in group_layers(model, norms, leave_out, bank_of)
            if len(group) >= min_layers]
  if not groups:
    raise ValueError(
        f'Expected a model with {min_layers} layers or more of one kind and '
        f'shape, received {model.name!r} without: lower min_layers, or take '
        'fewer banks.')
  mixtures = {}  # plain layer -> the mixture layer in its place
  for number, group in enumerate(groups, 1):
    mixtures.update(_mixture_layers(group, number, num_templates))
  converted, places = rebuilding.rebuild(
      model, lambda layer: mixtures.get(layer) or rebuilding.copy_layer(layer))
  for layer, new in places:
    if layer not in mixtures and new is not layer:
      rebuilding.copy_state(new, layer)
  for group in groups:
    _fill(group, [mixtures[layer] for layer in group])
  return converted


def group_layers(model, norms=True, leave_out=None, bank_of=None):
  """Layers that can share templates, a list for each kind and shape.

  Args:
    model: Functional or Sequential model.
    norms: Whether norms are among them.
    leave_out: As for `convert`.
    bank_of: As for `convert`.
  """
  weighted = [layer for layer in rebuilding.leaves(model) if layer.weights]
  if leave_out is None:
    leave_out = [layer.name for layer in weighted[-1:]]
  elif isinstance(leave_out, str):
    leave_out = [leave_out]
  for name in leave_out:
    checks.one_of('leave_out', name, [layer.name for layer in weighted])
  kinds = _MIXTURES if norms else _KERNELS
  groups = collections.defaultdict(list)
  for layer in weighted:
    if type(layer) in kinds and layer.name not in leave_out and (
        parameters := rebuilding.parameters_of(layer)):
      bank = bank_of(layer) if bank_of else ''
      shapes = tuple((v.name, tuple(v.shape)) for v in parameters)
      groups[bank, type(layer), shapes, _rules(layer)].append(layer)
  return list(groups.values())


def _rules(layer):
  """What layers on one slot agree on besides shapes, to be compared."""
  config = layer.get_config()
  return repr([(key, value) for key, value in sorted(config.items())
               if key.endswith(('_regularizer', '_constraint'))
               or key in ('dtype', 'equation', 'trainable')])


def _mixture_layers(group, number, num_templates):
  """{plain layer: mixture layer that is not built}, on a bank of their own."""
  count = len(group)
  bank = template_bank.TemplateBank(
      min(count, num_templates or count), name=f'bank_{number}',
      dtype=group[0].dtype_policy)
  # Layers that share templates agree on how new ones would be drawn.
  start = {key: value for key, value in group[0].get_config().items()
           if key.endswith('_initializer')}
  return {layer: _MIXTURES[type(layer)].from_config({
      **layer.get_config(), **start, 'bank': bank, 'slot': f'group_{number}',
      'signature': {'kind': 'linear', 'initializer': 'uniform'}})
          for layer in group}


def _fill(group, mixtures):
  """Gives mixture layers, once built, the weights of the plain ones."""
  bank = mixtures[0].bank
  stacked = [np.stack([ops.convert_to_numpy(v) for v in variables])
             for variables in zip(*map(rebuilding.parameters_of, group))]
  xi, templates = _factorize(stacked, bank.num_templates)
  for slot, values in zip(mixtures[0].slots, templates):
    bank.templates(slot).assign(values)
  for layer, mixture, row in zip(group, mixtures, xi):
    mixture.signature.assign(row[None])
    for to, variable in zip(rebuilding.statistics_of(mixture),
                            rebuilding.statistics_of(layer)):
      to.assign(ops.convert_to_numpy(variable))


def _factorize(stacked, num_templates):
  """(xi `[n, K]`, templates `[K, *shape]` of each array `[n, *shape]`).

  `xi @ templates` comes nearest to the arrays, by least squares over all.
  """
  count = len(stacked[0])
  if num_templates >= count:
    return np.eye(count), stacked
  flat = np.concatenate(
      [np.float64(array.reshape(count, -1)) for array in stacked], 1)
  u, s, v = np.linalg.svd(flat, full_matrices=False)
  # Rows of xi have the length of a one-hot one in the mean.
  scale = np.sqrt(count / num_templates)
  xi = u[:, :num_templates] * scale
  templates = (s[:num_templates, None] * v[:num_templates]) / scale
  ends = np.cumsum([array[0].size for array in stacked])[:-1]
  return xi, [part.reshape(num_templates, *array.shape[1:]) for part, array
              in zip(np.split(templates, ends, 1), stacked)]
