"""What a training step must compute and move, and what the machine can.

The network is that of sections 4.1 and A.1. Two bounds on the speed of a step
follow: by arithmetic, and by traffic to memory. Our choice.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from launch.benchmarks import timed_networks
from mixture_modules import signatures
from mixture_modules.isometric import isometric_model

_MATRIX = 2048  # rows and columns of the product that is timed
_NUMBERS = 32 * 2 ** 20  # float32, that are added to others

# Passes over a tensor, reads and writes, forward and backward. Each operation
# is one kernel that finds its tensors in memory and leaves its result there.
_CONV = 3    # of input and of output: used; again for the kernel's gradient;
             # and its own gradient
_NORM = 8    # forward: read for the moments, read, write; backward: output's
             # gradient and input for the sums, the same again, write
_ACT = 5     # forward: read, write; backward: gradient, input, write
_ADD = 6     # of two tensors: read two, write; backward: as much, for the sum
             # of the two gradients
_GATE = 9    # mean: read; product: read, write; backward: gradient and input
             # for the gate's, gradient read and written; the mean's gradient
             # added: read, write
_MEAN = 3    # forward: read; backward: write, and read where it is used
_UPDATE = 10  # of a parameter: gradient; weight, mean square and momentum read
              # and written; average and weight read, average written


@dataclasses.dataclass(frozen=True)
class Costs:
  """Of one training step.

  Args:
    macs: Multiply-adds.
    num_bytes: Read from and written to memory.
  """

  macs: int
  num_bytes: int

  @property
  def flops(self):
    """A multiply-add is two."""
    return 2 * self.macs


def count(config, num_classes):
  """Multiply-adds and bytes of a training step, all tasks together.

  Multiply-adds: those of `image_macs`, and twice as many backward, for the
  gradients of weights and of inputs; the images themselves need none. Mixing
  does not grow with the batch: `L K P` a task, where a template has P numbers,
  and twice that backward; none if the signature is fixed. Element-wise work
  is not counted: traffic bounds it.

  Bytes: every convolution, norm, activation, gate and sum is a kernel of its
  own, whose tensors are in memory and not in caches (the factors are the
  constants above), and as wide as the compute dtype. With n positions, an
  image has

      2 * 3 S^2 + (3 + 13) n c                           input adapter
      + L n (3 (4 e + 2 c) + 2 * 13 e + 8 c + 6 c + 9 e)   blocks, with SE
      + 3 n (c + c1) + (13 + 3) n c1 + 3 (c1 + c2) + 13 c2 output adapter

  numbers. Mixing moves `L P` and `K P` of them three times, as a convolution
  does; each trained parameter is updated once. Loss and what has neither
  positions nor parameters are left out.

  Args:
    config: `RunConfig`.
    num_classes: Of each task.

  Returns:
    `Costs`.

  Source: the operations are those of sections 4.1 and A.1; the counting is
    our choice.
  """
  model = config.model
  first, others = image_macs(model, num_classes)
  images = sum(config.task_batch_sizes().values())
  network = isometric_model.IsometricModel(
      model, {name: num_classes for name in config.tasks})
  template = sum(math.prod(variable.shape[1:])
                 for variable in network.bank.variables)
  mixed = model.signature in signatures.TRAINED and len(config.tasks)
  rows, templates = model.num_layers, model.num_templates
  width = 2 if config.precision == 'mixed_bfloat16' else 4
  return Costs(
      macs=images * (2 * first + 3 * others)
      + mixed * 3 * rows * templates * template,
      num_bytes=width * images * _image_numbers(model)
      + 4 * mixed * _CONV * (rows + templates) * template
      + 4 * _UPDATE * network.parameter_report()['total'])


def image_macs(config, num_classes):
  """Multiply-adds of one image, forward.

  With n positions `(S / p)^2` and c, e = 6 c, s (of squeeze-and-excite), c1
  and c2 channels,

      n 3 p^2 c + L (n (2 c e + 9 e) + 2 e s) + n c c1 + c1 c2 + c2 classes

  Args:
    config: `IsometricConfig`.
    num_classes: Of the task.

  Returns:
    (those of the input adapter, all others).
  """
  c, e, n = config.channels, config.expanded_channels, _positions(config)
  c1, c2 = config.adapter_filters
  block = n * (2 * c * e + 9 * e)
  if config.use_se:
    block += 2 * e * timed_networks.squeezed_channels(config)
  return (n * 3 * config.patch_size ** 2 * c,
          config.num_layers * block + n * c * c1 + c1 * c2 + c2 * num_classes)


def _image_numbers(config):
  """Numbers that are read or written for an image; see `count`."""
  c, e, n = config.channels, config.expanded_channels, _positions(config)
  c1, c2 = config.adapter_filters
  norm_act = _NORM + _ACT
  block = (_CONV * (4 * e + 2 * c) + 2 * norm_act * e + _NORM * c + _ADD * c
           + (_GATE * e if config.use_se else 0))
  return (2 * 3 * config.image_size ** 2 + (_CONV + norm_act) * n * c
          + config.num_layers * n * block
          + _CONV * n * (c + c1) + (norm_act + _MEAN) * n * c1
          + _CONV * (c1 + c2) + norm_act * c2)


def _positions(config):
  return (config.image_size // config.patch_size) ** 2


def machine_calls(precision):
  """What times the machine: calls, and the work that each does.

  Args:
    precision: Of a `RunConfig`; the matrix product is in its compute dtype.

  Returns:
    {'arithmetic': (function of nothing, floating-point operations),
    'traffic': (function of nothing, bytes read and written)}.
  """
  dtype = keras.DTypePolicy(precision).compute_dtype
  matrix = tf.cast(tf.random.normal([_MATRIX] * 2), dtype)
  target, numbers = tf.Variable(tf.zeros([_NUMBERS])), tf.ones([_NUMBERS])

  @tf.function(autograph=False, jit_compile=False)
  def multiply():
    return tf.matmul(matrix, matrix)[0, 0]

  @tf.function(autograph=False, jit_compile=False)
  def add():
    target.assign_add(numbers)  # in place: no new memory is asked for
    return target[0]

  return {'arithmetic': (lambda: float(multiply()), 2 * _MATRIX ** 3),
          'traffic': (lambda: float(add()), 3 * 4 * _NUMBERS)}
