"""Layers that share a variable decide together whether it trains."""

import gc
import weakref

import keras
import tensorflow as tf

from mixture_modules import shared_layer


class _Scale(shared_layer.SharedLayer):

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self.scale = self.add_weight(shape=())
    self.follow()

  @property
  def shared_variable(self):
    return self.scale


class SharedLayerTest(tf.test.TestCase):

  def test_variable_trains_while_a_layer_that_joined_does(self):
    shared = _Scale()
    self.assertTrue(shared.scale.trainable)
    frozen = keras.layers.Dense(2, trainable=False)
    trained = keras.layers.Dense(2)
    shared.join(frozen)
    self.assertFalse(shared.scale.trainable)
    shared.join(trained)
    self.assertTrue(shared.scale.trainable)
    trained.trainable = False
    shared.follow()
    self.assertFalse(shared.scale.trainable)

  def test_frozen_itself(self):
    shared = _Scale(trainable=False)
    self.assertFalse(shared.scale.trainable)
    shared.join(keras.layers.Dense(2))
    shared.trainable = True
    self.assertTrue(shared.scale.trainable)
    shared.trainable = False
    self.assertFalse(shared.scale.trainable)

  def test_layers_are_held_weakly(self):
    shared, layer = _Scale(), keras.layers.Dense(2, trainable=False)
    shared.join(layer)
    self.assertLen(shared.users(), 1)
    reference = weakref.ref(layer)
    del layer
    gc.collect()
    self.assertIsNone(reference())
    self.assertEmpty(shared.users())
    self.assertTrue(shared.scale.trainable)

  def test_layers_leave(self):
    shared = _Scale()
    frozen = keras.layers.Dense(2, trainable=False)
    trained = keras.layers.Dense(2)
    shared.join(frozen)
    shared.join(trained)
    shared.leave(trained)
    self.assertFalse(shared.scale.trainable)


if __name__ == '__main__':
  tf.test.main()
