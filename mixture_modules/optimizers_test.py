"""Tests of the optimizer."""

import copy

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import optimizers


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


def variables(start):
  """A variable as of a layer, and one as of a signature."""
  with keras.name_scope('signature'):
    return keras.Variable(start), keras.Variable(start, name='logits')


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
    body, logits = variables(self.start)
    schedule = keras.optimizers.schedules.PolynomialDecay(0.5, 6, 0.0)
    optimizer = optimizers.RMSprop(
        schedule,
        initial_mean_square=initial_mean_square,
        mixture_multiplier=7.0,
        **settings,
    )
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
        body, logits = variables(self.start)
        optimizer = optimizers.RMSprop(0.1)
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
    two = train(tf.distribute.MirroredStrategy(
        ['CPU:0', 'CPU:1'], tf.distribute.ReductionToOneDevice()
    ))
    self.assertAllClose(one, two, rtol=1e-6, atol=1e-6)
    self.assertNotAllClose(one[0], one[1])

  def test_config_round_trip(self):
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 10)
    optimizer = optimizers.RMSprop(
        schedule,
        rho=0.8,
        epsilon=0.1,
        initial_mean_square=0.0,
        mixture_multiplier=3.0,
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
    self.assertEqual(config['config']['mixture_multiplier'], 3.0)

  @parameterized.named_parameters(
      ('rho', {'rho': 1.0}, r'rho to be in \[0, 1\), received 1.0'),
      ('momentum', {'momentum': -0.1}, 'momentum .* received -0.1'),
      ('epsilon', {'epsilon': 0.0}, 'epsilon .* received 0.0: try'),
      (
          'start',
          {'initial_mean_square': float('nan')},
          'initial_mean_square .* received nan: take 1',
      ),
      (
          'multiplier',
          {'mixture_multiplier': 0.0},
          'received 0.0: to freeze a signature',
      ),
  )
  def test_rejects(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      optimizers.RMSprop(0.1, **arguments)

  def test_rejects_clipping_on_replicas(self):
    with (
        tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']).scope(),
        self.assertRaisesRegex(ValueError, 'clipnorm with 2 replicas'),
    ):
      optimizers.RMSprop(0.1, clipnorm=1.0)

  def test_mixtures_alone_have_the_rate(self):
    bank = mm.TemplateBank(2)
    x = inputs = keras.Input((4, 4, 2))
    x = mm.MixtureConv2D(2, 1, bank=bank)(x)
    # A layer of that name is none.
    model = keras.Model(inputs, keras.layers.Dense(2, name='logits')(x))
    images = np.resize(self.gradients, (4, 4, 4, 2))
    start = [v.numpy() for v in model.variables]

    def moves(optimizer):
      for variable, value in zip(model.variables, start):
        variable.assign(value)
      model.compile(optimizer, 'mse')
      model.fit(images, images, batch_size=4, verbose=0)
      return [
          variable.numpy() - value
          for variable, value in zip(model.variables, start)
      ]

    one = moves(optimizers.RMSprop(1e-3, mixture_multiplier=1.0))
    twenty = moves(optimizers.RMSprop(1e-3, mixture_multiplier=20.0))
    sgd = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(1e-3),
            {optimizers.MIXTURES: keras.optimizers.SGD(2e-2)},
        )
    )
    mapped, plain = moves(sgd), moves(keras.optimizers.SGD(1e-3))
    for i, variable in enumerate(model.variables):
      factor = 20.0 if variable.name == 'logits' else 1.0
      self.assertGreater(np.abs(one[i]).max(), 0)
      self.assertAllClose(twenty[i], factor * one[i], rtol=1e-2, atol=1e-8)
      self.assertAllClose(mapped[i], factor * plain[i], rtol=1e-2, atol=1e-8)


if __name__ == '__main__':
  tf.test.main()
