"""The input and the output adapter of an isometric model (sections 3.1, A.1).

They lead from images into the one activation space and out of it. Their norms
are apart, in `task_norms`.
"""

import keras

from mixture_modules.isometric import isometric_block


def input_adapter(config, dtype):
  """Convolution of patches, `[.., H, W, 3]` to `[.., H/p, W/p, c]`, built.

  Args:
    config: `IsometricConfig`.
    dtype: Keras dtype policy.
  """
  return _conv(config, dtype, 'input_adapter', 3, config.channels,
               config.patch_size)


def output_adapter(config, dtype):
  """Two 1x1 convolutions, of c to c1 and of c1 to c2 channels, built.

  Args:
    config: `IsometricConfig`.
    dtype: Keras dtype policy.

  Returns:
    List of the two; the mean over positions stands between them.
  """
  c, (c1, c2) = config.channels, config.adapter_filters
  return [_conv(config, dtype, 'output_adapter_1', c, c1, 1),
          _conv(config, dtype, 'output_adapter_2', c1, c2, 1)]


def _conv(config, dtype, name, channels, filters, size):
  """A built convolution whose kernel and stride are of one size, in pixels."""
  layer = keras.layers.Conv2D(
      filters, size, strides=size, use_bias=False, dtype=dtype,
      kernel_initializer=isometric_block.kernel_initializer(),
      kernel_regularizer=isometric_block.weight_decay(config))
  layer.build((None, None, None, channels))
  layer.name = name  # variables keep the path of Keras' own, unique name
  return layer
