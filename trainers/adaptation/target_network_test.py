"""Tests of a target beside its sources: which statistics, what may move."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.adaptation import target_network
from trainers.runs import checkpoints
from trainers.testing import toy_adaptation

_TARGET = toy_adaptation.TARGET


class TargetNetworkTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model = toy_adaptation.make_trainer('im').model
    for name, variable in cls.model.named_variables().items():
      if '/statistics/' in name and 'num_updates' not in name:
        variable.assign(np.linspace(
            0.5, 2, np.size(variable)).reshape(variable.shape))
    cls.images = tf.random.stateless_normal([6, 8, 8, 3], (0, 1))

  def network(self, **options):
    return target_network.TargetNetwork(
        self.model, _TARGET, {'pool/a': 'one', 'pool/b': 'two'}, **options)

  def encode(self, task, **options):
    return self.model.encode(self.images, task=task, **options)

  def test_sources_are_normalised_by_their_moving_statistics(self):
    before = checkpoints.snapshot(self.model.named_variables())
    with tf.GradientTape() as tape:
      tape.watch(self.images)
      found = self.network().encode_sources(
          {'pool/b': (self.images, None), 'pool/a': (self.images, None)})
    self.assertIsNone(tape.gradient(found['pool/a'][1], self.images))
    for domain, task in (('pool/a', 'one'), ('pool/b', 'two')):
      expected = self.encode(task, training=False)
      self.assertAllClose(found[domain], expected)
      self.assertNotAllClose(expected[1], self.encode(
          task, training=True, move_statistics=False)[1])
    for name, array in checkpoints.snapshot(
        self.model.named_variables()).items():
      self.assertAllEqual(array, before[name], name)

  @parameterized.parameters(True, False)
  def test_statistics_of_the_target(self, are_of_the_batch):
    network = self.network(move_statistics=are_of_the_batch)
    variables = network.own_variables()
    before = checkpoints.snapshot(variables)

    def moved():
      return {name for name, array in checkpoints.snapshot(variables).items()
              if not np.array_equal(array, before[name])}

    expected = self.encode(
        _TARGET, training=are_of_the_batch, move_statistics=False)
    self.assertAllClose(
        network.encode(self.images, move_statistics=False), expected)
    self.assertEmpty(moved())
    self.assertAllClose(network.encode(self.images), expected)
    self.assertEqual(bool(moved()), are_of_the_batch)
    for name in moved():
      self.assertRegex(name, 'statistics|num_updates')
    checkpoints.restore(variables, before)

  def test_norms_behind_the_features_are_left_out(self):
    model = toy_adaptation.make_trainer('im', tune=('norm',)).model

    def names(**options):
      return set(target_network.TargetNetwork(
          model, _TARGET, {}, ('norm',), **options).variables)

    self.assertCountEqual(
        names() - names(features_only=True),
        [f'tasks/{_TARGET}/affine/{kind}/{site}' for kind in ('gamma', 'beta')
         for site in ('hidden', 'embedding')])

  @parameterized.parameters(
      ({'tune': ('templates',)}, 'received templates: nothing of a source'),
      ({'tune': ()}, 'received none'))
  def test_errors(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      self.network(**options)


if __name__ == '__main__':
  tf.test.main()
