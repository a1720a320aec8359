"""Tests of what a report says of shared layers."""

import html
import pathlib
import re
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np

from launch.reports import html_page
from launch.reports import run_plots
from launch.reports import sharing_report
from trainers.runs import run_reader
from trainers.testing import toy_records

_MIXTURES = {'mnist': np.eye(3)[[0, 1, 1, 2, 2, 2]],
             'mnist+blur': np.eye(3)[[1, 0, 1, 2, 2, 2]],
             'kmnist': np.eye(3)[[0, 1, 0, 1, 0, 1]],
             'kmnist+blur': np.eye(3)[[1, 0, 0, 1, 0, 1]]}


class SharingReportTest(absltest.TestCase):

  def show(self, mixtures, edit=lambda run: None, **changes):
    """Text of the section, and what its pictures were given."""
    drawn = {}
    for name in ('save_tasks', 'save_distances'):
      def note(*arguments, name=name):
        drawn[name] = arguments[:-1]
      patch = mock.patch.object(run_plots, name, note)
      patch.start()
      self.addCleanup(patch.stop)
    with tempfile.TemporaryDirectory() as directory:
      workdir = pathlib.Path(directory) / 'run'
      toy_records.write_run(workdir, mixtures, **changes)
      run = run_reader.Run(workdir)
    edit(run)
    page = html_page.Page('page')
    sharing_report.show(page, run)
    text = re.sub('</t[dh]><t[dh]>', '|', page.html())
    text = html.unescape(re.sub('<[^>]*>', '\n', text))
    return re.sub(' +', ' ', text), drawn

  def test_half_that_is_shared_by_construction(self):
    mixtures = {name: np.concatenate([np.eye(3)[[0, 1, 2]], xi[3:5]])
                for name, xi in _MIXTURES.items()}
    text, drawn = self.show(mixtures, shared_half='first')
    for expected in (
        'Layers 1 to 3 are shared by construction (shared_half=first)',
        '1 to 3|all, by construction',
        '4 to 5|[mnist, mnist+blur] [kmnist, kmnist+blur]',
        'same augmentation|2|1.000|1.000|1.000',
        'same data set|2|0.000|0.000|0.000', '3 kmnist|1.00|',
        'Of the layers that are not shared by construction.'):
      self.assertIn(expected, text)
    kinds, = drawn['save_distances']
    np.testing.assert_array_equal(
        kinds['same augmentation'], [np.nan] * 3 + [1, 1])

  def test_second_half_that_is_shared(self):
    text, _ = self.show(
        {name: xi[:5] for name, xi in _MIXTURES.items()}, shared_half='second')
    self.assertIn('Layers 4 to 5 are shared by construction', text)

  def test_fixed_signatures_of_several_tasks(self):
    text, drawn = self.show(
        {'one': np.eye(2), 'two': np.eye(2)}, signature='sequential')
    self.assertIn('fixed (sequential): what they share was given', text)
    self.assertNotIn('1 to 2|all', text)
    self.assertNotIn('save_tasks', drawn)

  def test_data_sets_are_those_of_the_records(self):
    def rename(run):
      run.run['data'] = {name: {'dataset': dataset} for name, dataset in zip(
          _MIXTURES, ('svhn', 'svhn+blur', 'usps', 'usps+blur'))}

    names = dict(zip('abcd', _MIXTURES.values()))
    text, _ = self.show(names)
    self.assertIn('all pairs|6|', text)

    def know(run):
      rename(run)
      run.run['data'] = dict(zip(names, run.run['data'].values()))

    text, _ = self.show(names, know)
    self.assertIn('same augmentation|2|0.000|1.000|0.667', text)
    text, _ = self.show(_MIXTURES, lambda run: run.run.update(
        data={'mnist': {'dataset': None}}))
    self.assertIn('all pairs|6|', text)


if __name__ == '__main__':
  absltest.main()
