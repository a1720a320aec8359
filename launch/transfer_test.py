"""Tests of `launch.transfer` from the command line."""

import os
import pathlib
import shutil
import signal
import tempfile

from absl.testing import parameterized
import tensorflow as tf

from launch import transfer
from launch.testing import command_server
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import saved_models
from trainers.testing import toy_records

_FLAGS = ('--smoke', '--task=usps')
_LEARNED = ('--init=learned', '--deterministic', '--tune=head,mixture',
            '--seed=4')


class TransferTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.source = cls.directory / 'source'
    toy_records.write_model(
        cls.source, ['optdigits', 'mnist'], shared_head=True)
    cls.before = {path: path.read_bytes() for path in cls.source.rglob('*')
                  if path.is_file()}
    cls.learned = cls.directory / 'learned'
    status, cls.output, cls.error = command_server.Command(
        'transfer', *_FLAGS, f'--from={cls.source}', *_LEARNED,
        f'--workdir={cls.learned}', directory=cls.directory).wait()
    assert status == 0, cls.error

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
    self.assertCountEqual([path.name for path in self.learned.iterdir()], [
        'run.json', 'metrics.jsonl', 'signatures.jsonl', 'results.json',
        'signatures.png', 'checkpoints', 'tensorboard', 'initial.json'])
    for path, content in self.before.items():
      self.assertEqual(path.read_bytes(), content, path)
    run = records.read_run(self.learned)
    self.assertEqual(run['kind'], 'smoke')
    self.assertCountEqual(run['data'], ['optdigits', 'mnist', 'usps'])
    self.assertEqual(run['config']['seed'], 4)
    self.assertEqual(run['config']['transfer']['init'], 'learned')
    self.assertEqual(run['config']['origin'],
                     saved_models.load(self.source).origin())
    self.assertIn('has no results.json: its run has not ended', self.error)
    found = records.read_json(self.learned / records.RESULTS)
    self.assertEqual(list(found['tasks']), ['usps'])
    self.assertEqual(found['tasks']['usps']['examples'], 32)
    for part in (found['initial'], found['validation']['initial'],
                 found['validation']['final']):
      self.assertBetween(part['usps']['top1'], 0, 1)
    facts = found['transfer']
    self.assertAllClose(sum(facts['coefficients'].values()), 1)
    self.assertEqual((facts['head_shared_with'], facts['initial_head']),
                     ([], 'shared'))
    self.assertIn('head: its own, a copy;', self.output)
    self.assertEqual(facts['tune'], ['head', 'mixture'])
    own = 2 * 2 + 16 * 10 + 10
    self.assertEqual((facts['own_parameters'], facts['tuned_parameters']),
                     (own, own))
    self.assertEqual((facts['from'], facts['task'], facts['name']),
                     (str(self.source), 'usps', 'usps'))
    self.assertEqual(facts['origin'], run['config']['origin'])
    for name, c in facts['coefficients'].items():
      self.assertRegex(self.output, rf'(?m)^{name} +{c:.4f}$')
    initial = found['initial']['usps']['top1']
    self.assertRegex(self.output, f'(?m)^usps +test +{initial:.2%}')
    self.assertIn(f'{own} parameters of its own', self.output)
    # Older tasks are as they were, bit for bit.
    old, new = self.arrays(self.source), self.arrays(self.learned)
    for name, array in old.items():
      self.assertEqual(new[name].tobytes(), array.tobytes(), name)
    self.assertNotEmpty(set(new) - set(old))

  def test_can_be_evaluated_and_begun_from_again(self):
    evaluated = self.directory / 'evaluated'
    shutil.copytree(self.learned, evaluated)
    table = self.run_command(
        f'--workdir={evaluated}', '--only=mnist,usps', name='evaluate')
    self.assertRegex(table, '(?m)^usps ')
    self.assertNotIn('optdigits', table)
    self.assertEqual(
        records.read_json(evaluated / 'evaluation-test-ema.json')[
            'tasks']['usps'],
        records.read_json(self.learned / records.RESULTS)['tasks']['usps'])
    second = self.directory / 'second'
    self.run_command(
        '--smoke', f'--from={self.learned}', '--task=usps',
        '--name=usps again', '--init=copy:usps', '--head=own',
        '--examples_per_class=1', f'--workdir={second}',
        '--tune=templates,head')
    self.assertIn('outputs of the older tasks will change', self.error)
    self.assertNotIn('has not ended', self.error)
    facts = records.read_json(second / records.RESULTS)['transfer']
    self.assertEqual(facts['initial_head'], 'untrained')
    saved = saved_models.load(second)
    self.assertEqual(list(saved.model.tasks),
                     ['optdigits', 'mnist', 'usps', 'usps again'])
    self.assertEqual(saved.tasks['usps again']['dataset'], 'usps')
    data = saved.load_data(tasks=['usps again'], splits=('train',))
    self.assertEqual(data['usps again'].num_examples('train'), 10)

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

  @parameterized.parameters(
      ('shared', ['mnist'], [], 'usps, shared with mnist', []),
      ('shared', [], ['head'], 'its own, a copy', []),
      ('untrained', [], ['all'], 'its own, untrained', ['older tasks']),
      ('untrained', [], [], 'its own, untrained', ['accuracy is by chance']))
  def test_says_how_the_head_begins(self, initial, shared, tune, head, warned):
    start = {
        'init': 'uniform', 'scored_by': None, 'scores': None, 'copied': None,
        'coefficients': None, 'statistics': 'copy', 'tune': tune,
        'head': 'usps', 'head_shared_with': shared, 'initial_head': initial}
    self.assertIn(f'; head: {head}; tuned: ', transfer.format_start(start))
    found = transfer.warnings(start)
    self.assertLen(found, len(warned))
    for text, expected in zip(found, warned):
      self.assertIn(expected, text)

  def assertSameRun(self, workdir):
    """It is as `learned`, which nothing has interrupted, bit for bit."""
    for weights in ('raw', 'ema'):
      expected = self.arrays(self.learned, weights)
      for name, array in self.arrays(workdir, weights).items():
        self.assertEqual(array.tobytes(), expected[name].tobytes(), name)
    one, other = (
        {**records.read_json(path / records.RESULTS), 'seconds': 0}
        for path in (self.learned, workdir))
    self.assertEqual(one, other)

  def test_resumed_is_uninterrupted(self):
    broken = self.directory / 'broken'
    shutil.copytree(self.learned, broken)
    (broken / records.RESULTS).unlink()
    (broken / 'checkpoints/checkpoint-00000003.safetensors').unlink()
    self.assertEqual(
        [path.name for path in (broken / 'checkpoints').iterdir()],
        ['checkpoint-00000000.safetensors'])
    self.run_command(f'--workdir={broken}', '--resume')
    self.assertSameRun(broken)

  def test_killed_while_it_begins(self):
    workdir = self.directory / 'killed'
    command = self.start(
        *_FLAGS, *_LEARNED, f'--from={self.source}', f'--workdir={workdir}')
    command_server.wait_for((workdir / records.RUN).exists)
    os.kill(command.pid, signal.SIGKILL)
    self.assertEqual(command.wait()[0], -signal.SIGKILL)
    self.assertFalse((workdir / 'initial.json').exists())
    # It begins again, from the same model only.
    run = records.read_run(workdir)
    origin = {**run['config']['origin'], 'fingerprint': '0'}
    records.write_json(workdir / records.RUN, {
        **run, 'config': {**run['config'], 'origin': origin}})
    status, _, error = self.start(f'--workdir={workdir}', '--resume').wait()
    self.assertEqual(status, 1)
    self.assertRegex(error, 'source as it was when the run began')
    records.write_json(workdir / records.RUN, run)
    self.run_command(f'--workdir={workdir}', '--resume')
    self.assertSameRun(workdir)

  @parameterized.parameters(
      ('--from is needed', '--task=usps'),
      ('--task is needed', '--from=SOURCE'),
      ('has no run.json', '--from=nowhere', '--task=usps'),
      ('made-up images: add --smoke', '--from=SOURCE', '--task=usps'),
      ('--num_layers cannot be given', '--from=SOURCE', '--task=usps',
       '--smoke', '--num_layers=3'),
      ('warmup_steps to be below', '--from=SOURCE', '--task=usps', '--smoke',
       '--warmup_steps=3'),
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
