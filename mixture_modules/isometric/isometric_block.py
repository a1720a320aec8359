"""The residual block whose parameters are mixtures (sections 4.1 and A.1)."""

import keras
from keras import ops

from mixture_modules import compiled_activations
from mixture_modules import mixture_conv
from mixture_modules import mixture_depthwise
from mixture_modules import mixture_se


class IsometricBlock(keras.layers.Layer):
  """Inverted residual block whose parameters are mixtures.

      expand 1x1 - norm - act - depthwise 3x3 - norm - act - (SE) -
      project 1x1 - norm - add

  Args:
    config: `IsometricConfig`.
    bank: `TemplateBank` that gets the block's slots.
    **kwargs: As for any Keras layer.

  Call arguments:
    inputs: `[batch, height, width, c]`.
    row: `template_bank.ResolvedRow` of one layer.
    norm: Function `(tensor, site) -> tensor`; sites are 'expand',
      'depthwise' and 'project'.
    original: Optional `[batch, height, width, c]`, the input adapter's
      output (Table 6).
    training: Whether to compute as is fastest in training; no value depends
      on it.

  Returns:
    `[batch, height, width, c]`.

  Source: sections 4.1 and A.1 (MobileNetV3's block, expansion factor 6).
  """

  def __init__(self, config, bank, **kwargs):
    # As in mixture layers: parameters are not cast before they are used.
    super().__init__(autocast=False, **kwargs)
    c, e = config.channels, config.expanded_channels
    self.activation = keras.activations.get(config.activation)
    self._in_training = compiled_activations.in_training(self.activation)
    shared = {'bank': bank, 'signature': False, 'dtype': self.dtype_policy}
    options = {**shared, 'use_bias': False}
    kernel = {'kernel_initializer': kernel_initializer(),
              'kernel_regularizer': weight_decay(config)}
    self.expand = mixture_conv.MixtureConv2D(
        e, 1, slot='expand', **options, **kernel)
    self.depthwise = mixture_depthwise.MixtureDepthwise(
        3, padding='same', slot='depthwise',
        depthwise_initializer=kernel_initializer(), **options)
    self.se = None
    if config.use_se:
      self.se = mixture_se.MixtureSE(slot='se', **shared, **kernel)
    self.project = mixture_conv.MixtureConv2D(
        c, 1, slot='project', **options, **kernel)
    self.expand.build((None, None, None, c * (1 + config.original_input)))
    for layer in (self.depthwise, self.se, self.project):
      if layer is not None:
        layer.build((None, None, None, e))
    self.built = True

  def call(self, inputs, row, norm, original=None, training=False):
    """Runs one residual block."""
    activation = self._in_training if training else self.activation
    x = inputs = ops.cast(inputs, self.compute_dtype)
    if original is not None:
      original = ops.cast(original, self.compute_dtype)
      x = ops.concatenate([inputs, original], -1)
    x = activation(norm(self.expand(x, row=row), 'expand'))
    x = activation(norm(self.depthwise(x, row=row), 'depthwise'))
    if self.se is not None:
      x = self.se(x, row=row)
    return inputs + norm(self.project(x, row=row), 'project')


def kernel_initializer():
  """Of every convolution: variance 2 / fan_out, as MobileNet's."""
  return keras.initializers.VarianceScaling(2.0, 'fan_out')


def weight_decay(config):
  """The regulariser of convolution kernels, or None."""
  if not config.weight_decay:
    return None
  return keras.regularizers.L2(config.weight_decay / 2)
