"""Converts six networks of keras.applications, and folds them back.

    python docs/experiments/convert.py

Weights are random, and moving statistics are those of one batch. Differences
are the largest of the logits of 8 images of 96 pixels, over the logits'
standard deviation.
"""

import time

import keras
import numpy as np

import mixture_modules as mm

NETWORKS = ('MobileNetV2', 'MobileNetV3Small', 'EfficientNetB0', 'ResNet50',
            'DenseNet121', 'ConvNeXtTiny')


def main():
  """Prints a row for each network."""
  images = np.random.default_rng(0).uniform(0, 255, (8, 96, 96, 3))
  print('| network | layers | groups | parameters | converted | difference | '
        'seconds | folded, norms kept | folded |\n' + 9 * '|---' + '|')
  for name in NETWORKS:
    keras.utils.set_random_seed(0)
    plain = getattr(keras.applications, name)(
        weights=None, input_shape=(96, 96, 3), classifier_activation=None)
    for layer in plain.layers:
      if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0
    plain(images, training=True)
    expected = keras.ops.convert_to_numpy(plain(images))

    def difference(model, expected=expected):
      outputs = keras.ops.convert_to_numpy(model(images))
      return np.abs(outputs - expected).max() / expected.std()

    start = time.perf_counter()
    mixed = mm.convert(plain)
    seconds = time.perf_counter() - start
    layers = [layer for layer in mixed.layers if hasattr(layer, 'signature')]
    kept = difference(mm.fold(mixed, merge_norms=False))
    print(f'| {name} | {len(layers)} | '
          f'{len({layer.bank for layer in layers})} | '
          f'{plain.count_params():,} | {mixed.count_params():,} | '
          f'{difference(mixed):.1e} | {seconds:.1f} | {kept:.1e} | '
          f'{difference(mm.fold(mixed)):.1e} |', flush=True)


if __name__ == '__main__':
  main()
