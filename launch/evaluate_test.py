"""Tests of `launch.evaluate` from the command line."""

import pathlib
import tempfile

from absl.testing import absltest

from launch import command_server
from trainers import records


class EvaluateTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.workdir = cls.directory / 'run'
    status, cls.table, error = cls.run_command(
        '--smoke', '--tasks=optdigits,mnist', '--depth_multiplier=0.2',
        '--num_layers=2', '--num_templates=2', '--nouse_se', '--image_size=8',
        f'--workdir={cls.workdir}', name='train')
    assert status == 0, error

  @classmethod
  def run_command(cls, *flags, name='evaluate'):
    return command_server.Command(
        name, *flags, directory=cls.directory).wait()

  def test_gives_the_same_numbers_again(self):
    before = records.read_json(self.workdir / records.RESULTS)
    status, table, error = self.run_command(f'--workdir={self.workdir}')
    self.assertEqual(status, 0, error)
    after = records.read_json(self.workdir / 'evaluation-test-ema.json')
    self.assertEqual({**after, 'seconds': 0}, {**before, 'seconds': 0})
    self.assertEqual(table.splitlines()[:5], self.table.splitlines()[:5])
    self.assertEqual(
        before, records.read_json(self.workdir / records.RESULTS))

  def test_other_split_and_weights(self):
    status, table, error = self.run_command(
        f'--workdir={self.workdir}', '--split=validation', '--weights=raw')
    self.assertEqual(status, 0, error)
    found = records.read_json(self.workdir / 'evaluation-validation-raw.json')
    self.assertEqual((found['split'], found['weights']), ('validation', 'raw'))
    self.assertEqual(
        {task['examples'] for task in found['tasks'].values()}, {3})
    self.assertIn('validation split, raw weights, after 3 steps', table)
    test = records.read_json(self.workdir / records.RESULTS)
    self.assertNotEqual(found['tasks']['mnist']['max_xi'],
                        test['tasks']['mnist']['max_xi'])

  def assertFails(self, message, *flags):
    status, output, error = self.run_command(*flags)
    self.assertEqual((status, output), (1, ''))
    self.assertNotIn('Traceback', error)
    lines = [line for line in error.splitlines() if line.startswith('error:')]
    self.assertLen(lines, 1, error)
    self.assertRegex(lines[0], message)

  def test_errors(self):
    self.assertFails('Expected --workdir')
    missing = self.directory / 'missing'
    self.assertFails('missing, which has no run.json', f'--workdir={missing}')
    self.assertFalse(missing.exists())
    copy = self.directory / 'copy'
    copy.mkdir()
    run = (self.workdir / records.RUN).read_text()
    (copy / records.RUN).write_text(run)
    self.assertFails('received none', f'--workdir={copy}')
    checkpoint = next((self.workdir / records.CHECKPOINTS).iterdir())
    (copy / records.CHECKPOINTS).mkdir()
    (copy / records.CHECKPOINTS / checkpoint.name).write_bytes(
        checkpoint.read_bytes()[:-1])
    self.assertFails('damaged or foreign', f'--workdir={copy}')
    (copy / records.CHECKPOINTS / checkpoint.name).write_bytes(
        checkpoint.read_bytes())
    (copy / records.RUN).write_text(
        run.replace('"num_templates": 2', '"num_templates": 3'))
    self.assertFails('a checkpoint of this run', f'--workdir={copy}')
    (copy / records.RUN).write_text(run.replace('"rho"', '"later"'))
    self.assertFails('of another version', f'--workdir={copy}')


if __name__ == '__main__':
  absltest.main()
