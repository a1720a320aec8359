"""Times training on any of Keras' backends, ours against stock Keras layers.

    KERAS_BACKEND=jax python -m launch.benchmark_backend --batch_size=1024

Both train by `fit`, in turns, on made-up images; it needs no TensorFlow. The
network is the paper's small one. "A against B: 1.4" says that A is 1.4 times
as fast, minimum / median / maximum over turns. `launch.benchmark` measures
far more, with our own training loop, on TensorFlow.
"""

import functools

from absl import flags
import keras
import numpy as np

from launch import entry
from launch.benchmarks import timed_networks
from launch.benchmarks import timing
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model

FLAGS = flags.FlagValues()
_NUM_LAYERS = flags.DEFINE_integer(
    'num_layers', 16, 'L, layers of the body.', flag_values=FLAGS)
_NUM_TEMPLATES = flags.DEFINE_integer(
    'num_templates', 4, 'K, templates.', flag_values=FLAGS)
_BATCH_SIZE = flags.DEFINE_integer(
    'batch_size', 128, 'Images in a step.', lower_bound=1, flag_values=FLAGS)
_STEPS = flags.DEFINE_integer(
    'steps', 50, 'Steps of a turn.', lower_bound=1, flag_values=FLAGS)
_ROUNDS = flags.DEFINE_integer(
    'rounds', 5, 'Turns of each network.', flag_values=FLAGS)
_PRECISION = flags.DEFINE_enum(
    'precision', 'float32', ['float32', 'mixed_bfloat16'],
    'Precision of computation.', flag_values=FLAGS)
_NUM_CLASSES = 100


def main():
  """Trains all networks in turn and prints how fast each was."""
  config = isometric_config.IsometricConfig.preset(
      'small', num_layers=_NUM_LAYERS.value,
      num_templates=_NUM_TEMPLATES.value)
  turns = timing.Turns(_ROUNDS.value, seconds=0)
  print(f'Keras {keras.__version__} on {keras.backend.backend()}, '
        f'{_PRECISION.value}, batch {_BATCH_SIZE.value}, K = '
        f'{config.num_templates}, L = {config.num_layers}')
  seconds = turns.take(contenders(
      config, _PRECISION.value, _BATCH_SIZE.value, _STEPS.value))
  print(*describe(seconds, _STEPS.value * _BATCH_SIZE.value), sep='\n')


def describe(seconds, images):
  """Lines about how fast each was, and ours against the others.

  Args:
    seconds: {name: seconds of a call, one number for each turn}, ours first.
    images: Number of images of a call.
  """
  ours, *others = seconds
  lines = []
  for name, values in seconds.items():
    speeds = [images / value for value in values]
    lines.append(f'{name}: {timing.spread(speeds, ",.0f")} images/s')
  for name in others:
    ratios = timing.ratios(seconds, ours, name)
    lines.append(f'{ours} against {name}: {timing.spread(ratios)}')
  return lines


def contenders(config, precision, batch_size, steps):
  """{name: function of nothing that trains some steps}.

  Args:
    config: `IsometricConfig`.
    precision: Name of a Keras dtype policy.
    batch_size: Images in a step.
    steps: Steps of a call.
  """
  rng = np.random.default_rng(0)
  side = config.image_size
  images = rng.standard_normal(
      (steps * batch_size, side, side, 3), dtype='float32')
  labels = rng.integers(0, _NUM_CLASSES, len(images))
  plain = config.replace(
      signature=timed_networks.plain_signature(config))
  networks = {
      'ours': _ours(config, precision),
      'ours, plain one-hot signature': _ours(plain, precision),
      'stock Keras layers': timed_networks.stock_network(
          config, _NUM_CLASSES, precision)}
  calls = {}
  for name, network in networks.items():
    network.compile('rmsprop', keras.losses.SparseCategoricalCrossentropy(
        from_logits=True))
    calls[name] = functools.partial(
        network.fit, images, labels, batch_size, verbose=0, shuffle=False)
  return calls


def _ours(config, precision):
  return isometric_model.IsometricModel(
      config, {'task': _NUM_CLASSES}, dtype=precision)


if __name__ == '__main__':
  entry.run(main, FLAGS)
