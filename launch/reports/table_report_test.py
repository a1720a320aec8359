"""Tests of the page of a table of runs."""

import dataclasses
import html
import json
import pathlib
import re
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.reports import run_plots
from launch.reports import signature_plots
from launch.reports import table_report
from launch.tables import trained_rows
from mixture_modules import fixed_sequences
from trainers.runs import records
from trainers.runs import results
from trainers.testing import toy
from trainers.testing import toy_records


class TableReportTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def write_cell(self, number, name, seed, **values):
    """Writes a cell where `launch.reproduce` has it, with changes besides."""
    row, = (row for row in trained_rows.TRAINED[number].rows
            if row.name == name)
    templates, layers, kind = name.split('/')
    sequence = fixed_sequences.make_sequence(
        'progressive' if kind == 'mixture' else kind, int(layers),
        int(templates))
    changes = {key: value for key, value in row.changes.items()
               if key not in ('num_layers', 'num_templates')}
    toy_records.write_run(
        self.workdir / name.replace('/', '_') / f'seed{seed}',
        {'cifar100': np.eye(int(templates))[list(sequence)]},
        **changes, seed=seed, **values)

  def make_page(self):
    """Text of the page, and what its pictures were given."""
    drawn = {}

    def draw_accuracy(kinds, unused_file):
      drawn['accuracy'] = kinds

    def draw_signatures(mixtures, unused_file, title):
      drawn[title.split('\n')[0]] = mixtures

    with mock.patch.object(
        run_plots, 'save_accuracy', draw_accuracy), mock.patch.object(
            signature_plots, 'save_signatures', draw_signatures):
      page = table_report.make_page(
          'runs', table_report.find_cells(self.workdir))
    text = re.sub('</t[dh]><t[dh]>', '|', page.html())
    return html.unescape(re.sub('<[^>]*>', '\n', text)), drawn

  def test_table_5(self):
    for seed, top1 in ((0, 0.66), (1, 0.62), (2, 0.63)):
      self.write_cell(5, '4/16/mixture', seed, top1=top1)
    self.write_cell(5, '4/16/random', 0, finished=False)
    self.write_cell(5, '2/8/cyclic', 0, top1=0.5)
    text, drawn = self.make_page()
    for expected in (
        trained_rows.TRAINED[5].title, *trained_rows.TRAINED[5].notes,
        'Unfinished: 4 of the 5 runs that were begun have results.',
        '2/8/cyclic|2|8|cyclic|61.6|50.0|1 of 1|5,678',
        '4/16/random|4|16|random|65.1|–|0 of 1|–',
        '4/16/mixture|4|16|mixture|66.4|62.0 / 63.0 / 66.0|3 of 3|5,678',
        '4/16/mixture, seed1|120|61\N{NO-BREAK SPACE}s|62.00|62.00|1.000|'
        '4 of 4|1.00|yes',
        '4/16/random, seed0|100|50\N{NO-BREAK SPACE}s|50.00|–|'):
      self.assertIn(expected, text)
    self.assertEqual(drawn['accuracy'], {
        'cyclic': [
            {'templates': 2, 'layers': 8, 'paper': 61.6, 'label': '',
             'top1': [50]}],
        'random': [
            {'templates': 4, 'layers': 16, 'paper': 65.1, 'label': '',
             'top1': []}],
        'mixture': [{'templates': 4, 'layers': 16, 'paper': 66.4, 'label': '',
                     'top1': [62, 63, 66]}]})
    self.assertEqual(list(drawn), [
        'accuracy', 'Trained signatures of 4/16/mixture'])
    self.assertEqual(list(drawn['Trained signatures of 4/16/mixture']),
                     ['seed0', 'seed1', 'seed2'])

  def test_configurations_have_rows_of_their_own(self):
    for seed, top1 in ((0, 0.66), (1, 0.64)):
      self.write_cell(5, '4/16/mixture', seed, top1=top1)
    for seed, top1 in ((2, 0.5), (3, 0.48)):
      self.write_cell(5, '4/16/mixture', seed, clustering=0.001, top1=top1)
    self.write_cell(5, '4/16/mixture', 4, clustering=0.001, finished=False)
    self.write_cell(5, '4/16/mixture', 5, learning_rate=0.01, finished=False)
    for seed, finished in ((6, True), (7, False)):
      toy_records.write_run(
          self.workdir / '4_16_mixture' / f'seed{seed}', {'mine': np.eye(2)},
          finished=finished, preset='large')
    text, drawn = self.make_page()
    for expected in (
        '4/16/mixture|4|16|mixture|66.4|64.0 / 65.0 / 66.0|2 of 2|',
        '4/16/mixture (clustering=0.001)|4|16|mixture|66.4|'
        '48.0 / 49.0 / 50.0|2 of 3|',
        '4/16/mixture (learning_rate=0.01)|4|16|mixture|66.4|–|0 of 1|',
        '4/16/mixture (clustering=0.001), seed4|100|'):
      self.assertIn(expected, text)
    self.assertRegex(text, 'Left out, as they.*mixture/seed6, .*/seed7')
    self.assertNotIn('seed6|', text)
    cells = drawn['accuracy']['mixture']
    self.assertEqual(
        [(cell['label'], cell['top1']) for cell in cells],
        [('', [64, 66]), ('clustering=0.001', [48, 50]),
         ('learning_rate=0.01', [])])
    self.assertEqual(
        {title: list(runs) for title, runs in drawn.items()
         if title != 'accuracy'},
        {'Trained signatures of 4/16/mixture': ['seed0', 'seed1'],
         'Trained signatures of 4/16/mixture (clustering=0.001)': [
             'seed2', 'seed3', 'seed4'],
         'Trained signatures of 4/16/mixture (learning_rate=0.01)': ['seed5']})

  def test_no_figure_4_of_what_differs_otherwise(self):
    for seed, source in enumerate(('runs/a', 'runs/b')):
      toy_records.write_run(
          self.workdir / 'mine' / f'seed{seed}', {'one': np.eye(2)}, config={
              **toy.make_config(['one'], seed=seed).to_json(),
              'transfer': {'source': f'{source}/seed{seed}'}})
    text, drawn = self.make_page()
    self.assertNotIn('accuracy', drawn)
    self.assertLen(drawn, 2)
    self.assertNotIn('nothing to do with each other', text)

  def test_rows_of_several_data_sets_have_no_figure_4(self):
    for row in ('one', 'two'):
      toy_records.write_run(
          self.workdir / row / 'seed0', {row: np.eye(2)})
    text, drawn = self.make_page()
    self.assertNotIn('accuracy', drawn)
    self.assertIn('two (tasks=two)|2|2|mixture|–|50.0|1 of 1', text)

  def test_table_6_is_not_table_5(self):
    self.write_cell(6, '4/16/sequential', 0)
    text, drawn = self.make_page()
    self.assertIn(trained_rows.TRAINED[6].title, text)
    self.assertNotIn('Unfinished', text)
    self.assertEqual(drawn['accuracy']['sequential'][0]['paper'], 67.6)

  def test_table_8(self):
    row = trained_rows.TRAINED[8].rows[0]
    toy_records.write_run(
        self.workdir / 'simple' / 'seed0', {'a': np.eye(2), 'b': np.eye(2)},
        config={**trained_rows.make_config(row.changes).to_json(),
                'tasks': ['a', 'b']}, top1=0.5)
    text, drawn = self.make_page()
    self.assertEmpty(drawn)
    self.assertIn('simple|ours|50.0|50.0|-|0|120|', text)
    for note in trained_rows.TRAINED[8].notes:
      self.assertIn(note, text)

  def test_rows_of_one_s_own(self):
    toy_records.write_run(
        self.workdir / 'mine' / 'seed0', {'one': np.eye(2)}, finished=False,
        kind='smoke')
    (self.workdir / 'mine' / 'seed0' / 'signatures.jsonl').unlink()
    text, drawn = self.make_page()
    self.assertIn('Runs of runs', text)
    self.assertIn('numbers mean nothing', text)
    self.assertIn('mine|2|2|mixture|–|–|0 of 1|–', text)
    self.assertIn('mine, seed0|100|50\N{NO-BREAK SPACE}s|–|–|–|–|–|–', text)
    self.assertEqual(list(drawn), ['accuracy'])

  def test_cells_without_accuracies_are_refused(self):
    path = self.workdir / 'mine' / 'seed0'
    toy_records.write_run(path, {'a': np.eye(2)})
    found = results.read(path / records.RESULTS)
    task = dataclasses.replace(found.tasks['a'], top1=None, loss=None)
    results.write(path / records.RESULTS,
                  dataclasses.replace(found, tasks={'a': task}))
    with self.assertRaisesRegex(ValueError, 'seed0, whose images have no'):
      self.make_page()
    # As yet unfinished, its records tell, too.
    (path / records.RESULTS).unlink()
    lines = [{key: value for key, value in line.items()
              if key not in ('validation/a/top1', 'validation/a/loss')}
             for line in records.read_lines(path / records.METRICS)]
    (path / records.METRICS).write_text(
        ''.join(json.dumps(line) + '\n' for line in lines))
    with self.assertRaisesRegex(ValueError, 'seed0, whose images have no'):
      self.make_page()

  def test_cells_of_several_tasks_are_refused(self):
    toy_records.write_run(
        self.workdir / 'mine' / 'seed0', {'a': np.eye(2), 'b': np.eye(2)})
    with self.assertRaisesRegex(ValueError, r"seed0 with \['a', 'b'\]: give"):
      self.make_page()

  def test_finds_no_cells_elsewhere(self):
    (self.workdir / 'row' / 'seed0').mkdir(parents=True)
    self.assertEmpty(table_report.find_cells(self.workdir))
    self.assertEmpty(table_report.find_cells(self.workdir / 'missing'))


if __name__ == '__main__':
  absltest.main()
