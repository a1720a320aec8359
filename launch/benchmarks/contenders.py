"""What is timed: training steps and inference, ours and others'.

A contender is a function of nothing that does one step, or one inference, and
waits for its result.
"""

import dataclasses
import functools
import types

import keras
import numpy as np
import tensorflow as tf

from launch.benchmarks import pytorch
from launch.benchmarks import timed_networks
from mixture_modules import signatures
from mixture_modules.isometric import folding
from mixture_modules.isometric import isometric_model
from trainers import supervised

NUM_CLASSES = 100
OURS, PLAIN = 'ours', 'plain signature'
CLUSTERING, STOCK = 'with clustering', 'stock Keras'
TORCHES = TORCH, TORCH_LAST = 'PyTorch', 'PyTorch, channels_last'
FOLDED, BY_HAND = 'folded', 'merged by hand'
STOCK_PREDICT, STOCK_FUNCTION = 'stock Keras, predict', 'stock Keras, function'
_ALPHA = 1e-3  # no matter which: it is the same work


def make_batch(config):
  """Made-up (images `[batch, S, S, 3]`, labels `[batch]`), arrays.

  Args:
    config: `RunConfig`.
  """
  rng = np.random.default_rng(0)
  side, size = config.model.image_size, config.batch_size
  return (rng.normal(size=(size, side, side, 3)).astype('float32'),
          rng.integers(NUM_CLASSES, size=size).astype('int32'))


def plain(config):
  """The same run with a fixed one-hot signature: templates are looked up.

  Args:
    config: `RunConfig`.
  """
  model = config.model.replace(
      signature=timed_networks.plain_signature(config.model), shared_half=None)
  return dataclasses.replace(config, model=model, entropy=0.0, clustering=0.0)


def training(config):
  """The contenders that can train a network here.

  Args:
    config: `RunConfig` of one task.

  Returns:
    {name: function that builds the contender}. What it returns does one step
    and returns the loss. The time to build includes no data.
  """
  makers = {OURS: functools.partial(
      ours_training, config.replace(clustering=0.0))}
  if config.model.signature in signatures.TRAINED:
    makers[PLAIN] = functools.partial(ours_training, plain(config))
  if config.model.signature == 'softmax':
    makers[CLUSTERING] = functools.partial(
        ours_training, config.replace(clustering=config.clustering or _ALPHA))
  makers[STOCK] = functools.partial(_stock_training, config)
  if pytorch.is_compared():
    for name in TORCHES:
      makers[name] = functools.partial(
          pytorch.training_call, config, NUM_CLASSES,
          *make_batch(config), channels_last=name == TORCH_LAST)
  return makers


def ours_training(config):
  """A step of ours, averages of the weights included; of all its tasks.

  Args:
    config: `RunConfig`; each task has a batch.
  """
  trainer = make_trainer(config)
  batch = tuple(map(tf.constant, make_batch(config)))
  batches = {name: batch for name in config.tasks}
  number = tf.constant(0, tf.int64)
  return lambda: float(trainer.train_step(number, batches)['loss'])


def make_trainer(config, data=None):
  """The trainer of a run.

  Args:
    config: `RunConfig`.
    data: {task: `TaskData`}. Default: none, all tasks have `NUM_CLASSES`.
  """
  # Of the data, a training step needs the number of classes alone.
  data = data or {name: types.SimpleNamespace(num_classes=NUM_CLASSES)
                  for name in config.tasks}
  return supervised.make_trainer(
      config, data, tf.distribute.get_strategy(), steps=10_000)


def _stock_training(config):
  """One `train_on_batch` of the same network without templates."""
  model = timed_networks.stock_network(
      config.model, NUM_CLASSES, config.precision)
  model.compile(
      keras.optimizers.RMSprop(
          config.optimizer.learning_rate, rho=config.optimizer.rho,
          momentum=config.optimizer.momentum,
          epsilon=config.optimizer.epsilon),
      keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      jit_compile=False)  # XLA is several times slower on a CPU
  images, labels = map(tf.constant, make_batch(config))
  return lambda: float(model.train_on_batch(images, labels))


class Inference:
  """Networks of one configuration and the ways to infer with them.

  Args:
    config: `RunConfig`; of one task, but for `ours`.

  Attributes:
    model: `IsometricModel` of its tasks.
  """

  def __init__(self, config):
    self._config = config
    supervised.make_reproducible(config)
    self.model = self._make_model(config)

  def _make_model(self, config):
    return isometric_model.IsometricModel(
        config.model, dict.fromkeys(config.tasks, NUM_CLASSES),
        seed=config.seed, dtype=config.precision)

  @functools.cached_property
  def folded(self):
    """The folded network, of all tasks."""
    first, *others = self._config.tasks
    return folding.fold(self.model, [first, *others] if others else first)

  @functools.cached_property
  def _values(self):
    return timed_networks.resolved_values(self.model)

  @functools.cached_property
  def _stock(self):
    stock = timed_networks.stock_network(
        self._config.model, NUM_CLASSES, self._config.precision)
    timed_networks.load_stock(stock, self._values)
    stock.compile(jit_compile=False)
    return stock

  def _make_torch(self):
    network = pytorch.make_network(self._config.model, NUM_CLASSES)
    pytorch.load_values(network, self._values)
    return network

  def ours(self, images):
    """{name: contender} of ours, unfolded and folded, of all tasks.

    Args:
      images: Array `[batch, S, S, 3]`.
    """
    return {OURS: _call(_function(self.model, self._config.tasks), images),
            FOLDED: _call(folding.inference_function(self.folded), images)}

  def contenders(self, images):
    """{name: contender}, functions that return logits `[batch, classes]`.

    All have the same weights, but for the plain signature's, and graphs of
    their own for these images.

    Args:
      images: Array `[batch, S, S, 3]`.
    """
    calls = self.ours(images)
    if self._config.model.signature in signatures.TRAINED:
      model = self._make_model(plain(self._config))
      calls[PLAIN] = _call(_function(model, self._config.tasks), images)
    calls[BY_HAND] = _call(timed_networks.merged_network(
        self._config.model, self._values), images)
    calls[STOCK_FUNCTION] = _call(_function(self._stock), images)
    calls[STOCK_PREDICT] = functools.partial(
        self._stock.predict, images, batch_size=len(images), verbose=0)
    if pytorch.is_compared():
      for name in TORCHES:
        calls[name] = pytorch.inference_call(
            self._config, self._make_torch(), images, name == TORCH_LAST)
    return calls


def _function(model, tasks=()):
  """A `tf.function` of a model's own, of a task or of several."""
  @tf.function(autograph=False, jit_compile=False)
  def infer(images):
    if not tasks:
      return model(images, training=False)
    outputs = [model(images, task=task, training=False) for task in tasks]
    return outputs if len(tasks) > 1 else outputs[0]

  return infer


def _call(function, images):
  images = tf.constant(images)
  return lambda: tf.nest.map_structure(np.asarray, function(images))
