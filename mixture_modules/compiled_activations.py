"""Hard-swish in one pass over memory, for training on CPUs (ours).

TensorFlow computes it and its gradient in nine kernels, each of which reads
and writes whole tensors; memory, not arithmetic, bounds a training step.
Compiled by XLA they are one forward and one backward. XLA makes the rest of
these networks slower on CPUs, so that nothing else is compiled.
"""

import functools

import keras

from mixture_modules import tracing


def in_training(activation):
  """What training is to compute for an activation.

  Inference keeps the activation itself: it can be exported, and sees batches
  of many sizes, each of which would be compiled anew.

  Args:
    activation: Function of a tensor, such as `keras.activations.hard_swish`.

  Returns:
    A function of the same values and gradients (to rounding), or
    `activation`, for all but hard-swish, or where TensorFlow cannot compile
    it; on GPUs too, where it has not been measured.
  """
  if activation is keras.activations.hard_swish and _is_compilable():
    return _hard_swish()
  return activation


@functools.cache
def _is_compilable():
  if keras.backend.backend() != 'tensorflow':
    return False
  import tensorflow as tf  # only here: other backends do without

  if tf.config.get_visible_devices('GPU'):
    return False
  try:
    with tf.init_scope():  # now, not in a graph that is being traced
      _hard_swish()(tf.zeros([1]))
  except tf.errors.OpError:  # a TensorFlow without XLA
    return False
  return True


@functools.cache
def _hard_swish():
  """x relu6(x + 3) / 6, differentiable."""
  import tensorflow as tf

  compiled = functools.partial(tf.function, jit_compile=True, autograph=False)

  @compiled
  def forward(x):
    return x * tf.nn.relu6(x + 3) * (1 / 6)

  @compiled
  def backward(x, gradient):
    slope = (2 * x + 3) * (1 / 6)
    slope = tf.where(x >= 3, tf.ones_like(x), slope)
    return gradient * tf.where(x <= -3, tf.zeros_like(x), slope)

  @tf.custom_gradient
  def hard_swish(x):
    x = tf.convert_to_tensor(x)
    return forward(x), functools.partial(backward, x)

  # Gradients are registered for ever, with the graph that they are in: in one
  # of its own that is no training step.
  return tracing.TracedOnce(hard_swish)
