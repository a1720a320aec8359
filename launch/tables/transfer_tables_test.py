"""Tests of the tables of transfer, with records in the place of runs."""

import pathlib
import tempfile

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import transfer_banks
from launch.tables import transfer_rows
from launch.tables import transfer_tables
from mixture_modules.isometric import tune_scopes
from trainers.data import catalog
from trainers.runs import records
from trainers.testing import toy_records
from trainers.transfer import transfer_config


class TransferTablesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def make_bank(self, name, tasks):
    toy_records.write_run(self.workdir / name, dict.fromkeys(tasks, np.eye(2)))
    return self.workdir / name

  def finish(self, job, before=0.5, after=0.75, copied='mnist',
             head='shared'):
    """Writes the records that a transfer would."""
    values = dict(flag.removeprefix('--').split('=', 1) for flag in job.flags)
    name = values['task']
    toy_records.write_run(job.path, {name: np.eye(2)}, arguments=job.flags,
                          top1=after)
    path = job.path / records.RESULTS
    results = records.read_json(path)
    records.write_json(path, {
        **results, 'initial': {name: {'top1': before}}, 'transfer': {
            'from': values['from'], 'task': name, 'name': name,
            'init': values['init'], 'tune': values['tune'].split(','),
            'copied': copied, 'initial_head': head, 'own_parameters': 2634,
            'tuned_parameters': 64}})

  def make_rows(self, table):
    text = transfer_tables.markdown(table, self.workdir / 'table')
    return [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')][2:]

  @parameterized.parameters(2, 9, 10)
  def test_declarations(self, number):
    table = transfer_rows.TABLES[number]
    for method in table.methods:
      self.assertIn(method.bank, transfer_rows.BANKS)
      self.assertContainsSubset(method.tune.split(','), tune_scopes.SCOPES)
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
    table = transfer_rows.TABLES[9]
    banks = transfer_banks.find_banks(table, self.workdir, None, ['digits'])
    bank, *transfers = transfer_tables.make_jobs(
        table, self.workdir, banks, [0, 1], flags=['--steps=9'], smoke=True,
        data_dir='here')
    self.assertEqual((bank.module, bank.flags, bank.data_dir),
                     ('launch.train', ('--preset=digits', '--smoke'), 'here'))
    self.assertLen(bank.datasets, 5)
    self.assertLen({job.path for job in transfers}, 4 * 2)
    self.assertEqual({job.datasets for job in transfers}, {('usps',)})
    self.assertEqual(transfers[1].module, 'launch.transfer')
    self.assertEqual(transfers[1].flags, (
        f'--from={bank.path}', '--task=usps', '--init=random',
        '--tune=mixture', '--steps=9', '--smoke', '--seed=1'))

  def test_jobs_of_table_2_on_a_bank_of_one_s_own(self):
    table = transfer_rows.TABLES[2]
    own = self.make_bank('mine', ['a', 'b'])
    jobs = transfer_tables.make_jobs(
        table, self.workdir, transfer_banks.find_banks(
            table, self.workdir, str(own)), [0],
        ['emnist/letters', 'kmnist', 'kmnist'])
    self.assertLen(jobs, 2 * 3 * 2)
    self.assertLen({job.path for job in jobs}, 2 * 3 * 2)
    starts = [tuple(flag.partition('=')[2] for flag in job.flags[1:4])
              for job in jobs[:6]]
    self.assertEqual(starts, [
        ('emnist/letters', init, tune)
        for inits in (('copy:a', 'copy:b'), ('random',))
        for tune in ('head,norm', 'head,norm,mixture') for init in inits])

  def test_text_has_all_that_is_finished_and_the_paper_s(self):
    table = transfer_rows.TABLES[9]
    directory = self.workdir / 'table'
    own = self.make_bank('mine', ['a', 'b'])
    banks = [
        *transfer_banks.find_banks(table, directory, None, ['digits']),
        *transfer_banks.find_banks(table, directory, str(own))]
    jobs = transfer_tables.make_jobs(table, directory, banks, [0, 1])
    done = [job for job in jobs if '--init=best' in job.flags]
    for job, before, copied in zip(
        done, (0.9, 0.92, 0.1, 0.2), ('mnist', 'svhn_cropped', 'a', 'a')):
      self.finish(job, before, before + 0.05, copied)
    rows = self.make_rows(table)
    self.assertEqual(rows[0][:8], [
        'digits', 'usps', 'random', '-', '93.76', '-', '96.05', '-'])
    self.assertEqual(rows[3][:12], [
        'digits', 'usps', 'best (mnist, svhn_cropped)', 'mixture', '95.81',
        '90.0 / 91.0 / 92.0', '-', '95.0 / 96.0 / 97.0', '2,634', '64',
        '0, 1', '120'])
    self.assertIn('`python -m launch.transfer --from=', rows[3][-1])
    self.assertEqual([row[0] for row in rows[4:]],
                     ['domainnet'] * 4 + ['from_mine'])
    self.assertEqual(rows[-1][2:7], [
        'best (a)', 'mixture', '-', '10.0 / 15.0 / 20.0', '-'])

  def test_paper_s_figures_stand_beside_the_tuned_signature(self):
    table = transfer_rows.TABLES[2]
    directory = self.workdir / 'table'
    banks = transfer_banks.find_banks(table, directory, None, ['mw/16'])
    for job in transfer_tables.make_jobs(
        table, directory, banks, [0], ['aircraft']):
      if '--init=copy:cifar100' in job.flags:
        self.finish(job, head='untrained')
    rows = {tuple(row[:4]): row for row in self.make_rows(table)}
    start = ('mw/16', 'aircraft', 'copy:cifar100')
    self.assertEqual(rows[*start, 'head,norm,mixture'][4:8],
                     ['-', '-', '42.6', '75.0'])
    self.assertEqual(rows[*start, 'head,norm'][4:8], ['-', '-', '-', '75.0'])
    self.assertEqual(rows['patches', 'aircraft', 'best', '-'][6], '43.3')

  @parameterized.parameters(
      ('random', None, [], True), ('random', None, ['mnist'], False),
      ('learned', None, [], False), ('learned', 'untrained', [], True),
      ('random', 'shared', [], False), ('best', 'learned', [], False))
  def test_an_untrained_head_has_no_initial_accuracy(
      self, init, head, shared_with, is_dash):
    table = transfer_rows.TABLES[9]
    banks = transfer_banks.find_banks(
        table, self.workdir / 'table', None, ['digits'])
    job, = [job for job in transfer_tables.make_jobs(
        table, self.workdir / 'table', banks, [0])
            if f'--init={init}' in job.flags]
    self.finish(job)
    path = job.path / records.RESULTS
    results = records.read_json(path)
    results['transfer']['head_shared_with'] = shared_with
    results['transfer']['initial_head'] = head
    if head is None:  # as before it was recorded
      del results['transfer']['initial_head']
    records.write_json(path, results)
    row, = [row for row in self.make_rows(table) if row[7] == '75.0']
    self.assertEqual(row[5], '-' if is_dash else '50.0')
    text = transfer_tables.markdown(table, self.workdir / 'table')
    self.assertEqual('head is its own' in text, is_dash)


if __name__ == '__main__':
  absltest.main()
