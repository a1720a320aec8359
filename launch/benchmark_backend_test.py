"""Tests of the benchmark of any backend."""

import pathlib
import subprocess
import sys

from absl.testing import absltest
import keras

from launch import benchmark_backend
from launch.testing import in_process
from mixture_modules.testing import toy_models

# Keras itself imports TensorFlow where that is its backend.
_IMPORT = """
import sys
sys.modules['trainers'] = None
from launch import benchmark_backend
print([name for name, module in sys.modules.items()
       if name.startswith(('launch', 'mixture_modules'))
       and hasattr(module, 'tf')])
"""


class BackendTest(absltest.TestCase):

  def test_command(self):
    output = in_process.run(
        benchmark_backend, '--num_layers=1', '--num_templates=1',
        '--batch_size=2', '--steps=1', '--rounds=1')
    self.assertRegex(
        output, r'^Keras \S+ on tensorflow, float32, batch 2, K = 1, L = 1\n'
        r'ours: .* images/s\n(.*\n)*ours against stock Keras layers: ')

  def test_needs_no_tensorflow(self):
    found = subprocess.run(
        [sys.executable, '-c', _IMPORT], cwd=pathlib.Path(__file__).parents[1],
        capture_output=True, text=True, check=False)
    self.assertEqual(found.stdout, '[]\n', found.stderr)

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
