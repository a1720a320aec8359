"""Tests of the tables of training, with records in the place of runs."""

import dataclasses
import pathlib
import shutil
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import table_options
from launch.tables import trained_rows
from launch.tables import trained_tables
from trainers.runs import records
from trainers.runs import results
from trainers.testing import toy_records

_TABLE = trained_rows.Table('A table', (
    trained_rows.Row('4/row', 50.0, {'preset': 'small', 'num_layers': 2},
                     'one'),
    trained_rows.Row('other', None, {'preset': 'large'}, 'one')), ('A note.',))
_TASKS = trained_rows.Table('Tasks', (
    trained_rows.Row(
        'row', {'ONE': '50.0', 'L_CE': '4.5'}, {'preset': 'small'}),
), columns={'one': 'ONE', 'two': 'TWO'})
_XI = np.eye(2)


class TrainedTablesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def make_jobs(self, table, **options):
    return trained_tables.make_jobs(
        table, table_options.TableOptions(self.workdir, **options))

  def write(self, seed, row='4_row', tasks=('one',), commit=None, arguments=(),
            **changes):
    path = self.workdir / row / f'seed{seed}'
    toy_records.write_run(
        path, dict.fromkeys(tasks, _XI),
        arguments=[*arguments, f'--seed={seed}', f'--workdir={path}',
                   '--data_dir=x', '--resume'],
        **{'preset': 'small', 'seed': seed, **changes})
    if commit:
      run = records.read_json(path / records.RUN)
      records.write_json(path / records.RUN,
                         {**run, 'commit': commit, 'dirty': False})
    return path

  def make_rows(self, table):
    text = trained_tables.markdown(table, self.workdir)
    self.assertNotIn(str(self.workdir), text.split('Left out')[0])
    return [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')][2:], text

  @parameterized.parameters((1, 4), (5, 36), (6, 6), (8, 7))
  def test_declarations(self, number, count):
    table = trained_rows.TRAINED[number]
    self.assertLen({row.name for row in table.rows}, len(table.rows))
    rows = [row for row in table.rows if row.paper is not None]
    self.assertLen(rows, count)
    for row in rows:
      model = trained_rows.make_config(row.changes).model
      name = {'softmax': 'mixture'}.get(model.signature, model.signature)
      if number in (5, 6):
        self.assertBetween(row.paper, 60, 68)
        self.assertEqual(
            row.name, f'{model.num_templates}/{model.num_layers}/{name}')
      if number == 8:
        self.assertLen(row.paper, 6)
        self.assertEqual(model.num_layers, 16)
        templates = row.name.split('/')[1] if '/' in row.name else 16
        self.assertEqual(model.num_templates, int(templates))
        self.assertEqual(model.signature_init,
                         'diagonal' if 'diag' in row.name else 'random')
      self.assertEqual(model.original_input, number == 6)

  def test_rows_are_the_paper_s(self):
    self.assertEqual([row.paper for row in trained_rows.TRAINED[1].rows],
                     [68.3, 70.6, 71.7, 72.8])
    rows = {row.name: row.paper for row in trained_rows.TRAINED[5].rows}
    self.assertEqual(
        [rows[f'4/16/{name}']
         for name in ('cyclic', 'sequential', 'random', 'mixture')],
        [63.3, 66.7, 65.1, 66.4])
    models = [trained_rows.make_config(row.changes).model
              for row in trained_rows.TRAINED[8].rows]
    self.assertEqual([model.norm for model in models],
                     ['shared', 'private', 'mixed', *['private'] * 4])
    self.assertEqual([model.signature for model in models],
                     [*['diagonal'] * 2, *['softmax'] * 5])

  def test_rows_get_the_changes_that_they_have_a_use_for(self):
    changes = {'clustering': 0.1, 'epochs': 8.0, 'mixture_lr_multiplier': 2.0}
    mixture, cyclic = self.make_jobs(
        trained_rows.TRAINED[5], rows=['4/16/mixture', '4/16/cyclic'],
        changes=changes)
    self.assertContainsSubset(changes.items(), mixture.changes.items())
    self.assertEqual(mixture.config['clustering'], 0.1)
    self.assertEqual(mixture.config['model']['num_layers'], 16)
    self.assertEqual({name for name in cyclic.changes if name in changes},
                     {'epochs'})
    self.assertEqual(cyclic.config['epochs'], 8)
    with self.assertRaisesRegex(ValueError, '--clustering cannot .* no use'):
      self.make_jobs(trained_rows.TRAINED[5], rows=['4/16/cyclic'],
                     changes={'clustering': 0.1})

  def test_data_of_table_8_may_be_one_s_own(self):
    run, evaluation = self.make_jobs(
        trained_rows.TRAINED[8], rows=['simple'],
        changes={'tasks': ('mnist', 'usps')})
    self.assertEqual(run.config['tasks'], ['mnist', 'usps'])
    self.assertEqual(run.path, evaluation.path)
    self.assertEqual(
        (evaluation.command, evaluation.changes, evaluation.makes,
         evaluation.begins_run),
        ('launch.evaluate', {'split': 'train'}, 'evaluation-train-ema.json',
         False))

  @parameterized.parameters(
      ({'changes': {'num_layers': 9}}, '--num_layers cannot be given'),
      ({'changes': {'tasks': ('mnist',)}}, '--tasks cannot be given'),
      ({'changes': {'norm': 'mix'}}, 'norm .*one of'),
      ({'changes': {'seed': 7}}, 'received 7: give seeds'),
      ({'seeds': (0, 0)}, 'seeds that are whole numbers and differ'),
      ({'seeds': (-1,)}, 'seeds that are whole numbers and differ'),
      ({'rows': ['nothing']}, r"'other'\], where .* received \['nothing'\]"))
  def test_what_rows_decide_is_refused(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      self.make_jobs(_TABLE, **options)

  def test_all_finished_runs_are_there(self):
    self.write(10, top1=0.6, commit='b' * 40)
    self.write(2, top1=0.5, commit='a' * 40, arguments=['--preset=small'])
    self.write(3, top1=0.55, commit='b' * 40)
    self.write(4, finished=False)
    self.write(0, epochs=3, top1=0.7, arguments=['--epochs=3'])
    rows, text = self.make_rows(_TABLE)
    command = 'python -m launch.train'
    time = '61\N{NO-BREAK SPACE}s'
    self.assertEqual(rows, [
        ['4/row', '50.0', '70.0', '0', '120', time, '5,678', 'c0ffeec+',
         f'`{command} --epochs=3 --seed=0`'],
        ['4/row', '50.0', '50.0 / 55.0 / 60.0', '2, 3, 10', '120', time,
         '5,678', 'aaaaaaa, bbbbbbb', f'`{command} --preset=small --seed=2`'],
        ['other', *['-'] * 8]])
    self.assertIn('1. A note.', text)
    self.assertIn('Made on: x86_64, 2 cores (1 x CPU).', text)
    self.assertIn('there were uncommitted changes', text)

  def test_other_rows_runs_are_left_out(self):
    paths = [self.write(0, preset='large'), self.write(
        1, signature='cyclic', num_layers=3, config=trained_rows.make_config(
            {'preset': 'small', 'num_layers': 3}).to_json())]
    rows, text = self.make_rows(_TABLE)
    self.assertEqual(rows[0], ['4/row', '50.0', *['-'] * 7])
    self.assertIn('Left out, as they are not what the row declares: '
                  f'{paths[0]}, {paths[1]}.', text)

  def test_empty(self):
    rows, text = self.make_rows(_TABLE)
    self.assertEqual([row[2] for row in rows], ['-', '-'])
    self.assertNotIn('Smoke', text)
    self.write(0, kind='smoke')
    self.assertIn('Smoke', self.make_rows(_TABLE)[1])

  def train_too(self, path, top1, loss):
    found = results.read(path / records.RESULTS)
    results.write(path / trained_tables.TRAINING, dataclasses.replace(
        found, tasks={name: dataclasses.replace(task, top1=top1, loss=loss)
                      for name, task in found.tasks.items()}))

  def test_several_tasks(self):
    for seed, top1 in ((0, 0.5), (1, 0.6)):
      path = self.write(seed, row='row', top1=top1, tasks=('two', 'one'))
      self.train_too(path, 0.9 + seed / 100, 1.25 + seed)
    rows, _ = self.make_rows(_TASKS)
    self.assertEqual(rows[0], ['row', 'paper', '50.0', '-', '4.5', *['-'] * 6])
    self.assertEqual(rows[1][:6], [
        'row', 'ours', *['50.0 / 55.0 / 60.0 (90.5)'] * 2,
        '2.50 / 3.50 / 4.50', '0, 1'])
    # An evaluation of some of the tasks is none.
    training = path / trained_tables.TRAINING
    found = results.read(training)
    results.write(training, dataclasses.replace(
        found, tasks={'two': found.tasks['two']}))
    rows, _ = self.make_rows(_TASKS)
    self.assertEqual(rows[1][4], '2.50')

  def test_tasks_of_one_s_own_stand_alone(self):
    self.write(0, row='row', tasks=('a', 'b'))
    rows, text = self.make_rows(_TASKS)
    self.assertIn('| row | whose | a | b | L_CE |', text)
    self.assertEqual([row[:5] for row in rows],
                     [['row', 'ours', '50.0', '50.0', '-']])
    # Beside the paper's, all have a column.
    self.write(1, row='row', tasks=('one', 'two'))
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
