"""Tests of the benchmark of any backend."""

import os
import pathlib
import subprocess
import sys
from unittest import mock

from absl.testing import absltest
import keras

from launch import benchmark_backend
from launch.testing import in_process
from mixture_modules.isometric import isometric_config
from mixture_modules.testing import toy_models

# What `python -m` does. Keras itself imports TensorFlow where that is its
# backend.
_PROGRAM = """
import runpy
import sys

sys.modules['trainers'] = None
sys.argv[1:] = ['--help']
try:
  runpy.run_module(
      'launch.benchmark_backend', run_name='__main__', alter_sys=True)
finally:
  import launch.benchmark_backend
  print('With TensorFlow:', [
      name for name, module in sys.modules.items()
      if name.startswith(('launch', 'mixture_modules'))
      and hasattr(module, 'tf')])
"""


class BackendTest(absltest.TestCase):

  def test_command(self):
    calls = dict.fromkeys(('ours', 'stock Keras layers'), lambda: sum(range(9)))
    with mock.patch.object(benchmark_backend, 'contenders',
                           return_value=calls) as contenders:
      output = in_process.run(
          benchmark_backend, '--num_layers=1', '--num_templates=1',
          '--batch_size=2', '--steps=3', '--rounds=1')
    contenders.assert_called_once_with(
        isometric_config.IsometricConfig.preset(
            'small', num_layers=1, num_templates=1), 'float32', 2, 3)
    self.assertRegex(
        output, r'^Keras \S+ on tensorflow, float32, batch 2, K = 1, L = 1\n'
        r'ours: .* images/s\n(.*\n)*ours against stock Keras layers: ')

  def test_as_a_shell_starts_it(self):
    found = subprocess.run(
        [sys.executable, '-c', _PROGRAM], cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
        capture_output=True, text=True, check=False)
    self.assertStartsWith(
        found.stdout.strip(), "Times training on any of Keras' backends")
    for name in benchmark_backend.FLAGS:
      self.assertIn(f'--{name}: ', found.stdout.replace('[no]', ''))
    self.assertNotIn('--workdir', found.stdout)
    self.assertEndsWith(found.stdout, 'With TensorFlow: []\n')

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
