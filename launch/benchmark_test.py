"""Tests of the benchmark's twin network."""

import functools
from unittest import mock

from absl import flags
from absl.testing import flagsaver
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

  @parameterized.parameters(
      ('softmax', 0.0, 1e-3), ('softmax', 0.1, 0.1), ('diagonal', 0.0, None))
  def test_clustering_is_timed_beside_none(self, signature, given, alpha):
    config = _config(clustering=given)
    makers = benchmark.make_makers(config.replace(signature=signature))
    (plain,) = makers['mixtures'].args
    self.assertEqual(plain.clustering, 0)
    self.assertEqual('mixtures, clustering' in makers, alpha is not None)
    if alpha is not None:
      (clustered,) = makers['mixtures, clustering'].args
      self.assertEqual(clustered, plain.replace(clustering=alpha))
    self.assertEqual(list(makers)[-2:], ['stock Keras', 'input pipeline'])

  def test_pipeline_makes_batches(self):
    with mock.patch.object(benchmark, '_PIPELINE_IMAGES', 50):
      step = benchmark._pipeline_step(_config(batch_size=4), None, None)
    (images, labels), (others, _) = step(), step()
    self.assertEqual(images.shape, (4, 8, 8, 3))
    self.assertEqual(labels.shape, (4,))
    self.assertNotAllEqual(images, others)

  def test_turns(self):
    calls = []
    steps = {name: functools.partial(calls.append, name) for name in 'ab'}
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(rounds=2, turn=3):
      seconds = benchmark._take_turns(steps)
    self.assertEqual(''.join(calls), 2 * ('aaaa' + 'bbbb'))
    self.assertEqual({name: len(s) for name, s in seconds.items()},
                     {'a': 2, 'b': 2})


if __name__ == '__main__':
  tf.test.main()
