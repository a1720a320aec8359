"""Tests of the runs of a table, with records in the place of trainings."""

import contextlib
import dataclasses
import io
import pathlib
import sys
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import table_jobs
from trainers.runs import records
from trainers.testing import toy_records

_FLAGS = ('--preset=small', '--num_layers=8', '--epochs=2.0')


class TableRunsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def make_job(self, seed=0, arguments=_FLAGS, row='row'):
    return table_jobs.Job(
        f'{row}, seed {seed}', (*arguments, f'--seed={seed}'),
        self.workdir / row / f'seed{seed}')

  def finish(self, job, finished=True):
    """Writes the records that its command would: a minute of training."""
    toy_records.write_run(
        job.path, {'one': np.eye(2)}, finished=finished,
        arguments=[*job.flags, f'--workdir={job.path}', '--data_dir=here'])

  def test_done_is_what_has_results_of_the_same_command(self):
    job = self.make_job()
    self.assertFalse(job.is_done())
    self.finish(job, finished=False)
    self.assertFalse(job.is_done())
    job = self.make_job(1)
    self.finish(job)
    self.assertTrue(job.is_done())
    other = self.make_job(1, ('--preset=large',))
    with self.assertRaisesRegex(
        ValueError, 'the run of another command, --preset=small .*--seed=1; '
        'expected --preset=large --seed=1: choose another --workdir'):
      other.is_done()

  def test_one_path_may_be_given_in_many_ways(self):
    bank = self.workdir / 'bank'
    bank.mkdir()
    began = self.make_job(0, (f'--from={bank}/../bank', '--task=usps'))
    self.finish(began, finished=False)
    again = self.make_job(0, (f'--from={bank}', '--task=usps'))
    self.assertFalse(again.is_done())
    # As it was begun, for launch.transfer compares them, too.
    self.assertIn(began.flags[0], again.command)
    self.assertEqual(again.command[-1], '--resume')
    with self.assertRaisesRegex(ValueError, 'run of another command'):
      self.make_job(0, (f'--from={bank}2', '--task=usps')).is_done()
    self.assertNotIn('--resume', self.make_job(1).command)

  def test_an_evaluation_is_done_where_it_has_all_tasks(self):
    job = self.make_job()
    evaluation = dataclasses.replace(
        job, module='launch.evaluate', makes='evaluation.json')
    path = job.path / evaluation.makes
    self.assertFalse(evaluation.is_done())
    self.finish(job)
    self.assertFalse(evaluation.is_done())
    results = records.read_json(job.path / records.RESULTS)
    for changes, is_done in (
        ({}, True), ({'tasks': {}}, False), ({'steps': 1}, False)):
      records.write_json(path, {**results, **changes})
      self.assertEqual(evaluation.is_done(), is_done)

  @parameterized.parameters(
      ('--seed=1', 'seed'), ('--nopool', 'pool'), ('--norm=mixed', 'norm'),
      ('--norm_momentum=0', 'norm_momentum'), ('--use_se', 'use_se'))
  def test_flag_names(self, argument, name):
    with mock.patch.object(flags, 'FLAGS', ['norm', 'norm_momentum']):
      self.assertEqual(table_jobs.flag_name(argument), name)

  def test_budget(self):
    def estimate(*jobs):
      return table_jobs.estimate(jobs, self.workdir)

    self.assertIsNone(estimate(self.make_job()))
    self.finish(self.make_job(0))  # 60 s
    self.assertEqual(estimate(self.make_job(1), self.make_job(2)), 120)
    twice = ('--preset=small', '--num_layers=16', '--epochs=2.0')
    half = ('--preset=small', '--num_layers=8', '--epochs=1')
    self.assertEqual(estimate(self.make_job(0, twice, 'other')), 120)
    self.assertEqual(estimate(self.make_job(0, half, 'other')), 30)
    preset = self.make_job(0, ('--preset=small',), 'other')  # 60 epochs, L=16
    self.assertEqual(estimate(preset), 3600)
    steps = self.make_job(0, ('--preset=small', '--steps=9'), 'other')
    self.assertIsNone(estimate(steps))
    self.finish(self.make_job(3), finished=False)  # stopped after 50 s
    self.assertEqual(estimate(self.make_job(3)), 10)

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

  def test_nothing_runs_beside_another_command_s_run(self):
    jobs = [self.make_job(0), self.make_job(1, ('--preset=large',))]
    self.finish(self.make_job(1))
    with (mock.patch.object(table_jobs.Job, 'run') as run,
          self.assertRaisesRegex(ValueError, 'run of another command')):
      table_jobs.run_all(jobs, self.workdir)
    run.assert_not_called()

  @parameterized.parameters((3, 'failed, see above'), (143, 'was stopped'))
  def test_failures(self, status, message):
    job = self.make_job()
    command = [sys.executable, '-c', f'raise SystemExit({status})']
    with (mock.patch.object(table_jobs.Job, 'command', command),
          self.assertRaisesRegex(ValueError, f'row, seed 0 {message}')):
      job.run()

  def test_a_seed_may_have_its_own_model(self):
    of_seed = [table_jobs.without_seed(
        (f'--from=runs/x/seed{seed}', '--steps=2', f'--seed={seed}'))
               for seed in (0, 1)]
    self.assertEqual(of_seed[0], of_seed[1])
    of_one = [table_jobs.without_seed(
        ('--from=runs/x/seed0', f'--seed={seed}')) for seed in (1, 2)]
    self.assertEqual(of_one, [['--from=runs/x/seed0']] * 2)


if __name__ == '__main__':
  absltest.main()
