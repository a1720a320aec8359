"""Tests of the page of a run."""

import dataclasses
import html
import pathlib
import re
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np

from launch.reports import results_text
from launch.reports import run_plots
from launch.reports import run_report
from launch.reports import signature_plots
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_reader
from trainers.testing import toy_records

_MIXTURES = {'mnist': np.eye(3)[[0, 1, 1, 2, 2, 2]],
             'mnist+blur': np.eye(3)[[1, 0, 1, 2, 2, 2]],
             'kmnist': np.eye(3)[[0, 1, 0, 1, 0, 1]],
             'kmnist+blur': np.eye(3)[[1, 0, 0, 1, 0, 1]]}


class RunReportTest(absltest.TestCase):

  def make_page(self, mixtures, edit=lambda run: None, results_change=None,
                **changes):
    """Text of the page of a made-up run, and what its pictures were given."""
    drawn = {}
    for module, name in (
        (signature_plots, 'save_signatures'), (run_plots, 'save_tasks'),
        (run_plots, 'save_distances'), (run_plots, 'save_curves'),
        (run_plots, 'save_paths')):
      def note(*arguments, name=name, **unused_options):
        drawn[name] = arguments[:-1]
      patch = mock.patch.object(module, name, note)
      patch.start()
      self.addCleanup(patch.stop)
    with tempfile.TemporaryDirectory() as directory:
      workdir = pathlib.Path(directory) / 'run'
      toy_records.write_run(workdir, mixtures, **changes)
      if results_change:
        found = records.read_json(workdir / records.RESULTS)
        results_change(found)
        records.write_json(workdir / records.RESULTS, found)
      run = run_reader.Run(workdir)
    edit(run)
    page = run_report.make_page(run)
    return _text(page), drawn, page

  def test_several_tasks(self):
    text, drawn, page = self.make_page(
        _MIXTURES, arguments=['--preset=<digits>'])
    self.assertCountEqual(page.pictures, [
        'curves.png', 'signatures.png', 'path.png', 'organisation.png',
        'tasks.png', 'distances.png'])
    for expected in (
        'Run run', '4 tasks (mnist, mnist+blur, kmnist, kmnist+blur)',
        'K = 3 templates, L = 6 layers, 5,678 parameters; 120 steps',
        'command|python -m launch.train \'--preset=<digits>\'',
        'with uncommitted changes', 'keras 3.15.1', 'x86_64, 2 cores',
        'model.num_layers|6', 'mnist+blur|50.00|0.4000|1,234|77',
        'test split, ema weights, after 120 steps',
        # max xi, entropy, templates used, runs per template, growth.
        'mnist|1.000|6 of 6|0.000|3 of 3|1.00|+1.00|yes|50',
        'kmnist|1.000|6 of 6|0.000|2 of 3|3.00|–|no|50',
        'mnist|1-2-2-3-3-3|1 2 3', '1|1.00 / 0.00|1.00 / 0.00',
        # Who shares which layer.
        '1 to 2|[mnist, kmnist] [mnist+blur, kmnist+blur]',
        '3 to 6|[mnist, mnist+blur] [kmnist, kmnist+blur]',
        # Distances: early below the diagonal, late above.
        '1 mnist||0.00|1.00|1.00', '3 kmnist|0.00|1.00||0.00',
        'same augmentation|2|0.000|1.000|0.667',
        'same data set|2|1.000|0.000|0.333', 'neither|2|1.000|1.000|1.000'):
      self.assertIn(expected, text)
    kinds, = drawn['save_distances']
    np.testing.assert_array_equal(kinds['same data set'], [1, 1, 0, 0, 0, 0])
    steps, paths = drawn['save_paths']
    self.assertEqual(steps, [0, 50, 100, 120])
    self.assertEqual(paths['kmnist'].shape, (4, 6, 3))
    self.assertNotIn('Unfinished', text)

  def test_curves(self):
    with mock.patch.object(run_report, '_show_path'):
      _, drawn, _ = self.make_page({'one': np.eye(2)})
    panels, _ = drawn['save_curves']
    (_, scale, training, validation), (label, _, accuracy, _) = panels
    self.assertEqual(scale, 'log')
    self.assertEqual(training['one'], ((50, 100, 120), (0.98, 0.49, 49 / 120)))
    self.assertEqual(validation['one'], ((50, 100, 120), (0.96, 0.48, 0.4)))
    self.assertEqual(label, 'top-1 accuracy, %')
    self.assertAlmostEqual(accuracy['one'][1][-1], 50)

  def test_self_organisation_over_training(self):
    _, drawn, _ = self.make_page({'one': np.eye(2)})
    (_, _, largest, _), (_, _, entropy, _) = drawn['save_curves'][0]
    steps, values = largest['one']
    self.assertEqual(steps, [0, 50, 100, 120])
    np.testing.assert_allclose(values, [0.5, 17 / 24, 11 / 12, 1])
    np.testing.assert_allclose(entropy['one'][1][[0, -1]], [np.log(2), 0],
                               atol=1e-9)

  def test_single_task(self):
    text, drawn, _ = self.make_page({'one': np.eye(2)})
    self.assertIn('1 task (one)', text)
    self.assertNotIn('What the tasks share', text)
    self.assertNotIn('save_tasks', drawn)

  def test_two_tasks_of_one_kind(self):
    text, _, _ = self.make_page({'mnist': np.eye(2), 'svhn': np.eye(2)})
    self.assertIn('1 to 2|all', text)
    self.assertIn('all pairs|1|0.000|0.000|0.000', text)
    self.assertNotIn('Figure 2b', text)

  def test_linear_signatures_are_measured_as_shares(self):
    xi = np.array([[-6.0, 2.0], [3.0, 3.0]])
    text, drawn, _ = self.make_page({'a': xi, 'b': 2 * xi}, signature='linear')
    for expected in (
        # max xi, above 0.9, entropy.
        'a|0.625|0 of 2|0.628|', '1|0.75 / 0.56|0.75 / 0.56',
        '2|0.50 / 0.69|0.50 / 0.69', '2 b|0.00|',
        'Negative weights are orange', results_text.SHARES):
      self.assertIn(expected, text)
    kinds, = drawn['save_distances']
    np.testing.assert_allclose(kinds['all pairs'], [0, 0])
    (_, _, largest, _), _ = drawn['save_curves'][0]
    self.assertAlmostEqual(largest['b'][1][-1], 0.625)

  def test_transfer(self):
    def tune(found):
      del found['tasks']['mnist']
      found.update(
          initial={'usps': {'top1': 0.25, 'loss': 0.5, 'examples': 7}},
          transfer={
              'source': 'runs/digits', 'origin': {
                  'step': 1, 'weights': 'ema', 'fingerprint': 'f'},
              'dataset': 'usps', 'name': 'usps', 'start': {
                  'init': 'learned', 'copied': None, 'scored_by': 'path',
                  'scores': {'mnist': 0.75}, 'score_images': None,
                  'coefficients': {'mnist': 1.0}, 'statistics': 'reestimate',
                  'head': 'shared', 'head_shared_with': ['mnist'],
                  'initial_head': 'shared', 'tune': ['mixture']},
              'tuned_parameters': 4, 'train_examples': 1_000,
              'examples_per_class': None})

    text, drawn, _ = self.make_page(
        {'mnist': np.eye(2), 'usps': np.eye(2)}, results_change=tune,
        arguments=['--from=runs/digits'])
    for expected in (
        '2 tasks (mnist, usps; of this run: usps) on a bank',
        '5,678 parameters, of which 4 were tuned',
        'usps|50.00|0.4000|1,234|77', 'initial|25.00|0.5000|7|',
        'mnist|not evaluated here|||', 'first signature|learned',
        'tuned parameters|4', 'head|shared, shared with mnist',
        'training images|1,000', 'mnist|75.00|1.0000', '1 mnist||0.00'):
      self.assertIn(expected, text)
    self.assertNotIn('copied from', text)
    _, paths = drawn['save_paths']
    self.assertEqual(list(paths), ['usps'])

  def test_fixed_signature(self):
    text, drawn, page = self.make_page(
        {'one': np.eye(2)}, signature='sequential')
    self.assertIn('The signature is fixed (sequential)', text)
    self.assertCountEqual(page.pictures, ['curves.png', 'signatures.png'])
    self.assertNotIn('save_paths', drawn)

  def test_unfinished(self):
    text, _, _ = self.make_page({'one': np.eye(2)}, finished=False)
    for expected in (
        'Unfinished: there is no results.json yet. The last record is of step '
        '100, of 10 steps', 'one|50.00|0.4800|4|',
        'Last validation; the averaged weights.',
        'From the raw weights of step 100.'):
      self.assertIn(expected, text)

  def test_just_begun(self):
    def forget(run):
      run.metrics, run.path, run.mixtures = [], [], {}

    text, drawn, _ = self.make_page(
        {'one': np.eye(2)}, forget, finished=False, epochs=2.5)
    self.assertEmpty(drawn)
    for expected in ('step 0, of 2.5 epochs', 'Nothing has been evaluated yet',
                     'no lines of metrics to draw yet'):
      self.assertIn(expected, text)

  def test_first_record(self):
    def forget(run):
      run.metrics, run.path = [], run.path[:1]

    text, drawn, _ = self.make_page({'one': np.eye(2)}, forget, finished=False)
    self.assertIn('no path of the signatures to draw yet', text)
    self.assertEqual(list(drawn), ['save_signatures'])

  def test_pool(self):
    def pool(run):
      run.results.tasks['pool:a|b'] = dataclasses.replace(
          run.results.tasks['pool:a|b'], members={
              name: results.Score(top1=top1, loss=0.5, examples=7)
              for name, top1 in (('a', 0.25), ('b', 0.75))})

    text, _, _ = self.make_page({'pool:a|b': np.eye(2)}, pool)
    self.assertIn('pool:a|b|50.00|0.4000|1,234|77', text)
    self.assertIn('a|25.00|0.5000|7|', text)

  def test_long_path_is_thinned(self):
    def lengthen(run):
      run.path = [{**run.path[0], 'step': step} for step in range(1_001)]

    text, drawn, _ = self.make_page({'one': np.eye(2)}, lengthen)
    steps, _ = drawn['save_paths']
    self.assertEqual((steps[:2], steps[-1], len(steps)), ([1, 4], 1_000, 334))
    self.assertIn('one record in 3', text)

  def test_edited_signatures(self):
    def task(top1, signature):
      return results.EditedNetwork((2, 1), {'one': results.SignedScore(
          top1=top1, loss=1.0, examples=7, signature=signature)})

    def add(run):
      run.edits = [results.Edits(
          task(0.5, '1-2'), {'reverse': task(0.4, '2-1')}, statistics='moved',
          split='test', weights='ema', steps=1_200)]

    text, _, _ = self.make_page({'one': np.eye(2)}, add)
    for expected in (
        'trained|one|50.00%|+0.00|2-1|1-2',
        'reverse|one|40.00%|-10.00|2-1|2-1',
        'test split, ema weights, after 1,200 steps; moving statistics moved.'):
      self.assertIn(expected, text)

  def test_between_two_signatures(self):
    points = tuple(results.Point(t, {
        name: results.SignedScore(
            top1=top1, loss=2 * top1, examples=7, signature='1-2')
        for name, top1 in (('one', 1 - t), ('two', t))}) for t in (0.0, 1.0))

    def add(run):
      run.between = [results.Between(
          {'one to two': results.Line(('one', 'two'), points)},
          statistics='moved', split='test', weights='ema', steps=1_200)]

    text, drawn, page = self.make_page(
        {'one': np.eye(2), 'two': np.eye(2)}, add)
    self.assertIn('between1_1.png', page.pictures)
    panels, title = drawn['save_curves']  # the last ones
    self.assertEqual(
        title, 'On the line between the signatures of one and two')
    label, scale, curves, marks = panels[0]
    self.assertEqual((label, scale), ('top-1 accuracy, %', 'linear'))
    self.assertEqual(curves, {'one': ([0, 1], [100, 0]),
                              'two': ([0, 1], [0, 100])})
    self.assertEqual(marks, curves)
    self.assertIn('1.00|0.00%|0.0000|100.00%|2.0000|1-2', text)
    self.assertIn('test split, ema weights, after 1,200 steps', text)

  def test_smoke(self):
    text, _, _ = self.make_page({'one': np.eye(2)}, kind='smoke')
    self.assertIn('whose numbers mean nothing', text)

  def test_real_pictures(self):
    with tempfile.TemporaryDirectory() as directory:
      workdir = pathlib.Path(directory) / 'run'
      toy_records.write_run(workdir, {'one': np.eye(2), 'two': np.eye(2)})
      (workdir / records.RESULTS).unlink()
      page = run_report.make_page(run_reader.Run(workdir))
    self.assertLen(page.pictures, 6)
    for data in page.pictures.values():
      self.assertStartsWith(data, b'\x89PNG')


def _text(page):
  """Text of a page, cells of a table parted by |."""
  text = re.sub('</t[dh]><t[dh]>', '|', page.html())
  text = html.unescape(re.sub('<[^>]*>', '\n', text))
  return re.sub(' +', ' ', text)


if __name__ == '__main__':
  absltest.main()
