"""Sizes and choices of an isometric model, and the paper's presets.

Sections 4.1 and A.1. What the paper leaves open in a preset is our choice.
"""

import dataclasses
from typing import Literal

import keras

from mixture_modules import checks
from mixture_modules import fixed_sequences
from mixture_modules import mixture_se
from mixture_modules import signatures

NORMS = ('mixed', 'private', 'shared')
_MOST = 10_000  # layers, templates, times the paper's width: far beyond use


@dataclasses.dataclass(frozen=True)
class IsometricConfig:
  """The architecture of an `IsometricModel`, without its tasks.

  Args:
    depth_multiplier: Width of the body, rho in the paper: it has 40 times as
      many channels, to a multiple of 8.
    num_layers: L, residual blocks (layers) in the body.
    num_templates: K, templates in the bank.
    patch_size: Kernel and stride of the input adapter, in pixels.
    image_size: Side of the (square) images, in pixels.
    use_se: Whether blocks have squeeze-and-excite.
    adapter_filters: (c1, c2), channels of the output adapter's convolutions.
    norm: Who owns gamma and beta: 'mixed' (the bank), 'private' (the task;
      "linear patches") or 'shared' (the model).
    signature: Kind of the tasks' signatures: trained ('softmax', 'tanh',
      'linear'), fixed ('sequential', 'cyclic', 'random', 'progressive',
      'diagonal'), or template numbers such as '1-2-2-3'. 'diagonal' with
      K = L is the conventional network.
    signature_init: Start of trained signatures.
    signature_spread: Standard deviation of random logits (ours).
    temperature: Divides the logits of a softmax signature.
    shared_half: The half of the signature's rows that all tasks share
      (Tables 11, 12). Default: none.
    original_input: Whether every block also gets the input adapter's output,
      concatenated on the channels before the expansion (Table 6).
    dropout: Rate of dropout before the logits.
    weight_decay: Weight of `sum(w ** 2) / 2` in the loss, over convolution
      kernels (not depthwise, biases, norms, logits), templates once each.
    activation: After the norms of expansion and depthwise convolution, and in
      the adapters (ours: hard-swish, as MobileNetV3).
    norm_momentum: Momentum of batch norm's moving statistics after the first
      thousand steps; before, it is lower (ours).
    norm_epsilon: Added to variances (ours).

  Raises:
    ValueError: If a value is out of range or values contradict each other.
  """

  depth_multiplier: float = 1.0
  num_layers: int = 16
  num_templates: int = 4
  patch_size: int = 4
  image_size: int = 32
  use_se: bool = True
  adapter_filters: tuple[int, int] = (128, 256)
  norm: Literal[*NORMS] = 'mixed'
  signature: str = 'softmax'
  signature_init: Literal[*signatures.INITIALIZERS] = 'random'
  signature_spread: float = 0.5
  temperature: float = 1.0
  shared_half: Literal['first', 'second'] | None = None
  original_input: bool = False
  dropout: float = 0.2
  weight_decay: float = 1e-5
  activation: str = 'hard_swish'
  norm_momentum: float = 0.99
  norm_epsilon: float = 1e-3

  def __post_init__(self):
    for name in ('num_layers', 'num_templates', 'patch_size', 'image_size'):
      object.__setattr__(
          self, name, checks.positive_integer(name, getattr(self, name)))
    object.__setattr__(self, 'adapter_filters', _two(self.adapter_filters))
    for name in ('depth_multiplier', 'temperature', 'norm_epsilon'):
      object.__setattr__(self, name, checks.positive(name, getattr(self, name)))
    for name in ('num_layers', 'num_templates', 'depth_multiplier'):
      checks.at_most(name, getattr(self, name), _MOST)
    for name in ('weight_decay', 'signature_spread'):
      object.__setattr__(
          self, name, checks.not_negative(name, getattr(self, name)))
    for name in ('dropout', 'norm_momentum'):
      object.__setattr__(
          self, name, float(checks.in_range(name, getattr(self, name), 0, 1)))
    keras.activations.get(self.activation)  # refuses unknown ones
    checks.require(
        self.image_size % self.patch_size == 0, 'image_size',
        f'a multiple of patch_size={self.patch_size}', self.image_size,
        'change one of them')
    checks.types(self)
    self._check_signature()

  def _check_signature(self):
    trained = self.signature in signatures.TRAINED
    if not trained:
      fixed_sequences.make_sequence(
          self.signature, self.num_layers, self.num_templates)
    if (trained and self.signature_init == 'diagonal'
        and self.num_templates < self.num_layers):
      raise ValueError(
          "signature_init='diagonal' gives layer l template l and needs "
          f'num_templates >= num_layers, received {self.num_templates} and '
          f'{self.num_layers}.')
    if self.shared_half is None:
      return
    if not trained or self.num_layers < 2:
      raise ValueError(
          'shared_half needs a trained signature of two or more rows, received '
          f'signature={self.signature!r}, num_layers={self.num_layers}.')

  @property
  def channels(self):
    """c, channels of the activation space."""
    return mixture_se.make_divisible(40 * self.depth_multiplier)

  @property
  def expanded_channels(self):
    """e = 6 c, channels inside a block."""
    return 6 * self.channels

  def check_images(self, shape):
    """Checks the shape of a batch of images; unknown sizes pass.

    Raises:
      ValueError: If it is not `[batch, height, width, 3]` with sides that are
        multiples of the patch size.
    """
    shape, patch = tuple(shape), self.patch_size
    sides = [side for side in shape[1:3] if side is not None]
    if (len(shape) != 4 or shape[3] != 3
        or any(side % patch or not side for side in sides)):
      raise ValueError(
          'Expected images [batch, height, width, 3] with sides that are '
          f'multiples of patch_size={patch}, received {list(shape)}: resize '
          'them, and repeat the channel of grey ones.')

  def replace(self, **changes):
    """A copy with some values changed, validated again."""
    return dataclasses.replace(self, **changes)

  @classmethod
  def preset(cls, name, **changes):
    """The configuration of one of the paper's experiments.

    Args:
      name: One of `PRESETS`.
      **changes: Values to change in it.

    Raises:
      ValueError: If there is no such preset.
    """
    checks.one_of('the preset', name, sorted(PRESETS))
    return cls(**{**PRESETS[name], **changes})


def _two(filters):
  """`adapter_filters` as a tuple of two positive integers."""
  try:
    filters = tuple(filters)
  except TypeError:
    filters = (filters,)
  checks.require(len(filters) == 2, 'adapter_filters', 'two positive integers',
                 filters, 'name the channels of both convolutions')
  return tuple(checks.positive_integer('each of adapter_filters', n)
               for n in filters)


_LARGE = {'depth_multiplier': 1.0, 'patch_size': 16, 'image_size': 224,
          'adapter_filters': (960, 1280)}
_SMALL = {'depth_multiplier': 0.6}
_DIGITS = {'use_se': False, 'dropout': 0.3}
_OFFICE = {**_DIGITS, 'num_templates': 12, 'patch_size': 8,
           'image_size': 128}
_BASELINE = {'signature': 'diagonal', 'norm': 'shared'}

PRESETS = {
    # Our own default: three small tasks in a few minutes on a laptop.
    'default': {**_SMALL, 'num_layers': 8},
    # Sections 4.2 and B: CIFAR-100; Table 5.
    'small': _SMALL,
    'large': {**_LARGE, 'num_templates': 16},
    # Table 8: five natural data sets.
    'natural5': {**_LARGE, 'num_templates': 32},
    # Table 1: the same parameters in more layers.
    'imagenet8': {**_LARGE, 'num_templates': 8, 'num_layers': 8,
                  'signature': 'diagonal'},
    'imagenet8_32': {**_LARGE, 'num_templates': 8, 'num_layers': 32,
                     'signature': 'progressive'},
    'imagenet16': {**_LARGE, 'num_templates': 16, 'signature': 'diagonal'},
    'imagenet16_48': {**_LARGE, 'num_templates': 16, 'num_layers': 48,
                      'signature': 'progressive'},
    # Sections 4.4 and D: domain adaptation; Tables 3, 4, 9, 11, 12.
    'digits': _DIGITS,
    'digits_baseline': {**_DIGITS, **_BASELINE, 'num_layers': 4},
    'office': _OFFICE,
    'office_baseline': {**_OFFICE, **_BASELINE, 'num_layers': 12},
    'domainnet': _OFFICE,
    'domainnet_baseline': {**_OFFICE, **_BASELINE, 'num_layers': 12},
    # Figure 2b: nine tasks, nine templates.
    'figure2b': {**_SMALL, 'num_templates': 9},
}


def shared_rows(shared_half, num_layers):
  """Rows of the signatures that all tasks share, a `range` from 0.

  Args:
    shared_half: 'first', 'second' or None.
    num_layers: L, number of rows; of an odd number the first half is larger.

  Source: Tables 11 and 12; the odd row is our choice.
  """
  middle = num_layers - num_layers // 2
  return {'first': range(middle), 'second': range(middle, num_layers)}.get(
      shared_half, range(0))
