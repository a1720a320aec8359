"""Tests of the tables of transfer, with records in the place of runs."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import table_jobs
from launch.tables import table_options
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from launch.tables import transfer_tables
from mixture_modules.isometric import tune_scopes
from trainers.data import catalog
from trainers.runs import records
from trainers.runs import results
from trainers.testing import toy_records
from trainers.transfer import transfer_config


class TransferTablesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def make_bank(self, name, tasks):
    toy_records.write_run(self.workdir / name, dict.fromkeys(tasks, np.eye(2)))
    return self.workdir / name

  def make_jobs(self, table, rows=None, **options):
    """All jobs of some banks, in the directory table."""
    options = table_options.TableOptions(
        self.workdir / 'table', rows=rows, **options)
    return [job for bank in transfer_banks.find_banks(table, options)
            for job in transfer_tables.make_jobs(table, bank, options)]

  def finish(self, job, before=0.5, after=0.75, copied='mnist',
             head='shared', shared_with=()):
    """Writes the records that a transfer would."""
    asked = transfer_config.TransferConfig.from_json(job.config['transfer'])
    toy_records.write_run(
        job.path, {asked.name: np.eye(2)}, top1=after, config=job.config,
        arguments=table_jobs.arguments(job.command, job.changes))
    path = job.path / records.RESULTS
    start = results.TransferStart(
        init=asked.init, scored_by=None, scores=None, score_images=None,
        coefficients=None, copied=copied, statistics='copy', tune=asked.tune,
        head='head', head_shared_with=tuple(shared_with), initial_head=head)
    results.write(path, dataclasses.replace(
        results.read(path),
        initial={asked.name: results.TaskScore(
            top1=before, loss=1.0, examples=9)},
        transfer=results.TransferFacts(
            source=asked.source, origin=results.Origin(1, 'ema', 'x'),
            dataset=asked.dataset, name=asked.name, start=start,
            tuned_parameters=64, train_examples=99)))

  def make_rows(self, table):
    text = transfer_tables.markdown(table, self.workdir / 'table')
    return [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')][2:]

  @parameterized.parameters(2, 9, 10)
  def test_declarations(self, number):
    table = transfer_rows.TABLES[number]
    for method in table.methods:
      self.assertIn(method.bank, transfer_rows.BANKS)
      self.assertContainsSubset(method.tune, tune_scopes.SCOPES)
      self.assertIn(method.init, ('copy', *transfer_config.INITS))
    for (bank, task, init), figures in table.paper.items():
      catalog.get_task(task)
      self.assertIn(task, table.tasks[bank])
      self.assertLen(figures, 2)
      most = max((method.tune for method in table.methods
                  if method.bank == bank), key=len)
      self.assertEqual(table.figures(bank, task, init, most), tuple(figures))
    self.assertLen(table.paper, {2: 16, 9: 8, 10: 15}[number])

  def test_jobs_of_table_9(self):
    bank, *transfers = self.make_jobs(
        transfer_rows.TABLES[9], ['digits'], seeds=(0, 1),
        changes={'steps': 9}, data_dir='here')
    self.assertEqual((bank.command, bank.changes, bank.data_dir),
                     ('launch.train', {'preset': 'digits'}, 'here'))
    self.assertLen(bank.datasets, 5)
    methods = [method for method in transfer_rows.TABLES[9].methods
               if method.bank == 'digits']
    self.assertLen({job.path for job in transfers}, 2 * len(methods))
    self.assertEqual({job.datasets for job in transfers}, {('usps',)})
    self.assertEqual(transfers[1].command, 'launch.transfer')
    self.assertEqual(transfers[1].arguments, [
        f'--from={bank.path}', '--task=usps', '--init=random',
        '--tune=mixture', '--steps=9', '--seed=1',
        f'--workdir={transfers[1].path}', '--data_dir=here'])
    config = transfers[1].config
    self.assertEqual((config['steps'], config['seed'], config['tasks']),
                     (9, 1, ['usps']))
    self.assertEqual(config['transfer']['source'], str(bank.path))

  def test_smoke_takes_three_steps(self):
    jobs = self.make_jobs(
        transfer_rows.TABLES[9], ['digits'], smoke=True, changes={'steps': 9})
    for job in jobs:
      self.assertEqual((job.config['steps'], job.smoke), (3, True))
      self.assertIn('--smoke', job.arguments)

  def test_jobs_of_table_2_on_a_bank_of_one_s_own(self):
    own = self.make_bank('mine', ['a', 'b'])
    jobs = self.make_jobs(
        transfer_rows.TABLES[2], models=(str(own),),
        new_tasks=('emnist/letters', 'kmnist', 'kmnist'))
    self.assertLen(jobs, 2 * 3 * 2)
    self.assertLen({job.path for job in jobs}, 2 * 3 * 2)
    starts = [tuple(job.changes[name] for name in ('dataset', 'init', 'tune'))
              for job in jobs[:6]]
    self.assertEqual(starts, [
        ('emnist/letters', init, tune)
        for inits in (('copy:a', 'copy:b'), ('random',))
        for tune in (('head', 'norm'), ('head', 'norm', 'mixture'))
        for init in inits])
    # The transfers' configuration is that of the bank.
    self.assertEqual(jobs[0].config['model']['image_size'], 8)

  def test_text_has_all_that_is_finished_and_the_paper_s(self):
    table = transfer_rows.TABLES[9]
    own = self.make_bank('mine', ['a', 'b'])
    jobs = [*self.make_jobs(table, ['digits'], seeds=(0, 1)),
            *self.make_jobs(table, models=(str(own),), seeds=(0, 1))]
    done = [job for job in jobs if job.changes.get('init') == 'best']
    for job, before, copied in zip(
        done, (0.9, 0.92, 0.1, 0.2), ('mnist', 'svhn_cropped', 'a', 'a')):
      self.finish(job, before, before + 0.05, copied)
    rows = self.make_rows(table)
    self.assertEqual(rows[0][:8], [
        'digits', 'usps', 'random', '-', '93.76', '-', '96.05', '-'])
    self.assertEqual(rows[3][:12], [
        'digits', 'usps', 'best (mnist, svhn_cropped)', 'mixture', '95.81',
        '90.0 / 91.0 / 92.0', '-', '95.0 / 96.0 / 97.0', '77', '64',
        '0, 1', '120'])
    self.assertIn('`python -m launch.transfer --from=', rows[3][-1])
    self.assertEqual([row[0] for row in rows[4:]],
                     ['domainnet'] * 4 + ['from_mine'])
    self.assertEqual(rows[-1][2:7], [
        'best (a)', 'mixture', '-', '10.0 / 15.0 / 20.0', '-'])

  def test_paper_s_figures_stand_beside_the_tuned_signature(self):
    table = transfer_rows.TABLES[2]
    for job in self.make_jobs(table, ['mw/16'], new_tasks=('aircraft',)):
      if job.changes.get('init') == 'copy:cifar100':
        self.finish(job, head='untrained')
    rows = {tuple(row[:4]): row for row in self.make_rows(table)}
    start = ('mw/16', 'aircraft', 'copy:cifar100')
    self.assertEqual(rows[*start, 'head,norm,mixture'][4:8],
                     ['-', '-', '42.6', '75.0'])
    self.assertEqual(rows[*start, 'head,norm'][4:8], ['-', '-', '-', '75.0'])
    self.assertEqual(rows['patches', 'aircraft', 'best', '-'][6], '43.3')

  @parameterized.parameters(
      ('random', 'shared', False), ('learned', 'untrained', True),
      ('best', 'learned', False))
  def test_an_untrained_head_has_no_initial_accuracy(
      self, init, head, is_dash):
    table = transfer_rows.TABLES[9]
    job, = [job for job in self.make_jobs(table, ['digits'])
            if job.changes.get('init') == init]
    self.finish(job, head=head)
    row, = [row for row in self.make_rows(table) if row[7] == '75.0']
    self.assertEqual(row[5], '-' if is_dash else '50.0')
    text = transfer_tables.markdown(table, self.workdir / 'table')
    self.assertEqual('head is its own' in text, is_dash)


if __name__ == '__main__':
  absltest.main()
