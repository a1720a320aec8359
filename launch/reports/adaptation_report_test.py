"""Tests of what a report says of an adaptation, on made-up records."""

import dataclasses
import json
import pathlib
import tempfile
import types
from unittest import mock

import numpy as np
import tensorflow as tf

from launch.reports import adaptation_report
from launch.reports import projections
from launch.reports import run_plots
from launch.reports import run_report
from trainers.adaptation import adaptation_features
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_reader
from trainers.testing import toy_records

_LABEL_FREE = {'entropy': 0.1, 'information': 2.0, 'density': 3.0,
               'domain_accuracy': 0.75}


def write_adaptation(workdir, finished=True, alarm=None, labels='',
                     labelled=True):
  """Writes the records of a made-up adaptation; see `toy_records.write_run`."""
  toy_records.write_run(
      workdir, {'mnist': np.full((4, 2), 0.5), 'usps': np.full((4, 2), 0.5)},
      finished, kind='adapt')
  scores = _score(0.9, labelled)
  run = records.read_json(workdir / records.RUN)
  run['config']['adaptation'] = {'target': 'usps', 'method': 'adda'}
  records.write_json(workdir / records.RUN, run)
  lines = [{'step': step, 'loss': 0.7, 'discriminator/top1': 0.6,
            'usps/entropy': 0.2, 'seconds': step} for step in (50, 100)]
  lines.append({'step': 100, **{
      f'validation/usps/{name}': value
      for name, value in scores.numbers().items()}})
  (workdir / records.METRICS).write_text(
      ''.join(json.dumps(line) + '\n' for line in lines))
  if not finished:
    return
  found = results.read(workdir / records.RESULTS)
  result = dataclasses.replace(found.tasks['usps'], **vars(scores))
  facts = results.AdaptationFacts(
      source='bank', origin=results.Origin(1, 'ema', 'f'), target='usps',
      method='adda', sources=('mnist',), tune=('mixture',),
      start=results.TargetStart(
          'copy:mnist', 'information', {'mnist': _LABEL_FREE}),
      statistics='copy', labels=labels, tuned_parameters=4,
      moved=(), sources_unchanged=True, result='best',
      states={'last': _score(0.7, labelled), 'best': scores},
      guard=results.Guard('information', 50, 2.0, alarm))
  results.write(workdir / records.RESULTS, dataclasses.replace(
      found, tasks={**found.tasks, 'usps': result},
      initial={'usps': _score(0.8, labelled)}, adaptation=facts))


def _score(top1, labelled):
  return results.TaskScore(
      top1=top1 if labelled else None, loss=0.3 if labelled else None,
      examples=20, label_free=_LABEL_FREE)


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

  def test_text_says_so_too(self):
    write_adaptation(self.workdir, alarm=100, labels='trained on labels')
    found = results.read(self.workdir / records.RESULTS)
    text = adaptation_report.format_results(found)
    for line in ('The adaptation collapsed at step 100 and went back to step '
                 '50, the best by information.',
                 'Oracle: labels of the target were used (trained on labels).'):
      self.assertIn(line, text)
    self.assertRegex(text, r'(?m)^usps +best \(result\) ')
    self.assertRegex(text, '(?m)^usps +last ')
    self.assertRegex(
        adaptation_report.format_start(found.adaptation.start),
        r'(?m)^mnist +0.1000 +2.0000(.*\n)+.*Begins with copy:mnist, chosen by '
        'information, without labels')

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
    rows = adaptation_report.state_rows(
        results.read(self.workdir / records.RESULTS))
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
    found = types.SimpleNamespace(
        adaptation=types.SimpleNamespace(target='c'), tasks={
            name: results.Score(top1=top1, loss=1.0, examples=1)
            for name, top1 in {'a': 0.9, 'b': 0.8, 'c': 0.1}.items()})
    curves = {'one': ((5, 7), (1, 1)), 'other': ((2, 6), (1, 1))}
    (line,) = adaptation_report._line_of_sources(found, curves).values()
    np.testing.assert_allclose(line, ((2, 7), (85, 85)))
    del found.tasks['a'], found.tasks['b']
    self.assertEmpty(adaptation_report._line_of_sources(found, curves))


if __name__ == '__main__':
  tf.test.main()
