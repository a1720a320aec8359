"""Tests of how a table is made, with nothing in the place of its runs."""

import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from launch.tables import table_jobs
from launch.tables import table_making
from launch.tables import table_options


class TableMakingTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def make(self):
    return table_making.make(
        {'all': []}, table_options.TableOptions(self.workdir / 'table'),
        'table.md', lambda: 'text')

  def test_text_is_written(self):
    self.assertEqual(self.make(), 'text')
    self.assertEqual((self.workdir / 'table/table.md').read_text(), 'text\n')

  def test_text_is_written_where_the_rest_fails(self):
    with mock.patch.object(
        table_jobs, 'run_all', side_effect=ValueError('stopped')):
      for has_begun in (False, True):
        if has_begun:
          (self.workdir / 'table').mkdir()
        with self.assertRaisesRegex(ValueError, 'stopped'):
          self.make()
        self.assertEqual(
            (self.workdir / 'table/table.md').exists(), has_begun)

  def test_missing_data(self):
    def make_job(row, *datasets):
      return table_jobs.Job(
          row, 'launch.train', {}, self.workdir / row,
          data_dir=str(self.workdir), datasets=datasets)

    done = make_job('done', 'kmnist')
    with mock.patch.object(
        table_jobs.Job, 'is_done', lambda job: job is done):
      table_making.check_data({'digits': [done]})
      with self.assertRaisesRegex(
          ValueError, r'(?s)nothing was run\.\nusps: .*: prepare it.*'
          r'\nThen call .*: give --rows=digits\.$'):
        table_making.check_data({
            'digits': [done, make_job('a', 'optdigits')],
            'domainnet': [make_job('b', 'optdigits', 'usps')]})
      with self.assertRaisesRegex(ValueError, 'trained banks with --from'):
        table_making.check_data({'digits': [make_job('c', 'usps')]})


if __name__ == '__main__':
  absltest.main()
