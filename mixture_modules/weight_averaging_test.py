"""Tests of the averaging of weights in fit."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import averaging

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(12, 3)).astype('float32')
_Y = _RNG.normal(size=(12, 2)).astype('float32')


def make_model(norm=True):
  """A network whose start is seeded, with moving statistics or without."""
  keras.utils.set_random_seed(0)
  norms = [keras.layers.BatchNormalization()] if norm else []
  model = keras.Sequential(
      [keras.Input((3,)), *norms, keras.layers.Dense(2)]
  )
  model.compile(keras.optimizers.SGD(0.1, 0.9), 'mse')
  return model


def fit(model, *callbacks, **options):
  """Fits in three steps an epoch; returns the history."""
  options = {'epochs': 2, 'shuffle': False, 'verbose': 0, **options}
  return model.fit(
      _X, _Y, batch_size=4, callbacks=list(callbacks), **options
  ).history


def values(model):
  """Bytes of all variables."""
  return [variable.numpy().tobytes() for variable in model.variables]


class Recorder(keras.callbacks.Callback):
  """Notes the values at the end of epochs, or of single batches."""

  def __init__(self, batches=False):
    super().__init__()
    self.seen, self.epochs, self.names = [], [], set()
    self._batches = batches

  def on_train_batch_end(self, batch, logs=None):
    if self._batches:
      self.seen.append([v.numpy() for v in self.model.trainable_variables])

  def on_epoch_end(self, epoch, logs=None):
    self.epochs.append(values(self.model))


class Failure(keras.callbacks.Callback):
  """Fails in one of its methods."""

  def __init__(self, method):
    super().__init__()
    setattr(self, method, self._fail)

  def _fail(self, *unused_args, **unused_logs):
    raise KeyError('failed')


class WeightAveragingTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(('trained', False), ('statistics', True))
  def test_training_is_what_it_is_without(self, statistics):
    plain = make_model()
    fit(plain)
    model = make_model()
    averages = mm.WeightAveraging(0.5, statistics=statistics)
    batches, inner = Recorder(batches=True), Recorder()
    averages.callbacks.append(inner)
    start = [v.numpy() for v in model.trainable_variables]
    history = fit(model, batches, averages, validation_data=(_X, _Y))
    # The mean of the steps, in NumPy.
    expected = start
    for n, step in enumerate(batches.seen):
      d = min(0.5, (1 + n) / (10 + n))
      expected = [a - (1 - d) * (a - w) for a, w in zip(expected, step)]
    for variable, value in zip(model.trainable_variables, expected):
      self.assertAllClose(variable.numpy(), value, rtol=1e-5, atol=1e-6)
    self.assertEqual(inner.epochs[-1], values(model))
    self.assertNotEqual(batches.epochs[-1], values(model))
    # Validation had the averages, as the model has them now.
    self.assertAllClose(
        model.evaluate(_X, _Y, verbose=0), history['val_loss'][-1], rtol=1e-6
    )
    mean = model.layers[0].moving_mean.numpy()
    self.assertEqual(
        bool(np.all(mean == plain.layers[0].moving_mean.numpy())),
        not statistics,
    )
    averages.restore()
    self.assertEqual(values(model), values(plain))
    with averages.applied():
      self.assertEqual(inner.epochs[-1], values(model))
    self.assertEqual(values(model), values(plain))
    with self.assertRaisesRegex(ValueError, 'own weights: fit first'):
      averages.restore()

  def test_a_second_fit_goes_on(self):
    model, whole = make_model(), make_model()
    averages, at_once = mm.WeightAveraging(0.9), mm.WeightAveraging(0.9)
    fit(model, averages)
    with self.assertRaisesRegex(ValueError, 'one with the averages: call'):
      averages.applied().__enter__()
    fit(model, averages, initial_epoch=2, epochs=4)
    fit(whole, at_once, epochs=4)
    self.assertEqual(values(model), values(whole))
    # Given other weights, it begins anew.
    for variable in model.trainable_variables:
      variable.assign(variable + 1)
    before = model.layers[1].kernel.numpy()
    model.compile(keras.optimizers.SGD(0.0), 'mse')
    fit(model, averages)
    self.assertAllClose(model.layers[1].kernel.numpy(), before)

  @parameterized.named_parameters(
      ('validation', 'on_test_batch_begin', False),
      ('inner', 'on_epoch_end', True),
  )
  def test_own_weights_survive_an_exception(self, method, inner):
    plain, model = make_model(), make_model()
    fit(plain, epochs=1)
    averages = mm.WeightAveraging(0.9)
    failing = [averages, Failure(method)]
    if inner:
      averages.callbacks.append(failing.pop())
    with self.assertRaisesRegex(KeyError, 'failed'):
      fit(model, *failing, validation_data=(_X, _Y))
    self.assertEqual(values(model), values(plain))
    # What evaluates it next has nothing to do with the averages.
    self.assertEqual(
        model.evaluate(_X, _Y, verbose=0), plain.evaluate(_X, _Y, verbose=0)
    )
    del averages.callbacks[:]
    fit(model, averages, initial_epoch=1)
    whole, at_once = make_model(), mm.WeightAveraging(0.9)
    fit(whole, at_once)
    self.assertEqual(values(model), values(whole))
    self.assertNotIn('evaluate', vars(model))

  def test_saves_averages(self):
    path = f'{self.get_temp_dir()}/model.keras'
    model = make_model()
    checkpoint = keras.callbacks.ModelCheckpoint(path)
    fit(model, mm.WeightAveraging(0.9, callbacks=[checkpoint]))
    self.assertEqual(values(keras.models.load_model(path)), values(model))

  def test_resumes(self):
    folder = self.get_temp_dir()

    def callbacks():
      return [
          mm.WeightAveraging(0.9, backup=f'{folder}/averages'),
          keras.callbacks.BackupAndRestore(f'{folder}/model'),
      ]

    whole, model, resumed = make_model(), make_model(), make_model()
    fit(whole, mm.WeightAveraging(0.9), epochs=3)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: {0: 0, 1: 0}[epoch]
    )
    with self.assertRaises(KeyError):
      fit(model, *callbacks(), stop, epochs=3)
    fresh = make_model()
    with self.assertRaisesRegex(ValueError, 'of step 0.*step 6.*delete the'):
      fit(fresh, callbacks()[0])
    fit(resumed, *callbacks(), epochs=3)
    self.assertEqual(values(resumed), values(whole))
    self.assertEmpty(tf.io.gfile.glob(f'{folder}/averages'))

  def test_replicas(self):
    # Norms would see another batch on each.
    plain = make_model(norm=False)
    averages = mm.WeightAveraging(0.9)
    fit(plain, averages)
    # Collectives of two strategies in one process get into each other's way.
    strategy = tf.distribute.MirroredStrategy(
        ['CPU:0', 'CPU:1'], tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
      model = make_model(norm=False)
    mirrored = mm.WeightAveraging(0.9)
    fit(model, mirrored)
    def kernels():
      return [each.layers[-1].kernel.numpy() for each in (plain, model)]

    self.assertAllClose(*(averaged := kernels()), rtol=1e-5)
    averages.restore()
    mirrored.restore()
    self.assertAllClose(*(own := kernels()), rtol=1e-5)
    self.assertNotAllClose(averaged, own)

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, 'decay .* received 1: try 0.999'):
      mm.WeightAveraging(1)
    with self.assertRaisesRegex(ValueError, "'epoch', received 5: averages"):
      mm.WeightAveraging(
          callbacks=[keras.callbacks.ModelCheckpoint('x.keras', save_freq=5)]
      )
    with self.assertRaisesRegex(ValueError, 'give BackupAndRestore to fit'):
      mm.WeightAveraging(callbacks=[keras.callbacks.BackupAndRestore('x')])
    with self.assertRaisesRegex(ValueError, 'one before fit: call fit'):
      mm.WeightAveraging().applied().__enter__()
    self.assertEmpty(mm.WeightAveraging().callbacks)
    self.assertIs(averaging.check_decay(0), 0)


if __name__ == '__main__':
  tf.test.main()
