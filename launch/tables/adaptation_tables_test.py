"""Tests of the tables of adaptation, with records in the place of runs."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import adaptation_rows
from launch.tables import adaptation_tables
from launch.tables import table_jobs
from launch.tables import table_options
from trainers.adaptation import methods
from trainers.data import catalog
from trainers.data.datasets import groups
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_config
from trainers.testing import toy_records


class AdaptationTablesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def rows(self, *patterns):
    return adaptation_tables.choose(adaptation_rows.ROWS, patterns)

  def make_jobs(self, patterns, column='digits', banks=None, **options):
    return adaptation_tables.make_jobs(
        self.rows(*patterns), column, banks or {},
        table_options.TableOptions(self.workdir, **options))

  def finish(self, job, top1, before=0.5, alarm=None, **members):
    """Writes the records that an adaptation would."""
    asked = job.config['adaptation']
    toy_records.write_run(
        job.path, {asked['target']: np.eye(2), 'pool:x': np.eye(2)}, top1=top1,
        config=job.config,
        arguments=table_jobs.arguments(job.command, job.changes))
    path = job.path / records.RESULTS
    found = results.read(path)
    pool = dataclasses.replace(found.tasks['pool:x'], members={
        name: results.Score(top1=value, loss=1.0, examples=9)
        for name, value in members.items()})
    guard = results.Guard('information', 50, 0.5, alarm)
    initial = results.TaskScore(top1=before, loss=1.0, examples=9)
    results.write(path, dataclasses.replace(
        found, tasks={**found.tasks, 'pool:x': pool},
        initial={asked['target']: initial},
        adaptation=results.AdaptationFacts(
            source=asked['source'], origin=results.Origin(1, 'ema', 'x'),
            target=asked['target'], method=asked['method'],
            sources=('pool:x',), tune=('mixture',),
            start=results.TargetStart('copy:mnist', 'given', {}),
            statistics='copy', labels='', tuned_parameters=64, moved=(),
            sources_unchanged=True, result='last', states={},
            guard=None if asked['method'] == 'source_only' else guard)))

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
      self.assertIn(row.method, methods.METHODS)
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

  def find_banks(self, bank, path=None, *patterns):
    return adaptation_tables.find_banks(
        self.rows(*patterns or '*'), 'digits', table_options.TableOptions(
            self.workdir, models=[f'{bank}={path or self.workdir / "mine"}']))

  def test_rows_are_chosen_by_patterns(self):
    self.assertEqual([row.name for row in self.rows('*/adda/best', 'iso*/im')],
                     ['compositional/adda/best', 'isometric/im'])
    with self.assertRaisesRegex(ValueError, r"received \['adda'\]"):
      self.rows('*/im', 'adda')

  def test_a_model_stands_before_its_adaptations(self):
    jobs = self.make_jobs(
        ['isometric/adda', 'compositional/adda/*'], seeds=(0, 1),
        targets=('usps', 'usps_unpadded'),
        changes={'epochs': 3.0}, data_dir='here')
    self.assertEqual([job.command for job in jobs], 2 * (
        ['launch.train', *['launch.adapt'] * 2,
         'launch.train', *['launch.adapt'] * 4]))
    isometric, first = jobs[:2]
    self.assertEqual(
        isometric.changes, {'preset': 'digits_baseline', 'seed': 0})
    self.assertEqual(isometric.datasets, ('pool:digits',))
    self.assertEqual(first.datasets, ('usps', 'pool:digits'))
    self.assertEqual(first.arguments, [
        f'--from={isometric.path}', '--target=usps', '--method=adda',
        '--epochs=3.0', '--seed=0', f'--workdir={first.path}',
        '--data_dir=here'])
    self.assertEqual(
        (first.config['epochs'], first.config['model']['signature'],
         first.config['adaptation']['sources'],
         first.config['adaptation']['tune']),
        (3, 'diagonal', ['pool:digits'], ['input_adapter']))
    self.assertEqual(jobs[4].arguments[1:4], [
        '--target=usps', '--method=adda', '--init=copy:mnist_corrupted/shear'])
    self.assertLen({job.path for job in jobs}, len(jobs))
    self.assertEqual({job.data_dir for job in jobs}, {'here'})

  def write_model(self, tasks=None, **changes):
    tasks = tasks or run_config.recipe('digits').tasks
    toy_records.write_run(
        self.workdir / 'mine', dict.fromkeys(tasks, np.eye(2)), **changes)

  def test_models_of_one_s_own(self):
    self.write_model()
    banks = self.find_banks('compositional')
    jobs = self.make_jobs(
        ['isometric/im', 'compositional/im/*'], banks=banks, seeds=(0, 1))
    self.assertLen(jobs, 2 * (2 + 2))
    self.assertEqual(jobs[-1].arguments[0], f'--from={self.workdir / "mine"}')
    # The adaptations' configuration is that of the model.
    self.assertEqual(jobs[-1].config['model']['image_size'], 8)

  @parameterized.parameters(
      ('compositional', {'shared_half': 'first'}),
      ('compositional', {'signature': 'diagonal'}),
      ('compositional', {'tasks': ['mnist', 'usps']}),
      ('half-shared', {}), ('isometric', {}))
  def test_models_of_another_kind_are_refused(self, bank, changes):
    self.write_model(**changes)
    with self.assertRaisesRegex(ValueError, f'Expected the {bank} model of'):
      self.find_banks(bank)

  @parameterized.parameters(
      [['pool:digits']], [None])  # or with statistics of each domain
  def test_a_baseline_is_pooled_or_not(self, tasks):
    self.write_model(tasks, signature='diagonal')
    self.assertIn('isometric', self.find_banks('isometric'))

  @parameterized.parameters(
      ('compositional', 'nowhere', '*', 'nowhere'),
      ('', 'runs/digits', '*', 'must be BANK=DIR'),
      ('other', 'x', '*', 'must be BANK=DIR'),
      ('compositional', 'x', 'isometric/*', 'which no row of --rows needs'))
  def test_bad_models_are_refused(self, bank, path, pattern, message):
    with self.assertRaisesRegex(ValueError, message):
      self.find_banks(bank, path, pattern)

  @parameterized.parameters(
      (['mnist'], {}, 'another domain than the sources'),
      (['uspss'], {}, 'did you mean usps'),
      (None, {'num_layers': 3}, '--num_layers cannot be given'),
      (None, {'clustering': 0.1}, '--clustering cannot be given'))
  def test_bad_targets_and_changes_are_refused(self, targets, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      self.make_jobs(['*/im*'], targets=targets, changes=changes)

  def test_table_3_has_what_is_finished_and_the_paper_s(self):
    jobs = self.make_jobs(
        ['isometric/adda', '*/im/best'], seeds=(0, 1),
        targets=('usps', 'usps_unpadded'))
    for job in jobs:
      if job.command == 'launch.adapt':
        second = job.changes['seed'] == 1
        is_ended = second and job.changes['method'] == 'adda'
        self.finish(job, 0.9 + 0.02 * second, before=0.6 + 0.1 * second,
                    alarm=70 if is_ended else None)
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
    for job in self.make_jobs(['isometric/source_only', 'half-shared/*/best']):
      if job.command == 'launch.adapt':
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

  def test_domains_have_the_seeds_of_all_configurations(self):
    for seed, changes in ((0, {'batch_size': 8}), (1, {})):
      jobs = self.make_jobs(
          ['isometric/source_only'], seeds=(seed,), changes=changes)
      self.finish(jobs[-1], 0.7 + 0.1 * seed, mnist=0.9)
    text = adaptation_tables.domains(
        adaptation_rows.DOMAIN_TABLES[12], self.workdir)
    rows = {row[0]: row[1:] for row in self.make_rows(text)}
    self.assertEqual(rows['usps, source-only'][1], '70.00 / 75.00 / 80.00')
    self.assertEqual(rows['mnist'][1], '90.00 / 90.00 / 90.00')


if __name__ == '__main__':
  absltest.main()
