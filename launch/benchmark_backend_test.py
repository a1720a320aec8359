"""Tests of the benchmark of any backend."""

from absl.testing import absltest
import keras

from launch import benchmark_backend
from mixture_modules.testing import toy_models


class BackendTest(absltest.TestCase):

  def test_all_train_in_turns(self):
    calls = benchmark_backend.contenders(
        toy_models.make_config(num_layers=1, num_templates=1), 'float32',
        batch_size=4, steps=2)
    self.assertLen(calls, 3)
    for call in calls.values():
      model = call.func.__self__
      before = [keras.ops.convert_to_numpy(v) for v in model.trainable_weights]
      call()
      after = [keras.ops.convert_to_numpy(v) for v in model.trainable_weights]
      self.assertTrue(any((one != other).any()
                          for one, other in zip(before, after)))

  def test_describes(self):
    self.assertEqual(
        benchmark_backend.describe(
            {'ours': [1., 2.], 'other': [2., 3.]}, 6),
        ['ours: 3 / 4 / 6 images/s', 'other: 2 / 2 / 3 images/s',
         'ours against other: 1.50 / 1.75 / 2.00'])


if __name__ == '__main__':
  absltest.main()
