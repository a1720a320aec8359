"""Tests of a transfer as a call from Python."""

import contextlib
import dataclasses
import io
import os
import pathlib
import re
import shutil
import tempfile
import textwrap
from unittest import mock
import warnings

from absl.testing import parameterized
import tensorflow as tf

from trainers import evaluation
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.testing import mocking
from trainers.testing import toy
from trainers.testing import toy_records
from trainers.transfer import transfer_config
from trainers.transfer import transferring

_SMOKE = run_options.RunOptions(smoke=True, progress=False)
_LEARNED = {'init': 'learned', 'tune': ['head', 'mixture']}
_CHANGES = {'deterministic': True, 'seed': 4}


class TransferringTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.source = cls.directory / 'source'
    toy_records.write_model(
        cls.source, ['optdigits', 'mnist'], shared_head=True)
    cls.before = {path: path.read_bytes() for path in cls.source.rglob('*')
                  if path.is_file()}
    cls.learned = cls.directory / 'learned'
    with (warnings.catch_warnings(record=True, action='always') as caught,
          contextlib.redirect_stdout(io.StringIO()) as output,
          contextlib.redirect_stderr(io.StringIO()) as error):
      cls.found = transferring.transfer(
          cls.config(**_LEARNED), cls.learned, _SMOKE, **_CHANGES)
    cls.warned = [str(warning.message) for warning in caught
                  if warning.category is UserWarning]
    cls.printed = output.getvalue(), error.getvalue()

  @classmethod
  def config(cls, **values):
    return transfer_config.TransferConfig(
        **{'source': cls.source, 'dataset': 'usps', **values})

  def transfer(self, name, options=_SMOKE, changes=_CHANGES, **values):
    """(its directory, its results), of a source that has not ended."""
    workdir = self.directory / name
    with self.assertWarnsRegex(UserWarning, 'its run has not ended'):
      return workdir, transferring.transfer(
          self.config(**values), workdir, options, **changes)

  def arrays(self, workdir, weights='ema'):
    return checkpoints.snapshot(
        saved_models.load(workdir, weights).model.named_variables())

  def test_the_example_runs(self):
    example = textwrap.dedent(
        re.search(r'\n((?:      .*\n|\n)+)', transferring.transfer.__doc__)[1])
    directory = self.directory / 'example'
    shutil.copytree(self.source, directory / 'runs/digits')
    path = directory / 'runs/digits/run.json'
    records.write_json(path, {**records.read_json(path), 'kind': 'train'})
    records.write_json(path.parent / records.RESULTS, {})
    names = {}
    with (contextlib.chdir(directory), mocking.mock_data(),
          contextlib.redirect_stdout(io.StringIO()) as output,
          contextlib.redirect_stderr(io.StringIO()) as error):
      exec(example, names)  # pylint: disable=exec-used
    self.assertEqual(names['found'].steps, 100)
    self.assertEqual(names['found'], results.read(
        directory / 'runs/usps/results.json'))
    self.assertEqual(output.getvalue(), '')
    self.assertRegex(error.getvalue(), '(?s)^Work directory: runs/usps\n'
                     'step 50/100: loss .*step 100/100: loss')

  def test_leaves_what_it_promises(self):
    self.assertCountEqual([path.name for path in self.learned.iterdir()], [
        'run.json', 'metrics.jsonl', 'signatures.jsonl', 'results.json',
        'checkpoints', 'tensorboard', 'initial.json'])
    for path, content in self.before.items():
      self.assertEqual(path.read_bytes(), content, path)
    run = records.read_run(self.learned)
    self.assertEqual(run['kind'], 'smoke')
    self.assertCountEqual(run['data'], ['optdigits', 'mnist', 'usps'])
    self.assertEqual(run['config']['seed'], 4)
    self.assertEqual(run['config']['transfer'], self.config(
        **_LEARNED, init_steps=3).to_json())
    self.assertEqual(run['config']['origin'],
                     saved_models.load(self.source).origin())
    self.assertLen(self.warned, 1)
    self.assertIn('no results.json: its run has not ended', self.warned[0])
    found = self.found
    self.assertEqual(found, results.read(self.learned / records.RESULTS))
    self.assertEqual(list(found.tasks), ['usps'])
    self.assertEqual(found.tasks['usps'].examples, 32)
    facts = found.transfer
    self.assertEqual(
        results.read(self.learned / transferring.INITIAL, transferring.Initial),
        transferring.Initial(facts.start, found.validation.initial['usps'],
                             found.initial['usps']))
    for scores in (found.initial, found.validation.initial,
                   found.validation.final):
      self.assertBetween(scores['usps'].top1, 0, 1)
    self.assertAllClose(sum(facts.start.coefficients.values()), 1)
    self.assertEqual(
        (facts.start.head_shared_with, facts.start.initial_head),
        ((), 'shared'))
    self.assertEqual(facts.start.tune, ('head', 'mixture'))
    own = 2 * 2 + 16 * 10 + 10
    self.assertEqual(
        (found.tasks['usps'].own_parameters, facts.tuned_parameters),
        (own, own))
    self.assertEqual((facts.source, facts.dataset, facts.name),
                     (str(self.source), 'usps', 'usps'))
    self.assertEqual(vars(facts.origin), run['config']['origin'])
    # Older tasks are as they were, bit for bit.
    old, new = self.arrays(self.source), self.arrays(self.learned)
    for name, array in old.items():
      self.assertEqual(new[name].tobytes(), array.tobytes(), name)
    self.assertNotEmpty(set(new) - set(old))

  def test_is_described_without_a_model(self):
    trained = saved_models.load(self.source).config
    config = self.config(**_LEARNED)
    run = records.read_run(self.learned)['config']
    del run['origin']
    self.assertEqual(
        transferring.describe(trained, config, smoke=True, **_CHANGES), run)
    trained = toy.make_config(
        ['a', 'b'], batch_size=(4, 6), warmup_steps=3, epochs=2.0, seed=5,
        loss_weights=(1.0, 2.0), shared_head=True)
    self.assertEqual(
        transferring.default_run(trained, config), toy.make_config(
            ['usps'], batch_size=6, warmup_steps=0, steps=500, seed=5))

  def test_prints_nothing_without_progress(self):
    self.assertEqual(self.printed, ('', ''))

  def test_can_be_evaluated_and_begun_from_again(self):
    saved = saved_models.load(self.learned)
    data = saved.load_data(tasks=['usps'], splits=('test',))
    score = evaluation.TaskEvaluator(
        saved.model, data, saved.config.eval_batch_size).evaluate('test')
    task = self.found.tasks['usps']
    self.assertEqual((score['usps'].top1, score['usps'].loss),
                     (task.top1, task.loss))
    second = self.directory / 'second'
    with self.assertWarnsRegex(
        UserWarning, 'outputs of the older tasks will change') as caught:
      found = transferring.transfer(self.config(
          source=self.learned, name='usps again', init='copy:usps', head='own',
          examples_per_class=1, tune=['templates', 'head']), second, _SMOKE)
    self.assertNotIn('has not ended', ' '.join(
        str(warning.message) for warning in caught.warnings))
    self.assertEqual(found.transfer.start.initial_head, 'untrained')
    saved = saved_models.load(second)
    self.assertEqual(list(saved.model.tasks),
                     ['optdigits', 'mnist', 'usps', 'usps again'])
    self.assertEqual(saved.tasks['usps again']['dataset'], 'usps')
    data = saved.load_data(tasks=['usps again'], splits=('train',))
    self.assertEqual(data['usps again'].num_examples('train'), 10)

  def test_nothing_tuned_is_the_beginning(self):
    workdir, found = self.transfer('none', tune=['none'], init='best')
    self.assertEqual(found.initial['usps'].numbers(),
                     found.tasks['usps'].numbers())
    facts = found.transfer
    self.assertEqual((found.steps, facts.tuned_parameters), (0, 0))
    self.assertEqual(facts.start.scored_by, 'path')
    validation = found.validation
    self.assertEqual(validation.initial, validation.final)
    self.assertEqual(facts.start.scores[facts.start.copied],
                     validation.final['usps'].top1)
    line, = records.read_lines(workdir / records.SIGNATURES)
    self.assertEqual(list(line['mixtures']), ['optdigits', 'mnist', 'usps'])
    self.assertAllClose(line['mixtures']['usps'],
                        found.tasks['usps'].mixtures, atol=1e-6)
    again = transferring.transfer(
        None, workdir, dataclasses.replace(_SMOKE, resume=True))
    self.assertEqual(again, found)

  def assertSameRun(self, workdir):
    """It is as `learned`, which nothing has interrupted, bit for bit."""
    for weights in ('raw', 'ema'):
      expected = self.arrays(self.learned, weights)
      for name, array in self.arrays(workdir, weights).items():
        self.assertEqual(array.tobytes(), expected[name].tobytes(), name)
    self.assertEqual(*(
        dataclasses.replace(results.read(path / records.RESULTS), seconds=0)
        for path in (self.learned, workdir)))

  def test_resumed_is_uninterrupted(self):
    broken = self.directory / 'broken'
    shutil.copytree(self.learned, broken)
    (broken / records.RESULTS).unlink()
    *_, last = sorted((broken / 'checkpoints').iterdir())
    last.unlink()
    (left,) = (broken / 'checkpoints').iterdir()
    self.assertIn('-00000000.', left.name)
    resume = dataclasses.replace(_SMOKE, resume=True)
    for values, changes, message in (
        ({'score_examples': (5, 5)}, {}, r'transfer.score_examples: \[2000'),
        ({'tune': ['mixture']}, {}, 'transfer.tune: .*head.* -> '),
        ({}, {'seed': 5}, r'\(seed: 4 -> 5\)'),
        ({}, {'learning_rate': 0.5}, 'optimizer.learning_rate: 0.02 -> 0.5')):
      config = self.config(**{**_LEARNED, **values}) if values else None
      with self.assertRaisesRegex(ValueError, message):
        transferring.transfer(config, broken, resume, **changes)
    # What it was begun with is no change.
    transferring.transfer(self.config(**_LEARNED), broken, resume, **_CHANGES)
    self.assertSameRun(broken)

  @parameterized.parameters(
      ('has no run.json', {'source': 'nowhere'}, {}, {}),
      ('trained on made-up images: use smoke', {}, {}, {'smoke': False}),
      ('received num_layers, which the model', {}, {'num_layers': 3}, {}),
      ('received tasks, which', {}, {'tasks': ('usps',)}, {}),
      ('warmup_steps to be below', {}, {'warmup_steps': 3}, {}),
      ('usps to be 2 or more', {}, {'batch_size': 1}, {}),
      ('Expected a workdir, which a run that is resumed', {}, {},
       {'resume': True, 'workdir': None}),
      ('in SOURCE, received one of kind .train.: resume it', {}, {},
       {'resume': True, 'workdir': 'SOURCE'}),
      ('holds a run already', {}, {}, {'workdir': 'SOURCE'}))
  def test_refuses(self, message, values, changes, options):
    new = self.directory / 'none_yet'
    options = {'smoke': True, 'progress': False, 'workdir': new, **options}
    workdir = options.pop('workdir')
    if workdir == 'SOURCE':
      workdir = self.source
    message = message.replace('SOURCE', os.fspath(self.source))
    with (self.assertRaisesRegex(ValueError, message),
          warnings.catch_warnings(action='ignore')):
      transferring.transfer(
          self.config(**values), workdir, run_options.RunOptions(**options),
          **changes)
    self.assertFalse(new.exists())

  @parameterized.parameters(
      ('shared', [], []), ('untrained', ['all'], ['older tasks']),
      ('untrained', ['head'], []), ('untrained', [], ['accuracy is by chance']))
  def test_cautions(self, initial, tune, expected):
    found = transferring.cautions(results.TransferStart(
        init='uniform', scored_by=None, scores=None, score_images=None,
        coefficients=None, copied=None, statistics='copy', tune=tuple(tune),
        head='usps', head_shared_with=(), initial_head=initial))
    self.assertLen(found, len(expected))
    for text, part in zip(found, expected):
      self.assertIn(part, text)

  def test_loads_data_and_says_what_it_is(self):
    data = toy.make_data(['set'])['set']
    config = transfer_config.TransferConfig(
        'runs/x', 'set', 'new', examples_per_class=3)
    with mock.patch.object(pipeline, 'load_tasks',
                           return_value={'set': data}) as load:
      found, facts = transferring.load_data(
          config, toy.make_config(['new'], seed=7, view='whole'), 'there')
      load.assert_called_once_with(
          ['set'], 8, 'there', None, 3, 7, made_up=False, view='whole')
      self.assertIs(found, data)
      self.assertEqual(facts, {
          **data.describe(), 'dataset': 'set', 'examples_per_class': 3,
          'examples_seed': 7})
      self.assertEqual(
          transferring.load_data(transfer_config.TransferConfig(
              'runs/x', 'set'), toy.make_config(['set']))[1], data.describe())


if __name__ == '__main__':
  tf.test.main()
