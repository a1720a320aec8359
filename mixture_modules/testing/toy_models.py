"""Tiny models for tests, no two of whose values are equal."""

import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model

NORMS = isometric_config.NORMS


def make_config(**changes):
  """A network of three layers of 8 channels, for images of 8x8 pixels."""
  return isometric_config.IsometricConfig(**{
      'depth_multiplier': .2, 'num_layers': 3, 'num_templates': 3,
      'image_size': 8, 'adapter_filters': (8, 16), 'dropout': 0.,
      'use_se': False, **changes})


def make_model(tasks=None, shared_head=False, seed=None, **changes):
  """A model of `make_config`, by default with the tasks 'a' and 'b'."""
  tasks = {'a': 4, 'b': 4} if tasks is None else tasks
  model = isometric_model.IsometricModel(
      make_config(**changes), tasks, shared_head=shared_head, seed=seed)
  randomize(model)
  return model


def make_images(batch=5, seed=0):
  """Images `[batch, 8, 8, 3]`."""
  rng = np.random.default_rng(seed)
  return rng.normal(size=(batch, 8, 8, 3)).astype('float32')


def randomize(model, seed=0):
  """Gives every variable a value that no other has."""
  rng = np.random.default_rng(seed)
  for name, variable in model.named_variables().items():
    if '/variance/' in name:
      variable.assign(rng.uniform(.5, 2, size=variable.shape))
    elif name != 'dropout_seeds':
      variable.assign(rng.normal(size=variable.shape) * .5)


def randomize_weights(model, seed=0):
  """The same for any Keras model; variances are positive."""
  rng = np.random.default_rng(seed)
  for variable in model.weights:
    if 'variance' in variable.name or 'gamma' in variable.name:
      variable.assign(rng.uniform(.5, 1.5, size=variable.shape))
    else:
      variable.assign(rng.normal(size=variable.shape) * .3)


def values(model):
  """{name: array} of all variables."""
  return {n: v.numpy() for n, v in model.named_variables().items()}


def changed(before, after):
  """Names whose values of `values` differ, bit for bit."""
  return {name for name in before
          if before[name].tobytes() != after[name].tobytes()}


def outputs(model, images=None):
  """{task: logits} of some images."""
  images = make_images() if images is None else images
  return {name: model(images, task=name).numpy() for name in model.tasks}


def descend(model, task, variables, rate=.1):
  """A step of gradient descent on some variables, for one task."""
  with tf.GradientTape() as tape:
    logits = model(make_images(), task=task, training=True)
    loss = tf.reduce_mean((logits - 1) ** 2) + sum(model.losses)
  gradients = tape.gradient(loss, [v.value for v in variables])
  for variable, gradient in zip(variables, gradients):
    if gradient is not None:
      variable.assign_sub(rate * gradient)
  return gradients
