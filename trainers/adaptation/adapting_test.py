"""Tests of adaptations as library calls, on made-up images."""

import contextlib
import csv
import dataclasses
import inspect
import io
import pathlib
import shutil
import tempfile
import textwrap
from unittest import mock

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from trainers import evaluating
from trainers.adaptation import adaptation_config
from trainers.adaptation import adaptation_features
from trainers.adaptation import adaptation_results
from trainers.adaptation import adapting
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.testing import toy_records

_SMOKE = run_options.RunOptions(
    smoke=True, progress=False, eval_every=2, checkpoint_every=2)
_RESUME = run_options.RunOptions(
    resume=True, progress=False, eval_every=2, checkpoint_every=2)


class AdaptingTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.models = {}
    for name, tasks, options in (
        ('bank', ['optdigits', 'mnist'], {'shared_head': True}),
        ('pooled', ['pool:optdigits|mnist'],
         {'norm': 'shared', 'signature': 'diagonal'})):
      cls.models[name] = cls.directory / name
      toy_records.write_model(cls.models[name], tasks, **options)
      (cls.models[name] / records.RESULTS).touch()  # a run that has ended

  def config(self, method, model='bank', **options):
    return adaptation_config.AdaptationConfig(**{
        'source': self.models.get(model, model), 'target': 'usps',
        'method': method, **options})

  def adapt(self, name, method, model='bank', **options):
    """(work directory, results)."""
    workdir = self.directory / name
    return workdir, adapting.adapt(
        self.config(method, model, **options), workdir, _SMOKE)

  def arrays(self, workdir):
    return checkpoints.snapshot(
        saved_models.load(workdir).model.named_variables())

  def assertSameArrays(self, one, other):
    self.assertCountEqual(one, other)
    for name, array in one.items():
      self.assertEqual(array.tobytes(), other[name].tobytes(), name)

  def run_example(self, workdir):
    """{name: value} of what the example of `adapting.adapt` leaves."""
    text = inspect.getdoc(adapting.adapt).split('\n\n', 1)[1]
    code = textwrap.dedent(text.split('\n\nThe target gets')[0])
    shutil.copytree(self.models['bank'], workdir / 'runs' / 'digits')
    values = {}
    with (contextlib.chdir(workdir), mock.patch.object(
        adapting.adapt, '__defaults__', (None, None, _SMOKE))):
      exec(code, values)  # pylint: disable=exec-used
    return values

  def test_adda_from_start_to_end(self):
    """The example of `adapting.adapt`."""
    where = self.directory / 'example'
    output = io.StringIO()
    with (contextlib.redirect_stdout(output),
          contextlib.redirect_stderr(output)):
      values = self.run_example(where)
    self.assertEqual(output.getvalue(), '')
    config, found = values['config'], values['found']
    self.assertEqual((config.method, config.options.label_smoothing),
                     ('adda', 0.2))
    source, workdir = where / 'runs' / 'digits', where / 'runs' / 'usps'
    for path in self.models['bank'].rglob('*'):
      if path.is_file():
        self.assertEqual(
            (source / path.relative_to(self.models['bank'])).read_bytes(),
            path.read_bytes())
    self.assertEqual(results.read(workdir / records.RESULTS), found)
    self.assertEqual(list(found.tasks), ['usps', 'optdigits', 'mnist'])
    facts, run = found.adaptation, records.read_run(workdir)
    self.assertEqual(vars(facts.origin),
                     saved_models.load(self.models['bank']).origin())
    self.assertEqual(vars(facts.origin), run['config']['origin'])
    self.assertEqual(facts.moved, ('tasks/usps/signature/logits',))
    self.assertEqual(facts.tuned_parameters, 4)
    self.assertTrue(facts.sources_unchanged)
    self.assertEqual(facts.labels, '')
    self.assertEqual(facts.start.chosen_by, 'information')
    self.assertCountEqual(facts.start.candidates, ['optdigits', 'mnist'])
    self.assertCountEqual(facts.states, ['last', 'best'])
    self.assertEqual(found.steps, 4)  # one of them of pretraining
    for score in (found.tasks['usps'], found.initial['usps'],
                  found.validation.final['usps']):
      self.assertIsNotNone(score.top1)
      self.assertContainsSubset(
          ['information', 'domain_accuracy'], score.label_free)
    lines = records.read_lines(workdir / records.METRICS)
    self.assertContainsSubset(
        ['loss', 'discriminator/top1', 'usps/entropy',
         'validation/usps/density'], {key for line in lines for key in line})
    features = adaptation_features.read(workdir)
    self.assertEqual(list(features.sources), ['optdigits', 'mnist'])
    self.assertNotAllEqual(features.before[1], features.after[1])
    self.assertEmpty(list(workdir.glob('*.png')))

    # What it ran can be told without the model.
    trained = saved_models.load(self.models['bank']).config
    expected = adapting.describe(trained, config, smoke=True)
    self.assertEqual(run['config'], {
        **expected, 'origin': run['config']['origin']})
    # Nothing but the target is other than in the source.
    arrays = self.arrays(workdir)
    self.assertSameArrays(
        {name: array for name, array in arrays.items()
         if not name.startswith('tasks/usps/')},
        self.arrays(self.models['bank']))

    # Resumed is uninterrupted, with its configuration or without.
    broken = self.directory / 'broken'
    shutil.copytree(workdir, broken)
    (broken / records.RESULTS).unlink()
    features_file = broken / adaptation_features.FILE
    features_data = features_file.read_bytes()
    last = checkpoints.of_run(broken).latest()
    last.unlink()
    self.assertNotEqual(checkpoints.of_run(broken).latest(), last)
    resumed = adapting.adapt(workdir=broken, options=_RESUME)
    self.assertSameArrays(self.arrays(broken), arrays)
    self.assertEqual(dataclasses.replace(resumed, seconds=0),
                     dataclasses.replace(found, seconds=0))
    self.assertEqual(features_file.read_bytes(), features_data)
    again = adapting.adapt(config, broken, _RESUME, steps=3)
    self.assertEqual(dataclasses.replace(again, seconds=0),
                     dataclasses.replace(found, seconds=0))
    with self.assertRaisesRegex(ValueError, 'other settings .*watch_every'):
      adapting.adapt(
          dataclasses.replace(config, watch_every=2), broken, _RESUME)
    with self.assertRaisesRegex(ValueError, 'holds a run already'):
      adapting.adapt(self.config('adda'), broken, _SMOKE)

    # Its target, whose labels it has not read, is no source of another.
    saved = saved_models.load(workdir)
    self.assertEqual(list(saved.tasks), ['optdigits', 'mnist', 'usps'])
    self.assertEqual(adapting._default_sources(saved), ['optdigits', 'mnist'])

  def test_m3sda_is_evaluated_by_both_heads(self):
    workdir, found = self.adapt('m3sda', 'm3sda', init='copy:mnist')
    own = found.tasks['usps'].own_head
    self.assertNotAllClose(found.tasks['usps'].loss, own.loss)
    evaluated = evaluating.evaluate(
        workdir, options=run_options.RunOptions(
            progress=False)).results.tasks
    for name, task in found.tasks.items():
      one, other = (dataclasses.astuple(score.plain())
                    for score in (evaluated[name], task))
      self.assertAllClose(one, other, rtol=1e-5)
    self.assertAllClose(evaluated['usps'].own_head.loss, own.loss, rtol=1e-5)
    # Others cannot predict so, and say so.
    with self.assertWarnsRegex(
        UserWarning, 'predicts usps by .*own_head in results.json'):
      self.adapt('from_m3sda', 'source_only', workdir, target='usps_unpadded',
                 init='copy:mnist')

  def test_baseline_gets_its_own_input_adapter(self):
    workdir, found = self.adapt(
        'supervised', 'supervised', 'pooled', init='oracle',
        target_statistics='reestimate')
    facts = found.adaptation
    self.assertEqual(facts.tune, ('input_adapter',))
    self.assertCountEqual(facts.moved, [
        'tasks/usps/input_adapter/kernel', 'tasks/usps/affine/gamma/input',
        'tasks/usps/affine/beta/input'])
    self.assertEqual(facts.tuned_parameters, 4 * 4 * 3 * 8 + 8 + 8)
    self.assertEqual(
        facts.labels, 'trained on labels, start chosen by labels')
    self.assertTrue(facts.sources_unchanged)
    model = saved_models.load(workdir).model
    self.assertIsNotNone(model.task('usps').input_adapter)

  def test_source_only_trains_nothing(self):
    workdir, found = self.adapt(
        'source_only', 'source_only', init='copy:mnist', source_free=True)
    self.assertEqual(found.steps, 0)
    self.assertEqual(list(found.tasks), ['usps'])
    self.assertEqual(found.adaptation.tune, ())
    arrays = self.arrays(workdir)
    for name in ('signature/logits', 'statistics/mean/expand'):
      self.assertAllEqual(
          arrays[f'tasks/usps/{name}'], arrays[f'tasks/mnist/{name}'])
    self.assertEqual(found.initial['usps'].top1, found.tasks['usps'].top1)
    features = adaptation_features.read(workdir)
    self.assertEqual((features.sources, features.after), ({}, None))

  def test_a_folder_without_labels(self):
    photos = self.directory / 'photos'
    photos.mkdir()
    for number in range(24):
      PIL.Image.new('L', (8, 8), 10 * number).save(photos / f'{number}.png')
    target = f'images:{photos}'
    workdir, found = self.adapt(
        'unlabelled', 'im', target=target, watch_every=1)
    for score in (found.tasks[target], found.initial[target]):
      self.assertEqual((score.top1, score.loss, score.examples),
                       (None, None, 6))
      self.assertContainsSubset(
          ['information', 'domain_accuracy'], score.label_free)
    lines = list(csv.DictReader(
        (workdir / 'predictions.csv').read_text().splitlines()))
    self.assertCountEqual([line['file'] for line in lines],
                          [str(path) for path in photos.iterdir()])
    saved = saved_models.load(workdir)
    numbers = [int(pathlib.Path(line['file']).stem) for line in lines]
    logits = saved.model(
        np.ones((1, 8, 8, 3)) * np.reshape(numbers, [-1, 1, 1, 1]) * 10 / 127.5
        - 1, task=target, training=False)
    self.assertAllEqual(
        [int(line['class']) for line in lines], np.argmax(logits, -1))
    self.assertAllClose(
        [float(line['probability']) for line in lines],
        np.max(tf.nn.softmax(logits), -1), atol=1e-3)
    self.assertEqual(saved.tasks[target]['class_names'],
                     saved.tasks['mnist']['class_names'])
    # What has labels can be evaluated.
    with self.assertWarnsRegex(UserWarning, f'Left out: {target}, whose'):
      evaluated = evaluating.evaluate(workdir, options=run_options.RunOptions(
          progress=False)).results.tasks
    self.assertEqual(list(evaluated), ['optdigits', 'mnist'])
    # Resumed, it is the same; with other files it does not go on.
    (workdir / 'predictions.csv').unlink()
    adapting.adapt(workdir=workdir, options=_RESUME)
    self.assertEqual(lines, list(csv.DictReader(
        (workdir / 'predictions.csv').read_text().splitlines())))
    (photos / '3.png').rename(photos / '3a.png')
    with self.assertRaisesRegex(ValueError, 'began with other data .*files'):
      adapting.adapt(workdir=workdir, options=_RESUME)
    # It is no source, unless it is named.
    second, _ = self.adapt('second', 'source_only', workdir, init='copy:mnist')
    self.assertEqual(
        adapting.read_config(second).sources, ('optdigits', 'mnist'))
    # Labels are asked for in vain.
    for method, init in (('supervised', 'best'), ('im', 'oracle')):
      with self.assertRaisesRegex(ValueError, 'expected images with labels'):
        self.adapt('none_yet', method, target=target, init=init)
    self.assertFalse((self.directory / 'none_yet').exists())

  @parameterized.parameters(
      ('does not know yet', {'target': 'mnist'}),
      ('for a new one transfer', {'target': 'emnist/letters'}),
      ('use copy:TASK or best', {
          'model': 'pooled', 'init': 'random',
          'target_statistics': 'reestimate'}),
      ('use tune=input_adapter', {'model': 'pooled', 'tune': ('mixture',)}),
      ('kmnist and optdigits, which differ', {'target': 'kmnist'}),
      ("received task='nosuch'", {'sources': ('nosuch',)}))
  def test_refuses_configurations(self, message, options):
    with self.assertRaisesRegex(ValueError, message):
      self.adapt('none_yet', **{'method': 'adda', **options})
    self.assertFalse((self.directory / 'none_yet').exists())

  @parameterized.parameters(
      ('reads, received clipnorm', {'clipnorm': 1.0}),
      ('received num_layers, which the model', {'num_layers': 3}),
      ('usps to be 2 or more', {'batch_size': 1}),
      ('warmup_steps', {'warmup_steps': 3}))
  def test_refuses_changes(self, message, changes):
    with self.assertRaisesRegex(ValueError, message):
      adapting.adapt(
          self.config('im'), self.directory / 'none_yet', _SMOKE, **changes)
    self.assertFalse((self.directory / 'none_yet').exists())

  def test_refuses_runs(self):
    with self.assertRaisesRegex(ValueError, "run of kind 'adapt' in .*'train'"):
      adapting.adapt(workdir=self.models['bank'], options=_RESUME)
    with self.assertRaisesRegex(ValueError, 'Expected a configuration'):
      adapting.adapt()
    with self.assertRaisesRegex(ValueError, 'trained on real images'):
      adapting.adapt(self.config('im'), self.directory / 'none_yet')
    self.assertFalse((self.directory / 'none_yet').exists())

  def test_initial_round_trip(self):
    score = results.TaskScore(top1=0.5, loss=1.0, examples=4)
    initial = adaptation_results.Initial(
        results.TargetStart('copy:a', 'given', {}), score, score, 'digest')
    path = self.directory / 'initial.json'
    results.write(path, initial)
    self.assertEqual(results.read(path, adaptation_results.Initial), initial)


if __name__ == '__main__':
  tf.test.main()
