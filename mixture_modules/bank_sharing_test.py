"""Copies of models share what their originals share."""

import copy
import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import bank_sharing
from mixture_modules import mixture_conv
from mixture_modules import mixture_layer
from mixture_modules import signatures
from mixture_modules import template_bank
from mixture_modules.testing import toy_models


class _Scale(keras.layers.Layer):
  """A user's layer that computes with a slot of its own."""

  def __init__(self, bank, **kwargs):
    super().__init__(**kwargs)
    self.bank = bank
    self.scale = bank.add_slot('scale', (4,), 'ones', layer=self)

  def call(self, inputs):
    return inputs * self.bank.mix('scale', 0)

  def get_config(self):
    return {**super().get_config(), 'bank': self.bank}


class _Keeper(_Scale):
  """Its copies cannot but share the bank."""

  def get_config(self):
    return {**super().get_config(), 'bank': lambda: self.bank}

  @classmethod
  def from_config(cls, config):
    return cls(config.pop('bank')(), **config)


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


def _load_model(model, path):
  path = path.replace('.keras', '.h5')
  model.save(path)
  return bank_sharing.load_model(path)


def _deep(model, path):
  del path
  return copy.deepcopy(model)


def _copy_model(model, path):
  del path
  return bank_sharing.copy_model(model)


def _layers(model):
  return [layer for layer in model._flatten_layers()
          if isinstance(layer, mixture_layer.MixtureLayer)]


class SharingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)
    self._path = os.path.join(self.get_temp_dir(), 'model.keras')

  def _assert_copy(self, model, twin):
    """The twin has one bank of its own, and as many variables."""
    bank, = {layer.bank for layer in _layers(model)}
    own, = {layer.bank for layer in _layers(twin)}
    self.assertIsNot(bank, own)
    self.assertLen(_layers(twin), len(_layers(model)))
    self.assertLen(twin.weights, len(model.weights))
    self.assertEmpty({id(v) for v in model.weights}
                     & {id(v) for v in twin.weights})

  @parameterized.product(
      make=(_nested, _one_signature, _time_distributed),
      copier=(_file, _deep, _copy_model, _load_model))
  def test_copies_with_weights(self, make, copier):
    model = make(template_bank.TemplateBank(3))
    twin = copier(model, self._path)
    self._assert_copy(model, twin)
    inputs = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:]))
    self.assertAllEqual(model(inputs), twin(inputs))

  @parameterized.product(
      make=(_nested, _one_signature),
      copier=(_from_config, _from_json, _deserialize, _clone, _h5))
  def test_configurations_are_read_in_the_scope(self, make, copier):
    model = make(template_bank.TemplateBank(3))
    for _ in range(2):
      with bank_sharing.sharing():
        twin = copier(model, self._path)
      self._assert_copy(model, twin)

  @parameterized.product(
      make=(_flat, _time_distributed),
      copier=(_from_config, _from_json, _h5))
  def test_configurations_outside_of_it_are_refused(self, make, copier):
    model = make(template_bank.TemplateBank(3))
    with self.assertRaisesRegex(
        (ValueError, TypeError), 'one TemplateBank for all .*mm.sharing'):
      copier(model, self._path)

  def test_a_layer_alone_needs_no_scope(self):
    model = _functional(_conv(template_bank.TemplateBank(3)))
    self._assert_copy(model, _from_json(model, None))

  def test_banks_of_one_name_stay_apart(self):
    first, second = (template_bank.TemplateBank(3) for _ in range(2))
    model = _functional(*map(_conv, (first, second, first, second)))
    for copier in (_file, _copy_model):
      banks = [layer.bank for layer in _layers(copier(model, self._path))]
      self.assertIs(banks[0], banks[2])
      self.assertIs(banks[1], banks[3])
      self.assertIsNot(banks[0], banks[1])

  def test_files_that_are_read_one_after_another_share_nothing(self):
    model = _flat(template_bank.TemplateBank(3))
    first, second = (_file(model, self._path) for _ in range(2))
    self._assert_copy(first, second)

  def test_clone_shares_the_bank_outside_of_the_scope(self):
    bank = template_bank.TemplateBank(3)
    clone = keras.models.clone_model(_flat(bank))
    self.assertEqual({bank}, {layer.bank for layer in _layers(clone)})

  def test_copy_of_an_isometric_model(self):
    model = toy_models.make_model()
    twin = bank_sharing.copy_model(model)
    self.assertAllEqual(toy_models.outputs(model)['a'],
                        toy_models.outputs(twin)['a'])
    toy_models.descend(twin, 'a', twin.trainable_variables)
    self.assertNotAllClose(toy_models.outputs(model)['a'],
                           toy_models.outputs(twin)['a'])

  @parameterized.parameters(True, False)
  def test_copy_of_layers_of_others(self, remakes):
    bank = template_bank.TemplateBank(3)
    custom = (_Scale if remakes else _Keeper)(bank)
    model = _functional(_sequential(custom, _conv(bank)), _conv(bank))
    if remakes:
      self._assert_copy(model, bank_sharing.copy_model(model))
      self.assertIs(bank, custom.bank)
    else:
      with self.assertRaisesRegex(ValueError, 'variables of its own.*/scale'):
        bank_sharing.copy_model(model)

  @parameterized.parameters(_file, _deep, _copy_model)
  def test_what_is_frozen_stays_so(self, copier):
    bank = template_bank.TemplateBank(3)
    signature = signatures.Signature(1, 3)
    model = _functional(
        _sequential(_conv(bank), _conv(bank)), _sequential(_conv(bank)),
        _conv(bank, signature), _conv(bank, signature))
    layers = _layers(model)
    layers[0].trainable = False
    layers[1].signature.trainable = False
    model.layers[2].trainable = False
    signature.trainable = False
    twin = copier(model, self._path)
    self.assertEqual([v.trainable for v in model.variables],
                     [v.trainable for v in twin.variables])
    self.assertEqual([layer.trainable for layer in layers],
                     [layer.trainable for layer in _layers(twin)])
    # What they share thaws together.
    for each in (model, twin):
      _layers(each)[-1].signature.trainable = True
      _layers(each)[0].trainable = True
    self.assertEqual([v.trainable for v in model.variables],
                     [v.trainable for v in twin.variables])

  def test_unbuilt_models_are_not_copied(self):
    model = keras.Sequential([_conv(template_bank.TemplateBank(3))])
    with self.assertRaisesRegex(ValueError, 'a built model.*call it'):
      bank_sharing.copy_model(model)


if __name__ == '__main__':
  tf.test.main()
