"""Tests of runs as library calls: training, resuming, evaluating."""

import contextlib
import io
import pathlib
import tempfile
import types
from unittest import mock

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import evaluating
from trainers import strategies
from trainers import training
from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.runs import work_lock
from trainers.testing import toy
from trainers.transfer import transfer_config
from trainers.transfer import transferring

_OPTIONS = run_options.RunOptions(smoke=True, progress=False)
_RESUME = run_options.RunOptions(smoke=True, progress=False, resume=True)


def make_config(**changes):
  return toy.make_config(
      ['mnist', 'pool:optdigits|usps'], deterministic=True, **changes)


class TrainingTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.workdir = pathlib.Path(directory.name) / 'run'
    with (contextlib.redirect_stdout(io.StringIO()) as output,
          contextlib.redirect_stderr(io.StringIO()) as error):
      cls.found = training.train(make_config(), cls.workdir, _OPTIONS)
    cls.printed = output.getvalue() + error.getvalue()
    cls.left = [path.name for path in cls.workdir.iterdir()]

  def test_prints_and_draws_nothing(self):
    self.assertEqual(self.printed, '')
    self.assertCountEqual(self.left, [
        'run.json', 'metrics.jsonl', 'signatures.jsonl', 'results.json',
        'checkpoints', 'tensorboard'])

  def test_gives_what_it_writes(self):
    self.assertEqual(
        results.read(self.workdir / records.RESULTS), self.found)
    self.assertEqual(self.found.steps, 3)
    self.assertEqual(self.found.tasks['mnist'].examples, 32)
    pool = self.found.tasks['pool:optdigits|usps']
    self.assertEqual({name: score.examples for name, score
                      in pool.members.items()}, {'optdigits': 32, 'usps': 32})
    self.assertAllClose(pool.loss, np.mean(
        [score.loss for score in pool.members.values()]), rtol=1e-6)
    self.assertEqual(training.read_config(self.workdir).steps, 3)

  def test_resumes_as_it_was(self):
    found = training.train(workdir=self.workdir, options=_RESUME)
    self.assertEqual(found.tasks, self.found.tasks)
    self.assertEqual(found.steps, 3)
    with self.assertRaisesRegex(ValueError, 'seed: 0 -> 1'):
      training.train(make_config(seed=1), self.workdir, _RESUME)

  def test_one_process_at_a_time(self):
    before = (self.workdir / records.RUN).read_bytes()
    with work_lock.WorkLock() as lock:
      lock.take(self.workdir)
      with self.assertRaisesRegex(ValueError, 'no other process uses, receive'):
        training.train(workdir=self.workdir, options=_RESUME)
    self.assertEqual((self.workdir / records.RUN).read_bytes(), before)

  def test_workers_but_the_first_take_no_lock(self):
    with (work_lock.WorkLock() as lock,
          mock.patch.object(strategies, 'is_chief', return_value=False)):
      lock.take(self.workdir)
      found = training.train(workdir=self.workdir, options=_RESUME)
    self.assertEqual(found.tasks, self.found.tasks)

  def test_elongated_images_are_told_and_seen_by_one_rule(self):
    directory = self.workdir.parent
    for kind in ('dark', 'bright'):
      (directory / 'strips' / kind).mkdir(parents=True)
      for i in range(12):
        PIL.Image.new('L', (90, 15), 20 * i).save(
            directory / 'strips' / kind / f'{i}.bmp')
        PIL.Image.new('L', (15, 90), 20 * i).save(
            directory / 'strips' / kind / f'{i}.png')
    name = f'folder:{directory}/strips'
    with self.assertRaisesRegex(UserWarning, 'view=whole or view=pad'):
      training.train(toy.make_config([name]), directory / 'centre', _OPTIONS)
    # A model of two tasks, the second of a transfer with a view of its own.
    facts = {name: pipeline.load_tasks(
        [name], 8, made_up=True, view='whole')[name].describe()}
    config = toy.make_config(['optdigits'], view='pad')
    _, facts['optdigits'] = transferring.load_data(
        transfer_config.TransferConfig('any', 'optdigits'), config,
        made_up=True)
    workdir = directory / 'two'
    saved_models.save(workdir, isometric_model.IsometricModel(
        config.model, {name: 2, 'optdigits': 10}), 'smoke',
                      training.smoke_config(config).to_json(), facts)
    with self.assertRaisesRegex(ValueError, "view: 'pad' -> 'whole'"):
      training.train(toy.make_config(['optdigits'], view='whole'), workdir,
                     _RESUME)
    saved = saved_models.load(workdir)
    data = saved.load_data(splits=('test',))
    self.assertEqual([task_data.view for task_data in data.values()],
                     ['whole', 'pad'])
    for sources, view, expected in (
        ((name,), None, 'whole'), (('optdigits',), None, 'pad'),
        ((name,), 'pad', 'pad')):
      data, facts = adapting.load_data(adaptation_config.AdaptationConfig(
          source='any', sources=sources, method='source_only',
          target=f'images:{directory}/strips/dark', source_free=True),
                                       toy.make_config(view=view), saved)
      seen, = data.values()
      self.assertEqual((seen.view, *(fact.get('view', 'centre') for fact
                                     in facts.values())), (expected,) * 2)

  def test_is_evaluated_to_the_bit(self):
    found = evaluating.evaluate(self.workdir, evaluating.EvaluationConfig(
        edits=('none', 'drop:1'), between=('mnist', 'pool:optdigits|usps'),
        points=2))
    self.assertEqual(found.results.tasks, self.found.tasks)
    self.assertEqual(results.read(
        self.workdir / 'evaluation-test-ema.json'), found.results)
    unchanged = found.edits.edits['none'].tasks
    for name, task in self.found.tasks.items():
      self.assertEqual(unchanged[name].plain(), task.plain())
      self.assertEqual(found.edits.trained.tasks[name].plain(), task.plain())
    self.assertEqual(found.edits.edits['drop:1'].layers, (2,))
    line, = found.between.lines.values()
    self.assertEqual(
        line.points[0].tasks['mnist'].plain(),
        self.found.tasks['mnist'].plain())
    written = results.read(
        self.workdir / 'edits-test-ema-moved.json', results.Edits)
    self.assertEqual(written.edits, found.edits.edits)
    self.assertIn('argv', written.process)

  @parameterized.parameters(
      ({'options': _RESUME}, 'Expected a workdir'),
      ({'config': make_config(), 'strategy': 'multi_worker'}, 'Expected a wor'),
      ({'workdir': 'nothing_here', 'options': _RESUME}, 'has no run.json'),
      ({'workdir': 'nothing_here', 'options': _OPTIONS}, 'a configuration'),
      ({'config': make_config(batch_size=(8, 1)), 'workdir': 'nothing_here'},
       r'usps to be 2 or more, .*received 1'))
  def test_refuses(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      training.train(**arguments)

  def test_refuses_runs_that_are_no_training(self):
    other = self.workdir.parent / 'other'
    for kind in ('transfer', 'smoke'):
      records.claim(other / kind, {
          **make_config().to_json(), 'transfer': {}}, kind)
      with self.assertRaisesRegex(ValueError, "received one of kind 'transfe"):
        training.train(workdir=other / kind, options=_RESUME)

  def test_says_what_is_left_out(self):
    saved = types.SimpleNamespace(
        labelled_tasks=lambda: ['mnist'],
        model=types.SimpleNamespace(tasks={'mnist': 1, 'images:there': 2}))
    with self.assertWarnsRegex(UserWarning, '^Left out: images:there, whose'):
      self.assertEqual(evaluating._choose_tasks(saved, ()), ['mnist'])

  @parameterized.parameters(
      ({'split': 'all'}, 'split .*all'),
      ({'weights': 'mean'}, 'weights .*mean'),
      ({'statistics': 'new'}, 'statistics .*new'),
      ({'statistics': 'reestimated'}, 'received none: give harden, edits or'))
  def test_refuses_configurations(self, values, message):
    with self.assertRaisesRegex(ValueError, message):
      evaluating.EvaluationConfig(**values)

  @parameterized.parameters(
      ((), False, 'moved', ()), (('drop:1',), False, 'moved', ('drop:1',)),
      (('drop:1', 'harden'), True, 'moved', ('harden', 'drop:1')),
      (('drop:1',), False, 'reestimated', ('none', 'drop:1')))
  def test_edits_of_a_configuration(self, edits, harden, statistics, expected):
    config = evaluating.EvaluationConfig(
        edits=edits, harden=harden, statistics=statistics)
    self.assertEqual(config.all_edits(), list(expected))


if __name__ == '__main__':
  tf.test.main()
