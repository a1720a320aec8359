"""Tests of the paper's tables."""

import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import flagsaver
from absl.testing import parameterized
import tensorflow as tf

from launch import reproduce
from launch.tables import trained_rows
from launch.tables import transfer_rows
from mixture_modules.isometric import isometric_config

_TINY = trained_rows.Table('A table', (
    trained_rows.Row('tiny/row', 50.0, (
        '--tasks=optdigits', '--num_layers=2', '--num_templates=2',
        '--depth_multiplier=0.2', '--image_size=8', '--nouse_se'),
                     'optdigits'),
    trained_rows.Row('other', None, ('--tasks=mnist',), 'mnist')), ('A note.',))


class ReproduceTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    if not flags.FLAGS.is_parsed():
      flags.FLAGS(['reproduce', '--table=7'])

  @parameterized.parameters(
      ('small', 1200, 20536, 8832, 36608, 256),
      ('large', 2000, 53424, 22400, 1271680, 1280))
  def test_parts_of_table_7(self, preset, *expected):
    counts = reproduce.count_parts(preset)
    self.assertEqual(tuple(counts.values()), expected)

  def test_table_7_stands_beside_the_paper(self):
    text = reproduce.table_7()
    self.assertIn('| Block with SE | 20000 | 20,536 | 52000 | 53,424 |', text)
    self.assertIn('| Logits | 256C | 256 C + C | 1280C | 1,280 C + C |', text)

  def test_table_1_names_presets_and_every_note(self):
    table = trained_rows.TRAINED[1]
    for row in table.rows:
      preset = row.flags[0].removeprefix('--preset=')
      self.assertIn(preset, isometric_config.PRESETS)
    self.assertEqual([row.paper for row in table.rows],
                     [68.3, 70.6, 71.7, 72.8])

  @parameterized.parameters((5, 36), (6, 6))
  def test_tables_of_signatures_name_what_can_be_built(self, number, count):
    rows = trained_rows.TRAINED[number].rows
    self.assertLen({row.name for row in rows}, count)
    for row in rows:
      self.assertBetween(row.paper, 60, 68)
      values = dict(flag.removeprefix('--').split('=') for flag in row.flags
                    if '=' in flag)
      config = isometric_config.IsometricConfig.preset(
          values['preset']).replace(
              num_templates=int(values['num_templates']),
              num_layers=int(values['num_layers']),
              signature=values['signature'])
      name = {'softmax': 'mixture'}.get(config.signature, config.signature)
      self.assertEqual(
          row.name, f'{config.num_templates}/{config.num_layers}/{name}')
      self.assertEqual('--original_input' in row.flags, number == 6)

  def test_rows_get_the_flags_that_they_have_a_use_for(self):
    given = ['--clustering=0.1', '--epochs=8', '--mixture_lr_multiplier=2']
    rows = {row.name: row for row in trained_rows.TRAINED[5].rows}
    with mock.patch.object(
        reproduce.run_flags, 'given', lambda: list(given)):
      mixture, cyclic = (
          reproduce._jobs(rows[f'4/16/{kind}'], 0, pathlib.Path('w'), False)[
              0].flags for kind in ('mixture', 'cyclic'))
    self.assertContainsSubset(given, mixture)
    self.assertEqual([flag for flag in cyclic if flag in given],
                     ['--epochs=8'])

  def test_rows_of_table_8_can_be_built(self):
    table = trained_rows.TRAINED[8]
    configs = {}
    for row in table.rows:
      values = dict(flag.removeprefix('--').split('=') for flag in row.flags)
      config = isometric_config.IsometricConfig.preset(values.pop('preset'))
      configs[row.name] = config.replace(**{
          name: type(getattr(config, name))(value)
          for name, value in values.items()})
      self.assertLen(row.paper, 6)
      self.assertEqual(configs[row.name].num_layers, 16)
      if '/' in row.name:
        self.assertEqual(configs[row.name].num_templates,
                         int(row.name.split('/')[1]))
      else:
        self.assertEqual((configs[row.name].num_templates,
                          configs[row.name].signature), (16, 'diagonal'))
      self.assertEqual(configs[row.name].signature_init,
                       'diagonal' if 'diag' in row.name else 'random')
    self.assertEqual([config.norm for config in configs.values()],
                     ['shared', 'private', 'mixed', *['private'] * 4])

  def test_data_of_table_8_may_be_one_s_own(self):
    flag = flags.FLAGS['tasks']
    self.addCleanup(setattr, flag, 'present', flag.present)
    flag.present = 1
    with (flagsaver.flagsaver(tasks=['mnist', 'usps'], rows=['simple']),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all,
          tempfile.TemporaryDirectory() as workdir):
      text = reproduce.trained_table(
          trained_rows.TRAINED[8], pathlib.Path(workdir))
      run, evaluation = run_all.call_args.args[0]
      with (flagsaver.flagsaver(rows=['tiny/row']),
            self.assertRaisesRegex(ValueError, '--tasks=.* cannot be given')):
        reproduce.trained_table(_TINY, pathlib.Path(workdir))
    self.assertIn('--tasks=mnist,usps', run.flags)
    self.assertEqual(run.path, evaluation.path)
    self.assertEqual((evaluation.module, evaluation.flags, evaluation.makes),
                     ('launch.evaluate', ('--split=train',),
                      'evaluation-train-ema.json'))
    self.assertIn('| mw/32 | paper | 76.6 | 71.9 | 63.1 (73.5) |', text)

  def test_transfers_are_run_and_shown(self):
    with (tempfile.TemporaryDirectory() as workdir,
          flagsaver.flagsaver(task='usps,optdigits', rows=['digits'],
                              seeds=['0', '1'], smoke=True),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all):
      text = reproduce.transfer_table(
          transfer_rows.TABLES[9], pathlib.Path(workdir))
    jobs = run_all.call_args.args[0]
    self.assertLen(jobs, 1 + 2 * 4 * 2)
    self.assertIn('| digits | usps | random | - | 93.76 | - | 96.05 |', text)

  @parameterized.named_parameters(
      ('layers', {'num_layers': '8'}, '--num_layers cannot be given'),
      ('norm', {'norm': 'shared'}, '--norm cannot be given'),
      ('preset', {'preset': 'small'}, '--preset cannot be given'),
      ('tasks', {'tasks': 'kmnist'}, '--tasks cannot .* data set is --task'),
      ('batch', {'batch_size': 'x'}, '--batch_size must be'),
      ('task', {'task': 'kmnis'}, 'did you mean kmnist'),
      ('seed', {'seed': '1'}, 'give --seeds'),
      ('data', {'data_dir': '/nowhere'}, 'kmnist: expected the prepared'))
  def test_nothing_is_run_that_a_transfer_would_refuse(self, values, message):
    values = {'task': 'kmnist', 'rows': 'mw/16', **values}
    table = transfer_rows.TABLES[2]
    with (tempfile.TemporaryDirectory() as workdir,
          flagsaver.as_parsed(**values),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all,
          self.assertRaisesRegex(ValueError, message)):
      reproduce.transfer_table(table, pathlib.Path(workdir) / 'table')
    run_all.assert_not_called()

  def test_what_is_finished_is_written_where_the_rest_fails(self):
    with tempfile.TemporaryDirectory() as folder, flagsaver.flagsaver(
        rows=['digits'], task='usps', data_dir=folder):
      workdir = pathlib.Path(folder) / 'table'
      for _ in range(2):
        with self.assertRaisesRegex(ValueError, 'nothing was run'):
          reproduce.transfer_table(transfer_rows.TABLES[9], workdir)
        is_written = workdir.exists()
        workdir.mkdir(exist_ok=True)
      self.assertTrue(is_written)
      self.assertIn('| digits | usps | random |',
                    (workdir / 'table.md').read_text())

  def test_adaptations_are_run_and_shown(self):
    with (tempfile.TemporaryDirectory() as workdir,
          flagsaver.as_parsed(
              table='3', column='digits', rows='*/im*', seeds='0,1',
              smoke='true', target='usps,usps_unpadded', workdir=workdir),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all):
      reproduce.main(['reproduce'])
      text = (pathlib.Path(workdir) / 'table3.md').read_text()
    self.assertLen(run_all.call_args.args[0], 2 * (2 + 3 * 2))
    self.assertIn('| digits | usps | isometric/adda | Adversarial (IA) | none '
                  '| - | - | 98.12 | - |', text)
    with (tempfile.TemporaryDirectory() as workdir,
          flagsaver.as_parsed(table='12', smoke='true'),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all):
      text = reproduce.adaptation_table(12, pathlib.Path(workdir))
    self.assertLen(run_all.call_args.args[0], 3 + 1 + 2 * 2)
    self.assertIn('| mnist | 99.14 | - | 99.09 | - | 99.29 | - |', text)

  @parameterized.named_parameters(
      ('column', {'column': 'digit'}, "received \\['digit'\\]"),
      ('seed', {'column': 'digits', 'seed': '1'}, 'give --seeds'),
      ('data', {'column': 'domainnet'}, 'another --column or --target'),
      ('several', {'from': 'isometric=x'}, 'give one'),
      ('targets', {'target': 'usps'}, '--target is of one column'),
      ('target', {'table': '12', 'target': 'usps'}, 'is not of Table 12'),
      ('other_table', {'table': '12', 'column': 'digits'}, 'is of Table 3'),
      ('task', {'task': 'usps'}, '--task is not of Table 3'))
  def test_nothing_is_run_that_an_adaptation_would_refuse(
      self, values, message):
    with (tempfile.TemporaryDirectory() as folder,
          flagsaver.as_parsed(**{
              'table': '3', 'data_dir': folder, 'workdir': f'{folder}/table',
              **values}),
          mock.patch.object(reproduce.table_runs, 'run_all') as run_all,
          self.assertRaisesRegex(ValueError, message)):
      reproduce.main(['reproduce'])
    run_all.assert_not_called()

  @parameterized.parameters(('from', 5), ('task', 7), ('init', 9))
  def test_flags_of_other_tables_and_commands_are_refused(self, name, table):
    flag = flags.FLAGS[name]
    self.addCleanup(setattr, flag, 'present', flag.present)
    flag.present = 1
    with (flagsaver.flagsaver(**{name: 'x', 'table': str(table)}),
          self.assertRaisesRegex(ValueError, f'--{name} is not of Table {table}'
                                 )):
      reproduce.main(['reproduce'])

  def test_unknown_row_is_refused(self):
    with flagsaver.flagsaver(rows=['nothing']), tempfile.TemporaryDirectory(
        ) as workdir, self.assertRaisesRegex(ValueError, "'other', 'tiny/row'"):
      reproduce.trained_table(_TINY, pathlib.Path(workdir))

  def test_bad_seed_is_refused(self):
    with flagsaver.flagsaver(seeds=['one']), tempfile.TemporaryDirectory(
        ) as workdir, self.assertRaisesRegex(ValueError, "received 'one'"):
      reproduce.trained_table(_TINY, pathlib.Path(workdir))

  @parameterized.named_parameters(
      ('layers', {'num_layers': 9}, {}, '--num_layers=9 cannot be given'),
      ('no_se', {'use_se': True}, {}, '--use_se cannot be given'),
      ('seed', {'seed': 7}, {}, '--seed=7 cannot be given'),
      ('seeds', {}, {'seeds': ['0', '0']}, '--seeds must differ'))
  def test_what_rows_decide_is_refused(self, present, values, message):
    for name, value in present.items():
      flag = flags.FLAGS[name]
      self.addCleanup(setattr, flag, 'present', flag.present)
      flag.present = 1
      values = {**values, name: value}
    with flagsaver.flagsaver(**values), tempfile.TemporaryDirectory(
        ) as workdir, self.assertRaisesRegex(ValueError, message):
      reproduce.trained_table(_TINY, pathlib.Path(workdir))

  def test_runs_a_row_once_and_reports_it(self):
    with tempfile.TemporaryDirectory() as folder, flagsaver.flagsaver(
        rows=['tiny/row'], seeds=['3'], smoke=True):
      workdir = pathlib.Path(folder)
      text = reproduce.trained_table(_TINY, workdir)
      results = workdir / 'tiny_row' / 'seed3' / 'results.json'
      written = results.stat().st_mtime_ns
      again = reproduce.trained_table(_TINY, workdir)
      self.assertEqual(results.stat().st_mtime_ns, written)
      with flagsaver.flagsaver(smoke=False), self.assertRaisesRegex(
          ValueError, 'run of another command'):
        reproduce.trained_table(_TINY, workdir)
    self.assertEqual(again, text)
    row = text.splitlines()[4].split(' | ')
    self.assertEqual(row[:2] + row[3:5], ['| tiny/row', '50.0', '3', '3'])
    self.assertIn('--seed=3', row[-1])
    self.assertIn('Smoke runs', text)
    # A row that was not asked for.
    self.assertIn(f'| other | - |{" - |" * 7}', text)
    self.assertIn('1. A note.', text)


if __name__ == '__main__':
  tf.test.main()
