"""Tests of the profile of a step."""

import tensorflow as tf

from launch.benchmarks import operations
from launch.benchmarks import timing
from trainers.testing import toy


class ProfileTest(tf.test.TestCase):

  def test_operations_of_a_call(self):
    matrix = tf.ones([300, 300])

    @tf.function(autograph=False)
    def multiply(x):
      return tf.linalg.trace(tf.matmul(tf.matmul(x, matrix), x))

    found = operations.operations(
        lambda: multiply(matrix).numpy(), steps=3)
    products = [name for name in found if name.endswith('MatMul')]
    self.assertLen(products, 1, found)
    calls, milliseconds = found[products[0]]
    self.assertEqual(calls, 2)
    self.assertBetween(milliseconds, 1e-3, 1e4)
    times = [ms for _, ms in found.values()]
    self.assertEqual(times, sorted(times, reverse=True))

  def test_events_of_the_runtime_are_left_out(self):
    kinds = {'model/conv:_MklNativeConv2D': '_MklNativeConv2D',
             'add_fusion': 'add_fusion', 'EagerExecute': None,
             'Process#id=1#': None, ':x': None, 'Executor::Run': None,
             'end: add_fusion': None, 'a.add_fusion': 'a.add_fusion'}
    self.assertEqual(
        {name: operations._operation(name) for name in kinds}, kinds)

  def test_part(self):
    config = toy.make_config(('task',), batch_size=4)
    part = operations.profile(config, timing.Turns(rounds=2))
    names = [name for name, *_ in part.rows[1:]]
    self.assertTrue(any('FusedBatchNormGrad' in name for name in names), names)
    self.assertTrue(any('MatMul' in name for name in names), names)
    shares = [float(share) for *_, share in part.rows[1:]]
    self.assertBetween(sum(shares), 60, 100.5)
    self.assertIn('operations', part.numbers)


if __name__ == '__main__':
  tf.test.main()
