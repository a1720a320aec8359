"""Tests of `launch.evaluate`, on a run of `launch.train`."""

import pathlib
import tempfile
from unittest import mock

import tensorflow as tf

from launch import evaluate
from launch import train
from launch.testing import in_process
from trainers import evaluating
from trainers.runs import records
from trainers.runs import run_reader


class EvaluateTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.workdir = cls.directory / 'run'
    cls.table = cls.run_command(
        train, smoke='true', tasks='optdigits,mnist', depth_multiplier='0.2',
        num_layers='2', num_templates='2', use_se='false', image_size='8')
    cls.before = records.read_json(cls.workdir / records.RESULTS)
    cls.again = cls.run_command(
        signature_edit='swap:1:2,drop:1', harden='true',
        between='mnist,optdigits', points='2')

  @classmethod
  def run_command(cls, module=evaluate, **values):
    """What the command prints."""
    values = {'workdir': str(cls.workdir), **values}
    return in_process.run(
        module, *(f'--{name}={value}' for name, value in values.items()))

  def test_gives_the_same_numbers_again(self):
    after = records.read_json(self.workdir / 'evaluation-test-ema.json')
    self.assertEqual({**after, 'seconds': 0}, {**self.before, 'seconds': 0})
    self.assertEqual(self.again.splitlines()[:5], self.table.splitlines()[:5])
    self.assertEqual(
        self.before, records.read_json(self.workdir / records.RESULTS))

  def test_other_split_and_weights(self):
    table = self.run_command(split='validation', weights='raw')
    found = records.read_json(self.workdir / 'evaluation-validation-raw.json')
    self.assertEqual((found['split'], found['weights']), ('validation', 'raw'))
    self.assertEqual(
        {task['examples'] for task in found['tasks'].values()}, {3})
    self.assertIn('validation split, raw weights, after 3 steps', table)
    test = records.read_json(self.workdir / records.RESULTS)
    self.assertNotEqual(found['tasks']['mnist']['max_xi'],
                        test['tasks']['mnist']['max_xi'])

  def test_edits(self):
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
                  [line.split() for line in self.again.splitlines()])
    # Those of other statistics are elsewhere.
    before = path.read_bytes()
    self.run_command(
        signature_edit='drop:1', statistics='reestimated', only='mnist')
    self.assertEqual(path.read_bytes(), before)
    other = records.read_json(self.workdir / 'edits-test-ema-reestimated.json')
    self.assertCountEqual(other['edits'], ['none', 'drop:1'])
    self.assertNotEqual(other['edits']['drop:1']['tasks']['mnist'],
                        found['edits']['drop:1']['tasks']['mnist'])
    # Others are kept, and other tasks.
    evaluated = records.read_json(self.workdir / 'evaluation-test-ema.json')
    table = self.run_command(signature_edit='reverse', only='mnist')
    self.assertNotIn('optdigits', table)
    after = records.read_json(path)
    self.assertEqual(after['edits'].pop('reverse')['tasks'], {
        'mnist': found['edits']['swap:1:2']['tasks']['mnist']})
    for key in ('edits', 'trained'):
      self.assertEqual(after[key], found[key])
    self.assertEqual(evaluated, records.read_json(
        self.workdir / 'evaluation-test-ema.json'))
    self.assertCountEqual(evaluated['tasks'], ['optdigits', 'mnist'])
    self.assertLen(run_reader.Run(self.workdir).edits, 2)

  def test_between(self):
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
         mnist['signature']], [row.split() for row in self.again.splitlines()])

  def assert_fails(self, message, **values):
    with self.assertRaisesRegex(ValueError, message):
      self.run_command(**values)

  def test_errors(self):
    self.assert_fails('Expected --workdir', workdir='')
    missing = self.directory / 'missing'
    self.assert_fails('missing, which has no run.json', workdir=str(missing))
    self.assertFalse(missing.exists())
    for message, values in (
        ('LAYER from 1 to 2 .*received 0',
         {'signature_edit': 'drop:1,swap:0:1'}),
        ("Unknown edit 'shift'", {'signature_edit': 'shift'}),
        ('two or more layers', {'signature_edit': 'drop:1+drop:1'}),
        ('two of the tasks .*received mnist, usps', {'between': 'mnist,usps'}),
        ('two points or more', {'between': 'mnist,optdigits', 'points': '1'}),
        ('Expected edited networks for statistics=reestimated',
         {'statistics': 'reestimated'})):
      self.assert_fails(message, **values)

  def test_damaged_results_show_before_time_is_spent(self):
    path = self.workdir / 'evaluation-train-raw.json'
    path.write_text('{}')
    with mock.patch.object(evaluating.results, 'collect') as collect:
      self.assert_fails(f'{path.name}, received one that is damaged',
                        split='train', weights='raw', only='mnist')
    collect.assert_not_called()

  def test_damaged_runs(self):
    copy = self.directory / 'copy'
    copy.mkdir()
    run = (self.workdir / records.RUN).read_text()
    (copy / records.RUN).write_text(run)
    self.assert_fails('received none', workdir=str(copy))
    checkpoint = next((self.workdir / records.CHECKPOINTS).iterdir())
    (copy / records.CHECKPOINTS).mkdir()
    (copy / records.CHECKPOINTS / checkpoint.name).write_bytes(
        checkpoint.read_bytes()[:-1])
    self.assert_fails('damaged or foreign', workdir=str(copy))
    (copy / records.CHECKPOINTS / checkpoint.name).write_bytes(
        checkpoint.read_bytes())
    (copy / records.RUN).write_text(
        run.replace('"num_templates": 2', '"num_templates": 3'))
    self.assert_fails('a checkpoint of this run', workdir=str(copy))
    (copy / records.RUN).write_text(run.replace('"rho"', '"later"'))
    self.assert_fails('of another version', workdir=str(copy))


if __name__ == '__main__':
  tf.test.main()
