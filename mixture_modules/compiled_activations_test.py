"""Tests of the compiled hard-swish."""

import gc
from unittest import mock
import weakref

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import compiled_activations


class CompiledActivationsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.act = compiled_activations.in_training(keras.activations.hard_swish)

  @parameterized.parameters(
      ('float32', 1e-6), ('float64', 1e-12), ('bfloat16', 2e-2))
  def test_values_and_gradients_are_those_of_keras(self, dtype, tolerance):
    self.assertIsNot(self.act, keras.activations.hard_swish)
    x = tf.cast(tf.constant(np.r_[np.linspace(-5, 5, 41), -3, 3]), dtype)
    weights = tf.cast(tf.random.normal(x.shape), dtype)
    found = []
    for act in (self.act, keras.activations.hard_swish):
      with tf.GradientTape() as tape:
        tape.watch(x)
        y = act(x)
        loss = tf.reduce_sum(y * weights)
      found.append((y, tape.gradient(loss, x)))
      self.assertEqual(y.dtype, dtype)
    for one, other in zip(*found):
      self.assertAllClose(one, other, rtol=tolerance, atol=tolerance)

  def test_in_graphs_of_unknown_sizes(self):
    @tf.function(input_signature=[tf.TensorSpec([None, 3])], autograph=False)
    def gradient(x):
      return tf.gradients(self.act(x), x)[0]

    for size in (2, 0, 5):
      self.assertAllClose(gradient(tf.zeros([size, 3])), np.full((size, 3), .5))

  def test_step_is_free_once_it_is_not_used(self):
    @tf.function(autograph=False)
    def step(x):
      return tf.gradients(self.act(x), x)[0]

    graph = weakref.ref(step.get_concrete_function(tf.zeros([7, 2])).graph)
    del step
    gc.collect()
    self.assertIsNone(graph())

  def test_others_stay(self):
    self.assertIs(compiled_activations.in_training(keras.activations.relu),
                  keras.activations.relu)

  @parameterized.named_parameters(
      ('gpu', tf.config, 'get_visible_devices', lambda kind: [kind]),
      ('backend', keras.backend, 'backend', lambda: 'jax'),
      ('build', compiled_activations, '_hard_swish', lambda: (
          tf.debugging.assert_positive)))
  def test_stays_where_it_cannot_be_compiled(self, owner, name, found):
    compiled_activations._is_compilable.cache_clear()
    self.addCleanup(compiled_activations._is_compilable.cache_clear)

    @tf.function(autograph=False)
    def stays():  # a graph is where it is asked first
      return compiled_activations.in_training(
          keras.activations.hard_swish) is keras.activations.hard_swish

    with mock.patch.object(owner, name, found):
      self.assertTrue(stays())


if __name__ == '__main__':
  tf.test.main()
