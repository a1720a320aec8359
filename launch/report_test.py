"""Tests of `launch.report`."""

import os
import pathlib
import shutil
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch import report
from launch.testing import in_process
from trainers import loop
from trainers import supervised
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.testing import toy
from trainers.testing import toy_records


class ReportTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)

  def test_run_that_was_trained(self):
    workdir = self.directory / 'run'
    config = toy.make_config(['one', 'two+blur'], steps=3)
    trainer = supervised.make_trainer(
        config, toy.make_data(config.tasks), tf.distribute.get_strategy())
    records.claim(workdir, config.to_json(), 'train')
    seconds = loop.run(trainer, workdir, run_options.RunOptions(
        log_every=1, eval_every=2, progress=False))
    with trainer.ema.applied():
      results.write(workdir / records.RESULTS, results.collect(
          trainer.network, 'test', 'ema', trainer.steps, seconds))
    before = _contents(workdir)
    self.assertEqual(in_process.run(report, f'--workdir={workdir}'),
                     f'Report: {workdir}/report/index.html\n')
    page = (workdir / 'report' / 'index.html').read_text()
    for expected in ('2 tasks (one, two+blur)', 'What the tasks share'):
      self.assertIn(expected, page)
    after = _contents(workdir)
    pictures = {name for name in after if name.endswith('.png')}
    self.assertEqual(pictures, {
        f'report/{name}.png' for name in (
            'curves', 'signatures', 'path', 'organisation', 'tasks',
            'distances')})
    self.assertEqual(page.count('<img '), len(pictures))
    # Nothing else was touched.
    self.assertEqual({name: data for name, data in after.items()
                      if not name.startswith('report/')}, before)

  def test_replaces_its_own_report_alone(self):
    workdir = self.directory / 'run'
    toy_records.write_run(workdir, {'one': np.eye(2)}, finished=False,
                          signature='sequential')
    page = report.write_report(workdir)
    self.assertIn('Unfinished', page.read_text())
    (page.parent / 'note.txt').write_text('mine')
    toy_records.write_run(self.directory / 'other', {'one': np.eye(2)},
                          signature='sequential')
    shutil.copy(self.directory / 'other' / records.RESULTS, workdir)
    self.assertEqual(report.write_report(workdir), page)
    self.assertNotIn('Unfinished', page.read_text())
    self.assertEqual((page.parent / 'note.txt').read_text(), 'mine')

  def test_table(self):
    toy_records.write_run(
        self.directory / 'row' / 'seed0', {'one': np.eye(2)})
    page = report.write_report(self.directory)
    self.assertEqual(page, self.directory / 'report' / 'index.html')
    self.assertTrue((page.parent / 'accuracy.png').exists())
    self.assertIn('row, seed0', page.read_text())

  def test_no_run(self):
    with self.assertRaisesRegex(ValueError, 'a directory with neither: give'):
      report.write_report(self.directory)
    self.assertEmpty(list(self.directory.iterdir()))
    with self.assertRaisesRegex(ValueError, 'a path with neither: give'):
      report.write_report(self.directory / 'missing')
    self.assertEmpty(list(self.directory.iterdir()))
    with self.assertRaisesRegex(ValueError, 'Expected --workdir'):
      in_process.run(report)

  @parameterized.parameters(
      (('table.md',), 'Read .*/table.md, or give the --workdir'),
      (('table3.md', 'table4.md'), 'Read .*/table3.md and .*/table4.md, or g'),
      ((), r'have no page\. Give the --workdir of a'))
  def test_tables_without_a_page(self, texts, message):
    run = self.directory / 'bank' / 'usps' / 'best-mixture' / 'seed0'
    toy_records.write_run(run, {'one': np.eye(2)})
    for name in texts:
      (self.directory / name).write_text('text')
    with self.assertRaisesRegex(
        ValueError, fr'Tables 1, 5, 6 and 8\).*{message}.*, such as {run}'):
      report.write_report(self.directory)

  @parameterized.parameters('report', 'report/mine.txt')
  def test_foreign_files_are_not_overwritten(self, name):
    workdir = self.directory / 'run'
    toy_records.write_run(workdir, {'one': np.eye(2)})
    (workdir / name).parent.mkdir(exist_ok=True)
    (workdir / name).write_text('mine')
    with self.assertRaisesRegex(ValueError, 'report to be free'):
      report.write_report(workdir)
    self.assertEqual((workdir / name).read_text(), 'mine')

  def test_writes_nowhere_else_by_a_link(self):
    workdir = self.directory / 'run'
    toy_records.write_run(workdir, {'one': np.eye(2)})
    elsewhere = self.directory / 'elsewhere'
    elsewhere.mkdir()
    (workdir / 'report').symlink_to(elsewhere)
    with self.assertRaisesRegex(ValueError, 'run/report, a link to .*elsewhe'):
      report.write_report(workdir)
    self.assertEmpty(list(elsewhere.iterdir()))

  def test_says_first_that_nothing_can_be_written(self):
    workdir = self.directory / 'run'
    toy_records.write_run(workdir, {'one': np.eye(2)})
    with (mock.patch.object(os, 'access', return_value=False),
          self.assertRaisesRegex(ValueError, 'that can be written, received')):
      report.write_report(workdir)

  def test_damaged_run(self):
    toy_records.write_run(self.directory / 'run', {'one': np.eye(2)})
    (self.directory / 'run' / records.RUN).write_text('{')
    with self.assertRaisesRegex(ValueError, 'a damaged file'):
      report.write_report(self.directory / 'run')


def _contents(directory):
  return {str(path.relative_to(directory)): path.read_bytes()
          for path in directory.rglob('*') if path.is_file()}


if __name__ == '__main__':
  absltest.main()
