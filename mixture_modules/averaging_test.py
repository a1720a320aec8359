"""Tests of the averages of the variables."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import averaging


class ExponentialMovingAverageTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.values = (
        np.random.default_rng(0).normal(size=(9, 3)).astype('float32')
    )

  @parameterized.product(warmup=(True, False), traced=(True, False))
  def test_matches_numpy(self, warmup, traced):
    variable = keras.Variable(self.values[0])
    averager = averaging.ExponentialMovingAverage({'w': variable}, 0.3, warmup)
    update = tf.function(averager.update) if traced else averager.update
    expected = self.values[0]
    for n, value in enumerate(self.values[1:]):
      variable.assign(value)
      update()
      d = min(0.3, (1 + n) / (10 + n)) if warmup else 0.3
      expected = expected - (1 - d) * (expected - value)
      self.assertAllClose(
          averager.averages['w'].numpy(), expected, rtol=1e-5, atol=1e-6
      )
    self.assertEqual(averager.counter.numpy(), 8)

  @parameterized.named_parameters(
      ('float32', 'float32'), ('bfloat16', 'bfloat16')
  )
  def test_applied_restores_bit_for_bit(self, dtype):
    # NaN, infinity and minus zero do not survive arithmetic.
    values = np.array([np.nan, np.inf, -0.0, 1e30, 0.1], 'float32')
    variable = keras.Variable(values, dtype=dtype)
    other = keras.Variable([2.0])
    before = variable.numpy().tobytes()
    averager = averaging.ExponentialMovingAverage({'w': variable}, 0.9)
    averager.averages['w'].assign([1.0, 2.0, 3.0, 4.0, 5.0])
    with averager.applied():
      self.assertAllEqual(variable.numpy(), [1.0, 2.0, 3.0, 4.0, 5.0])
      variable.assign_add([1.0] * 5)  # the averages must not notice
      other.assign([3.0])
    self.assertEqual(variable.numpy().tobytes(), before)
    self.assertAllEqual(
        averager.averages['w'].numpy(), [1.0, 2.0, 3.0, 4.0, 5.0]
    )
    self.assertAllEqual(other.numpy(), [3.0])

  def test_applied_restores_after_an_exception(self):
    variables = {str(i): keras.Variable(v) for i, v in enumerate(self.values)}
    averager = averaging.ExponentialMovingAverage(variables, 0.9)
    for average in averager.averages.values():
      average.assign([0.0] * 3)
    with (
        self.assertRaisesRegex(KeyError, 'evaluation failed'),
        averager.applied(),
    ):
      self.assertAllEqual(variables['3'].numpy(), [0.0] * 3)
      raise KeyError('evaluation failed')
    for variable, value in zip(variables.values(), self.values):
      self.assertEqual(variable.numpy().tobytes(), value.tobytes())
    with averager.applied():  # and it can be used again
      self.assertAllEqual(variables['3'].numpy(), [0.0] * 3)

  def test_resumes_from_averages_and_counter(self):
    def run(variable, averager, values):
      for value in values:
        variable.assign(value)
        averager.update()

    first, second = (keras.Variable(self.values[0]) for _ in range(2))
    whole = averaging.ExponentialMovingAverage({'w': first}, 0.9)
    run(first, whole, self.values[1:4])
    resumed = averaging.ExponentialMovingAverage({'w': second}, 0.9)
    resumed.averages['w'].assign(whole.averages['w'].numpy())
    resumed.counter.assign(whole.counter.numpy())
    run(first, whole, self.values[4:])
    run(second, resumed, self.values[4:])
    self.assertAllEqual(
        whole.averages['w'].numpy(), resumed.averages['w'].numpy()
    )

  @parameterized.named_parameters(('inside_run', True), ('outside', False))
  def test_replicas_stay_equal(self, inside):
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
      variable = keras.Variable(self.values[0])
      averager = averaging.ExponentialMovingAverage({'w': variable}, 0.5)

    @tf.function
    def step(value):
      variable.assign(value)
      if inside:
        strategy.run(averager.update)
      else:
        averager.update()

    plain = keras.Variable(self.values[0])
    expected = averaging.ExponentialMovingAverage({'w': plain}, 0.5)
    for value in self.values[1:]:
      step(tf.constant(value))
      plain.assign(value)
      expected.update()
    for mirrored, single in (
        (averager.averages['w'], expected.averages['w']),
        (averager.counter, expected.counter),
    ):
      values = strategy.experimental_local_results(mirrored.value)
      self.assertLen(values, 2)
      self.assertAllEqual(values[0], values[1])
      self.assertAllClose(values[0], single.numpy(), rtol=1e-6)
    with averager.applied():
      for value in strategy.experimental_local_results(variable.value):
        self.assertAllEqual(value, averager.averages['w'].numpy())
    for value in strategy.experimental_local_results(variable.value):
      self.assertEqual(value.numpy().tobytes(), self.values[-1].tobytes())

  def test_replicas_do_not_drift_where_the_variables_do(self):
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
      variable = keras.Variable([1.0])
      averager = averaging.ExponentialMovingAverage({'w': variable}, 0.5, False)

    def replica_step():
      context = tf.distribute.get_replica_context()
      variable.assign([float(context.replica_id_in_sync_group)])
      averager.update()

    tf.function(lambda: strategy.run(replica_step))()
    average = averager.averages['w'].value
    for value in strategy.experimental_local_results(average):
      self.assertAllEqual(value, [0.5])  # of 1 and the first replica's 0

  def test_rejects_nested_use(self):
    variable = keras.Variable([1.0])
    averager = averaging.ExponentialMovingAverage({'w': variable}, 0.5)
    averager.averages['w'].assign([2.0])
    with (
        self.assertRaisesRegex(ValueError, 'second applied'),
        averager.applied(),
        averager.applied(),
    ):
      self.fail('The second must not begin.')
    self.assertAllEqual(variable.numpy(), [1.0])

  def test_rejects(self):
    variable = keras.Variable([1.0])
    for decay in (-0.1, 1.0, float('nan')):
      with self.assertRaisesRegex(ValueError, rf'received {decay}: try'):
        averaging.ExponentialMovingAverage({'w': variable}, decay)
    with self.assertRaisesRegex(ValueError, 'received none: build'):
      averaging.ExponentialMovingAverage({}, 0.5)
    count = keras.Variable(1, dtype='int64')
    with self.assertRaisesRegex(ValueError, "'n' of int64: leave it out"):
      averaging.ExponentialMovingAverage({'w': variable, 'n': count}, 0.5)


if __name__ == '__main__':
  tf.test.main()
