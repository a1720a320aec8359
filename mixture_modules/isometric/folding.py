"""Folding a task of an isometric model into a plain network (section 4.1).

A trained task needs no bank: its mixtures are constants, and a batch norm that
no longer moves is a part of the convolution before it. What is left is an
ordinary Keras model of Keras' own layers.
"""

import keras
from keras import layers
import numpy as np

from mixture_modules import checks
from mixture_modules import layer_folding
from mixture_modules import task_names
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import task_norms
from mixture_modules.isometric import task_view

_PLAIN = (
    layers.Add, layers.Concatenate, layers.Conv2D, layers.Dense,
    layers.DepthwiseConv2D, layers.GlobalAveragePooling2D,
    layers.InputLayer, layers.Multiply, layers.Rescaling, layers.Reshape)


def fold(model, task=None, rescale=False, probabilities=False,
         image_size=None, merge_norms=True):
  """A plain Keras model that computes what a model, or a task of it, computes.

      plain = mm.fold(model, 'usps')
      plain.save('usps.keras')  # loads without this package

  Mixtures are resolved, batch norms merged into convolutions, dropout is
  gone. The model keeps the present weights; it does not follow later training.
  Functional and Sequential models with mixture layers are folded layer by
  layer: see `layer_folding.fold_layers`.

  A task of an `IsometricModel` becomes a model in float32. With the moving
  statistics of the task, a norm behind a convolution with kernel w is the
  convolution with

      w' = w * s and bias b' = beta - mean * s, s = gamma / sqrt(var + epsilon)

  Several tasks become one model with several outputs. Layers that are equal
  in every bit are there once, and what has the same input is computed once:
  the whole network up to the heads, for tasks that differ in these alone; the
  SE layers of one template. Tasks with statistics of their own share little
  else. `keras.Model(plain.input, plain.output['usps'])` serves one of them.

  Args:
    model: `IsometricModel`, a view of a task of one, or a functional or
      Sequential model. One that is folded already is returned as it is.
    task: Name of the task, or a list of names. Default: the only task. This
      and all but `merge_norms` are for an `IsometricModel`.
    rescale: Whether the model takes images as they are stored, uint8 from 0
      to 255, and brings them to [-1, 1] itself.
    probabilities: Whether outputs are those of a softmax.
    image_size: Side of the images, in pixels. Default: the configuration's.
    merge_norms: Whether norms are merged and dropout is left out. False is for
      other models than an `IsometricModel`.

  Returns:
    `keras.Model` from images `[batch, S, S, 3]`, float32 in [-1, 1] or uint8,
    to float32 logits or probabilities `[batch, classes]`; with a list of
    names, to {task: `[batch, classes]`}. Its name is the task's, as far as
    Keras allows that for a layer. Of a functional or Sequential model, one
    with the same inputs and outputs.

  Raises:
    ValueError: If the model cannot be folded, there is no such task, or a
      folded model is of another task or made with other arguments.
  """
  if isinstance(model, task_view.TaskView):
    task = model.task.task_name if task is None else task
    model = model.source()
  if not isinstance(model, isometric_model.IsometricModel):
    if _is_folded(model):
      _check_folded(model, task, rescale, probabilities, image_size)
      return model
    checks.require(
        task is None and not rescale and not probabilities
        and image_size is None, 'fold of a functional or Sequential model',
        'no task, rescale, probabilities or image_size',
        [task, rescale, probabilities, image_size], 'leave them out')
    return layer_folding.fold_layers(model, merge_norms)
  checks.require(merge_norms, 'merge_norms of an IsometricModel', True,
                 merge_norms, 'leave it out')
  side = image_size or model.config.image_size
  model.config.check_images((None, side, side, 3))
  images = keras.Input(
      (side, side, 3), name='images', dtype='uint8' if rescale else 'float32')
  network = _Network()
  x = images
  if rescale:
    x = network(x, layers.Rescaling, 'rescale', scale=1 / 127.5, offset=-1.0)
  if task is None or isinstance(task, str):
    task = model.task(task)
    outputs = _FoldedTask(model, task, network)(x, probabilities)
    name = task.name
  else:
    outputs = {
        name: _FoldedTask(
            model, model.task(name), network,
            f'{task_names.layer_name(name)}_')(x, probabilities)
        for name in _check_names(task)}
    name = 'tasks'
  return layer_folding.called(keras.Model(images, outputs, name=name))


def inference_function(model):
  """A `tf.function` of a folded model, with its weights as constants.

  TensorFlow then need not read variables at each call, and prepares kernels
  once: the fastest form for single images. It does not follow later changes
  of the weights.

  Args:
    model: A model from `fold`, or another functional one.

  Returns:
    Function from images, as the model takes them, to its outputs.
  """
  import tensorflow as tf  # only here: folding does without

  trained, others = ([tf.constant(variable.numpy()) for variable in variables]
                     for variables in (model.trainable_variables,
                                       model.non_trainable_variables))

  @tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
  def infer(images):
    return model.stateless_call(trained, others, images, training=False)[0]

  return infer


def gives_probabilities(model):
  """Whether a folded model ends in a softmax."""
  return any(getattr(layer, 'activation', None) is keras.activations.softmax
             for layer in model.layers)


class _Network:
  """Keras' own layers, applied one after another; equal ones are one."""

  def __init__(self):
    self._layers = {}
    self._outputs = {}

  def __call__(self, inputs, kind, name, *weights, **options):
    """The output of a layer of a kind with these weights and options."""
    weights = [keras.ops.convert_to_numpy(weight).astype('float32')
               for weight in weights]
    key = (kind, repr(options), *(w.tobytes() for w in weights))
    layer = self._layers.get(key)
    if layer is None or not weights:
      layer = kind(name=name, dtype='float32', **options)
    listed = inputs if isinstance(inputs, list) else [inputs]
    place = (key, *map(id, listed))  # `_outputs` keeps the inputs alive
    if place not in self._outputs:
      self._layers[key] = layer
      self._outputs[place] = layer(inputs)
      layer.set_weights(weights)
    return self._outputs[place]


class _FoldedTask:
  """Applies what a task computes, by the layers of a `_Network`.

  Args:
    model: `IsometricModel`.
    task: `Task` of the model.
    network: `_Network`.
    prefix: Of the layers' names.
  """

  def __init__(self, model, task, network, prefix=''):
    self._model = model
    self._config = model.config
    self._task = task
    self._network = network
    self._prefix = prefix
    self._affine = task_norms.affine_values(
        model, task, tuple(task_norms.shapes(model.config)))

  def __call__(self, images, probabilities):
    """The outputs `[batch, classes]` of images from -1 to 1."""
    model, task, config = self._model, self._task, self._config
    act = {'activation': config.activation}
    adapter = task.input_adapter or model.input_adapter
    hidden, embedding = task.output_adapter or model.output_adapter
    x = original = self._conv(
        images, adapter.kernel, 'input_adapter', 'input',
        strides=config.patch_size, **act)
    for layer, row in enumerate(model.bank.resolve(task.signature)):
      x = self._block(x, original, layer, row, act)
    x = self._conv(x, hidden.kernel, 'output_adapter_1', 'hidden', **act)
    x = self._apply(x, layers.GlobalAveragePooling2D, 'mean')
    kernel, bias = self._merge(embedding.kernel, 'embedding')
    x = self._dense(x, kernel[0, 0], bias, 'output_adapter_2', **act)
    return self._dense(x, task.head.kernel, task.head.bias, 'logits',
                       activation='softmax' if probabilities else None)

  def _block(self, x, original, layer, row, act):
    name, y = f'layer_{layer + 1}', x
    if self._config.original_input:
      y = self._apply([x, original], layers.Concatenate, f'{name}_inputs')
    y = self._conv(
        y, row['expand/kernel'], f'{name}_expand', 'expand', layer, **act)
    kernel, bias = self._merge(
        row['depthwise/kernel'][..., 0], 'depthwise', layer)
    y = self._apply(
        y, layers.DepthwiseConv2D, f'{name}_depthwise', kernel[..., None],
        bias, kernel_size=kernel.shape[:2], padding='same', **act)
    if self._config.use_se:
      y = self._squeeze_and_excite(y, row, name)
    y = self._conv(
        y, row['project/kernel'], f'{name}_project', 'project', layer)
    return self._apply([x, y], layers.Add, name)

  def _squeeze_and_excite(self, x, row, name):
    se = self._model.block.se
    s = self._apply(x, layers.GlobalAveragePooling2D, f'{name}_mean')
    for kind, activation in (('squeeze', se.activation),
                             ('excite', se.gate_activation)):
      s = self._dense(s, row[f'se/{kind}_kernel'], row[f'se/{kind}_bias'],
                      f'{name}_{kind}', activation=activation)
    gate = self._apply(s, layers.Reshape, f'{name}_gate',
                       target_shape=(1, 1, self._config.expanded_channels))
    return self._apply([x, gate], layers.Multiply, f'{name}_gated')

  def _conv(self, x, kernel, name, site, layer=0, **options):
    """A convolution and its norm."""
    kernel, bias = self._merge(kernel, site, layer)
    return self._apply(
        x, layers.Conv2D, name, kernel, bias, filters=kernel.shape[-1],
        kernel_size=kernel.shape[:2], **options)

  def _dense(self, x, kernel, bias, name, **options):
    return self._apply(x, layers.Dense, name, kernel, bias,
                       units=kernel.shape[-1], **options)

  def _apply(self, x, kind, name, *weights, **options):
    return self._network(x, kind, self._prefix + name, *weights, **options)

  def _merge(self, kernel, site, layer=0):
    """(kernel `[..., channels]`, bias) of a convolution and its norm."""
    statistics = self._task.statistics
    gamma, beta, mean, variance = (
        _to_numpy(value)[layer if site in task_norms.BODY_SITES else ...]
        for value in (*self._affine[site], statistics.mean[site],
                      statistics.variance[site]))
    scale = gamma / np.sqrt(variance + self._config.norm_epsilon)
    return _to_numpy(kernel) * scale, beta - mean * scale


def _to_numpy(value):
  """A tensor or variable in float64: merging loses no digits."""
  return keras.ops.convert_to_numpy(value).astype('float64')


def _check_names(names):
  names = list(names)
  if not names or len(set(names)) < len(names):
    raise ValueError('Expected the name of a task or a list of different '
                     f'ones, received {names}.')
  return names


def _is_folded(model):
  return (isinstance(model, keras.Model)
          and len(getattr(model, 'inputs', None) or ()) == 1
          and all(type(layer) in _PLAIN for layer in model.layers))


def _check_folded(model, task, rescale, probabilities, image_size):
  """Raises ValueError unless a folded model is as it is asked for."""
  images, = model.inputs
  outputs = model.output
  if task is None or isinstance(task, str):
    same = task is None or model.name == task_names.layer_name(task)
  else:
    same = isinstance(outputs, dict) and set(outputs) == set(task)
  if rescale:
    same = same and images.dtype == 'uint8'
  if probabilities:
    same = same and gives_probabilities(model)
  if not same or image_size not in (None, images.shape[1]):
    raise ValueError(
        f'The model is folded already, of {model.name!r} from '
        f'{images.dtype} {list(images.shape)}, and cannot become one of '
        f'task={task!r} with rescale={rescale}, probabilities={probabilities} '
        f'and image_size={image_size}: fold the IsometricModel again.')
