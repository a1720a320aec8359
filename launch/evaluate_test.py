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

  def test_edits(self):
    flags = [f'--workdir={self.workdir}', '--signature_edit=swap:1:2,drop:1']
    status, table, error = self.run_command(*flags, '--harden')
    self.assertEqual(status, 0, error)
    path = self.workdir / 'edits-test-ema-moved.json'
    found = records.read_json(path)
    self.assertEqual((found['split'], found['weights'], found['steps']),
                     ('test', 'ema', 3))
    self.assertEqual({edit: result['layers']
                      for edit, result in found['edits'].items()},
                     {'harden': [1, 2], 'swap:1:2': [2, 1], 'drop:1': [2]})
    trained = records.read_json(self.workdir / records.RESULTS)['tasks']
    self.assertEqual(
        {name: task['top1'] for name, task in found['trained'][
            'tasks'].items()},
        {name: task['top1'] for name, task in trained.items()})
    hard = found['edits']['harden']['tasks']['mnist']
    self.assertEqual(hard['signature'], trained['mnist']['signature'])
    self.assertNotEqual(hard['loss'], trained['mnist']['loss'])
    change = 100 * (hard['top1'] - trained['mnist']['top1'])
    self.assertIn(['harden', 'mnist', f'{hard["top1"]:.2%}', f'{change:+.2f}',
                   '1-2', hard['signature']],
                  [line.split() for line in table.splitlines()])
    # Others are kept; those of other statistics are elsewhere.
    before = path.read_bytes()
    status, table, error = self.run_command(
        *flags, '--statistics=reestimated')
    self.assertEqual(status, 0, error)
    self.assertEqual(path.read_bytes(), before)
    other = records.read_json(self.workdir / 'edits-test-ema-reestimated.json')
    self.assertCountEqual(other['edits'], ['none', 'swap:1:2', 'drop:1'])
    self.assertNotEqual(other['edits']['drop:1'], found['edits']['drop:1'])
    status, table, error = self.run_command(
        f'--workdir={self.workdir}', '--signature_edit=reverse')
    self.assertEqual(status, 0, error)
    after = records.read_json(path)['edits']
    self.assertEqual(after.pop('reverse'), found['edits']['swap:1:2'])
    self.assertEqual(after, found['edits'])

  def test_between(self):
    status, table, error = self.run_command(
        f'--workdir={self.workdir}', '--points=2', '--between=mnist,optdigits')
    self.assertEqual(status, 0, error)
    path = self.workdir / 'between-test-ema-moved.json'
    line = records.read_json(path)['lines']['mnist to optdigits']
    self.assertEqual([point['t'] for point in line['points']], [0, 1])
    trained = records.read_json(self.workdir / records.RESULTS)['tasks']
    for point, name in zip(line['points'], ('mnist', 'optdigits')):
      self.assertEqual(point['tasks'][name]['signature'],
                       trained[name]['signature'])
      self.assertAlmostEqual(point['tasks'][name]['loss'],
                             trained[name]['loss'], places=5)
    mnist, optdigits = (
        line['points'][0]['tasks'][name] for name in ('mnist', 'optdigits'))
    self.assertIn(
        ['0.00', f'{mnist["top1"]:.2%}', f'{mnist["loss"]:.4f}',
         f'{optdigits["top1"]:.2%}', f'{optdigits["loss"]:.4f}',
         mnist['signature']], [row.split() for row in table.splitlines()])

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
    for message, *flags in (
        ('LAYER from 1 to 2 .*received 0', '--signature_edit=drop:1,swap:0:1'),
        ("Unknown edit 'shift'", '--signature_edit=shift'),
        ('two or more layers', '--signature_edit=drop:1+drop:1'),
        (r'two of the tasks .*received mnist, usps', '--between=mnist,usps'),
        ('two points or more', '--between=mnist,optdigits', '--points=1'),
        ('--statistics is of edited', '--statistics=reestimated')):
      self.assertFails(message, f'--workdir={self.workdir}', *flags)
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
