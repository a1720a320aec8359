"""Folding mixture layers into Keras' own (section 4.1).

A trained model needs no bank: its mixtures are constants, and a batch norm that
no longer moves is a part of the convolution before it.
"""

import keras
from keras import layers
import numpy as np

from mixture_modules import mixture_layer
from mixture_modules import rebuilding

_DROPPED = (
    layers.ActivityRegularization, layers.AlphaDropout, layers.Dropout,
    layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout1D,
    layers.SpatialDropout2D, layers.SpatialDropout3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose,
               layers.Conv3DTranspose)
_LINEAR = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Dense,
           *_DEPTHWISE, *_TRANSPOSED)


def fold_layers(model, merge_norms=True):
  """A model of Keras' own layers that computes what a model computes.

  Mixtures become weights. A batch norm that follows a convolution or a dense
  layer without activation is merged into it:

      w' = w * s and bias b' = beta + (b - mean) * s,
      s = gamma / sqrt(variance + epsilon)

  Dropout and noise are gone.

  Args:
    model: Built functional or Sequential model; nested ones are folded, too.
    merge_norms: Whether norms are merged, and dropout is left out. Without,
      the model has all of its layers, and can be trained on.

  Returns:
    The Keras model, not compiled. It has the present weights, and does not
    follow later training.

  Raises:
    ValueError: If the model is no such model or not built, a mixture layer has
      no signature, or mixture layers stand inside of a user's own layer.
  """
  plain, places = rebuilding.rebuild(model, _plain_layer)
  for layer, new in places:
    if isinstance(layer, mixture_layer.MixtureLayer):
      new.set_weights(layer.plain_weights())
    elif new is not layer:
      rebuilding.copy_state(new, layer)
  return called(_merge_norms(plain) if merge_norms else plain)


def called(model):
  """The model, called once, as Keras' exports ask for."""
  model(keras.tree.map_structure(
      lambda tensor: keras.KerasTensor(tensor.shape, tensor.dtype),
      rebuilding.input_of(model)))
  return model


def _plain_layer(layer):
  """Keras' layer in the place of a mixture layer; a copy of any other."""
  if isinstance(layer, mixture_layer.MixtureLayer):
    if layer.signature is None:
      raise ValueError(
          f'Expected {layer.name!r} to be a layer with a signature, received '
          'one whose calls bring a mixture: hand it a signature.')
    return layer.plain_layer()
  refuse_hidden(layer)
  return rebuilding.copy_layer(layer)


def refuse_hidden(layer):
  """Raises ValueError if there are mixture layers inside of another layer."""
  if not isinstance(layer, mixture_layer.MixtureLayer) and any(
      isinstance(each, mixture_layer.MixtureLayer)
      for each in layer._flatten_layers()):
    raise ValueError(
        f'Expected mixture layers as layers of the model, received some inside '
        f'of {layer.name!r}, a {type(layer).__name__}: write it as a '
        'functional or Sequential model; take a task of an IsometricModel by '
        'itself.')


def _merge_norms(model):
  """The model without norms that can be merged, and without dropout."""
  merged = dict(_find_norms(model))  # convolution -> norm behind it
  norms = set(merged.values())

  def make(layer):
    if layer in norms or type(layer) in _DROPPED and not _trains(layer):
      return None
    if layer in merged:
      return type(layer).from_config({**layer.get_config(), 'use_bias': True})
    return layer

  folded, places = rebuilding.rebuild(model, make)
  for layer, new in places:
    if layer in merged:
      new.set_weights(_merged_weights(layer, merged[layer]))
  return folded


def _find_norms(model):
  """Yields (convolution, norm) that alone reads its outputs.

  The model was just made: its layers stand in no other graph.
  """
  outputs = {id(tensor) for tensor in model.outputs}
  for norm in model.layers:
    if rebuilding.is_model_of_layers(norm):
      yield from _find_norms(norm)
    if type(norm) is not layers.BatchNormalization or len(
        norm._inbound_nodes) != 1 or _trains(norm):
      continue
    inputs = norm._inbound_nodes[0].input_tensors[0]
    layer = inputs._keras_history.operation
    if (type(layer) in _LINEAR and len(layer._inbound_nodes) == 1
        and len(layer._outbound_nodes) == 1 and id(inputs) not in outputs
        and layer.activation is keras.activations.linear
        and norm.axis % len(inputs.shape) == _channel_axis(layer, inputs)):
      yield layer, norm


def _trains(layer):
  """Whether the model calls a layer in training mode, whatever it is told."""
  return any(node.arguments.kwargs.get('training')
             for node in layer._inbound_nodes)


def _channel_axis(layer, outputs):
  first = getattr(layer, 'data_format', None) == 'channels_first'
  return 1 if first else len(outputs.shape) - 1


def _merged_weights(layer, norm):
  """Kernel and bias of a layer and the norm behind it, in float64."""
  weights = [np.float64(keras.ops.convert_to_numpy(v)) for v in layer.weights]
  kernel, bias = weights if layer.use_bias else (*weights, 0.0)
  gamma, beta, mean, variance = (
      default if variable is None
      else np.float64(keras.ops.convert_to_numpy(variable))
      for variable, default in (
          (norm.gamma, 1.0), (norm.beta, 0.0), (norm.moving_mean, None),
          (norm.moving_variance, None)))
  scale = gamma / np.sqrt(variance + norm.epsilon)
  by_channel = scale
  if type(layer) in _DEPTHWISE:
    by_channel = scale.reshape(kernel.shape[-2:])
  elif type(layer) in _TRANSPOSED:
    by_channel = scale[:, None]
  return [kernel * by_channel, beta + (bias - mean) * scale]
