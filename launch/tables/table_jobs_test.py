"""Tests of the runs of a table, with records in the place of trainings."""

import contextlib
import dataclasses
import io
import pathlib
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import table_jobs
from launch.tables import trained_rows
from trainers.runs import records
from trainers.runs import results
from trainers.testing import toy_records

_CHANGES = {'preset': 'small', 'num_layers': 8, 'epochs': 2.0}


class TableJobsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def make_job(self, seed=0, changes=None, row='row', **parts):
    changes = {**(changes or _CHANGES), 'seed': seed}
    config = trained_rows.make_config(changes).to_json()
    return table_jobs.Job(
        f'{row}, seed {seed}', 'launch.train', changes,
        self.workdir / row / f'seed{seed}', {**config, **parts})

  def finish(self, job, finished=True, **values):
    """Writes the records that its command would: a minute of training."""
    toy_records.write_run(
        job.path, {'one': np.eye(2)}, finished=finished, config=job.config,
        **values)

  def test_done_is_what_has_results_of_the_same_configuration(self):
    job = self.make_job()
    self.assertFalse(job.is_done())
    self.finish(job, finished=False)
    self.assertFalse(job.is_done())
    job = self.make_job(1)
    self.finish(job)
    self.assertTrue(job.is_done())
    other = self.make_job(1, {'preset': 'small', 'num_layers': 4,
                              'epochs': 2.0})
    with self.assertRaisesRegex(
        ValueError, r'seed1 holds another run \(model.num_layers: 8 -> 4\): '
        'choose another --workdir'):
      other.is_done()
    with self.assertRaisesRegex(ValueError, 'smoke: False -> True'):
      dataclasses.replace(job, smoke=True).is_done()

  def test_done_whatever_the_arguments_were(self):
    job = self.make_job()
    self.finish(job, arguments=['--epochs=2', '--preset', 'small', '--seed=0',
                                '--num_layers=8', '--augmentation=shift_flip'])
    again = self.make_job(changes={
        'epochs': 2, 'num_layers': 8, 'preset': 'small', 'dropout': 0.2})
    self.assertTrue(again.is_done())

  def test_one_path_may_be_given_in_many_ways(self):
    bank = self.workdir / 'bank'
    bank.mkdir()
    began = self.make_job(transfer={'source': f'{bank}/../bank', 'name': 'a'})
    self.finish(began, finished=False)
    run = records.read_run(began.path)
    run['config']['origin'] = {'step': 1}
    records.write_json(began.path / records.RUN, run)
    again = self.make_job(transfer={'source': str(bank), 'name': 'a'})
    self.assertFalse(again.is_done())
    with self.assertRaisesRegex(ValueError, r'transfer.source: .*bank2'):
      self.make_job(transfer={'source': f'{bank}2', 'name': 'a'}).is_done()

  def test_command(self):
    job = self.make_job()
    place = f'--workdir={job.path}'
    self.assertEqual(job.arguments, [
        '--preset=small', '--num_layers=8', '--epochs=2.0', '--seed=0', place])
    self.assertEqual(
        dataclasses.replace(job, smoke=True, data_dir='x').arguments[-3:],
        [place, '--data_dir=x', '--smoke'])
    self.finish(job, finished=False)
    self.assertEqual(job.arguments, [place, '--resume'])

  def test_changes_that_a_command_has_no_flag_for(self):
    table_jobs.check_changes('launch.train', _CHANGES)
    with self.assertRaisesRegex(ValueError, '--source cannot be given'):
      table_jobs.check_changes('launch.train', {'source': 'x'})

  def test_an_evaluation_is_done_where_it_has_all_tasks(self):
    job = self.make_job()
    evaluation = dataclasses.replace(
        job, command='launch.evaluate', config=None, makes='evaluation.json')
    path = job.path / evaluation.makes
    self.assertFalse(evaluation.is_done())
    self.finish(job)
    self.assertFalse(evaluation.is_done())
    found = results.read(job.path / records.RESULTS)
    for changes, is_done in (
        ({}, True), ({'tasks': {}}, False), ({'steps': 1}, False)):
      results.write(path, dataclasses.replace(found, **changes))
      self.assertEqual(evaluation.is_done(), is_done)

  def test_budget(self):
    def estimate(*jobs):
      return table_jobs.estimate(jobs, self.workdir)

    self.assertIsNone(estimate(self.make_job()))
    self.finish(self.make_job(0))  # 60 s
    self.assertEqual(estimate(self.make_job(1), self.make_job(2)), 120)
    twice = {**_CHANGES, 'num_layers': 16}
    half = {**_CHANGES, 'epochs': 1}
    self.assertEqual(estimate(self.make_job(0, twice, 'other')), 120)
    self.assertEqual(estimate(self.make_job(0, half, 'other')), 30)
    preset = self.make_job(0, {'preset': 'small'}, 'other')  # 60 epochs, L=16
    self.assertEqual(estimate(preset), 3600)
    steps = self.make_job(0, {'preset': 'small', 'steps': 9}, 'other')
    self.assertIsNone(estimate(steps))
    self.finish(self.make_job(3), finished=False)  # stopped after 50 s
    self.assertEqual(estimate(self.make_job(3)), 10)

  def test_each_method_has_its_own_pace(self):
    def make_job(seed, method):
      return self.make_job(seed, row=method, adaptation={
          'source': f'bank/seed{seed}', 'method': method})

    self.finish(make_job(0, 'adda'))
    self.assertEqual(
        table_jobs.estimate([make_job(1, 'adda')], self.workdir), 60)
    for job in (make_job(0, 'im'), self.make_job()):
      self.assertIsNone(table_jobs.estimate([job], self.workdir))

  @parameterized.parameters(
      (1, '1 min'), (90, '2 min'), (3599, '60 min'), (4700, '1.3 h'))
  def test_hours(self, seconds, text):
    self.assertEqual(table_jobs.hours(seconds), text)

  def test_runs_what_is_left_and_says_how_long(self):
    jobs = [self.make_job(seed) for seed in range(4)]
    self.finish(jobs[1])
    ran = []

    def run(job):
      ran.append(job)
      self.finish(job)

    output = io.StringIO()
    with (mock.patch.object(table_jobs.Job, 'run', run),
          contextlib.redirect_stderr(output)):
      table_jobs.run_all(jobs, self.workdir)
      table_jobs.run_all(jobs, self.workdir)
    self.assertEqual(ran, [jobs[0], jobs[2], jobs[3]])
    self.assertEqual(output.getvalue().splitlines(), [
        f'4 runs under {self.workdir}, 3 to do: '
        'about 3 min of training left',
        '2 to do: about 2 min of training left',
        '1 to do: about 1 min of training left',
        f'4 runs under {self.workdir}, 0 to do: no training left'])

  def test_nothing_runs_beside_another_run(self):
    jobs = [self.make_job(0), self.make_job(1, {'preset': 'large'})]
    self.finish(self.make_job(1))
    with (mock.patch.object(table_jobs.Job, 'run') as run,
          self.assertRaisesRegex(ValueError, 'holds another run')):
      table_jobs.run_all(jobs, self.workdir)
    run.assert_not_called()

  @parameterized.parameters((3, 'failed, see above'), (143, 'was stopped'))
  def test_failures(self, status, message):
    job = self.make_job()
    program = self.workdir / 'python'
    program.write_text(f'#!/bin/sh\nexit {status}\n')
    program.chmod(0o700)
    with (mock.patch.object(sys, 'executable', str(program)),
          self.assertRaisesRegex(ValueError, f'row, seed 0 {message}')):
      job.run()

  def test_a_seed_may_have_its_own_model(self):
    def configure(seed, source):
      return table_jobs.identity(self.make_job(
          seed, transfer={'source': source}).config)

    self.assertEqual(configure(1, 'runs/x/seed1'), configure(2, 'runs/x/seed2'))
    self.assertEqual(configure(1, 'runs/x/seed0'), configure(2, 'runs/x/seed0'))
    self.assertNotEqual(
        configure(1, 'runs/x/seed0'), configure(1, 'runs/x/seed1'))


if __name__ == '__main__':
  absltest.main()
