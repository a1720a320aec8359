"""Tests of the choice of a strategy; launch/train_test.py runs them."""

import json
import os
from unittest import mock

from absl.testing import parameterized
import tensorflow as tf

from trainers import strategies

_WORKERS = ['localhost:1', 'localhost:2']


class _Strategy:
  """As far as `is_chief` looks."""

  def __init__(self, config):
    self.cluster_resolver = None
    if config:
      with mock.patch.dict(os.environ, {'TF_CONFIG': json.dumps(config)}):
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        self.cluster_resolver = mock.Mock(
            task_type=resolver.task_type, task_id=resolver.task_id)
        self.cluster_resolver.cluster_spec.return_value = (
            resolver.cluster_spec())


class StrategiesTest(parameterized.TestCase, tf.test.TestCase):

  def test_default_is_one_device(self):
    strategy = strategies.make_strategy('default')
    self.assertIs(strategy, tf.distribute.get_strategy())
    self.assertEqual(strategy.num_replicas_in_sync, 1)
    self.assertTrue(strategies.is_chief(strategy))

  def test_mirrored_uses_all_devices(self):
    strategy = strategies.make_strategy('mirrored')
    self.assertIsInstance(strategy, tf.distribute.MirroredStrategy)
    devices = (tf.config.list_logical_devices('GPU')
               or tf.config.list_logical_devices('CPU'))
    self.assertEqual(strategy.num_replicas_in_sync, len(devices))
    self.assertTrue(strategies.is_chief(strategy))

  def test_rejects_another_name(self):
    with self.assertRaisesRegex(ValueError, "multi_worker, received 'tpu'"):
      strategies.make_strategy('tpu')

  @parameterized.parameters(
      '', 'workers', '[]', '{"cluster": {"worker": ["a:1"]}}',
      '{"cluster": {}, "task": {"type": "worker", "index": 0}}',
      '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 1}}',
      '{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}')
  def test_rejects_a_broken_tf_config(self, text):
    with (mock.patch.dict(os.environ, {'TF_CONFIG': text}),
          self.assertRaisesRegex(ValueError, r'in \$TF_CONFIG the workers')):
      strategies.make_strategy('multi_worker')

  @parameterized.parameters(
      (None, 'worker', 0, True), (None, 'worker', 1, False),
      ('chief', 'chief', 0, True), ('chief', 'worker', 0, False),
      ('chief', 'worker', 1, False))
  def test_one_process_is_chief(self, chief, job, index, expected):
    cluster = {'worker': _WORKERS}
    if chief:
      cluster['chief'] = ['localhost:3']
    strategy = _Strategy(
        {'cluster': cluster, 'task': {'type': job, 'index': index}})
    self.assertEqual(strategies.is_chief(strategy), expected)


if __name__ == '__main__':
  tf.test.main()
