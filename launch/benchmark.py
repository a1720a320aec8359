"""Times training steps, stock Keras layers' steps and the input pipeline.

    python -m launch.benchmark
    python -m launch.benchmark --preset=small --batch_size=128 --rounds=7
    python -m launch.benchmark --num_templates=32 --precision=mixed_bfloat16
    python -m launch.benchmark --num_templates=32 --num_layers=32

The network is that of a run's flags, by default the preset 'small', trained
without and with the clustering regulariser (section 3.2); stock Keras has the
same network without templates. The pipeline makes batches of the same size from
50,000 made-up images in memory, shuffled and augmented as CIFAR's are. All live
in one process and take turns, a few steps each, so that a machine whose speed
drifts treats them alike: look at the ratios. The time to the end of step 1 is
taken when each is built, ours first.
"""

import functools
import statistics
import sys
import time
import types

from absl import app
from absl import flags
import keras
import numpy as np
import tensorflow as tf

from launch import entry
from launch import results
from launch import run_flags
from launch import shared_flags
from mixture_modules import mixture_se
from trainers import records
from trainers import supervised
from trainers.data import mocking
from trainers.data import pipeline

_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Turns of each.')
_TURN = flags.DEFINE_integer('turn', 5, 'Training steps in a turn.')
flags.adopt_module_key_flags(run_flags)
flags.declare_key_flag('output')
_CLASSES = 100
_OURS, _STOCK, _PIPELINE = 'mixtures', 'stock Keras', 'input pipeline'
_CLUSTERING = 'mixtures, clustering'
_ALPHA = 1e-3  # no matter which: it is the same work
_PIPELINE_IMAGES = 50_000
_PIPELINE_BATCHES = 200  # for each training step of the others


def main(argv):
  """Builds all, times them in turn, prints a table."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  for holder in (_ROUNDS, _TURN):
    if holder.value < 1:
      raise ValueError(f'--{holder.name} must be positive, received '
                       f'{holder.value}.')
  config = run_flags.run_config_from_flags(list, preset='small').replace(
      tasks=('task',), steps=10_000)
  if config.model.original_input:
    raise ValueError('The benchmark has no stock network with original_input: '
                     'leave it out.')
  side, batch = config.model.image_size, config.batch_size
  rng = np.random.default_rng(0)
  images = tf.constant(rng.normal(size=(batch, side, side, 3)), tf.float32)
  labels = tf.constant(rng.integers(_CLASSES, size=batch), tf.int32)

  makers = make_makers(config)
  steps, first = {}, {}
  for name, make in makers.items():
    began = time.perf_counter()
    steps[name] = make(images, labels)
    steps[name]()
    first[name] = time.perf_counter() - began
    print(f'{name}: first step after {first[name]:.1f} s', file=sys.stderr)
  speeds = {name: [batch / seconds for seconds in turns]
            for name, turns in _take_turns(steps).items()}
  speeds[_PIPELINE] = [
      _PIPELINE_BATCHES * speed for speed in speeds[_PIPELINE]]
  ratios = {
      f'{one} to {other}': [a / b for a, b in zip(speeds[one], speeds[other])]
      for one, other in ((_OURS, _STOCK), (_CLUSTERING, _OURS),
                         (_PIPELINE, _OURS))
      if one in speeds}
  rows = [('', 'first step', 'images/s, min / median / max')]
  rows += [(name, f'{first[name]:.1f} s', _spread(speeds[name], '.0f'))
           for name in steps]
  print(results.align(rows))
  for name, values in ratios.items():
    print(f'{name}, ratio of images/s by turn: {_spread(values, ".2f")}')
  if shared_flags.OUTPUT.value:
    records.write_json(shared_flags.OUTPUT.value, {
        'first_step_seconds': first, 'images_per_second': speeds,
        'ratios': ratios, **records.describe_process()})


def make_makers(config):
  """{name: function from images and labels to what is timed}.

  Args:
    config: `RunConfig`. Signatures that clustering cannot be asked of are
      trained without it alone.
  """
  configs = {_OURS: config.replace(clustering=0.0)}
  if config.model.signature == 'softmax':
    configs[_CLUSTERING] = config.replace(
        clustering=config.clustering or _ALPHA)
  makers = {name: functools.partial(_mixture_step, own)
            for name, own in configs.items()}
  return {**makers, _STOCK: functools.partial(_stock_step, config),
          _PIPELINE: functools.partial(_pipeline_step, config)}


def _take_turns(steps):
  """{name: seconds a step in each turn}, all alternating."""
  seconds = {name: [] for name in steps}
  for _ in range(_ROUNDS.value):
    for name, step in steps.items():
      step()  # the caches are the last one's
      began = time.perf_counter()
      for _ in range(_TURN.value):
        step()
      seconds[name].append((time.perf_counter() - began) / _TURN.value)
  return seconds


def _spread(values, form):
  return ' / '.join(format(value, form) for value in (
      min(values), statistics.median(values), max(values)))


def _mixture_step(config, images, labels):
  """One training step of ours, averages of the weights included."""
  # Of the data, only the number of classes is asked.
  data = types.SimpleNamespace(num_classes=_CLASSES)
  trainer = supervised.make_trainer(
      config, {'task': data}, tf.distribute.get_strategy(), steps=config.steps)
  batch = {'task': (images, labels)}
  number = tf.constant(0, tf.int64)
  return lambda: float(trainer.train_step(number, batch)['loss'])


def _stock_step(config, images, labels):
  """One `train_on_batch` of the same network without templates."""
  keras.config.set_dtype_policy(config.precision)
  model = stock_network(config.model, _CLASSES)
  model.compile(
      keras.optimizers.RMSprop(
          config.optimizer.learning_rate, rho=config.optimizer.rho,
          momentum=config.optimizer.momentum,
          epsilon=config.optimizer.epsilon),
      keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      jit_compile=False)  # XLA is several times slower on a CPU
  return lambda: model.train_on_batch(images, labels)


def _pipeline_step(config, images, labels):
  """`_PIPELINE_BATCHES` batches as training gets them."""
  del images, labels
  name = 'cifar100'
  with mocking.mock_data(_PIPELINE_IMAGES):
    data = pipeline.load_tasks([name], config.model.image_size)[name]
    data.num_examples('train')
  batches = iter(data.train_batches(config.batch_size, config.seed))

  def step():
    for _ in range(_PIPELINE_BATCHES):
      batch = next(batches)
    return batch

  return step


def stock_network(config, num_classes):
  """The network of a configuration in Keras' own layers, L separate blocks.

  Args:
    config: `IsometricConfig`.
    num_classes: Number of logits.
  """
  layers = keras.layers
  decay = (keras.regularizers.L2(config.weight_decay / 2)
           if config.weight_decay else None)

  def conv(x, filters, size, act=True):
    x = layers.Conv2D(filters, size, strides=size, use_bias=False,
                      kernel_regularizer=decay)(x)
    return norm(x, act)

  def norm(x, act=True):
    x = layers.BatchNormalization(
        momentum=config.norm_momentum, epsilon=config.norm_epsilon)(x)
    return layers.Activation(config.activation)(x) if act else x

  def squeeze_and_excite(x):
    squeezed = mixture_se.make_divisible(config.expanded_channels / 4)
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(squeezed, 1, activation='relu',
                      kernel_regularizer=decay)(s)
    s = layers.Conv2D(config.expanded_channels, 1, activation='hard_sigmoid',
                      kernel_regularizer=decay)(s)
    return layers.Multiply()([x, s])

  inputs = keras.Input((config.image_size, config.image_size, 3))
  x = conv(inputs, config.channels, config.patch_size)
  for _ in range(config.num_layers):
    y = conv(x, config.expanded_channels, 1)
    y = norm(layers.DepthwiseConv2D(3, padding='same', use_bias=False)(y))
    if config.use_se:
      y = squeeze_and_excite(y)
    x = layers.Add()([x, conv(y, config.channels, 1, act=False)])
  x = conv(x, config.adapter_filters[0], 1)
  x = layers.GlobalAveragePooling2D(keepdims=True)(x)
  x = layers.Flatten()(conv(x, config.adapter_filters[1], 1))
  x = layers.Dropout(config.dropout)(x)
  return keras.Model(inputs, layers.Dense(num_classes)(x))


if __name__ == '__main__':
  entry.run(main)
