"""Tests of the text of a table, from made-up records."""

import pathlib
import shutil
import tempfile

from absl import flags
from absl.testing import absltest
import numpy as np

from launch.tables import table_lines
from launch.tables import trained_rows
from trainers.runs import records
from trainers.testing import toy_records

_TABLE = trained_rows.Table('A table', (
    trained_rows.Row('4/row', 50.0, ('--preset=small',), 'one'),
    trained_rows.Row('other', None, ('--preset=large',), 'one')), ('A note.',))
_TASKS = trained_rows.Table('Tasks', (
    trained_rows.Row(
        'row', {'ONE': '50.0', 'L_CE': '4.5'}, ('--preset=small',)),
), columns={'one': 'ONE', 'two': 'TWO'})
_XI = np.eye(2)


class TableTextTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def write(self, seed, *arguments, row='4_row', tasks=('one',), commit=None,
            **changes):
    path = self.workdir / row / f'seed{seed}'
    toy_records.write_run(
        path, dict.fromkeys(tasks, _XI),
        arguments=[*arguments, f'--seed={seed}', f'--workdir={path}'],
        **changes)
    if commit:
      run = records.read_json(path / records.RUN)
      records.write_json(path / records.RUN,
                         {**run, 'commit': commit, 'dirty': False})
    return path

  def make_rows(self, table):
    text = table_lines.trained(table, self.workdir)
    self.assertNotIn(str(self.workdir), text.split('Left out')[0])
    return [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')][2:], text

  def test_all_finished_runs_are_there(self):
    self.write(10, '--preset=small', top1=0.6, commit='b' * 40)
    self.write(2, '--preset=small', top1=0.5, commit='a' * 40)
    self.write(3, '--preset=small', top1=0.55, commit='b' * 40)
    self.write(4, '--preset=small', finished=False)
    self.write(0, '--preset=small', '--epochs=3', '--data_dir=x', top1=0.7)
    rows, text = self.make_rows(_TABLE)
    command = 'python -m launch.train --preset=small'
    time = '61\N{NO-BREAK SPACE}s'
    self.assertEqual(rows, [
        ['4/row', '50.0', '70.0', '0', '120', time, '5,678', 'c0ffeec+',
         f'`{command} --epochs=3 --seed=0`'],
        ['4/row', '50.0', '50.0 / 55.0 / 60.0', '2, 3, 10', '120', time,
         '5,678', 'aaaaaaa, bbbbbbb', f'`{command} --seed=2`'],
        ['other', *['-'] * 8]])
    self.assertIn('1. A note.', text)
    self.assertIn('Made on: x86_64, 2 cores (1 x CPU).', text)
    self.assertIn('there were uncommitted changes', text)

  def test_other_rows_runs_are_left_out(self):
    path = self.write(0, '--preset=large')
    rows, text = self.make_rows(_TABLE)
    self.assertEqual(rows[0], ['4/row', '50.0', *['-'] * 7])
    self.assertIn(f"Left out, as other commands than the row's made them: "
                  f'{path}.', text)

  def test_empty(self):
    rows, text = self.make_rows(_TABLE)
    self.assertEqual([row[2] for row in rows], ['-', '-'])
    self.assertNotIn('Smoke', text)
    self.write(0, '--preset=small', kind='smoke')
    self.assertIn('Smoke', self.make_rows(_TABLE)[1])

  def train_too(self, path, top1, loss):
    results = records.read_json(path / records.RESULTS)
    for task in results['tasks'].values():
      task.update(top1=top1, loss=loss)
    records.write_json(path / table_lines.TRAINING, results)

  def test_several_tasks(self):
    for seed, top1 in ((0, 0.5), (1, 0.6)):
      path = self.write(seed, '--preset=small', row='row', top1=top1,
                        tasks=('two', 'one'))
      self.train_too(path, 0.9 + seed / 100, 1.25 + seed)
    rows, _ = self.make_rows(_TASKS)
    self.assertEqual(rows[0], ['row', 'paper', '50.0', '-', '4.5', *['-'] * 6])
    self.assertEqual(rows[1][:6], [
        'row', 'ours', *['50.0 / 55.0 / 60.0 (90.5)'] * 2,
        '2.50 / 3.50 / 4.50', '0, 1'])
    # An evaluation of some of the tasks is none.
    training = path / table_lines.TRAINING
    found = records.read_json(training)
    del found['tasks']['one']
    records.write_json(training, found)
    rows, _ = self.make_rows(_TASKS)
    self.assertEqual(rows[1][4], '2.50')

  def test_tasks_of_one_s_own_stand_alone(self):
    self.write(0, '--preset=small', '--tasks=a,b', row='row', tasks=('a', 'b'))
    rows, text = self.make_rows(_TASKS)
    self.assertIn('| row | whose | a | b | L_CE |', text)
    self.assertEqual([row[:5] for row in rows],
                     [['row', 'ours', '50.0', '50.0', '-']])
    # Beside the paper's, all have a column.
    self.write(1, '--preset=small', row='row', tasks=('one', 'two'))
    rows, text = self.make_rows(_TASKS)
    self.assertIn('| ONE | TWO | a | b | L_CE |', text)
    self.assertEqual(
        [row[1:7] for row in rows],
        [['paper', '50.0', '-', '-', '-', '4.5'],
         ['ours', '-', '-', '50.0', '50.0', '-'],
         ['ours', '50.0', '50.0', '-', '-', '-']])
    shutil.rmtree(self.workdir / 'row')
    rows, _ = self.make_rows(_TASKS)
    self.assertEqual([row[1] for row in rows], ['paper', 'ours'])


if __name__ == '__main__':
  absltest.main()
