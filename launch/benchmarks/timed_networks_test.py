"""Tests of the plain signature and of what is refused."""

from absl.testing import parameterized
import keras
import tensorflow as tf

from launch.benchmarks import timed_networks
from mixture_modules import fixed_sequences
from mixture_modules.testing import toy_models


class NetworksTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      (4, 2, '1-1-2-2'), (5, 2, '1-1-1-2-2'), (3, 3, '1-2-3'),
      (3, 5, '1-2-3'))
  def test_plain_signature(self, layers, templates, expected):
    config = toy_models.make_config(num_layers=layers, num_templates=templates)
    signature = timed_networks.plain_signature(config)
    self.assertEqual(signature, expected)
    if templates <= layers:
      self.assertEqual(
          fixed_sequences.make_sequence(signature, layers, templates),
          fixed_sequences.make_sequence('sequential', layers, templates))

  @parameterized.parameters(
      {'original_input': True}, {'activation': 'relu'})
  def test_refuses(self, **changes):
    with self.assertRaisesRegex(ValueError, 'no stock network with'):
      timed_networks.check(toy_models.make_config(**changes))

  def test_precision_is_the_network_s_own(self):
    network = timed_networks.stock_network(
        toy_models.make_config(num_layers=1), 4, 'mixed_bfloat16')
    self.assertEqual(network.layers[1].compute_dtype, 'bfloat16')
    self.assertEqual(network.output.dtype, 'float32')
    self.assertEqual(keras.config.dtype_policy().name, 'float32')


if __name__ == '__main__':
  tf.test.main()
