"""Tests of `launch.adapt` from the command line."""

import dataclasses
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import parameterized
import PIL.Image
import tensorflow as tf

from launch import adapt
from launch.reports import projections
from launch.testing import in_process
from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import run_options
from trainers.testing import toy_records


class _Called(Exception):
  """The library is called."""


class AdaptTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.source = cls.directory / 'bank'
    toy_records.write_model(
        cls.source, ['optdigits', 'mnist'], shared_head=True)
    (cls.source / records.RESULTS).touch()  # a run that has ended
    cls.enterClassContext(mock.patch.object(  # t-SNE is slow
        projections, 'neighbours',
        lambda x: projections.principal_components(x)[0]))

  def capture(self, *arguments):
    """Arguments of the `adapting.adapt` that the command would call."""
    with (mock.patch.object(adapting, 'adapt', side_effect=_Called) as adapt_,
          self.assertRaises(_Called)):
      in_process.run(adapt, *arguments)
    return adapt_.call_args

  def test_flags_become_an_adaptation(self):
    workdir = self.directory / 'none_yet'
    call = self.capture(
        f'--from={self.source}', f'--workdir={workdir}', '--smoke',
        '--noprogress', '--target=usps', '--method=m3sda', '--init=copy:mnist',
        '--nomove_statistics', '--label_free_score=density',
        '--moment_weight=0.5', '--seed=4', '--learning_rate=0.01')
    expected = adaptation_config.AdaptationConfig(
        source=self.source, target='usps', method='m3sda', init='copy:mnist',
        move_statistics=False, score='density', options={'moment_weight': 0.5})
    self.assertEqual(call, mock.call(
        expected, workdir, run_options.RunOptions(smoke=True, progress=False),
        seed=4, learning_rate=0.01))
    # Resumed, what is not given is as it was.
    with mock.patch.object(adapting, 'read_config', return_value=expected):
      arguments = (f'--workdir={workdir}', '--resume')
      self.assertEqual(self.capture(*arguments).args[0], expected)
      self.assertEqual(
          self.capture(*arguments, '--moment_weight=1').args[0],
          dataclasses.replace(expected, options={'moment_weight': 1.0}))

  def test_a_folder_without_labels(self):
    photos = self.directory / 'photos'
    photos.mkdir()
    for number in range(24):
      PIL.Image.new('L', (8, 8), 10 * number).save(photos / f'{number}.png')
    workdir = self.directory / 'photos_run'
    output = in_process.run(
        adapt, f'--from={self.source}', f'--workdir={workdir}', '--smoke',
        '--noprogress', f'--target=images:{photos}', '--method=source_only',
        '--init=copy:mnist')
    self.assertIn('Begins with copy:mnist, as given.', output)
    self.assertIn(
        f'Classes that are predicted: {workdir / "predictions.csv"}\n', output)
    self.assertTrue((workdir / 'predictions.csv').exists())
    self.assertRegex(output, 'last +- +- +6')
    self.assertRegex(output, 'nothing else has changed')
    self.assertNotIn('Oracle', output)
    for name in ('signatures', 'features'):
      picture = workdir / f'{name}.png'
      self.assertIn(f'Picture of the {name}: {picture}\n', output)
      self.assertTrue(picture.read_bytes().startswith(b'\x89PNG'))
    self.assertEqual(in_process.run(
        adapt, f'--workdir={workdir}', '--resume', '--noprogress'), output)
    with self.assertRaisesRegex(ValueError, r'\(seed: 0 -> 1\)'):
      in_process.run(adapt, f'--workdir={workdir}', '--resume', '--seed=1')

  @parameterized.parameters(
      ('Expected --from, received none', '--target=usps', '--method=im'),
      ('Expected --target, received none', '--from=BANK', '--method=im'),
      ('Expected --method, received none', '--from=BANK', '--target=usps'),
      ("no source, received 'mnist' as both", '--from=BANK', '--target=mnist',
       '--method=im', '--sources=mnist'),
      ('nothing of a source may move', '--from=BANK', '--target=usps',
       '--method=im', '--tune=templates'),
      ('no move_statistics, of which method=source_only', '--from=BANK',
       '--target=usps', '--method=source_only', '--nomove_statistics'),
      ('received moment_weight, which is of m3sda', '--from=BANK',
       '--target=usps', '--method=adda', '--moment_weight=1'),
      ("Expected a run of kind 'adapt'", '--workdir=BANK', '--resume'))
  def test_errors(self, message, *arguments):
    arguments = [argument.replace('BANK', str(self.source))
                 for argument in arguments]
    with self.assertRaisesRegex(ValueError, message):
      in_process.run(adapt, *arguments)

  def test_has_no_flag_that_it_does_not_use(self):
    for name in (*run_config.DECIDED_BY_MODEL, 'num_layers', 'clipnorm',
                 'ema_decay', 'options', 'score'):
      with self.assertRaises(flags.UnrecognizedFlagError):
        in_process.run(adapt, f'--{name}=1')

  def test_help_tells_methods_and_whose_options_are_whose(self):
    self.assertIn('im maximises information and needs no source;',
                  adapt.FLAGS['method'].help)
    self.assertRegex(
        adapt.FLAGS['network_learning_rate'].help,
        'Of adda: .* Default: 0.0002. Of m3sda: .* Default: 0.0001.')
    self.assertStartsWith(adapt.FLAGS['moment_weight'].help, 'Of m3sda: Lambda')


if __name__ == '__main__':
  tf.test.main()
