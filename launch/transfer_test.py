"""Tests of `launch.transfer` from the command line."""

import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import parameterized
import tensorflow as tf

from launch import transfer
from launch.testing import in_process
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.testing import toy_records
from trainers.transfer import transfer_start

_FLAGS = ('--smoke', '--task=usps', '--init=learned', '--deterministic',
          '--tune=head,mixture', '--seed=4')


class _Killed(BaseException):
  """As a signal that nothing can catch."""


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
    (cls.source / records.RESULTS).touch()  # a run that has ended warns not
    cls.learned = cls.directory / 'learned'
    cls.output = in_process.run(
        transfer, *_FLAGS, f'--from={cls.source}', f'--workdir={cls.learned}',
        '--noprogress')

  def test_flags_become_a_transfer(self):
    run = records.read_run(self.learned)
    asked = run['config']['transfer']
    self.assertEqual(
        (asked['source'], asked['dataset'], asked['init'], asked['tune']),
        (str(self.source), 'usps', 'learned', ['head', 'mixture']))
    self.assertEqual((run['kind'], run['config']['seed']), ('smoke', 4))

  def test_shows_what_it_found(self):
    found = results.read(self.learned / records.RESULTS)
    for name, c in found.transfer.start.coefficients.items():
      self.assertRegex(self.output, rf'(?m)^{name} +{c:.4f}$')
    self.assertIn('head: its own, a copy; tuned: head, mixture.', self.output)
    initial = found.initial['usps'].top1
    self.assertRegex(self.output, f'(?m)^usps +test +{initial:.2%}')
    self.assertIn(f'{2 * 2 + 16 * 10 + 10} parameters of its own', self.output)
    picture = self.learned / 'signatures.png'
    self.assertIn(f'signatures: {picture}\n', self.output)
    self.assertGreater(picture.stat().st_size, 0)

  def test_a_resumed_run_keeps_flags_that_are_not_given(self):
    workdir = self.directory / 'none'
    output = in_process.run(
        transfer, '--smoke', '--task=usps', '--name=x', '--tune=none',
        f'--from={self.source}', f'--workdir={workdir}')
    again = in_process.run(
        transfer, '--resume', '--name=x', f'--workdir={workdir}')
    self.assertEqual(again, output)
    with self.assertRaisesRegex(ValueError, "transfer.name: 'x' -> 'y'"):
      in_process.run(transfer, '--resume', '--name=y', f'--workdir={workdir}')

  def test_killed_while_it_begins(self):
    workdir = self.directory / 'killed'
    with (mock.patch.object(transfer_start, 'begin', side_effect=_Killed),
          self.assertRaises(_Killed)):
      in_process.run(transfer, *_FLAGS, f'--from={self.source}',
                     f'--workdir={workdir}', '--noprogress')
    self.assertTrue((workdir / records.RUN).exists())
    self.assertFalse((workdir / 'initial.json').exists())
    # It begins again, from the same model only.
    resume = f'--workdir={workdir}', '--resume', '--noprogress'
    run = records.read_run(workdir)
    origin = {**run['config']['origin'], 'fingerprint': '0'}
    records.write_json(workdir / records.RUN, {
        **run, 'config': {**run['config'], 'origin': origin}})
    with self.assertRaisesRegex(ValueError, 'as it was when the run began'):
      in_process.run(transfer, *resume)
    records.write_json(workdir / records.RUN, run)
    in_process.run(transfer, *resume)
    for weights in saved_models.WEIGHTS:
      one, other = (checkpoints.snapshot(
          saved_models.load(path, weights).model.named_variables())
                    for path in (self.learned, workdir))
      for name, array in one.items():
        self.assertEqual(other[name].tobytes(), array.tobytes(), name)
    one, other = (
        {**records.read_json(path / records.RESULTS), 'seconds': 0}
        for path in (self.learned, workdir))
    self.assertEqual(one, other)

  @parameterized.parameters(
      ('Expected --from, received none: Work directory', '--task=usps'),
      ('Expected --task, received none: Data set', '--from=SOURCE'),
      ('has no run.json', '--from=nowhere', '--task=usps'),
      ('--score_examples to be of ints', '--from=SOURCE', '--task=usps',
       '--score_examples=x'),
      ('score_examples to be a list of 2', '--from=SOURCE',
       '--task=usps', '--score_examples=3'),
      ('one of kind .train.: resume it as', '--workdir=SOURCE', '--resume'),
      ('holds a run already', '--workdir=SOURCE', '--from=SOURCE', '--smoke',
       '--task=usps'))
  def test_errors(self, message, *arguments):
    arguments = [argument.replace('SOURCE', str(self.source))
                 for argument in arguments]
    if not any(argument.startswith('--workdir') for argument in arguments):
      arguments.append(f'--workdir={self.directory / "none_yet"}')
    with self.assertRaisesRegex(ValueError, message):
      in_process.run(transfer, *arguments)
    self.assertFalse((self.directory / 'none_yet').exists())

  def test_has_no_flags_that_the_model_decides(self):
    for name in ('num_layers', 'tasks', 'shared_head', 'precision', 'preset'):
      with self.assertRaisesRegex(flags.Error, f"line flag '{name}'"):
        in_process.run(transfer, f'--{name}=3')

  def test_help_says_defaults(self):
    for name, expected in (
        ('init', 'Default: best.'), ('init_steps', 'Default: 200.'),
        ('steps', 'Default: 500.'), ('warmup_steps', 'Default: 0.'),
        ('batch_size', "Default: the largest of the model's tasks."),
        ('seed', 'Default: as the model was trained.'),
        ('augmentation', 'training. Default: as the model was trained.'),
        ('tune', 'Default: head, norm, mixture; without the head where')):
      self.assertIn(expected, transfer.FLAGS[name].help)


if __name__ == '__main__':
  tf.test.main()
