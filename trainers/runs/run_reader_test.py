"""Tests of reading a run's directory."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_reader
from trainers.testing import toy_records

_MIXTURES = {'one': np.eye(2)[[0, 1, 1]], 'two': np.eye(2)[[0, 0, 1]]}


class RunRecordsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name) / 'run'

  def test_finished(self):
    toy_records.write_run(self.workdir, _MIXTURES, top1=0.75)
    run = run_reader.Run(self.workdir)
    self.assertEqual((run.name, run.steps(), run.seconds()), ('run', 120, 61))
    self.assertTrue(run.is_trained)
    np.testing.assert_array_equal(run.mixtures['one'], _MIXTURES['one'])
    steps, values = run.curve('validation/one/top1', 100)
    self.assertEqual((steps, values), ((50, 100, 120), (75, 75, 75)))
    self.assertEqual(run.curve('nothing'), ((), ()))

  def test_unfinished(self):
    toy_records.write_run(
        self.workdir, _MIXTURES, finished=False, signature='sequential')
    run = run_reader.Run(self.workdir)
    self.assertIsNone(run.results)
    self.assertFalse(run.is_trained)
    self.assertEqual((run.steps(), run.seconds()), (100, 50))
    np.testing.assert_allclose(run.mixtures['one'][0], [11 / 12, 1 / 12])
    self.assertEqual(run.validation(), {
        name: results.TaskScore(top1=0.5, loss=0.48, examples=4)
        for name in _MIXTURES})

  def test_just_begun(self):
    toy_records.write_run(self.workdir, _MIXTURES, finished=False)
    for name in (records.METRICS, records.SIGNATURES):
      (self.workdir / name).unlink()
    run = run_reader.Run(self.workdir)
    self.assertEqual((run.steps(), run.seconds()), (0, 0))
    self.assertEqual((run.mixtures, run.validation()), ({}, {}))

  @parameterized.parameters(
      (records.RESULTS, '{"tasks": {}}'), (records.RESULTS, '[]'),
      ('edits-test-ema-moved.json', '{}'))
  def test_foreign_files_are_refused(self, name, content):
    toy_records.write_run(self.workdir, _MIXTURES)
    (self.workdir / name).write_text(content)
    with self.assertRaisesRegex(
        ValueError, f'Expected .* in .*{name}, received one that is dam'):
      run_reader.Run(self.workdir)

  def test_results_of_another_version_are_refused(self):
    toy_records.write_run(self.workdir, _MIXTURES)
    found = records.read_json(self.workdir / records.RESULTS)
    del found['tasks']['two']['mixtures']
    records.write_json(self.workdir / records.RESULTS, found)
    with self.assertRaisesRegex(ValueError, "another version .*lacks mixtures"):
      run_reader.Run(self.workdir)

  @parameterized.parameters(
      (records.METRICS, '{"loss": 1}', 'object with a step'),
      (records.METRICS, '7', 'object with a step'),
      (records.METRICS, '{"step": 7, "loss": "x"}', "numbers.*'loss': 'x'"),
      (records.SIGNATURES, '{"step": 7}', 'mixtures'),
      (records.SIGNATURES, '{"step": 7, "mixtures": []}', 'mixtures'),
      (records.SIGNATURES, '{"step": 7, "mixtures": {"a": [[1]], "b": [[1]]}}',
       'of the tasks .*one'),
      (records.SIGNATURES, '{"step": 7, "mixtures": {"one": [[1, 0], [1]], '
       '"two": [[0, 1], [1, 0]]}}', 'one shape'))
  def test_damaged_lines_are_refused_by_number(self, name, line, message):
    toy_records.write_run(self.workdir, _MIXTURES)
    first, *rest = (self.workdir / name).read_text().splitlines()
    (self.workdir / name).write_text('\n'.join([first, line, *rest]))
    with self.assertRaisesRegex(ValueError, message) as caught:
      run_reader.Run(self.workdir)
    self.assertIn(f'{name}, line 2', str(caught.exception))

  def change_results(self, change):
    toy_records.write_run(self.workdir, _MIXTURES)
    found = records.read_json(self.workdir / records.RESULTS)
    change(found)
    records.write_json(self.workdir / records.RESULTS, found)

  def test_other_damaged_results_are_refused(self):
    self.change_results(lambda found: found['parameters'].pop('total'))
    with self.assertRaisesRegex(ValueError, 'in .*results.json.*the total'):
      run_reader.Run(self.workdir)

  def test_ragged_mixtures_are_refused(self):
    self.change_results(
        lambda found: found['tasks']['two']['mixtures'][0].append(1))
    with self.assertRaisesRegex(ValueError, 'in .*results.json.*one length'):
      run_reader.Run(self.workdir)

  def test_signatures_of_another_run_are_refused(self):
    self.change_results(
        lambda found: found['tasks'].update(new=found['tasks']['one']))
    with self.assertRaisesRegex(ValueError, "'new'.* in .*signatures.jsonl"):
      run_reader.Run(self.workdir)

  def test_signatures_of_another_shape_are_refused(self):
    def shorten(found):
      found['tasks'].pop('two')
      found['tasks']['one']['mixtures'].pop()

    self.change_results(shorten)
    with self.assertRaisesRegex(ValueError, r'\(2, 2\), \(3, 2\)'):
      run_reader.Run(self.workdir)

  def test_tasks_without_results(self):
    self.change_results(lambda found: found['tasks'].pop('one'))
    run = run_reader.Run(self.workdir)
    self.assertEqual(list(run.mixtures), ['one', 'two'])
    self.assertEqual(run.own, ['two'])
    np.testing.assert_array_equal(run.mixtures['one'], _MIXTURES['one'])
    self.assertEqual(run.dataset('one'), 'one')
    run.run['data'] = {'one': {'dataset': 'mnist+blur'}, 'two': {
        'dataset': None}}
    self.assertEqual((run.dataset('one'), run.dataset('two')),
                     ('mnist+blur', None))

  def test_edits_are_read_and_checked(self):
    toy_records.write_run(self.workdir, _MIXTURES)
    path = self.workdir / 'edits-test-ema-moved.json'
    expected = results.Edits(
        results.EditedNetwork((1,), {}), {}, statistics='moved', split='test',
        weights='ema', steps=120)
    results.write(path, expected)
    self.assertEqual(run_reader.Run(self.workdir).edits, [expected])
    edits = records.read_json(path)
    task = {'top1': 0.5, 'loss': 1.0, 'examples': 3, 'signature': '1'}
    for damage in ([], {**edits, 'edits': 3}, {**edits, 'trained': {}},
                   {**edits, 'edits': {'reverse': {'layers': []}}},
                   {**edits, 'edits': {'reverse': {
                       'layers': [1], 'tasks': {'not trained': task}}}},
                   {**edits, 'edits': {'reverse': {
                       'layers': [1], 'tasks': {'one': {}}}}}):
      records.write_json(path, damage)
      with self.assertRaisesRegex(ValueError, 'edits-test.* that is damaged'):
        run_reader.Run(self.workdir)

  def test_lines_between_are_read_and_checked(self):
    toy_records.write_run(self.workdir, _MIXTURES)
    score = results.SignedScore(
        top1=0.5, loss=1.0, examples=3, signature='1-2')
    path = self.workdir / 'between-test-ema-moved.json'
    expected = results.Between(
        {'one to two': results.Line(('one', 'two'), (
            results.Point(0.0, {'one': score, 'two': score}),))},
        statistics='moved', split='test', weights='ema', steps=120)
    results.write(path, expected)
    self.assertEqual(run_reader.Run(self.workdir).between, [expected])
    found = records.read_json(path)
    line = found['lines']['one to two']
    task = line['points'][0]['tasks']['one']
    for damage in ([], {**found, 'lines': []},
                   {**found, 'lines': {'one to two': {'points': []}}},
                   {**found, 'lines': {'one to two': {
                       **line, 'points': [{'t': 0.0, 'tasks': {
                           'one': task}}]}}},
                   {**found, 'lines': {'one to two': {
                       **line, 'points': [{'t': 0.0, 'tasks': {
                           'one': task, 'two': {'top1': 0.5}}}]}}}):
      records.write_json(path, damage)
      with self.assertRaisesRegex(ValueError, 'between-.* that is damaged'):
        run_reader.Run(self.workdir)

  def test_facts(self):
    toy_records.write_run(
        self.workdir, _MIXTURES, arguments=['--tasks=folder:my pictures'])
    run = run_reader.Run(self.workdir).run
    self.assertEqual(run_reader.facts(run), {
        'command': "python -m launch.train '--tasks=folder:my pictures'",
        'started': '2021-10-20 12:34:56',
        'commit': f'{"c0ffee" * 6}, with uncommitted changes',
        'versions': 'python 3.11.7, keras 3.15.1',
        'machine': 'x86_64, 2 cores; 1 x CPU'})
    found = run_reader.facts({
        **run, 'argv': ['my/script.py', '--x'], 'commit': None, 'dirty': None,
        'resumed': [{'time': '2021-10-21T01:02:03'}]})
    self.assertEqual(found['command'], 'my/script.py --x')
    self.assertEqual(found['commit'], 'unknown')
    self.assertEqual(found['started'],
                     '2021-10-20 12:34:56, resumed 2021-10-21 01:02:03')

  @parameterized.parameters((61.4, '61 s'), (125, '2 min'), (7500, '2 h 5 min'))
  def test_durations(self, seconds, expected):
    found = run_reader.duration(seconds).replace('\N{NO-BREAK SPACE}', ' ')
    self.assertEqual(found, expected)


if __name__ == '__main__':
  absltest.main()
