"""Folded models are of Keras' own layers and compute the same."""

import os

from absl.testing import parameterized
import keras
from keras import layers
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import layer_folding
from mixture_modules.testing import toy_models


def _conv(bank, norm=layers.BatchNormalization, **kwargs):
  """A convolution, its norm, and more behind."""
  return [mm.MixtureConv2D(4, 3, padding='same', bank=bank, **kwargs),
          norm(), layers.ReLU(), layers.Dropout(.5)]


def _sequential(*parts, shape=(6, 6, 4)):
  return keras.Sequential([keras.Input(shape), *parts])


def _all_kinds():
  """Every mixture layer, nested models, one called twice, operations."""
  bank = mm.TemplateBank(3)
  x = inputs = keras.Input((6, 6, 4))
  x = mm.MixtureConv2D(4, 3, padding='same', bank=bank, use_bias=False)(x)
  x = y = mm.MixtureBatchNormalization(bank=bank)(x)
  x = mm.MixtureSE(bank=bank)(x)
  x = mm.MixtureDepthwise(3, depth_multiplier=2, padding='same', bank=bank)(x)
  x = layers.BatchNormalization(scale=False)(x)
  x = layers.Conv2D(4, 1)(x) + y
  inner = _sequential(*_conv(bank), *_conv(bank, name='second'))
  x = keras.ops.relu(inner(inner(x)))
  x = mm.MixtureConv2DTranspose(5, 2, strides=2, bank=bank)(x)
  x = layers.BatchNormalization(center=False)(x)
  x = layers.Reshape((144, 5))(x)
  x = mm.MixtureConv1D(4, 3, bank=bank)(x)
  x = mm.MixtureLayerNormalization(bank=bank)(x)
  x = layers.TimeDistributed(mm.MixtureDense(3, bank=bank))(x)
  x = mm.MixtureEinsumDense('abc,cd->abd', (142, 3), bank=bank)(x)
  x = layers.Dense(2)(layers.Flatten()(x))
  return keras.Model(inputs, layers.BatchNormalization()(x), name='all')


def _inputs(model):
  shape = [n or 6 for n in model.inputs[0].shape[1:]]
  return np.random.default_rng(0).normal(size=(3, *shape)).astype('float32')


class LayerFoldingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  def _fold(self, model, merge_norms=True):
    """The folded model, which has Keras' own layers alone."""
    toy_models.randomize_weights(model)
    model.compile('sgd', lambda y, x: y)  # No matter to the folded one.
    plain = layer_folding.fold_layers(model, merge_norms)
    for layer in plain._flatten_layers():
      self.assertStartsWith(type(layer).__module__, 'keras.')
    inputs = _inputs(model)
    before = [v.numpy() for v in model.variables]
    expected, received = model(inputs), plain(inputs)
    if merge_norms:
      self.assertAllClose(expected, received, 1e-4, 1e-5)
    else:
      self.assertAllClose(expected, received, 1e-6, 1e-6)
    self.assertGreater(np.std(expected), 1e-2)
    for variable, value in zip(model.variables, before):
      self.assertAllEqual(value, variable)
    self.assertFalse(plain.compiled)
    self.assertTrue(plain._called)  # what Keras' export to ONNX asks for
    return plain

  def _kinds(self, model):
    return {type(layer) for layer in model._flatten_layers()}

  @parameterized.parameters(True, False)
  def test_all_kinds(self, merge_norms):
    model = _all_kinds()
    plain = self._fold(model, merge_norms)
    self.assertEqual('all', plain.name)
    self.assertEqual(not merge_norms, layers.Dropout in self._kinds(plain))
    # Those of the model that is called twice follow other layers, and go, too.
    self.assertEqual(
        not merge_norms, layers.BatchNormalization in self._kinds(plain))
    path = os.path.join(self.get_temp_dir(), 'plain.keras')
    plain.save(path)
    self.assertAllEqual(
        plain(_inputs(model)), keras.saving.load_model(path)(_inputs(model)))

  @parameterized.named_parameters(
      ('activation', lambda bank: [
          *_conv(bank, activation='relu')]),
      ('two_norms', lambda bank: [
          *_conv(bank)[:2], layers.BatchNormalization()]),
      ('other_axis', lambda bank: [
          _conv(bank)[0], layers.BatchNormalization(axis=1)]),
      ('norm_first', lambda bank: [
          layers.BatchNormalization(), _conv(bank)[0]]))
  def test_norms_that_stay(self, make):
    plain = self._fold(_sequential(*make(mm.TemplateBank(2))))
    self.assertIn(layers.BatchNormalization, self._kinds(plain))

  def test_layers_that_always_train_are_kept(self):

    class Mine(layers.Dropout):
      pass

    inputs = keras.Input((6, 6, 4))
    x = _conv(mm.TemplateBank(2))[0](inputs)
    x = layers.BatchNormalization()(x, training=True)
    x = layers.Dropout(.5)(x, training=True)
    plain = layer_folding.fold_layers(keras.Model(inputs, Mine(.5)(x)))
    self.assertContainsSubset(
        [layers.BatchNormalization, layers.Dropout, Mine], self._kinds(plain))

  def test_outputs_that_others_read_are_kept(self):
    bank = mm.TemplateBank(2)
    inputs = keras.Input((6, 6, 4))
    conv = _conv(bank)[0](inputs)
    norm = layers.BatchNormalization()(conv)
    for outputs in (norm + conv, [norm, conv]):
      model = keras.Model(inputs, outputs)
      toy_models.randomize_weights(model)
      plain = layer_folding.fold_layers(model)
      self.assertIn(layers.BatchNormalization, self._kinds(plain))
      for expected, received in zip(keras.tree.flatten(model(_inputs(model))),
                                    keras.tree.flatten(plain(_inputs(model)))):
        self.assertAllClose(expected, received, 1e-5, 1e-5)

  @parameterized.parameters('channels_first', 'channels_last')
  def test_squeeze_and_excite_of_each_data_format(self, data_format):
    model = _sequential(
        mm.MixtureSE(bank=mm.TemplateBank(2), data_format=data_format),
        shape=(8, 6, 16))
    self._fold(model)

  def test_mixed_precision_and_float64(self):
    for dtype, tolerance in (('mixed_bfloat16', 0.), ('float64', 1e-12)):
      bank = mm.TemplateBank(2, dtype=dtype)
      model = _sequential(*_conv(bank, dtype=dtype)[:1])
      toy_models.randomize_weights(model)
      plain = layer_folding.fold_layers(model)
      self.assertEqual(dtype, plain.layers[0].dtype_policy.name)
      self.assertAllClose(
          tf.cast(model(_inputs(model)), 'float64'),
          tf.cast(plain(_inputs(model)), 'float64'), tolerance, tolerance)

  def test_what_cannot_be_folded(self):
    bank = mm.TemplateBank(2)

    class Block(keras.layers.Layer):

      def __init__(self):
        super().__init__()
        self.conv = _conv(bank)[0]

      def call(self, inputs):
        return self.conv(inputs)

    with self.assertRaisesRegex(ValueError, 'some inside of .*a Block'):
      layer_folding.fold_layers(_sequential(Block()))
    with self.assertRaisesRegex(ValueError, 'a layer with a signature'):
      inputs = keras.Input((6, 6, 4))
      layer = mm.MixtureConv2D(4, 1, bank=bank, signature=False)
      layer_folding.fold_layers(keras.Model(inputs, layer(inputs, mixture=0)))
    with self.assertRaisesRegex(ValueError, 'a built model'):
      layer_folding.fold_layers(keras.Sequential(_conv(bank)))
    with self.assertRaisesRegex(ValueError, 'a functional or Sequential'):
      layer_folding.fold_layers(toy_models.make_model())


if __name__ == '__main__':
  tf.test.main()
