"""A task's network by hand, to measure folding against."""

import numpy as np
import tensorflow as tf


def merged_network(config, values):
  """The network by hand: merged convolutions, in plain TensorFlow.

  It is what folding should reach. A norm behind a convolution with kernel w
  is the convolution with kernel `w s` and bias `beta - mean s`, where
  `s = gamma / sqrt(variance + epsilon)`.

  Args:
    config: `IsometricConfig`.
    values: As from `benchmark_networks.resolved_values`.

  Returns:
    `tf.function` from images `[batch, S, S, 3]` to logits `[batch, classes]`,
    with the weights as constants.
  """
  values = iter(values)

  def merged(depthwise=False):
    (kernel,), (gamma, beta, mean, variance) = next(values), next(values)
    scale = gamma / np.sqrt(variance + config.norm_epsilon)
    kernel = kernel * (scale[:, None] if depthwise else scale)
    return tf.constant(kernel), tf.constant(beta - mean * scale)

  def dense():
    return [tf.constant(array) for array in next(values)]

  first = merged()
  blocks = [(merged(), merged(depthwise=True),
             [dense(), dense()] if config.use_se else [], merged())
            for _ in range(config.num_layers)]
  hidden, (kernel, bias) = merged(), merged()
  embedding, head = (kernel[0, 0], bias), dense()

  @tf.function(autograph=False, jit_compile=False)
  def infer(images):
    x = _hard_swish(_conv(images, first, config.patch_size))
    for expand, depthwise, gate, project in blocks:
      y = _hard_swish(_conv(x, expand))
      y = tf.nn.depthwise_conv2d(y, depthwise[0], [1] * 4, 'SAME')
      y = _hard_swish(tf.nn.bias_add(y, depthwise[1]))
      if gate:
        s = tf.nn.relu(_dense(tf.reduce_mean(y, (1, 2)), gate[0]))
        y *= (tf.nn.relu6(_dense(s, gate[1]) + 3) / 6)[:, None, None]
      x += _conv(y, project)
    x = tf.reduce_mean(_hard_swish(_conv(x, hidden)), (1, 2))
    return _dense(_hard_swish(_dense(x, embedding)), head)

  return infer


def _conv(x, weights, stride=1):
  kernel, bias = weights
  return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, 'VALID'), bias)


def _dense(x, weights):
  kernel, bias = weights
  return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def _hard_swish(x):
  return x * (tf.nn.relu6(x + 3) / 6)
