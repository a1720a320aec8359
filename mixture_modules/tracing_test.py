"""Tests of functions that are traced once."""

from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import tracing
from mixture_modules.testing import toy_models


class TracedOnceTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.calls = []

  def _square(self, values, scale):
    self.calls.append(scale)
    return {name: scale * x ** 2 for name, x in values.items()}

  def test_a_graph_traces_once_for_each_shape_and_value(self):
    square = tracing.TracedOnce(self._square)

    @tf.function(autograph=False)
    def gradient(x):
      with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for _ in range(5):
          y = square({'y': y}, 2)['y']
        y += tf.reduce_sum(square({'y': y[:1]}, 2)['y']) * 0
        y += square({'y': y}, 3)['y'] * 0
      return y, tape.gradient(y, x)

    x = tf.constant([.5, -.25])
    y, slope = gradient(x)
    # y = 2^31 x^32
    self.assertAllClose(y, 2. ** 31 * np.power([.5, -.25], 32))
    self.assertAllClose(slope, 2. ** 36 * np.power([.5, -.25], 31))
    self.assertEqual(sorted(self.calls), [2, 2, 3])

  def test_outside_of_a_graph_it_is_called(self):
    square = tracing.TracedOnce(self._square)
    for _ in range(2):
      self.assertAllClose(square({'y': tf.constant(3.)}, 2)['y'], 18)
    self.assertEqual(self.calls, [2, 2])

  def test_another_backend_calls_it(self):
    square = tracing.TracedOnce(self._square)
    with mock.patch.object(keras.backend, 'backend', lambda: 'jax'):
      self.assertEqual(square({'y': 3}, 2), {'y': 18})

  @parameterized.parameters(True, False)
  def test_a_model_traces_its_block_once(self, training):
    model = toy_models.make_model({'a': 4, 'b': 3}, num_layers=3)
    images = tf.zeros([2, 8, 8, 3])
    with mock.patch.object(
        model.block, 'call', wraps=model.block.call) as call:
      tf.function(lambda: [model(images, task=task, training=training)
                           for task in 'ab'], autograph=False)()
      self.assertEqual(call.call_count, 1)
      model(images, task='a')
      self.assertEqual(call.call_count, 1 + 3)


if __name__ == '__main__':
  tf.test.main()
