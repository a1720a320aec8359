"""Converted models compute the same, learn at once, and fold back."""

import collections

from absl.testing import parameterized
import keras
from keras import layers
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import converting
from mixture_modules import mixture_layer
from mixture_modules.testing import toy_models


def _network(name='net'):
  """Layers of each kind, nested, shared, with operations between them."""
  inputs = keras.Input((8, 8, 4))
  x = layers.Rescaling(.5)(inputs)
  for number in range(3):
    y = layers.Conv2D(4, 3, padding='same', use_bias=False,
                      dilation_rate=1 + number)(x)
    y = layers.BatchNormalization()(y)
    x = x + keras.ops.relu(y)
  inner = keras.Sequential([keras.Input((8, 8, 4)), *(
      layers.DepthwiseConv2D(3, padding='same') for _ in range(2)),
      layers.Dropout(.5)])
  x = inner(inner(x))
  for _ in range(2):
    x = layers.LayerNormalization()(layers.Dense(4, activation='tanh')(x))
  shared = layers.Conv2D(4, 1)  # of a shape that no other layer has
  x = layers.Reshape((64, 4))(shared(shared(x)))
  for _ in range(2):
    x = layers.TimeDistributed(
        layers.EinsumDense('ab,bc->ac', (4,), bias_axes='c'))(x)
  return keras.Model(
      inputs, layers.Dense(3)(layers.Flatten()(x)), name=name)


def _made(make=_network):
  model = make()
  toy_models.randomize_weights(model)
  return model


def _images(size=8, channels=4):
  return np.random.default_rng(1).normal(
      size=(3, size, size, channels)).astype('float32')


def _mixtures(model):
  return [layer for layer in model._flatten_layers()
          if isinstance(layer, mixture_layer.MixtureLayer)]


class ConvertingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.parameters(True, False)
  def test_computes_the_same_and_folds_back(self, norms):
    model = _made()
    before = [v.numpy() for v in model.weights]
    mixed = converting.convert(model, norms=norms)
    self.assertAllClose(model(_images()), mixed(_images()), 1e-6, 1e-6)
    kinds = collections.Counter(type(layer) for layer in _mixtures(mixed))
    expected = {mm.MixtureConv2D: 3, mm.MixtureDepthwise: 2,
                mm.MixtureDense: 2, mm.MixtureEinsumDense: 2}
    if norms:
      expected |= {mm.MixtureBatchNormalization: 3,
                   mm.MixtureLayerNormalization: 2}
    self.assertEqual(expected, kinds)
    for layer in _mixtures(mixed):
      self.assertEqual(kinds[type(layer)], layer.bank.num_templates)
    plain = mm.fold(mixed, merge_norms=False)
    self.assertAllClose(model(_images()), plain(_images()), 1e-6, 1e-6)
    self.assertEqual(
        [(v.path.rpartition('/')[2], v.shape) for v in model.weights],
        [(v.path.rpartition('/')[2], v.shape) for v in plain.weights])
    for variable, twin, value in zip(model.weights, plain.weights, before):
      self.assertAllEqual(value, variable)
      self.assertAllEqual(value, twin)

  def test_mixtures_learn_at_once(self):
    mixed = converting.convert(_made())
    before = [layer.signature.logits.numpy() for layer in _mixtures(mixed)]
    for layer in _mixtures(mixed):
      layer.bank.trainable = False
    mixed.compile(keras.optimizers.SGD(.01), 'mse', jit_compile=False)
    mixed.fit(_images(), np.ones((3, 3)), epochs=3, verbose=0)
    for layer, old in zip(_mixtures(mixed), before):
      self.assertGreater(
          np.abs(layer.signature.logits.numpy() - old).max(), 1e-5)

  def test_fewer_templates_are_the_nearest(self):
    model = _made()
    exact = converting.convert(model, 3)
    self.assertAllClose(model(_images()), exact(_images()), 1e-6, 1e-6)
    mixed = converting.convert(model, 2)
    originals = [layer for layer in model.layers
                 if isinstance(layer, layers.Conv2D)][:3]
    mixtures = [layer for layer in _mixtures(mixed)
                if type(layer) is mm.MixtureConv2D]
    self.assertEqual({2}, {each.bank.num_templates for each in mixtures})
    stacked, received = (
        np.stack([keras.ops.convert_to_numpy(layer.kernel).ravel()
                  for layer in group]) for group in (originals, mixtures))
    u, s, v = np.linalg.svd(stacked, full_matrices=False)
    self.assertAllClose((u[:, :2] * s[:2]) @ v[:2], received, 1e-5, 1e-5)

  def test_choices(self):
    model = _made()
    names = [layer.name for layer in model.layers
             if type(layer) is layers.Conv2D]
    self.assertLen(_mixtures(converting.convert(model, leave_out=names)), 6)
    all_of_them = converting.convert(model, leave_out=(), min_layers=1)
    self.assertIsInstance(all_of_them.layers[-1], mm.MixtureDense)
    self.assertAllClose(model(_images()), all_of_them(_images()), 1e-6, 1e-6)
    apart = converting.convert(
        model, bank_of=lambda layer: str(layer.name == names[0]))
    self.assertLen([layer for layer in _mixtures(apart)
                    if type(layer) is mm.MixtureConv2D], 2)

  def test_layers_that_disagree_stay_apart(self):
    model = keras.Sequential([keras.Input((8, 8, 4)), *(
        layers.Conv2D(4, 1, kernel_regularizer=rule)
        for rule in (None, 'l2', None, 'l2', None))])
    mixed = converting.convert(model)
    self.assertEqual([2, 2, 2, 2], [
        layer.bank.num_templates for layer in _mixtures(mixed)])
    self.assertAllClose(
        sum(model.losses), sum(mixed.losses), 1e-6)

  def test_layers_that_were_adapted(self):
    images = 3 * _images() + 2
    norm = layers.Normalization()
    norm.adapt(images)
    model = keras.Sequential([keras.Input((8, 8, 4), name='picture'), norm, *(
        layers.Conv2D(4, 3, padding='same') for _ in range(2)),
        layers.Flatten(), layers.Dense(2)])
    for copier in (mm.convert, mm.copy_model,
                   lambda model: mm.fold(mm.convert(model))):
      self.assertAllClose(model(images), copier(model)(images), 1e-5, 1e-5)
      self.assertEqual('picture', copier(model).inputs[0].name)
    words = layers.StringLookup()
    words.adapt(['a', 'b', 'a'])
    text = keras.Sequential([
        keras.Input((2,), dtype='string'), words, layers.Embedding(4, 4),
        *(layers.Conv1D(4, 1) for _ in range(2)), layers.Dense(2)])
    inputs = np.array([['a', 'b']])
    self.assertAllClose(text(inputs), mm.convert(text)(inputs), 1e-6, 1e-6)

  def test_frozen_layers_have_a_bank_of_their_own(self):
    model = keras.Sequential([keras.Input((8, 8, 4)), *(
        layers.Conv2D(4, 1, trainable=number < 2) for number in range(4)),
        layers.Dense(2)])
    first, _, third, _ = _mixtures(converting.convert(model))
    self.assertIsNot(first.bank, third.bank)
    self.assertTrue(first.kernel_slot.trainable)
    self.assertFalse(third.kernel_slot.trainable)

  def test_inside_of_time_distributed(self):
    inner = keras.Sequential([
        keras.Input((8, 8, 4)), *(layers.Conv2D(4, 1) for _ in range(2)),
        layers.BatchNormalization()])
    model = keras.Sequential([
        keras.Input((2, 8, 8, 4)), layers.TimeDistributed(inner),
        layers.Flatten(), layers.Dense(3)])
    toy_models.randomize_weights(model)
    mixed = converting.convert(model)
    self.assertLen(_mixtures(mixed), 2)
    images = np.stack([_images(), _images()], 1)
    self.assertAllClose(model(images), mixed(images), 1e-5, 1e-5)
    new = mm.TaskFamily(mixed, 'old').add_task('new', 3)
    features = [keras.Model(m.inputs[0], m.layers[-1].input)(images)
                for m in (mixed, new)]
    self.assertAllClose(*features, 1e-5, 1e-5)

  def test_what_cannot_be_converted(self):

    class Twice(keras.Sequential):

      def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training, mask)

    with self.assertRaisesRegex(ValueError, 'without a call of its own'):
      converting.convert(Twice([keras.Input((4,)), layers.Dense(4)]))

    class Subclassed(keras.Model):

      def call(self, inputs):
        return inputs

    with self.assertRaisesRegex(ValueError, 'functional or Sequential'):
      converting.convert(Subclassed())
    with self.assertRaisesRegex(ValueError, 'a built model'):
      converting.convert(keras.Sequential([layers.Dense(2)]))
    with self.assertRaisesRegex(ValueError, 'lower min_layers'):
      converting.convert(_made(), min_layers=9)
    with self.assertRaisesRegex(ValueError, "leave_out.*received 'x'"):
      converting.convert(_made(), leave_out=['x'])
    for argument in ('num_templates', 'min_layers'):
      with self.assertRaisesRegex(ValueError, argument):
        converting.convert(_made(), **{argument: 0})

  @parameterized.parameters(
      ('MobileNetV3Small', 21), ('EfficientNetB0', 57), ('ResNet50', 45))
  def test_applications(self, name, expected):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classifier_activation=None)
    mixed = converting.convert(model)
    self.assertLen(_mixtures(mixed), expected)
    images = 50 * _images(32, 3)
    outputs = np.asarray(model(images))
    self.assertGreater(outputs.std(0).max(), 1e-3 * np.abs(outputs).max())
    self.assertAllClose(
        outputs, mixed(images), 0, 1e-5 * np.abs(outputs).max())


if __name__ == '__main__':
  tf.test.main()
