"""Copies of models share what their originals share."""

import copy
import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_conv
from mixture_modules import sharing
from mixture_modules import signatures
from mixture_modules import template_bank
from mixture_modules.testing import toy_models


def _conv(bank, signature=None):
  return mixture_conv.MixtureConv2D(
      4, 3, padding='same', bank=bank, signature=signature)


def _sequential(*layers):
  return keras.Sequential([keras.Input((6, 6, 4)), *layers])


def _functional(*layers, shape=(6, 6, 4)):
  x = inputs = keras.Input(shape)
  for layer in layers:
    x = layer(x)
  return keras.Model(inputs, x)


def _flat(bank):
  return _functional(_conv(bank), _conv(bank))


def _nested(bank):
  """Sub-models on one level and on two, and a layer beside them."""
  inner = _sequential(_conv(bank))
  return _functional(
      _sequential(_conv(bank), inner), _sequential(_conv(bank)), _conv(bank))


def _time_distributed(bank):
  return _functional(*(keras.layers.TimeDistributed(_conv(bank))
                       for _ in range(2)), shape=(2, 6, 6, 4))


def _one_signature(bank):
  signature = signatures.Signature(1, 3)
  return _functional(
      _sequential(_conv(bank, signature)), _conv(bank, signature))


_MODELS = {'flat': _flat, 'nested': _nested, 'one_signature': _one_signature,
           'time_distributed': _time_distributed}


def _from_config(model, path):
  del path
  return keras.Model.from_config(model.get_config())


def _from_json(model, path):
  del path
  return keras.models.model_from_json(model.to_json())


def _deserialize(model, path):
  del path
  return keras.saving.deserialize_keras_object(
      keras.saving.serialize_keras_object(model))


def _clone(model, path):
  del path
  return keras.models.clone_model(model)


def _file(model, path):
  model.save(path)
  return keras.saving.load_model(path)


def _h5(model, path):
  return _file(model, path.replace('.keras', '.h5'))


def _deep(model, path):
  del path
  return copy.deepcopy(model)


def _copy_model(model, path):
  del path
  return sharing.copy_model(model)


def _layers(model):
  return [layer for layer in model._flatten_layers() if hasattr(layer, 'bank')]


# Keras' h5 files are old, and its writer warns.
@parameterized.product(make=tuple(_MODELS))
class SharingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)
    self._path = os.path.join(self.get_temp_dir(), 'model.keras')

  def _check(self, model, twin):
    """A copy with one bank of its own, and as many variables."""
    bank, = {layer.bank for layer in _layers(model)}
    own, = {layer.bank for layer in _layers(twin)}
    self.assertIsNot(bank, own)
    self.assertLen(_layers(twin), len(_layers(model)))
    self.assertLen(twin.weights, len(model.weights))
    self.assertEmpty({id(v) for v in model.weights}
                     & {id(v) for v in twin.weights})

  def _outputs(self, model):
    shape = (2, *model.input_shape[1:])
    return model(np.random.default_rng(0).normal(size=shape)).numpy()

  @parameterized.parameters(_file, _deep, _copy_model)
  def test_copies_with_weights(self, copier, make):
    model = _MODELS[make](template_bank.TemplateBank(3))
    twin = copier(model, self._path)
    self._check(model, twin)
    self.assertAllEqual(self._outputs(model), self._outputs(twin))
    _layers(twin)[0].bank.variables[0].assign_add(
        np.ones_like(_layers(twin)[0].bank.variables[0]))
    self.assertNotAllClose(self._outputs(model), self._outputs(twin))


if __name__ == '__main__':
  tf.test.main()
