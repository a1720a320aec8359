"""Locked layers take state through `unlocked` alone (sections 3.2, 4.3)."""

import contextlib

import keras
import tensorflow as tf

from mixture_modules import tracking


class TrackingTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self._layer = keras.layers.Dense(2)

  def test_built_layer_is_locked_before_and_after(self):
    self._layer.build((None, 3))
    with self.assertRaisesRegex(ValueError, 'cannot add new elements'):
      self._layer.late = keras.Variable(1.)
    with tracking.unlocked(self._layer) as layer:
      layer.later = keras.Variable(1.)
    self.assertLen(self._layer.variables, 3)
    with self.assertRaisesRegex(ValueError, 'cannot add new elements'):
      self._layer.latest = keras.Variable(1.)

  def test_locks_again_after_an_error(self):
    self._layer.build((None, 3))
    with (self.assertRaisesRegex(RuntimeError, 'inside'),
          tracking.unlocked(self._layer)):
      raise RuntimeError('inside')
    with self.assertRaisesRegex(ValueError, 'cannot add new elements'):
      self._layer.late = keras.Variable(1.)

  def test_unbuilt_layer_stays_open(self):
    with tracking.unlocked(self._layer):
      self._layer.early = keras.Variable(1.)
    self._layer.still = keras.Variable(1.)
    self.assertLen(self._layer.variables, 2)

  def test_forgets_what_was_replaced(self):
    self._layer.build((None, 3))
    with tracking.unlocked(self._layer) as layer:
      tracking.forget(layer, layer.bias)
      layer.bias = None
    self.assertLen(self._layer.variables, 1)

  def test_another_variable_is_made_where_the_first_was(self):
    strategy = tf.distribute.MirroredStrategy(['CPU:0'])
    for scope in (contextlib.nullcontext(), strategy.scope()):
      with scope:
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
      kind = type(layer.bias.value)
      with tracking.replacing(layer, layer.bias):
        layer.bias = layer.add_weight(shape=(2,))
      self.assertIs(kind, type(layer.bias.value))
      self.assertLen(layer.variables, 2)

  def test_traces_do_not_outlive_a_change(self):
    model = keras.Sequential([keras.Input((3,)), self._layer])
    model.compile(jit_compile=False)
    model.predict(tf.ones((1, 3)), verbose=0)
    self.assertIsNotNone(model.predict_function)
    with tracking.changing(model):
      model.late = keras.Variable(1.)
    self.assertIsNone(model.predict_function)
    self.assertLen(model.variables, 3)


if __name__ == '__main__':
  tf.test.main()
