"""Do mixtures serve new tasks on a converted network? (section 4.3)

    python docs/experiments/family.py --workdir=runs/family

A small residual network learns the first 50 classes of CIFAR-100, is converted,
and learns new tasks: the other 50 classes, SVHN and KMNIST, of a few thousand
images each. Each run trains one task in one way and is a line of results.jsonl.
Runs that are there are not done again. `--validation` tries rates and starts on
a tenth of the training images; the test split decides nothing.
"""

import itertools
import json
import pathlib

from absl import app
from absl import flags
import keras
from keras import layers
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import mixture_modules as mm

_WORKDIR = flags.DEFINE_string('workdir', 'runs/family', 'Where results are.')
_VALIDATION = flags.DEFINE_bool('validation', False, 'Try rates and starts.')
_SEEDS = flags.DEFINE_integer('seeds', 3, 'How many seeds.')
_BASE_EPOCHS = flags.DEFINE_integer('base_epochs', 25, 'Of the first task.')
_EPOCHS = flags.DEFINE_integer('epochs', 15, 'Of a new task.')
_IMAGES = 5_000  # for training a new task

# What trains: the scopes of `TaskFamily.tune`, all weights of a copy, or all
# weights of a network that is drawn anew.
WAYS = {
    'head': ('head',),
    'norm + head': ('norm', 'head'),
    'mixture + head': ('mixture', 'head'),
    'mixture + norm + head': ('mixture', 'norm', 'head'),
    'all': None,
    'all, anew': None,
}


def network(classes):
  """A ResNet20 of 16, 32 and 64 channels, on 16 x 16 positions and fewer."""
  x = inputs = keras.Input((32, 32, 3))
  x = layers.Conv2D(16, 3, strides=2, padding='same', use_bias=False)(x)
  x = layers.ReLU()(layers.BatchNormalization()(x))
  for channels, block in itertools.product((16, 32, 64), range(3)):
    strides = 2 if channels > 16 and block == 0 else 1
    y = layers.Conv2D(channels, 3, strides, 'same', use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(channels, 3, padding='same', use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    if strides > 1:
      x = layers.BatchNormalization()(
          layers.Conv2D(channels, 1, strides, use_bias=False)(x))
    x = layers.ReLU()(x + y)
  return keras.Model(inputs, layers.Dense(classes)(
      layers.GlobalAveragePooling2D()(x)))


def load(name):
  """{split: (images in [-1, 1], labels)} of a task."""
  source = 'cifar100' if name in ('first50', 'other50') else name
  data = {}
  for split in ('train', 'test'):
    images, labels = tfds.as_numpy(tfds.load(
        source, split=split, batch_size=-1, as_supervised=True))
    if source == 'cifar100':
      chosen = (labels < 50) == (name == 'first50')
      images, labels = images[chosen], labels[chosen] % 50
    images = tf.image.resize(images, (32, 32)).numpy() / 127.5 - 1
    if images.shape[-1] == 1:
      images = np.repeat(images, 3, -1)
    data[split] = images.astype('float32'), labels
  return data


def splits(data, seed):
  """(images to train on, images to measure on) of a new task."""
  images, labels = data['train']
  order = np.random.default_rng(seed).permutation(len(labels))
  if _VALIDATION.value:
    fit, test = order[:_IMAGES], order[_IMAGES:_IMAGES + 1_000]
    return (images[fit], labels[fit]), (images[test], labels[test])
  return (images[order[:_IMAGES]], labels[order[:_IMAGES]]), data['test']


def train(model, data, epochs, rate, mixture_rate=None, augment=False):
  """Trains by Adam under a cosine."""
  images, labels = data
  batches = tf.data.Dataset.from_tensor_slices(data).shuffle(
      len(labels), reshuffle_each_iteration=True).batch(
          100, drop_remainder=True)
  if augment:
    batches = batches.map(lambda x, y: (tf.image.random_flip_left_right(
        tf.image.random_crop(tf.pad(
            x, [[0, 0], [4, 4], [4, 4], [0, 0]]), (100, 32, 32, 3))), y))
  steps = epochs * (len(labels) // 100)

  def adam(rate):
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(rate, steps))

  optimizer = adam(rate)
  if mixture_rate and any('logits' in v.name for v in
                          model.trainable_variables):
    optimizer = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(
        optimizer, {mm.optimizers.MIXTURES: adam(mixture_rate)}))
  model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(True),
                metrics=['accuracy'], jit_compile=False)
  model.fit(batches, epochs=epochs, verbose=0)


def accuracy(model, data):
  """Top-1 in %."""
  answers = model.predict(data[0], batch_size=500, verbose=0).argmax(-1)
  return 100 * float(np.mean(answers == data[1]))


def base(folder, data, seed):
  """The network of the first task, from its file if it is there."""
  path = folder / f'base{seed}.keras'
  if not path.exists():
    keras.utils.set_random_seed(seed)
    model = network(50)
    train(model, data['train'], _BASE_EPOCHS.value, 3e-3, augment=True)
    model.save(path)
  model = keras.saving.load_model(path)
  print(f'seed {seed}: first task {accuracy(model, data["test"]):.1f} %')
  return model


def new_task(model, data, way, seed, kind, init, rate, mixture_rate):
  """(accuracy, parameters of its own, bytes of its file or None)."""
  keras.utils.set_random_seed(seed)
  fit, test = splits(data, seed)
  classes = int(fit[1].max()) + 1
  if way == 'all, anew':
    task, own, size = network(classes), None, None
  else:
    mixed = mm.convert(model)
    if kind == 'softmax':
      for layer in mixed.layers:
        if isinstance(layer, mm.MixtureConv2D):
          xi = layer.signature.mixture_weights().numpy()
          layer.signature.become('softmax')
          layer.signature.assign(.9 * xi + .1 / xi.size)
    family = mm.TaskFamily(mixed, 'first50')
    task = family.add_task('new', classes, init, WAYS[way], seed=seed + 1)
    if way == 'all':
      task = family.copy_task('new')
  own = sum(v.numpy().size for v in task.trainable_variables)
  train(task, fit, _EPOCHS.value, rate, mixture_rate)
  size = None
  if WAYS[way]:
    path = pathlib.Path(_WORKDIR.value, 'last.task')
    size = mm.save_task(family, 'new', path, overwrite=True)
  return accuracy(task, test), own, size


def rows():
  """{option: value} of every run."""
  names, seeds = ('other50', 'svhn_cropped', 'kmnist'), range(_SEEDS.value)
  chosen = {'kind': 'linear', 'init': None, 'rate': 3e-3, 'mixture_rate': 3e-3}
  if not _VALIDATION.value:
    for seed, name, way in itertools.product(seeds, names, WAYS):
      yield {'seed': seed, 'task': name, 'way': way, **chosen}
    return
  for name in names:
    for way, rate in itertools.product(WAYS, (1e-3, 3e-3, 1e-2)):
      yield {'seed': 0, 'task': name, 'way': way, **chosen, 'rate': rate}
    for change in ({'kind': 'softmax'}, {'init': 'random'},
                   {'init': 'uniform'}, {'mixture_rate': 3e-4},
                   {'mixture_rate': 3e-2}):
      yield {'seed': 0, 'task': name, 'way': 'mixture + norm + head',
             **chosen, **change}


def main(argv):
  """Does the runs that are not there yet."""
  del argv
  folder = pathlib.Path(_WORKDIR.value)
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / ('validation.jsonl' if _VALIDATION.value else 'results.jsonl')
  lines = path.read_text().splitlines() if path.exists() else []
  done = [json.loads(line)['row'] for line in lines]
  first, data, models = load('first50'), {}, {}
  for row in rows():
    if row in done:
      continue
    seed, name = row['seed'], row['task']
    if seed not in models:
      models[seed] = base(folder, first, seed)
    if name not in data:
      data[name] = load(name)
    options = {key: row[key] for key in row if key != 'task'}
    found = new_task(models[seed], data[name], **options)
    line = {'row': row, **dict(zip(('accuracy', 'own', 'bytes'), found))}
    print(json.dumps(line), flush=True)
    with path.open('a') as file:
      file.write(json.dumps(line) + '\n')


if __name__ == '__main__':
  app.run(main)
