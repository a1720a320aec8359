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
      '{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}',
      '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
      '{"cluster": {"worker": ["a:b"]}, "task": {"type": "worker", '
      '"index": 0}}',
      '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", '
      '"index": false}}',
      '{"cluster": {"worker": ["a:1"], "evaluator": ["a:2"]}, '
      '"task": {"type": "evaluator", "index": 0}}')
  def test_rejects_a_broken_tf_config(self, text):
    with (mock.patch.dict(os.environ, {'TF_CONFIG': text}),
          self.assertRaisesRegex(ValueError, r'in \$TF_CONFIG the workers')):
      strategies.make_strategy('multi_worker')

  def test_one_process_agrees_with_itself(self):
    strategy = strategies.make_strategy('default')
    self.assertEqual(3, strategies.agree(strategy, lambda: (3, {'a': 1})))

  @parameterized.parameters(
      ([{'a': 1}, {'a': 1}], None),
      ([{'a': 1}, {'a': 2, 'b': 3}], r'Worker 1 .*\(a: 1 -> 2; b: None -> 3\)'),
      ([{'fault': 'no data.'}, {'a': 1}], 'Worker 0 has stopped.*no data'))
  def test_workers_agree(self, told, message):
    strategy = _Strategy({
        'cluster': {'worker': _WORKERS},
        'task': {'type': 'worker', 'index': 1}})
    with mock.patch.object(strategies, '_tell', return_value=told):
      if message is None:
        self.assertEqual(3, strategies.agree(strategy, lambda: (3, {'a': 1})))
      else:
        with self.assertRaisesRegex(ValueError, message):
          strategies.agree(strategy, lambda: (3, {'a': 1}))

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
