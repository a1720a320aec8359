"""Tests that the contenders are one network, and that their steps train."""

import dataclasses
import functools

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch.benchmarks import contenders
from launch.benchmarks import pytorch
from launch.benchmarks import timed_networks
from mixture_modules.testing import toy_models
from trainers.testing import toy


def _config(**changes):
  return toy.make_config(('task',), **{
      'use_se': True, 'batch_size': 4, **changes})


@functools.cache
def _networks(use_se):
  # Of other sizes than the batch's: outputs for a part of it are the same.
  networks = contenders.Inference(_config(use_se=use_se, norm='shared'))
  toy_models.randomize(networks.model)
  return networks


class ContendersTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(True, False)
  def test_all_infer_the_same(self, use_se):
    images, _ = contenders.make_batch(_config())
    networks = _networks(use_se)
    expected = networks.model(images)
    scale = np.abs(expected).max()
    self.assertGreater(np.std(expected, axis=0).max() / scale, 1e-3)
    calls = networks.contenders(images)
    self.assertEqual(calls.pop(contenders.PLAIN)().shape,
                     (4, contenders.NUM_CLASSES))  # of weights of its own
    names = {contenders.OURS, contenders.FOLDED, contenders.BY_HAND,
             contenders.STOCK_FUNCTION, contenders.STOCK_PREDICT}
    if pytorch.is_compared():
      names |= {contenders.TORCH, contenders.TORCH_LAST}
    self.assertEqual(set(calls), names)
    for name, call in calls.items():
      outputs = call()
      self.assertEqual(outputs.shape, (4, contenders.NUM_CLASSES), name)
      self.assertAllClose(outputs / scale, expected / scale, 1e-4, 1e-4,
                          msg=name)

  @parameterized.parameters(True, False)
  def test_networks_have_as_many_parameters(self, use_se):
    # Shared norms and K = L: the conventional network.
    model = _networks(use_se).model
    config = model.config
    expected = model.parameter_report()['total'] - np.prod(
        model.task().signature.logits.shape)
    stock = timed_networks.stock_network(config, contenders.NUM_CLASSES)
    counts = [sum(np.prod(v.shape) for v in stock.trainable_variables)]
    if pytorch.is_compared():
      network = pytorch.make_network(config, contenders.NUM_CLASSES)
      counts.append(sum(p.numel() for p in network.parameters()))
    self.assertEqual(counts, [expected] * len(counts))

  @parameterized.parameters(
      ('softmax', 0.0, 1e-3), ('softmax', 0.1, 0.1), ('tanh', 0.0, None),
      ('diagonal', 0.0, None))
  def test_contenders_in_training(self, signature, given, alpha):
    config = dataclasses.replace(_config(signature=signature), clustering=given)
    makers = contenders.training(config)
    (ours,) = makers[contenders.OURS].args
    self.assertEqual(ours, dataclasses.replace(config, clustering=0.0))
    self.assertEqual(contenders.CLUSTERING in makers, alpha is not None)
    if alpha is not None:
      (clustered,) = makers[contenders.CLUSTERING].args
      self.assertEqual(
          clustered, dataclasses.replace(config, clustering=alpha))
    self.assertEqual(contenders.PLAIN in makers, signature != 'diagonal')
    if contenders.PLAIN in makers:
      (plain,) = makers[contenders.PLAIN].args
      self.assertEqual(plain, dataclasses.replace(
          config.replace(signature='1-2'), clustering=0.0))
    self.assertEqual(contenders.TORCH in makers,
                     pytorch.is_compared())

  @parameterized.parameters(
      contenders.OURS, contenders.PLAIN, contenders.STOCK, contenders.TORCH,
      contenders.TORCH_LAST)
  def test_steps_learn(self, name):
    config = _config(learning_rate=1e-3)
    makers = contenders.training(config)
    if name not in makers:
      self.skipTest('PyTorch is not installed.')
    step = makers[name]()
    losses = [step() for _ in range(8)]
    self.assertLess(losses[-1], losses[0] - .01)

  def test_a_batch_for_each_task(self):
    config = toy.make_config(('a', 'b'), batch_size=4)
    trainer = contenders.make_trainer(config)
    self.assertEqual(trainer.images_per_step, 8)
    self.assertLen(trainer.model.tasks, 2)


if __name__ == '__main__':
  tf.test.main()
