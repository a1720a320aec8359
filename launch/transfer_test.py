"""Tests of `launch.transfer` from the command line."""

import os
import pathlib
import shutil
import signal
import tempfile

from absl.testing import parameterized
import tensorflow as tf

from launch import command_server
from trainers import checkpoints
from trainers import records
from trainers import saved_models

_FLAGS = ('--smoke', '--task=usps')


class TransferTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.source = cls.directory / 'source'
    status, _, error = command_server.Command(
        'train', '--smoke', '--tasks=optdigits,mnist', '--shared_head',
        '--depth_multiplier=0.2', '--num_layers=2', '--num_templates=2',
        '--nouse_se', '--image_size=8', '--deterministic',
        f'--workdir={cls.source}', directory=cls.directory).wait()
    assert status == 0, error

  def start(self, *flags, name='transfer'):
    return command_server.Command(name, *flags, directory=self.directory)

  def run_command(self, *flags, **options):
    status, output, error = self.start(*flags, **options).wait()
    self.assertEqual(status, 0, error)
    self.error = error
    return output

  def transfer(self, name, *flags):
    """(its directory, standard output)."""
    workdir = self.directory / name
    return workdir, self.run_command(
        *_FLAGS, f'--from={self.source}', f'--workdir={workdir}', *flags)

  def arrays(self, workdir, weights='ema'):
    return checkpoints.snapshot(
        saved_models.load(workdir, weights).model.named_variables())

  def test_leaves_what_it_promises(self):
    before = {path: path.read_bytes() for path in self.source.rglob('*')
              if path.is_file()}
    workdir, output = self.transfer(
        'learned', '--init=learned', '--seed=4', '--score_examples=20,20')
    self.assertCountEqual([path.name for path in workdir.iterdir()], [
        'run.json', 'metrics.jsonl', 'signatures.jsonl', 'results.json',
        'signatures.png', 'checkpoints', 'tensorboard', 'initial.json'])
    for path, content in before.items():
      self.assertEqual(path.read_bytes(), content, path)
    run = records.read_run(workdir)
    self.assertEqual(run['kind'], 'smoke')
    self.assertCountEqual(run['data'], ['optdigits', 'mnist', 'usps'])
    self.assertEqual(run['config']['seed'], 4)
    self.assertEqual(run['config']['transfer']['init'], 'learned')
    found = records.read_json(workdir / records.RESULTS)
    self.assertEqual(list(found['tasks']), ['usps'])
    self.assertEqual(found['tasks']['usps']['examples'], 32)
    for part in (found['initial'], found['validation']['initial'],
                 found['validation']['final']):
      self.assertBetween(part['usps']['top1'], 0, 1)
    facts = found['transfer']
    self.assertAllClose(sum(facts['coefficients'].values()), 1)
    self.assertEqual(facts['head_shared_with'], ['optdigits', 'mnist'])
    self.assertEqual(facts['tune'], ['norm', 'mixture'])
    self.assertEqual(facts['added_parameters'], 2 * 2)
    self.assertEqual(facts['tuned_parameters'], facts['own_parameters'])
    self.assertEqual((facts['from'], facts['task'], facts['name']),
                     (str(self.source), 'usps', 'usps'))
    for name, c in facts['coefficients'].items():
      self.assertRegex(output, rf'(?m)^{name} +{c:.4f}$')
    initial = found['initial']['usps']['top1']
    self.assertRegex(output, f'(?m)^usps +test +{initial:.2%}')
    self.assertIn(f'{facts["own_parameters"]:,} parameters of its own', output)
    # Older tasks are as they were, bit for bit.
    old, new = self.arrays(self.source), self.arrays(workdir)
    for name, array in old.items():
      self.assertEqual(new[name].tobytes(), array.tobytes(), name)
    self.assertNotEmpty(set(new) - set(old))
    # It can be evaluated, and begun from again.
    table = self.run_command(f'--workdir={workdir}', name='evaluate')
    again = records.read_json(workdir / 'evaluation-test-ema.json')
    self.assertEqual(again['tasks']['usps'], found['tasks']['usps'])
    self.assertEqual(
        again['tasks']['mnist'],
        records.read_json(self.source / records.RESULTS)['tasks']['mnist'])
    self.assertRegex(table, '(?m)^usps ')
    table = self.run_command(
        f'--workdir={workdir}', '--only=mnist,usps', '--harden',
        name='evaluate')
    self.assertNotIn('optdigits', table)
    self.run_command(
        '--smoke', f'--from={workdir}', '--task=usps', '--name=usps again',
        '--init=copy:usps', '--head=own', '--examples_per_class=1',
        f'--workdir={self.directory / "second"}', '--tune=templates,head')
    self.assertIn('outputs of the older tasks will change', self.error)
    second = saved_models.load(self.directory / 'second')
    self.assertEqual(list(second.model.tasks),
                     ['optdigits', 'mnist', 'usps', 'usps again'])
    self.assertEqual(second.tasks['usps again']['dataset'], 'usps')
    self.assertEqual(
        second.tasks['usps again']['splits']['train']['examples'], 10)
    self.run_command(
        f'--workdir={self.directory / "second"}', '--only=usps again',
        '--split=train', name='evaluate')

  def test_nothing_tuned_is_the_beginning(self):
    workdir, output = self.transfer('none', '--tune=none', '--init=best')
    found = records.read_json(workdir / records.RESULTS)
    for key, value in found['initial']['usps'].items():
      self.assertEqual(found['tasks']['usps'][key], value)
    self.assertEqual((found['steps'], found['transfer']['tuned_parameters']),
                     (0, 0))
    facts = found['transfer']
    self.assertEqual(facts['scored_by'], 'path')
    self.assertIn(f'copied from {facts["copied"]}', output)
    one, other = (found['validation'][key]['usps']['top1']
                  for key in ('initial', 'final'))
    self.assertEqual(one, other)
    self.assertEqual(facts['scores'][facts['copied']], one)
    again = self.run_command(f'--workdir={workdir}', '--resume', '--smoke')
    self.assertEqual(again, output)

  def test_resumed_is_uninterrupted_bit_for_bit(self):
    flags = ('--init=learned', '--deterministic', '--tune=head,mixture')
    whole, _ = self.transfer('whole', *flags)  # with checkpoints 0 and 3
    for last in (0, None):
      broken = self.directory / f'broken{last}'
      shutil.copytree(whole, broken)
      (broken / records.RESULTS).unlink()
      (broken / 'checkpoints/checkpoint-00000003.npz').unlink()
      if last is None:  # killed as it began
        (broken / 'checkpoints/checkpoint-00000000.npz').unlink()
        (broken / 'initial.json').unlink()
      self.assertEqual(
          [path.name for path in (broken / 'checkpoints').iterdir()],
          [] if last is None else ['checkpoint-00000000.npz'])
      self.run_command(f'--workdir={broken}', '--resume')
      for weights in ('raw', 'ema'):
        expected = self.arrays(whole, weights)
        for name, array in self.arrays(broken, weights).items():
          self.assertEqual(array.tobytes(), expected[name].tobytes(), name)
      one, other = (
          {**records.read_json(path / records.RESULTS), 'seconds': 0}
          for path in (whole, broken))
      self.assertEqual(one, other)

  def test_killed_while_it_begins(self):
    workdir = self.directory / 'killed'
    command = self.start(
        *_FLAGS, f'--from={self.source}', f'--workdir={workdir}',
        '--tune=head')
    command_server.wait_for((workdir / records.RUN).exists)
    os.kill(command.pid, signal.SIGKILL)
    self.assertEqual(command.wait()[0], -signal.SIGKILL)
    self.run_command(f'--workdir={workdir}', '--resume')
    self.assertEqual(
        records.read_json(workdir / records.RESULTS)['steps'], 3)

  @parameterized.parameters(
      ('--from is needed', '--task=usps'),
      ('--task is needed', '--from=SOURCE'),
      ('has no run.json', '--from=nowhere', '--task=usps'),
      ('made-up images: add --smoke', '--from=SOURCE', '--task=usps'),
      ("a task 'mnist' already.*--name", '--from=SOURCE', '--task=mnist',
       '--smoke'),
      ('Expected a data set of', '--from=SOURCE', '--task=nist', '--smoke'),
      ('--num_layers cannot be given', '--from=SOURCE', '--task=usps',
       '--smoke', '--num_layers=3'),
      ("Expected one of the tasks .*'svhn'", '--from=SOURCE', '--task=usps',
       '--smoke', '--init=copy:svhn'),
      ("Head 'shared' has the 10 classes", '--from=SOURCE',
       '--task=emnist/letters', '--smoke', '--head=shared'),
      ('--score_examples must be two', '--from=SOURCE', '--task=usps',
       '--score_examples=x'),
      ('holds a run of kind|resume it with that', '--workdir=SOURCE',
       '--resume'))
  def test_errors(self, message, *flags):
    flags = [flag.replace('SOURCE', str(self.source)) for flag in flags]
    if not any(flag.startswith('--workdir') for flag in flags):
      flags.append(f'--workdir={self.directory / "none_yet"}')
    status, output, error = self.start(*flags).wait()
    self.assertEqual((status, output), (1, ''), error)
    self.assertNotIn('Traceback', error)
    lines = [line for line in error.splitlines() if line.startswith('error:')]
    self.assertLen(lines, 1, error)
    self.assertRegex(lines[0], message)
    self.assertFalse((self.directory / 'none_yet').exists())

  def test_taken_workdir(self):
    status, _, error = self.start(
        *_FLAGS, f'--from={self.source}', f'--workdir={self.source}').wait()
    self.assertEqual(status, 1)
    self.assertRegex(error, 'holds a run already')


if __name__ == '__main__':
  tf.test.main()
