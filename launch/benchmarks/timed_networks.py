"""A task's network in other forms, to measure ours against.

Section 4.1 ("did not introduce a significant computational overhead") says
nothing without a network to compare with: the same one without templates, in
stock Keras layers on any backend, and by hand in plain TensorFlow.
"""

import keras
import numpy as np

from mixture_modules import mixture_se
from mixture_modules.isometric import task_norms


def check(config):
  """Refuses networks that have no other form here.

  Args:
    config: `IsometricConfig`.

  Raises:
    ValueError: If it has original inputs, or another activation than
      hard-swish.
  """
  if config.original_input or config.activation != 'hard_swish':
    raise ValueError(
        'The benchmark has no stock network with original_input, nor with '
        f'another activation than hard_swish; received {config}: leave it out.')


def plain_signature(config):
  """The fixed one-hot signature '1-1-2-2', also for K > L: '1-2-3'.

  Args:
    config: `IsometricConfig`.
  """
  layers, templates = config.num_layers, config.num_templates
  used = min(layers, templates)
  return '-'.join(str(i * used // layers + 1) for i in range(layers))


def stock_network(config, num_classes, precision='float32'):
  """The network of a configuration in Keras' own layers, L separate blocks.

  Args:
    config: `IsometricConfig`.
    num_classes: Number of logits.
    precision: Name of a Keras dtype policy.

  Returns:
    `keras.Model` from images `[batch, S, S, 3]` to logits `[batch, classes]`,
    not compiled.
  """
  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy(precision)
  try:
    return _stock_network(config, num_classes)
  finally:
    keras.config.set_dtype_policy(before)


def _stock_network(config, num_classes):
  layers = keras.layers
  decay = (keras.regularizers.L2(config.weight_decay / 2)
           if config.weight_decay else None)

  def conv(x, filters, size, act=True):
    x = layers.Conv2D(filters, size, strides=size, use_bias=False,
                      kernel_regularizer=decay)(x)
    return norm(x, act)

  def norm(x, act=True):
    x = layers.BatchNormalization(
        momentum=config.norm_momentum, epsilon=config.norm_epsilon)(x)
    return layers.Activation(config.activation)(x) if act else x

  def squeeze_and_excite(x):
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(squeezed_channels(config), 1, activation='relu',
                      kernel_regularizer=decay)(s)
    s = layers.Conv2D(config.expanded_channels, 1, activation='hard_sigmoid',
                      kernel_regularizer=decay)(s)
    return layers.Multiply()([x, s])

  inputs = keras.Input((config.image_size, config.image_size, 3))
  x = conv(inputs, config.channels, config.patch_size)
  for _ in range(config.num_layers):
    y = conv(x, config.expanded_channels, 1)
    y = norm(layers.DepthwiseConv2D(3, padding='same', use_bias=False)(y))
    if config.use_se:
      y = squeeze_and_excite(y)
    x = layers.Add()([x, conv(y, config.channels, 1, act=False)])
  x = conv(x, config.adapter_filters[0], 1)
  x = layers.GlobalAveragePooling2D(keepdims=True)(x)
  x = layers.Flatten()(conv(x, config.adapter_filters[1], 1))
  x = layers.Dropout(config.dropout)(x)
  return keras.Model(
      inputs, layers.Dense(num_classes, dtype='float32')(x))


def load_stock(network, values):
  """Sets all arrays of a network of stock Keras layers.

  Args:
    network: As from `stock_network`.
    values: As from `resolved_values`.
  """
  layers = [layer for layer in network.layers if layer.weights]
  for layer, arrays in zip(layers, values, strict=True):
    layer.set_weights([array.reshape(weight.shape) for array, weight
                       in zip(arrays, layer.weights, strict=True)])


def squeezed_channels(config):
  """Channels inside squeeze-and-excite."""
  return mixture_se.make_divisible(config.expanded_channels / 4)


def resolved_values(model, task=None):
  """The arrays of a task's network, templates mixed, in order of computation.

  Args:
    model: `IsometricModel`.
    task: Name of the task. Default: the only one.

  Returns:
    List of lists, one for each layer that has arrays: `[kernel]` of a
    convolution, `[gamma, beta, mean, variance]` of a norm, `[kernel, bias]`
    of the two of squeeze-and-excite and of the head.
  """
  task = model.task(task)
  affine = task_norms.affine_values(model, task, task_norms.SITES)
  statistics = task.statistics

  def norm(site, layer=...):
    return [keras.ops.convert_to_numpy(value)[layer] for value in (
        *affine[site], statistics.mean[site], statistics.variance[site])]

  adapter = task.input_adapter or model.input_adapter
  hidden, embedding = task.output_adapter or model.output_adapter
  values = [[adapter.kernel], norm('input')]
  for layer, row in enumerate(model.bank.resolve(task.signature)):
    for site in task_norms.BODY_SITES:
      if site == 'project' and model.config.use_se:
        values += [[row[f'se/{name}_kernel'], row[f'se/{name}_bias']]
                   for name in ('squeeze', 'excite')]
      values += [[row[f'{site}/kernel']], norm(site, layer)]
  values += [[hidden.kernel], norm('hidden'), [embedding.kernel],
             norm('embedding'), [task.head.kernel, task.head.bias]]
  return [[keras.ops.convert_to_numpy(array) for array in layer]
          for layer in values]


def merged_network(config, values):
  """The network by hand: merged convolutions, in plain TensorFlow.

  It is what folding should reach. A norm behind a convolution with kernel w
  is the convolution with kernel `w s` and bias `beta - mean s`, where
  `s = gamma / sqrt(variance + epsilon)`.

  Args:
    config: `IsometricConfig`.
    values: As from `resolved_values`.

  Returns:
    `tf.function` from images `[batch, S, S, 3]` to logits `[batch, classes]`,
    with the weights as constants.
  """
  import tensorflow as tf  # only here: other backends do without

  values = iter(values)

  def merged_weights(depthwise=False):
    (kernel,), (gamma, beta, mean, variance) = next(values), next(values)
    scale = gamma / np.sqrt(variance + config.norm_epsilon)
    kernel = kernel * (scale[:, None] if depthwise else scale)
    return tf.constant(kernel), tf.constant(beta - mean * scale)

  def dense_weights():
    return [tf.constant(array) for array in next(values)]

  first = merged_weights()
  blocks = [(merged_weights(), merged_weights(depthwise=True),
             [dense_weights(), dense_weights()] if config.use_se else [],
             merged_weights())
            for _ in range(config.num_layers)]
  hidden, (kernel, bias) = merged_weights(), merged_weights()
  embedding, head = (kernel[0, 0], bias), dense_weights()

  def conv(x, weights, stride=1):
    return tf.nn.bias_add(
        tf.nn.conv2d(x, weights[0], stride, 'VALID'), weights[1])

  def dense(x, weights):
    return tf.nn.bias_add(tf.matmul(x, weights[0]), weights[1])

  def hard_swish(x):
    return x * (tf.nn.relu6(x + 3) / 6)

  @tf.function(autograph=False, jit_compile=False)
  def infer(images):
    x = hard_swish(conv(images, first, config.patch_size))
    for expand, depthwise, gate, project in blocks:
      y = hard_swish(conv(x, expand))
      y = tf.nn.depthwise_conv2d(y, depthwise[0], [1] * 4, 'SAME')
      y = hard_swish(tf.nn.bias_add(y, depthwise[1]))
      if gate:
        s = tf.nn.relu(dense(tf.reduce_mean(y, (1, 2)), gate[0]))
        y *= (tf.nn.relu6(dense(s, gate[1]) + 3) / 6)[:, None, None]
      x += conv(y, project)
    x = tf.reduce_mean(hard_swish(conv(x, hidden)), (1, 2))
    return dense(hard_swish(dense(x, embedding)), head)

  return infer
