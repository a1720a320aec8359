"""Layers that share a variable decide together whether it trains."""

import gc
import weakref

import keras
import tensorflow as tf

from mixture_modules import users


class UsersTest(tf.test.TestCase):

  def test_frozen_is_what_only_frozen_layers_use(self):
    shared = users.Users()
    self.assertFalse(shared.all_frozen('a'))
    frozen = keras.layers.Dense(2, trainable=False)
    trained = keras.layers.Dense(2)
    shared.add('a', frozen)
    self.assertTrue(shared.all_frozen('a'))
    shared.add('a', trained)
    self.assertFalse(shared.all_frozen('a'))
    self.assertFalse(shared.all_frozen('b'))
    trained.trainable = False
    self.assertTrue(shared.all_frozen('a'))

  def test_layers_are_held_weakly(self):
    shared, layer = users.Users(), keras.layers.Dense(2)
    shared.add('a', layer)
    reference = weakref.ref(layer)
    del layer
    gc.collect()
    self.assertIsNone(reference())
    self.assertFalse(shared.all_frozen('a'))


if __name__ == '__main__':
  tf.test.main()
