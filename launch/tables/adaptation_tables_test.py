"""Tests of the tables of adaptation, with records in the place of runs."""

import pathlib
import tempfile

from absl import flags
from absl.testing import absltest
from absl.testing import flagsaver
from absl.testing import parameterized
import numpy as np

from launch.tables import adaptation_rows
from launch.tables import adaptation_tables
from trainers.adaptation import adaptation_config
from trainers.data import catalog
from trainers.data.datasets import groups
from trainers.runs import records
from trainers.runs import run_config
from trainers.testing import toy_records


class AdaptationTablesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def rows(self, *patterns):
    return adaptation_tables.choose(adaptation_rows.ROWS, patterns)

  def finish(self, job, top1, before=0.5, alarm=None, **members):
    """Writes the records that an adaptation would."""
    values = dict(flag.removeprefix('--').split('=', 1) for flag in job.flags)
    target = values['target']
    toy_records.write_run(job.path, {'one': np.eye(2)}, arguments=job.flags)
    path = job.path / records.RESULTS
    results = records.read_json(path)
    results['tasks'] = {
        target: {'top1': top1}, 'pool:x': {'top1': 0.1, 'members': {
            name: {'top1': value} for name, value in members.items()}}}
    guard = {'alarm_step': alarm, 'best_step': 50}
    records.write_json(path, {
        **results, 'initial': {target: {'top1': before}}, 'adaptation': {
            'target': target, 'from': values['from'],
            'method': values['method'], 'init': 'copy:mnist',
            'guard': guard if values['method'] != 'source_only' else None,
            'tuned_parameters': 64}})

  def make_rows(self, text):
    return [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')][2:]

  @parameterized.parameters(*adaptation_rows.COLUMNS)
  def test_columns_name_what_there_is(self, name):
    column = adaptation_rows.COLUMNS[name]
    catalog.get_task(column.target)
    config = run_config.recipe(column.preset)
    group, = [group for group in groups.GROUPS.values()
              if group.target == column.target]
    self.assertEqual(config.tasks, group.sources)
    baseline = run_config.recipe(f'{column.preset}_baseline')
    self.assertEqual(baseline.model.num_layers, config.model.num_templates)
    if column.oracle != 'oracle':
      self.assertIn(column.oracle.removeprefix('copy:'), config.tasks)

  def test_rows_are_those_of_the_paper_and_ours(self):
    rows = adaptation_rows.ROWS
    self.assertLen({row.name for row in rows}, len(rows))
    self.assertEqual(
        [row.title for row in rows if row.paper],
        ['Source-only', 'Comp. source-only', 'Adversarial (IA)',
         'Comp. Adversarial', 'Moment Matching (IA)', 'Comp. Moment Matching',
         'Comp. supervised'])
    figures = [row.figure('digits') for row in rows if row.paper]
    self.assertEqual(
        figures, [95.75, 96.05, 98.12, 98.33, 96.93, 96.85, 98.25])
    for row in rows:
      self.assertIn(row.method, adaptation_config.METHODS)
      # Of the compositional ones only an oracle, whose statistics were copied,
      # is what the paper did.
      if row.bank == 'compositional':
        self.assertEqual(
            bool(row.paper), row.start == 'oracle' and row.method != 'im'
            and row.statistics == 'copy')

  @parameterized.parameters((4, 5), (11, 3), (12, 5))
  def test_domain_tables(self, number, count):
    table = adaptation_rows.DOMAIN_TABLES[number]
    column = adaptation_rows.COLUMNS[table.column]
    self.assertEqual(set(table.paper), set(
        run_config.recipe(column.preset).tasks))
    self.assertLen(table.paper, count)
    self.assertEqual({row.bank for row in table.rows}, set(table.banks))
    names = {name for _, cells in table.target for name, _ in cells.values()}
    self.assertLen(table.rows, len(names))

  def test_rows_are_chosen_by_patterns(self):
    self.assertEqual([row.name for row in self.rows('*/adda/best', 'iso*/im')],
                     ['compositional/adda/best', 'isometric/im'])
    with self.assertRaisesRegex(ValueError, r"received \['adda'\]"):
      self.rows('*/im', 'adda')

  def test_a_model_stands_before_its_adaptations(self):
    jobs = adaptation_tables.make_jobs(
        self.rows('*/adda*'), 'digits', self.workdir, [0, 1],
        targets=['usps', 'usps_unpadded'], flags=['--epochs=3'],
        data_dir='here')
    self.assertEqual([job.module for job in jobs], 2 * (
        ['launch.train', *['launch.adapt'] * 2,
         'launch.train', *['launch.adapt'] * 4]))
    isometric, first = jobs[:2]
    self.assertEqual(isometric.flags, ('--preset=digits_baseline', '--seed=0'))
    self.assertEqual(isometric.datasets, ('pool:digits',))
    self.assertEqual(first.datasets, ('usps', 'pool:digits'))
    self.assertEqual(first.flags, (
        f'--from={isometric.path}', '--target=usps', '--method=adda',
        '--epochs=3', '--seed=0'))
    self.assertEqual(jobs[4].flags[1:4], (
        '--target=usps', '--method=adda', '--init=copy:mnist_corrupted/shear'))
    self.assertLen({job.path for job in jobs}, len(jobs))
    self.assertEqual({job.data_dir for job in jobs}, {'here'})

  def write_model(self, tasks=None, **changes):
    tasks = tasks or run_config.recipe('digits').tasks
    toy_records.write_run(
        self.workdir / 'mine', dict.fromkeys(tasks, np.eye(2)), **changes)

  def test_models_of_one_s_own(self):
    self.write_model()
    given = f'compositional={self.workdir}/mine'
    banks = adaptation_tables.find_banks(given, ['digits'])
    jobs = adaptation_tables.make_jobs(
        self.rows('*/im*'), 'digits', self.workdir, [0, 1], banks)
    self.assertLen(jobs, 2 * (2 + 2))
    self.assertEqual(jobs[-1].flags[0], f'--from={self.workdir / "mine"}')

  @parameterized.parameters(
      ('compositional', {'shared_half': 'first'}),
      ('compositional', {'signature': 'diagonal'}),
      ('compositional', {'tasks': ['mnist', 'usps']}),
      ('half-shared', {}), ('isometric', {}))
  def test_models_of_another_kind_are_refused(self, bank, changes):
    self.write_model(**changes)
    with self.assertRaisesRegex(ValueError, f'Expected the {bank} model of'):
      adaptation_tables.find_banks(f'{bank}={self.workdir}/mine', ['digits'])

  @parameterized.parameters(
      [['pool:digits']], [None])  # or with statistics of each domain
  def test_a_baseline_is_pooled_or_not(self, tasks):
    self.write_model(tasks, signature='diagonal')
    self.assertIn('isometric', adaptation_tables.find_banks(
        f'isometric={self.workdir}/mine', ['digits']))

  def test_a_model_that_no_row_needs_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'which no row of --rows needs'):
      adaptation_tables.find_banks(
          'compositional=x', ['digits'], {'isometric'})

  @parameterized.parameters(
      ('compositional=nowhere', ['digits'], 'nowhere'),
      ('runs/digits', ['digits'], 'must be BANK=DIR'),
      ('other=x', ['digits'], 'must be BANK=DIR'),
      ('compositional=x', ['digits', 'office'], 'give one'))
  def test_bad_models_are_refused(self, given, columns, message):
    with self.assertRaisesRegex(ValueError, message):
      adaptation_tables.find_banks(given, columns)

  @parameterized.parameters(
      (['mnist'], {}, 'another domain than the sources'),
      (['uspss'], {}, 'did you mean usps'),
      (None, {'num_layers': '3'}, '--num_layers cannot be given'))
  def test_bad_targets_and_flags_are_refused(self, targets, given, message):
    with (flagsaver.as_parsed(**given),
          self.assertRaisesRegex(ValueError, message)):
      adaptation_tables.check(self.rows('*/im*'), 'digits', targets)

  def test_table_3_has_what_is_finished_and_the_paper_s(self):
    jobs = adaptation_tables.make_jobs(
        self.rows('isometric/adda', '*/im/best'), 'digits', self.workdir,
        [0, 1], targets=['usps', 'usps_unpadded'])
    adapted = [job for job in jobs if job.module == 'launch.adapt']
    for job in adapted:
      second = '--seed=1' in job.flags
      self.finish(job, 0.9 + 0.02 * second, before=0.6 + 0.1 * second,
                  alarm=70 if second and '--method=adda' in job.flags else None)
    text = adaptation_tables.table_3(self.workdir)
    rows = {(row[0], row[1], row[2]): row[3:] for row in self.make_rows(text)}
    self.assertLen(rows, 7 + 1 + 2 + 2 * 7)
    self.assertEqual(rows['digits', 'usps', 'isometric/adda'][:9], [
        'Adversarial (IA)', 'none', 'copy:mnist',
        '60.00 / 65.00 / 70.00', '98.12', '90.00 / 91.00 / 92.00', '64',
        '0, 1', '120'])
    own = rows['digits', 'usps_unpadded', 'compositional/im/best']
    self.assertEqual((own[1], own[4]), ('none', '-'))
    missing = rows['office', 'office_caltech10/webcam',
                   'compositional/supervised/oracle']
    self.assertEqual(missing[:6], ['Comp. supervised', 'start, training', '-',
                                   '-', '53.57', '-'])
    self.assertRegex(text, r'Ended by the guard.*: adda to usps .*seed 1 \(step'
                           r' 70, back to 50\); adda to usps_unpadded')

  def test_domains_stand_beside_the_paper_s(self):
    table = adaptation_rows.DOMAIN_TABLES[12]
    jobs = adaptation_tables.make_jobs(
        self.rows('isometric/source_only', 'half-shared/*/best'), 'digits',
        self.workdir, [0])
    for job in jobs:
      if job.module == 'launch.adapt':
        self.finish(job, 0.75, mnist=0.99, svhn_cropped=0.5)
    text = adaptation_tables.domains(table, self.workdir)
    rows = {row[0]: row[1:] for row in self.make_rows(text)}
    self.assertEqual(rows['mnist'],
                     ['99.14', '99.00', '99.09', '99.00', '99.29', '-'])
    self.assertEqual(rows['svhn_cropped'][:2], ['54.73', '50.00'])
    self.assertEqual(rows['mnist_corrupted/scale'][:2], ['98.18', '-'])
    self.assertEqual(rows['usps, source-only'],
                     ['95.77', '75.00', '96.37', '-', '96.05', '-'])
    self.assertEqual(rows['usps, source-only, chosen without labels'],
                     ['-', '-', '-', '75.00', '-', '-'])
    self.assertIn('isometric/source_only: 5,678 parameters, seeds 0', text)

  def test_domains_have_the_seeds_of_all_commands(self):
    for seed, flags_of_run in ((0, ['--batch_size=8']), (1, [])):
      jobs = adaptation_tables.make_jobs(
          self.rows('isometric/source_only'), 'digits', self.workdir, [seed],
          flags=flags_of_run)
      self.finish(jobs[-1], 0.7 + 0.1 * seed, mnist=0.9)
    text = adaptation_tables.domains(
        adaptation_rows.DOMAIN_TABLES[12], self.workdir)
    rows = {row[0]: row[1:] for row in self.make_rows(text)}
    self.assertEqual(rows['usps, source-only'][1], '70.00 / 75.00 / 80.00')
    self.assertEqual(rows['mnist'][1], '90.00 / 90.00 / 90.00')


if __name__ == '__main__':
  absltest.main()
