"""The same network in PyTorch, eager; PyTorch is the extra `benchmark`.

Nothing here needs PyTorch at import: ask `is_compared` first.
"""

import contextlib
import importlib.util
import sys

import numpy as np
import tensorflow as tf

from launch.benchmarks import timed_networks

MISSING = ('PyTorch is left out: it is not installed '
           "(`pip install -e '.[benchmark]'`), or TensorFlow uses a GPU, which "
           'these comparisons do not.')


def is_compared():
  """Whether PyTorch is installed, and TensorFlow is on the CPU, as it is."""
  return (importlib.util.find_spec('torch') is not None
          and not tf.config.get_visible_devices('GPU'))


def _import_torch():
  """PyTorch without Triton, which eager does not need on a CPU.

  Its LLVM and TensorFlow's do not go together: where PyTorch's optimisers
  load it, the process crashes (PyTorch 2.14, TensorFlow 2.21).
  """
  if 'torch' not in sys.modules:
    sys.modules.setdefault('triton', None)  # importing it is an ImportError
  import torch

  return torch


def describe():
  """{'version', 'threads'} of PyTorch."""
  torch = _import_torch()
  return {'version': torch.__version__, 'threads': torch.get_num_threads()}


def make_network(config, num_classes):
  """The network of a configuration as `torch.nn` modules.

  Args:
    config: `IsometricConfig`, with hard-swish and without original inputs.
    num_classes: Number of logits.

  Returns:
    `torch.nn.Module` from images `[batch, 3, S, S]` to logits
    `[batch, classes]`. Its arrays stand in the order of computation.
  """
  nn = _import_torch().nn
  c, e = config.channels, config.expanded_channels
  c1, c2 = config.adapter_filters

  def conv(inputs, outputs, size=1, stride=1, act=True, **options):
    return [nn.Conv2d(inputs, outputs, size, stride, bias=False, **options),
            nn.BatchNorm2d(outputs, eps=config.norm_epsilon,
                           momentum=1 - config.norm_momentum),
            *([nn.Hardswish()] if act else [])]

  class SqueezeAndExcite(nn.Module):
    """As torchvision has it."""

    def __init__(self):
      super().__init__()
      squeezed = timed_networks.squeezed_channels(config)
      self.gate = nn.Sequential(
          nn.AdaptiveAvgPool2d(1), nn.Conv2d(e, squeezed, 1), nn.ReLU(),
          nn.Conv2d(squeezed, e, 1), nn.Hardsigmoid())

    def forward(self, x):
      return x * self.gate(x)

  class Block(nn.Sequential):
    """An inverted residual block."""

    def __init__(self):
      super().__init__(
          *conv(c, e), *conv(e, e, 3, padding=1, groups=e),
          *([SqueezeAndExcite()] if config.use_se else []),
          *conv(e, c, act=False))

    def forward(self, x):
      return x + super().forward(x)

  return nn.Sequential(
      *conv(3, c, config.patch_size, config.patch_size),
      *[Block() for _ in range(config.num_layers)],
      *conv(c, c1), nn.AdaptiveAvgPool2d(1), *conv(c1, c2), nn.Flatten(),
      nn.Dropout(config.dropout), nn.Linear(c2, num_classes))


def load_values(network, values):
  """Sets all arrays of a network.

  Args:
    network: As from `make_network`.
    values: As from `timed_networks.resolved_values`.
  """
  torch = _import_torch()
  targets = (tensor for name, tensor in network.state_dict().items()
             if not name.endswith('num_batches_tracked'))
  arrays = (array for layer in values for array in layer)
  with torch.no_grad():
    for target, array in zip(targets, arrays, strict=True):
      ours = np.ascontiguousarray(_transpose(array, target.shape))
      target.copy_(torch.from_numpy(ours).reshape(target.shape))


def _transpose(array, shape):
  """An array of Keras' order of axes in PyTorch's order."""
  if array.ndim < 4:
    return array.T
  if array.shape[3] == shape[1] == 1:
    return array.transpose(2, 3, 0, 1)  # depthwise, [3, 3, channels, 1]
  return array.transpose(3, 2, 0, 1)  # [height, width, inputs, outputs]


def training_call(config, num_classes, images, labels, channels_last=False):
  """One training step, eager.

  Args:
    config: `RunConfig`.
    num_classes: Number of logits.
    images: `[batch, S, S, 3]` float32 array.
    labels: `[batch]` integer array.
    channels_last: Whether weights and images lie so in memory.

  Returns:
    Function of nothing that does a step and returns its loss.
  """
  torch = _import_torch()
  network, images = _place(
      make_network(config.model, num_classes), images, channels_last)
  network.train()
  labels = torch.from_numpy(np.asarray(labels, 'int64'))
  decayed = [m.weight for m in network.modules()
             if isinstance(m, torch.nn.Conv2d) and m.groups == 1]
  ids = set(map(id, decayed))
  others = [p for p in network.parameters() if id(p) not in ids]
  optimizer = torch.optim.RMSprop(
      [{'params': decayed, 'weight_decay': config.model.weight_decay},
       {'params': others}], config.optimizer.learning_rate,
      alpha=config.optimizer.rho, eps=config.optimizer.epsilon,
      momentum=config.optimizer.momentum)

  def step():
    optimizer.zero_grad()
    with _precision(config):
      logits = network(images)
    loss = torch.nn.functional.cross_entropy(logits.float(), labels)
    loss.backward()
    optimizer.step()
    return loss.item()

  return step


def inference_call(config, network, images, channels_last=False):
  """One inference, eager, without gradients.

  Args:
    config: `RunConfig`.
    network: As from `make_network`; changed to `channels_last` if need be.
    images: `[batch, S, S, 3]` float32 array.
    channels_last: Whether weights and images lie so in memory.

  Returns:
    Function of nothing that returns logits `[batch, classes]`.
  """
  torch = _import_torch()
  network, images = _place(network, images, channels_last)
  network.eval()

  def infer():
    with torch.no_grad(), _precision(config):
      return network(images).float().numpy()

  return infer


def _place(network, images, channels_last):
  """(network, images `[batch, 3, S, S]`) in one memory format."""
  torch = _import_torch()
  form = torch.channels_last if channels_last else torch.contiguous_format
  images = torch.from_numpy(np.asarray(images).transpose(0, 3, 1, 2))
  return (network.to(memory_format=form),
          images.contiguous(memory_format=form))


def _precision(config):
  torch = _import_torch()
  if config.precision == 'float32':
    return contextlib.nullcontext()
  return torch.autocast('cpu', torch.bfloat16)
