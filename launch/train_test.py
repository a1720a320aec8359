"""Tests of `launch.train` as it is used: from the command line."""

import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
from unittest import mock

from absl.testing import parameterized
from matplotlib import image as mpl_image
import numpy as np
import tensorflow as tf

from launch import train
from launch.testing import command_server
from launch.testing import in_process
from trainers import training
from trainers.data import catalog
from trainers.data.datasets import builders
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import run_options

_TINY = (
    '--depth_multiplier=0.2', '--num_layers=2', '--num_templates=2',
    '--nouse_se', '--image_size=8')
_STEPS = 160


def read_metrics(workdir):
  """Lines without what depends on the clock."""
  return [{key: value for key, value in line.items()
           if key not in ('images_per_second', 'seconds')}
          for line in records.read_lines(workdir / records.METRICS)]


class _Called(Exception):
  """The library is called."""


class TrainTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    root = pathlib.Path(directory.name)
    cls.data_dir, cls.finished = root / 'data', root / 'run'
    builders.prepare(
        catalog.get_task('optdigits'), str(cls.data_dir), quiet=True)
    cls.flags = (*_TINY, '--tasks=optdigits,kmnist+boundary', '--smoke',
                 '--seed=5', '--warmup_steps=100', '--data_dir=nothing_here')
    cls.status, cls.output, cls.error = command_server.Command(
        'train', *cls.flags, f'--workdir={cls.finished}',
        directory=root).wait()

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)

  def start(self, *flags, name='train', **options):
    return command_server.Command(
        name, *flags, directory=self.directory, **options)

  def run_command(self, *flags, **options):
    """Runs a command that must succeed; returns its standard output."""
    status, output, error = self.start(*flags, **options).wait()
    self.assertEqual(status, 0, error)
    return output

  def assertFails(self, message, *flags, **options):
    """One line says what is wrong."""
    status, output, error = self.start(*flags, **options).wait()
    self.assertEqual(status, 1, error)
    self.assertNotIn('Traceback', error)
    lines = [line for line in error.splitlines() if 'error' in line.lower()]
    self.assertLen(lines, 1, error)
    self.assertRegex(lines[0], f'^error: .*{message}')
    self.assertEqual(output, '')

  def assertSameCheckpoints(self, one, other):
    first, second = (checkpoints.Checkpoints(path / 'checkpoints').load()
                     for path in (one, other))
    self.assertEqual(first[0], second[0])
    self.assertCountEqual(first[1], second[1])
    for key, array in first[1].items():
      self.assertEqual(array.tobytes(), second[1][key].tobytes(), key)

  # Interruption

  def test_interrupted_is_uninterrupted_bit_for_bit(self):
    whole, broken = self.directory / 'whole', self.directory / 'broken'
    flags = [
        *_TINY, '--tasks=optdigits+blur', '--batch_size=8',
        f'--steps={_STEPS}', '--log_every=10', '--eval_every=90',
        '--checkpoint_every=20', '--deterministic', '--dropout=0.3',
        '--clustering=0.01', f'--data_dir={self.data_dir}']
    self.run_command(*flags, f'--workdir={whole}')

    def reached(step):
      return lambda: any(line['step'] >= step for line in records.read_lines(
          broken / records.METRICS))

    command = self.start(*flags, f'--workdir={broken}')
    command_server.wait_for((broken / records.RUN).exists)
    # run.json is there before the first step.
    self.assertFalse(reached(1)())
    command_server.wait_for(reached(50))
    os.kill(command.pid, signal.SIGKILL)
    self.assertEqual(command.wait()[0], -signal.SIGKILL)
    saved = checkpoints.Checkpoints(broken / 'checkpoints').load()[0]
    self.assertEqual(saved % 20, 0)

    resumed = self.start(
        '--resume', f'--workdir={broken}', f'--data_dir={self.data_dir}',
        '--log_every=10', '--eval_every=90', '--checkpoint_every=20')
    command_server.wait_for(reached(90))
    os.kill(resumed.pid, signal.SIGTERM)
    status, output, error = resumed.wait()
    self.assertEqual(status, 128 + signal.SIGTERM)
    self.assertEqual(output, '')
    self.assertRegex(error, 'Stopped by SIGTERM after step .*resume')
    step = checkpoints.Checkpoints(broken / 'checkpoints').load()[0]
    self.assertIn(f'after step {step} of {_STEPS}', error)
    self.assertGreater(step, saved)
    self.assertFalse((broken / records.RESULTS).exists())

    output = self.run_command(
        *flags, f'--workdir={broken}', '--resume')
    self.assertSameCheckpoints(whole, broken)
    results = [records.read_json(path / records.RESULTS)
               for path in (whole, broken)]
    self.assertEqual(results[0]['tasks'], results[1]['tasks'])
    # Every line once, but for those of the steps around an interruption.
    regular, other = read_metrics(whole), read_metrics(broken)
    steps = [(line['step'], 'loss' in line) for line in other]
    self.assertLen(set(steps), len(steps))
    self.assertContainsSubset(
        [(line['step'], 'loss' in line) for line in regular], steps)
    same = [line for line in other if line in regular]
    self.assertGreaterEqual(len(same), len(regular) - 2)
    self.assertLessEqual(len(other), len(regular) + 2)

    # And evaluation finds the same again.
    table = self.run_command(
        f'--workdir={broken}', f'--data_dir={self.data_dir}', name='evaluate')
    self.assertEqual(
        records.read_json(broken / 'evaluation-test-ema.json')['tasks'],
        results[0]['tasks'])
    row = next(line for line in output.splitlines()
               if line.startswith('optdigits+blur'))
    self.assertIn(row, table)

  # Results

  def test_leaves_what_it_promises(self):
    self.assertEqual(self.status, 0, self.error)
    workdir, output = self.finished, self.output
    self.assertCountEqual([path.name for path in workdir.iterdir()], [
        'run.json', 'metrics.jsonl', 'signatures.jsonl', 'results.json',
        'signatures.png', 'checkpoints', 'tensorboard'])
    results = records.read_json(workdir / 'results.json')
    self.assertCountEqual(results['tasks'], ['optdigits', 'kmnist+boundary'])
    for task in results['tasks'].values():
      self.assertEqual(task['examples'], 32)
      self.assertEqual(task['top1'] * 32 % 1, 0)
      self.assertBetween(task['top1'], 0, 1)
      self.assertBetween(task['loss'], 1, 5)
      self.assertEqual(task['own_parameters'], 2 * 2 + 256 * 10 + 10)
      self.assertBetween(task['max_xi'], 0.5, 1)
      self.assertIn(f'{task["top1"]:.2%}', output)
    parameters = results['parameters']
    total = parameters.pop('total')
    parameters.pop('statistics')
    self.assertEqual(sum(parameters.values()), total)
    self.assertEqual(parameters['heads'], 2 * 2570)
    self.assertEqual((results['steps'], results['split'], results['weights']),
                     (3, 'test', 'ema'))
    self.assertGreater(results['seconds'], 0)
    run = records.read_json(workdir / 'run.json')
    self.assertEqual(run['kind'], 'smoke')
    self.assertEqual(run['config']['seed'], 5)
    self.assertIn('--seed=5', run['argv'])
    picture = mpl_image.imread(workdir / 'signatures.png')
    self.assertGreater(min(picture.shape[:2]), 200)
    self.assertGreater(picture[..., :3].std(), 0.01)
    self.assertRegex(output, 'task +top-1 +loss +examples +own parameters')
    self.assertIn(f'{workdir}/signatures.png', output)

  def test_trains_the_default_run_in_a_new_directory(self):
    with (mock.patch.object(training, 'train', side_effect=_Called) as train_,
          self.assertRaises(_Called)):
      in_process.run(train, '--noprogress')
    config, workdir, options, strategy = train_.call_args.args
    self.assertEqual(config, run_config.recipe('default'))
    self.assertRegex(str(workdir), r'^runs/\d{8}-\d{6}')
    self.assertEqual(options, run_options.RunOptions(progress=False))
    self.assertEqual(strategy.num_replicas_in_sync, 1)

  # Bad input

  @parameterized.named_parameters(
      ('task', "received 'mnits': did you mean mnist", '--tasks=mnits'),
      ('no_data', 'mnist: expected the prepared .*: prepare it, or name',
       '--tasks=mnist', '--data_dir=nowhere'),
      ('budget', 'epochs, received both', '--steps=1', '--epochs=1'),
      ('sequence', r'templates \[9\], which are not there', '--num_layers=4',
       '--signature=1-2-2-9'),
      ('replicas', 'a multiple of the 2 replicas', '--strategy=mirrored',
       '--batch_size=3', '--tasks=optdigits'),
      ('heads', 'mnist with 10 and cifar100 with 100', '--smoke',
       '--shared_head', '--tasks=mnist,cifar100'),
      ('resume', 'Expected a workdir', '--workdir=', '--resume'),
      ('workers', 'Expected a workdir', '--workdir=',
       '--strategy=multi_worker'),
      ('tf_config', 'TF_CONFIG', '--strategy=multi_worker'),
      ('warmup', 'below the number of training steps', '--warmup_steps=9',
       '--steps=9', '--tasks=optdigits'),
      ('cadence', 'log_every to be', '--log_every=0'))
  def test_one_error_and_nothing_left(self, message, *flags):
    self.assertFails(
        message, f'--data_dir={self.data_dir}',
        f'--workdir={self.directory}/run', *flags, cpus=2)
    self.assertEqual({path.suffix for path in self.directory.iterdir()},
                     {'.out', '.err'})

  def test_arguments_that_are_no_flags(self):
    status, _, error = self.start('optdigits').wait()
    self.assertEqual(status, 1)
    self.assertIn("Expected flags only, received ['optdigits']", error)

  def test_suggests_another_flag(self):
    status, _, error = self.start('--batchsize=3').wait()
    self.assertEqual(status, 1)
    self.assertIn('Did you mean: batch_size', error)
    self.assertNotIn('Traceback', error)

  def test_never_overwrites(self):
    workdir = self.directory / 'run'
    shutil.copytree(self.finished, workdir)
    flags = [*self.flags, f'--workdir={workdir}']

    def contents():
      return {path: path.read_bytes() for path in workdir.rglob('*')
              if path.is_file()}

    before = contents()
    self.assertFails('holds a run already', *flags)
    self.assertFails('seed: 5 -> 1', *flags, '--resume', '--seed=1')
    self.assertFails("kind 'smoke', expected 'train'", '--resume',
                     f'--workdir={workdir}')
    self.assertFails('the file', '--smoke', f'--workdir={workdir}/run.json')
    checkpoint = next((workdir / 'checkpoints').iterdir())
    whole = checkpoint.read_bytes()
    self.assertEqual(contents(), before)
    # A finished run resumes to the same results.
    results = records.read_json(workdir / records.RESULTS)
    self.run_command(*flags, '--resume')
    again = records.read_json(workdir / records.RESULTS)
    self.assertEqual({**again, 'seconds': 0}, {**results, 'seconds': 0})
    # Damage, one after the other.
    checkpoint.write_bytes(whole[:-100])
    self.assertFails('which is damaged or foreign.*move it away',
                     *flags, '--resume')
    checkpoints.Checkpoints(workdir / 'checkpoints').save(
        3, {'x': np.zeros(2)}, {'config': {}, 'seconds': 1})
    self.assertFails('another configuration', *flags, '--resume')
    (workdir / records.RUN).write_text('{"kind": "sm')
    self.assertFails('run.json, received a damaged file', *flags, '--resume')
    (workdir / records.RUN).unlink()
    self.assertFails('which has no run.json', *flags, '--resume')
    self.assertFails('files but no run.json', *flags)

  # Several devices and processes

  def run_workers(self, *flags):
    """(status, output, error) of two workers, each with its flags."""
    with socket.socket() as one, socket.socket() as two:
      ports = []
      for each in (one, two):
        each.bind(('localhost', 0))
        ports.append(each.getsockname()[1])
    cluster = {'worker': [f'localhost:{port}' for port in ports]}
    workers = [self.start(
        *own, '--strategy=multi_worker',
        f'--workdir={self.directory}/workers',
        state=self.directory / f'worker{index}.npz',
        environment={'TF_CONFIG': json.dumps({
            'cluster': cluster, 'task': {'type': 'worker', 'index': index}})})
               for index, own in enumerate(flags)]
    return [worker.wait() for worker in workers]

  @parameterized.named_parameters(
      ('differ', '--learning_rate=0.5',
       r'Worker 1 would train another run than worker 0 .*rate: .*-> 0.5'),
      ('stop', '--tasks=folder:nowhere', 'Worker 1 has stopped.*nowhere'))
  def test_workers_that(self, flag, message):
    flags = [*_TINY, '--tasks=optdigits', '--steps=2', '--batch_size=8']
    first, second = self.run_workers(flags, [*flags, flag])
    self.assertEqual((first[0], second[0]), (1, 1), first[2])
    self.assertRegex(first[2], message)
    self.assertNotIn('Traceback', first[2] + second[2])
    self.assertFalse((self.directory / 'workers').exists())

  def test_workers_and_replicas_agree(self):
    flags = [*_TINY, '--tasks=optdigits+blur', '--steps=6',
             '--batch_size=8', '--log_every=2', '--eval_every=4',
             '--dropout=0.3', f'--data_dir={self.data_dir}']
    (status, output, error), other = self.run_workers(flags, flags)
    self.assertEqual((status, other[0]), (0, 0), error + other[2])
    # The chief alone writes.
    self.assertIn('optdigits+blur', output)
    self.assertEqual(other[1], '')
    self.assertNotIn('step ', other[2])
    self.run_command(*flags, '--strategy=mirrored',
                     f'--workdir={self.directory}/mirrored', cpus=2,
                     state=self.directory / 'mirrored.npz')
    states = {name: np.load(self.directory / f'{name}.npz')
              for name in ('worker0', 'worker1', 'mirrored')}
    for key in states['worker0']:
      self.assertEqual(states['worker0'][key].tobytes(),
                       states['worker1'][key].tobytes(), key)
      self.assertAllClose(states['worker0'][key], states['mirrored'][key],
                          rtol=1e-2, atol=1e-4, msg=key)
    metrics = [read_metrics(self.directory / name)
               for name in ('workers', 'mirrored')]
    # Were both to write, lines would stand twice.
    self.assertEqual([line['step'] for line in metrics[0]], [2, 4, 4, 6, 6])
    for one, two in zip(*metrics):
      self.assertAllClose(one, two, rtol=1e-2)


if __name__ == '__main__':
  tf.test.main()
