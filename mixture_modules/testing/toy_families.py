"""Tiny families of tasks for tests."""

import keras
from keras import layers
import numpy as np

from mixture_modules import converting
from mixture_modules import families
from mixture_modules import mixture_layer
from mixture_modules.testing import toy_models


def make_network():
  """A plain network with nested layers, norms and a head of four classes."""
  inputs = keras.Input((6, 6, 3))
  x = layers.Conv2D(4, 3, padding='same')(inputs)
  x = layers.BatchNormalization()(x)
  inner = keras.Sequential([
      keras.Input((6, 6, 4)), layers.Conv2D(4, 3, padding='same'),
      layers.BatchNormalization(), layers.ReLU(), layers.Dropout(.5)])
  x = x + inner(x)
  x = layers.LayerNormalization()(layers.Conv2D(4, 3, padding='same')(x))
  x = layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, layers.Dense(4)(x))


def make_family(norms=False, kind='linear', name='old'):
  """A family of one task, all of whose variables have values of their own."""
  model = make_network()
  toy_models.randomize_weights(model)
  model = converting.convert(model, norms=norms)
  for layer in mixtures(model):
    if kind != 'linear':
      layer.signature.become(kind)
    if layer.signature.logits is not None:
      layer.signature.logits.assign(layer.signature.logits + .1)
  return families.TaskFamily(model, name)


def mixtures(model):
  """The mixture layers of a model."""
  return [layer for layer in model._flatten_layers()
          if isinstance(layer, mixture_layer.MixtureLayer)]


def make_images(count=6):
  """Images `[count, 6, 6, 3]`."""
  return np.random.default_rng(0).normal(
      size=(count, 6, 6, 3)).astype('float32')


def fit(model, classes=5, **kwargs):
  """Three steps of training."""
  model.compile(keras.optimizers.AdamW(.01, weight_decay=.1),
                keras.losses.SparseCategoricalCrossentropy(True),
                run_eagerly=True)
  model.fit(make_images(), np.arange(6) % classes, batch_size=2, verbose=0,
            **kwargs)


def values(model):
  """The weights as arrays."""
  return [v.numpy() for v in model.weights]
