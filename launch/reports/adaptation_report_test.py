"""Tests of what a report says of an adaptation, on made-up records."""

import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from launch.reports import adaptation_report
from launch.reports import adaptation_results
from launch.reports import projections
from launch.reports import run_plots
from launch.reports import run_report
from trainers.adaptation import adaptation_features
from trainers.runs import records
from trainers.runs import run_reader
from trainers.testing import toy_records

_SCORES = {'top1': 0.9, 'loss': 0.3, 'examples': 20, 'entropy': 0.1,
           'information': 2.0, 'density': 3.0, 'domain_accuracy': 0.75}


def write_adaptation(workdir, finished=True, alarm=None, labels='',
                     labelled=True):
  """Writes the records of a made-up adaptation; see `toy_records.write_run`."""
  toy_records.write_run(
      workdir, {'mnist': np.full((4, 2), 0.5), 'usps': np.full((4, 2), 0.5)},
      finished, kind='adapt')
  unknown = {} if labelled else {'top1': None, 'loss': None}
  scores = {**_SCORES, **unknown}
  run = records.read_json(workdir / records.RUN)
  run['config']['adaptation'] = {'target': 'usps', 'method': 'adda'}
  records.write_json(workdir / records.RUN, run)
  lines = [{'step': step, 'loss': 0.7, 'discriminator/top1': 0.6,
            'usps/entropy': 0.2, 'seconds': step} for step in (50, 100)]
  lines.append({'step': 100, **{
      f'validation/usps/{name}': value for name, value in scores.items()
      if value is not None}})
  (workdir / records.METRICS).write_text(
      ''.join(json.dumps(line) + '\n' for line in lines))
  if not finished:
    return
  found = records.read_json(workdir / records.RESULTS)
  found['tasks']['usps'].update(scores)
  found['initial'] = {'usps': {**_SCORES, 'top1': 0.8, **unknown}}
  found['adaptation'] = {
      'target': 'usps', 'tune': ['mixture'], 'init': 'copy:mnist',
      'chosen_by': 'information', 'candidates': {'mnist': _SCORES},
      'labels': labels, 'result': 'best',
      'states': {'last': {**_SCORES, 'top1': 0.7, **unknown},
                 'best': scores},
      'guard': {'score': 'information', 'best_step': 50, 'best_score': 2.0,
                'alarm_step': alarm}}
  records.write_json(workdir / records.RESULTS, found)


class AdaptationReportTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name) / 'run'

  def page(self, features=None, **options):
    write_adaptation(self.workdir, **options)
    if features:
      adaptation_features.write(self.workdir, features)
    with mock.patch.object(run_plots, 'save_paths'), mock.patch.object(
        run_plots, 'save_tasks'), mock.patch.object(
            run_plots, 'save_distances'):
      page = run_report.make_page(run_reader.Run(self.workdir))
    return page.html(), page.pictures

  def test_states_scores_and_curves(self):
    text, pictures = self.page()
    for part in ('80.00%', '70.00%', 'best (result)', 'domain accuracy',
                 'copy:mnist was chosen by information',
                 'linear discriminator; sources, test: they do not change',
                 'Label-free scores over the adaptation'):
      self.assertIn(part, text)
    # There is no file of features, as of older runs.
    for part in ('Oracle', 'collapsed', 'no lines of metrics', 't-SNE'):
      self.assertNotIn(part, text)
    for number in (1, 2, 3):
      self.assertTrue(pictures[f'adaptation{number}.png'].startswith(
          b'\x89PNG'))

  def test_says_collapse_and_oracle(self):
    text, _ = self.page(alarm=100, labels='trained on labels')
    self.assertIn('collapsed at step 100 and went back to step 50', text)
    self.assertIn('labels of the target were used (trained on labels)', text)

  def test_features(self):
    rng = np.random.default_rng(0)
    before, after, source = (
        (rng.integers(2, size=9), rng.normal(size=(9, 4))) for _ in range(3))
    features = adaptation_features.Features(
        'usps', 'test', ('0', '1'), {'mnist': source}, before, after)
    with mock.patch.object(
        projections, 'neighbours',
        lambda x: projections.principal_components(x)[0]):
      text, pictures = self.page(features)
    for name in ('features.png', 'features_linear.png'):
      self.assertTrue(pictures[name].startswith(b'\x89PNG'))
    self.assertIn('Embeddings of usps and of its sources. 9 test images of '
                  'it, and of each source as many', text)

  def test_a_target_without_labels(self):
    _, pictures = self.page(labelled=False)
    self.assertIn('adaptation1.png', pictures)  # of the discriminator
    rows = adaptation_results.state_rows(
        records.read_json(self.workdir / records.RESULTS))
    self.assertEqual(
        [row[1:5] for row in rows[1:]],
        [('initial', '-', '-', '20'), ('last', '-', '-', '20'),
         ('best (result)', '-', '-', '20'),
         ('source', '50.00%', '0.4000', '1,234')])

  def test_an_unfinished_target_without_labels(self):
    text, _ = self.page(labelled=False, finished=False)
    self.assertIn('<td>-</td><td>-</td><td>20</td>', text.replace('\n', ''))
    self.assertNotIn('Nothing has been evaluated yet', text)

  def test_unfinished(self):
    text, _ = self.page(finished=False)
    self.assertIn('90.00', text)
    self.assertNotIn('sources, test', text)
    self.assertNotIn('no lines of metrics', text)

  def test_sources_are_a_line(self):
    results = {'adaptation': {'target': 'c'}, 'tasks': {
        'a': {'top1': 0.9}, 'b': {'top1': 0.8}, 'c': {'top1': 0.1}}}
    curves = {'one': ((5, 7), (1, 1)), 'other': ((2, 6), (1, 1))}
    (line,) = adaptation_report._line_of_sources(results, curves).values()
    np.testing.assert_allclose(line, ((2, 7), (85, 85)))
    del results['tasks']['a'], results['tasks']['b']
    self.assertEmpty(adaptation_report._line_of_sources(results, curves))


if __name__ == '__main__':
  tf.test.main()
