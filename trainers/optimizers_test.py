"""Tests of the optimizer's configuration."""

import dataclasses

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from trainers import optimizers


class OptimizerConfigTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('multiplier', {'mixture_lr_multiplier': 5.0}, 5.0),
      ('absolute', {'mixture_learning_rate': 0.3}, 3.0),
  )
  def test_mixture_rate(self, fields, expected):
    config = optimizers.OptimizerConfig(
        learning_rate=0.1, momentum=0.0, schedule='linear', **fields
    )
    body = keras.Variable([1.0])
    logits = keras.Variable([1.0], name='logits')
    optimizer = optimizers.make_optimizer(config, 4)
    steps = []
    for _ in range(3):
      before = body.numpy(), logits.numpy()
      gradient = tf.constant([0.5])
      optimizer.apply_gradients([(gradient, body), (gradient, logits)])
      steps.append((before[0] - body.numpy(), before[1] - logits.numpy()))
    for own, mixture in steps:
      self.assertAllClose(mixture / own, [expected], rtol=1e-5)
    # The linear schedule's shape: 1, 3/4, 1/2, over a growing mean square.
    mean_squares = 0.25 + 0.75 * 0.9 ** np.arange(1, 4)
    shape = np.array([1.0, 0.75, 0.5]) / np.sqrt(mean_squares + 1e-3)
    self.assertAllClose(
        [mixture for _, mixture in steps],
        0.1 * expected * 0.5 * shape[:, np.newaxis],
        rtol=1e-5,
    )

  def test_every_field_reaches_the_optimizer(self):
    config = optimizers.OptimizerConfig(
        learning_rate=0.3,
        final_learning_rate=0.1,
        schedule='polynomial',
        warmup_steps=3,
        power=3.0,
        rho=0.7,
        momentum=0.6,
        epsilon=0.5,
        initial_mean_square=0.4,
        mixture_lr_multiplier=2.0,
        mixture_learning_rate=0.9,
        clipnorm=1.5,
    )
    received = optimizers.make_optimizer(config, 10).get_config()
    schedule = received['learning_rate']['config']
    self.assertEqual(schedule['kind'], 'polynomial')
    self.assertEqual(schedule['initial'], 0.3)
    self.assertEqual(schedule['final'], 0.1)
    self.assertEqual(schedule['warmup_steps'], 3)
    self.assertEqual(schedule['power'], 3.0)
    for name in ('rho', 'momentum', 'epsilon', 'initial_mean_square'):
      self.assertEqual(received[name], getattr(config, name))
    self.assertEqual(received['clipnorm'], 1.5)
    self.assertAllClose(received['mixture_multiplier'], 3.0)

  @parameterized.named_parameters(
      ('rate', {'learning_rate': -1.0}, 'learning_rate .* received -1.0'),
      ('schedule', {'schedule': 'step'}, 'schedule .* received .step.'),
      ('rho', {'rho': 1.5}, 'rho .* received 1.5'),
      (
          'multiplier',
          {'mixture_lr_multiplier': None},
          'mixture_lr_multiplier .* received None',
      ),
      (
          'mixture_rate',
          {'mixture_learning_rate': 0.0},
          'mixture_learning_rate .* received 0.0',
      ),
      ('clipnorm', {'clipnorm': float('inf')}, 'clipnorm .* received inf'),
  )
  def test_rejects(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      optimizers.OptimizerConfig(**fields)

  def test_is_frozen(self):
    with self.assertRaises(dataclasses.FrozenInstanceError):
      optimizers.OptimizerConfig().rho = 0.5


if __name__ == '__main__':
  tf.test.main()
