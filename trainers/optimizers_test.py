"""Tests of the optimizer and its configuration."""

import copy
import dataclasses

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from trainers import optimizers
from trainers import schedules


def numpy_rmsprop(w, gradients, rates, v, rho, momentum, epsilon, multiplier):
  """The docstring's equations, in float32."""
  v = np.full_like(w, v)
  m = np.zeros_like(w)
  for gradient, rate in zip(gradients, rates):
    v = np.float32(rho) * v + np.float32(1 - rho) * gradient**2
    m = np.float32(momentum) * m + np.float32(
        multiplier * rate
    ) * gradient / np.sqrt(v + np.float32(epsilon))
    w = w - m
  return w


class RMSpropTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    generator = np.random.default_rng(0)
    self.start = generator.normal(size=(2, 5)).astype('float32')
    self.gradients = generator.normal(size=(6, 2, 5)).astype('float32')

  @parameterized.named_parameters(
      ('tf1_start', 1.0, 0.9), ('keras_start', 0.0, 0.9), ('plain', 1.0, 0.0)
  )
  def test_matches_numpy(self, initial_mean_square, momentum):
    settings = {'rho': 0.8, 'momentum': momentum, 'epsilon': 1e-2}
    body, logits = (keras.Variable(self.start) for _ in range(2))
    schedule = schedules.Schedule('linear', 0.5, 6)
    optimizer = optimizers.RMSprop(
        schedule, initial_mean_square=initial_mean_square, **settings
    )
    optimizer.set_multiplier([logits], 7.0)
    optimizer.build([body, logits])

    @tf.function
    def step(gradient):
      optimizer.apply_gradients([(gradient, body), (gradient, logits)])

    for gradient in self.gradients:
      step(tf.constant(gradient))
    rates = [float(schedule(t)) for t in range(6)]
    for variable, multiplier in ((body, 1.0), (logits, 7.0)):
      expected = numpy_rmsprop(
          self.start,
          self.gradients,
          rates,
          initial_mean_square,
          multiplier=multiplier,
          **settings,
      )
      self.assertAllClose(variable.numpy(), expected, rtol=1e-5, atol=1e-6)
    self.assertEqual(optimizer.iterations.numpy(), 6)

  def test_equals_keras_where_keras_can(self):
    ours, theirs = (keras.Variable(self.start) for _ in range(2))
    first = optimizers.RMSprop(0.1, initial_mean_square=0.0)
    second = keras.optimizers.RMSprop(0.1, momentum=0.9, epsilon=1e-3)
    for gradient in self.gradients:
      first.apply_gradients([(tf.constant(gradient), ours)])
      second.apply_gradients([(tf.constant(gradient), theirs)])
    self.assertAllEqual(ours.numpy(), theirs.numpy())
    self.assertNotAllClose(ours.numpy(), self.start)

  def test_start_holds_where_the_first_call_is_traced(self):
    variable = keras.Variable(self.start)
    optimizer = optimizers.RMSprop(0.1, momentum=0.0, epsilon=1e-3)

    @tf.function
    def step(gradient):
      optimizer.apply_gradients([(gradient, variable)])

    for gradient in self.gradients:
      step(tf.constant(gradient))
    expected = numpy_rmsprop(
        self.start, self.gradients, [0.1] * 6, 1.0, 0.9, 0.0, 1e-3, 1.0
    )
    self.assertAllClose(variable.numpy(), expected, rtol=1e-5, atol=1e-6)

  def test_two_replicas_equal_one(self):
    def train(strategy):
      with strategy.scope():
        body, logits = (keras.Variable(self.start) for _ in range(2))
        optimizer = optimizers.make_optimizer(
            optimizers.OptimizerConfig(learning_rate=0.1), 6, [logits]
        )
        optimizer.build([body, logits])

      def replica_step(gradient):
        # A replica's share: its examples' sum over the global batch.
        share = gradient / strategy.num_replicas_in_sync
        optimizer.apply_gradients([(share, body), (2 * share, logits)])

      @tf.function
      def step(gradient):
        strategy.run(replica_step, args=(gradient,))

      for gradient in self.gradients:
        step(tf.constant(gradient))
      self.assertEqual(optimizer.iterations.numpy(), 6)
      for variable in (body, logits, *optimizer.variables):
        values = strategy.experimental_local_results(variable.value)
        self.assertLen(values, strategy.num_replicas_in_sync)
        for value in values[1:]:
          self.assertAllEqual(value, values[0])
      return body.numpy(), logits.numpy()

    one = train(tf.distribute.get_strategy())
    two = train(tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']))
    self.assertAllClose(one, two, rtol=1e-6, atol=1e-6)
    self.assertNotAllClose(one[0], one[1])

  def test_config_round_trip(self):
    schedule = schedules.Schedule('cosine', 0.5, 10, warmup_steps=2)
    optimizer = optimizers.RMSprop(
        schedule, rho=0.8, epsilon=0.1, initial_mean_square=0.0
    )
    config = keras.optimizers.serialize(optimizer)
    for deserialize in (
        keras.optimizers.deserialize,
        keras.saving.deserialize_keras_object,
    ):
      # A copy, since Keras changes what it reads.
      received = deserialize(copy.deepcopy(config))
      self.assertIsInstance(received, optimizers.RMSprop)
      self.assertEqual(keras.optimizers.serialize(received), config)
    self.assertEqual(config['config']['initial_mean_square'], 0.0)

  @parameterized.named_parameters(
      ('rho', {'rho': 1.0}, r'rho to be in \[0, 1\), received 1.0'),
      ('momentum', {'momentum': -0.1}, 'momentum .* received -0.1'),
      ('epsilon', {'epsilon': 0.0}, 'epsilon .* received 0.0: try'),
      (
          'start',
          {'initial_mean_square': float('nan')},
          'initial_mean_square .* received nan: take 1',
      ),
  )
  def test_rejects(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      optimizers.RMSprop(0.1, **arguments)

  def test_rejects_late_and_bad_multipliers(self):
    variable = keras.Variable(self.start)
    optimizer = optimizers.RMSprop(0.1)
    with self.assertRaisesRegex(ValueError, 'finite, received 0.0: to freeze'):
      optimizer.set_multiplier([variable], 0.0)
    optimizer.build([variable])
    with self.assertRaisesRegex(ValueError, 'not built yet.*before build'):
      optimizer.set_multiplier([variable], 2.0)

  def test_rejects_clipping_on_replicas(self):
    with (
        tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']).scope(),
        self.assertRaisesRegex(ValueError, 'clipnorm with 2 replicas'),
    ):
      optimizers.RMSprop(0.1, clipnorm=1.0)


class OptimizerConfigTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('multiplier', {'mixture_lr_multiplier': 5.0}, 5.0),
      ('absolute', {'mixture_learning_rate': 0.3}, 3.0),
  )
  def test_mixture_rate(self, fields, expected):
    config = optimizers.OptimizerConfig(
        learning_rate=0.1, momentum=0.0, schedule='linear', **fields
    )
    body, logits = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = optimizers.make_optimizer(config, 4, [logits])
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
    received = optimizers.make_optimizer(config, 10, []).get_config()
    schedule = received['learning_rate']['config']
    self.assertEqual(schedule['kind'], 'polynomial')
    self.assertEqual(schedule['initial'], 0.3)
    self.assertEqual(schedule['final'], 0.1)
    self.assertEqual(schedule['warmup_steps'], 3)
    self.assertEqual(schedule['power'], 3.0)
    for name in ('rho', 'momentum', 'epsilon', 'initial_mean_square'):
      self.assertEqual(received[name], getattr(config, name))
    self.assertEqual(received['clipnorm'], 1.5)
    self.assertAllClose(config.mixture_multiplier, 3.0)

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
