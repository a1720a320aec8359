"""Tests of what is shown of a transfer."""

import dataclasses
import html
import re
import types

from absl.testing import absltest

from launch.reports import html_page
from launch.reports import transfer_report
from trainers.runs import results


def _show(**start):
  page = html_page.Page('page')
  facts = results.TransferFacts(
      'bank', results.Origin(1, 'ema', 'f'), 'usps', 'usps',
      results.TransferStart(**start), tuned_parameters=1_234,
      train_examples=9)
  transfer_report.show(page, types.SimpleNamespace(
      results=types.SimpleNamespace(transfer=facts)))
  text = re.sub('</t[dh]><t[dh]>', '|', page.html())
  return html.unescape(re.sub('<[^>]*>', '\n', text))


class TransferReportTest(absltest.TestCase):

  def test_which_runs(self):
    for found, expected in (
        (None, False), (types.SimpleNamespace(transfer=None), False),
        (types.SimpleNamespace(transfer='facts'), True)):
      self.assertEqual(transfer_report.is_transfer(
          types.SimpleNamespace(results=found)), expected)

  def test_scores_and_coefficients(self):
    text = _show(
        init='best', copied='mnist', scored_by='probe',
        scores={'mnist': 0.75, 'usps': 0.5}, score_images={'train': 5},
        coefficients={'usps': 1.0}, statistics='copy',
        tune=('mixture', 'norm'), head='own', head_shared_with=(),
        initial_head='untrained')
    for expected in (
        'first signature|best', 'copied from|mnist', 'tuned|mixture, norm',
        'tuned parameters|1,234', 'head|own; at first untrained',
        'mnist|75.00|–', 'usps|50.00|1.0000', 'by probe', 'Eq. 1'):
      self.assertIn(expected, text)

  def test_random_start(self):
    text = _show(
        init='random', copied=None, scored_by=None, scores=None,
        score_images=None, coefficients=None, statistics='reestimate', tune=(),
        head='one', head_shared_with=('one', 'two'), initial_head='shared')
    self.assertIn('tuned|nothing', text)
    self.assertIn('head|one, shared with one, two; at first shared', text)
    for absent in ('Sources', 'None', 'copied', 'of each class'):
      self.assertNotIn(absent, text)

  def test_says_how_the_task_begins(self):
    start = results.TransferStart(
        init='best', copied='mnist', scored_by='path',
        scores={'mnist': 0.75, 'svhn': 0.5}, score_images={'validation': 1_234},
        coefficients=None, statistics='copy', tune=('norm', 'mixture'),
        head='shared', head_shared_with=('mnist', 'svhn'),
        initial_head='shared')
    self.assertEqual(transfer_report.format_start(start), (
        'source   score  coefficient\n'
        '---------------------------\n'
        'mnist   75.00%             \n'
        'svhn    50.00%             \n'
        'Scores: accuracy on new validation images, by path. Labelled images '
        'read: 1,234 of validation.\n'
        'Begins with init=best, copied from mnist; statistics: copy; head: '
        'shared, shared with mnist, svhn; tuned: norm, mixture.'))
    for initial, head in (('shared', 'its own, a copy'),
                          ('untrained', 'its own, untrained')):
      text = transfer_report.format_start(dataclasses.replace(
          start, init='learned', copied=None, scored_by=None, scores=None,
          score_images=None, coefficients={'mnist': 0.25, 'svhn': 0.75},
          tune=(), head='usps', head_shared_with=(), initial_head=initial))
      self.assertRegex(text, r'(?m)^svhn +0\.7500$')
      self.assertNotIn('Scores', text)
      self.assertEndsWith(
          text, f'=learned; statistics: copy; head: {head}; tuned: nothing.')


if __name__ == '__main__':
  absltest.main()
