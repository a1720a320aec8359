"""Tests of the command: its flags, and what it prints and writes."""

import json
from unittest import mock

from absl.testing import parameterized
import tensorflow as tf

from launch import benchmark
from launch.benchmarks import pytorch
from launch.benchmarks import timing
from launch.testing import in_process


def _part(name, fails=False):
  def measure(subject, turns):
    if fails:
      raise ValueError('It broke.')
    return timing.Part(
        [(name, 's'), ('x', '1')], [f'{name}: 1.0'],
        {'turns': turns.rounds, 'config': getattr(subject, 'preset', None)})

  return measure


def _run(*arguments):
  """What the command prints."""
  with mock.patch.dict(benchmark._PARTS, {
      'training': _part('training'), 'limit': _part('limit'),
      'sizes': _part('sizes', fails=True)}):
    return in_process.run(benchmark, *arguments)


class BenchmarkTest(parameterized.TestCase, tf.test.TestCase):

  def test_prints_and_writes_each_part(self):
    path = self.get_temp_dir() + '/speed.json'
    printed = _run(
        '--parts=limit,training', '--rounds=3', f'--output={path}')
    machine, *_ = printed.splitlines()
    self.assertRegex(
        machine, r'cores.* x .*; python .*, tensorflow .*, keras .*; commit ')
    self.assertIn('limit  s\n--------\nx      1\nlimit: 1.0\n', printed)
    with open(path) as file:
      report = json.load(file)
    self.assertEqual(list(report['parts']), ['limit', 'training'])
    self.assertEqual(report['parts']['limit'],
                     {'turns': 3, 'config': 'small'})
    self.assertEqual(report['turns'],
                     {'rounds': 3, 'seconds': 0.5, 'processes': 1})
    self.assertEqual(report['config']['tasks'], ['task'])
    self.assertLessEqual({'versions', 'machine', 'commit'}, set(report))

  def test_variation_is_a_part(self):
    directory = self.get_temp_dir() + '/by/itself'
    with (mock.patch.object(
        benchmark.growth, 'variation', _part('varied')),
          mock.patch.object(benchmark, '_NEW', directory + '/%Y.json')):
      printed = _run(
          '--parts=', '--vary=num_templates:2,4', '--vary=num_tasks:1,2')
    self.assertEqual(printed.count('varied: 1.0'), 2)
    # JSON is beside it, also where no file was named.
    path = printed.splitlines()[-1].removeprefix('All numbers: ')
    self.assertStartsWith(path, directory + '/2')
    with open(path) as file:
      self.assertLen(json.load(file)['parts'], 2)

  def test_what_was_found_stays_when_a_part_fails(self):
    path = self.get_temp_dir() + '/speed.json'
    with self.assertRaisesRegex(ValueError, 'It broke'):
      _run('--parts=limit,sizes', f'--output={path}')
    with open(path) as file:
      self.assertEqual(list(json.load(file)['parts']), ['limit'])

  @parameterized.parameters(
      ('--parts=speed', "--parts of .* received 'speed'"),
      ('--vary=num_templates', 'FIELD:VALUE'),
      ('--rounds=0', '1 round or more'),
      ('--original_input', 'no stock network'),
      ('--num_layers=0', 'num_layers'),
      ('--output=/nowhere/x.json', 'name of a new file in a directory'),
      ('--output=.', 'name of a new file in a directory'))
  def test_refuses_before_it_measures(self, argument, message):
    with self.assertRaisesRegex(ValueError, message):
      _run('--parts=', argument)

  def test_configures_the_network(self):
    path = self.get_temp_dir() + '/configured.json'
    _run('--parts=limit', f'--output={path}', '--preset=digits',
         '--num_templates=3', '--clipnorm=2', '--turn_seconds=0.25')
    with open(path) as file:
      report = json.load(file)
    self.assertEqual(report['config']['model']['num_templates'], 3)
    self.assertEqual(report['config']['optimizer']['clipnorm'], 2)
    self.assertEqual(report['config']['preset'], 'digits')
    self.assertEqual(report['turns']['seconds'], 0.25)

  @parameterized.parameters(True, False)
  def test_says_whether_there_is_pytorch(self, installed):
    with mock.patch.multiple(
        pytorch, is_compared=lambda: installed,
        describe=lambda: {'version': '9.9', 'threads': 2}):
      printed = _run('--parts=')
    self.assertEqual(pytorch.MISSING in printed, not installed)
    self.assertEqual('PyTorch 9.9 on 2 threads' in printed, installed)


if __name__ == '__main__':
  tf.test.main()
