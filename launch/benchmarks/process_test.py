"""Tests of figures from processes of their own."""

import contextlib
import io
import subprocess
import sys
from unittest import mock

from absl.testing import absltest

from launch.benchmarks import contenders
from launch.benchmarks import process
from trainers.testing import toy


def _run_here(command, input, **kwargs):
  """`subprocess.run` without a process."""
  del kwargs
  output = io.StringIO('a library talks\n')
  output.seek(0, io.SEEK_END)
  with (mock.patch.object(sys, 'stdin', io.StringIO(input)),
        contextlib.redirect_stdout(output)):
    process._serve()
  return subprocess.CompletedProcess(command, 0, output.getvalue(), '')


class ProcessTest(absltest.TestCase):

  def test_measures_a_run(self):
    config = toy.make_config(('a', 'b'))
    steps = []

    def make_training(received):
      self.assertEqual(received, config)
      return {'ours': lambda: lambda: steps.append(1) or 2.5}

    with (mock.patch.object(subprocess, 'run', _run_here),
          mock.patch.object(contenders, 'training', make_training)):
      found = process.measure(config, 'ours')
    self.assertLen(steps, 3)
    self.assertEqual(found.pop('loss'), 2.5)
    self.assertBetween(found.pop('seconds'), 0, 60)
    self.assertEqual(set(found), {'peak_bytes', 'bytes_before'})
    self.assertGreaterEqual(found['peak_bytes'], found['bytes_before'])
    self.assertGreater(found['bytes_before'], 10e6)

  def test_failure_is_told(self):
    failed = subprocess.CompletedProcess([], 3, '', 'no memory')
    with (mock.patch.object(subprocess, 'run', lambda *_, **__: failed),
          self.assertRaisesRegex(ValueError, 'exit status 3: no memory')):
      process.measure(toy.make_config(), 'ours')

  def test_a_peak_is_the_process_s_own(self):
    code = ('from launch.benchmarks import process; '
            'print(process.peak_bytes())')
    root = process._ROOT
    child = int(subprocess.run(
        [sys.executable, '-c', code], cwd=root, check=True,
        capture_output=True, text=True).stdout)
    self.assertLess(child, process.peak_bytes() / 2)


if __name__ == '__main__':
  absltest.main()
