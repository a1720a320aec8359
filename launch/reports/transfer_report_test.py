"""Tests of what a report says of a transfer."""

import html
import re
import types

from absl.testing import absltest

from launch.reports import html_page
from launch.reports import transfer_report


def _show(**facts):
  page = html_page.Page('page')
  transfer_report.show(page, types.SimpleNamespace(
      results={'transfer': facts}))
  text = re.sub('</t[dh]><t[dh]>', '|', page.html())
  return html.unescape(re.sub('<[^>]*>', '\n', text))


class TransferReportTest(absltest.TestCase):

  def test_which_runs(self):
    for results, expected in (
        (None, False), ({'tasks': {}}, False), ({'transfer': {}}, True)):
      self.assertEqual(transfer_report.is_transfer(
          types.SimpleNamespace(results=results)), expected)

  def test_scores_and_coefficients(self):
    text = _show(
        init='best', copied='mnist', scored_by='probe',
        scores={'mnist': 0.75, 'usps': 0.5}, coefficients={'usps': 1.0},
        tune=['mixture', 'norm'], tuned_parameters=1_234, head='own',
        initial_head='untrained')
    for expected in (
        'first signature|best', 'copied from|mnist', 'tuned|mixture, norm',
        'tuned parameters|1,234', 'head|own; at first untrained',
        'mnist|75.00|–', 'usps|50.00|1.0000', 'by probe', 'Eq. 1'):
      self.assertIn(expected, text)

  def test_random_start(self):
    text = _show(init='random', scores=None, coefficients=None, tune=[],
                 scored_by=None)
    self.assertIn('tuned|nothing', text)
    for absent in ('Sources', 'None', 'copied', 'training images'):
      self.assertNotIn(absent, text)


if __name__ == '__main__':
  absltest.main()
