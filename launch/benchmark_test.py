"""Tests of the benchmark's twin network."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch import benchmark
import mixture_modules as mm
from trainers import run_config


def _config(**changes):
  return run_config.recipe('small').replace(
      depth_multiplier=0.2, num_layers=2, num_templates=2, image_size=8,
      signature='diagonal', norm='shared', tasks=('task',), steps=2, **changes)


class BenchmarkTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(True, False)
  def test_stock_network_is_the_plain_one(self, use_se):
    config = _config(use_se=use_se).model
    stock = benchmark.stock_network(config, 7)
    ours = mm.IsometricModel(config, {'task': 7})
    count = sum(np.prod(v.shape) for v in stock.trainable_variables)
    self.assertEqual(count, ours.parameter_report()['total'])
    self.assertEqual(stock.output_shape, (None, 7))

  @parameterized.named_parameters(
      ('mixtures', benchmark._mixture_step), ('stock', benchmark._stock_step))
  def test_steps_learn(self, make):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(4, 8, 8, 3)), tf.float32)
    step = make(_config(dropout=0.0), images, tf.range(4))
    losses = [float(np.mean(step())) for _ in range(8)]
    self.assertLess(losses[-1], losses[0])


if __name__ == '__main__':
  tf.test.main()
