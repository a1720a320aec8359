"""Tests that a work directory gives its model back."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import task_fit
from trainers import loop
from trainers import supervised
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.testing import toy


class SavedModelsTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.workdir = cls.directory / 'run'
    cls.config = toy.make_config(
        steps=3, batch_size=(8, 4), norm='private', shared_half='first',
        learning_rate=0.1)
    cls.data = toy.make_data(cls.config.tasks)
    cls.trainer = supervised.make_trainer(
        cls.config, cls.data, tf.distribute.get_strategy())
    records.claim(cls.workdir, cls.config.to_json(), 'train', data={
        name: data.describe() for name, data in cls.data.items()})
    loop.run(cls.trainer, cls.workdir, run_options.RunOptions(eval_every=0),
             config=cls.config.to_json())

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.copy = pathlib.Path(directory.name) / 'copy'

  def rewrite(self, run=None, **metadata):
    """Copies the run with another checkpoint; None leaves metadata out."""
    step, arrays, former = checkpoints.Checkpoints(
        self.workdir / records.CHECKPOINTS).load()
    metadata = {**former, **metadata}
    checkpoints.Checkpoints(self.copy / records.CHECKPOINTS).save(
        step, arrays,
        {key: value for key, value in metadata.items() if value is not None})
    records.write_json(self.copy / records.RUN,
                       run or records.read_run(self.workdir))
    return self.copy

  def assertSameBits(self, model, expected):
    received = checkpoints.snapshot(model.named_variables())
    self.assertCountEqual(received, expected)
    for key, array in expected.items():
      self.assertEqual(received[key].tobytes(), array.tobytes(), key)

  def weights(self, kind):
    if kind == 'raw':
      return checkpoints.snapshot(self.trainer.model.named_variables())
    with self.trainer.ema.applied():
      return self.weights('raw')

  @parameterized.parameters('ema', 'raw')
  def test_gives_the_weights_back(self, kind):
    saved = saved_models.load(self.workdir, kind)
    self.assertSameBits(saved.model, self.weights(kind))
    self.assertEqual((saved.step, saved.workdir), (3, self.workdir))
    self.assertEqual(saved.path.name, 'checkpoint-00000003.safetensors')
    self.assertGreater(saved.seconds, 0)
    self.assertEqual(saved.config, self.config.replace(
        loss_weights=(1.0, 1.0)))
    self.assertEqual(saved.tasks, saved.run['data'])
    self.assertFalse(saved.is_smoke)
    self.assertEqual(saved.origin(), {
        'step': 3, 'weights': kind,
        'fingerprint': task_fit.fingerprint(saved.model)})

  def test_knows_whether_a_run_is_finished(self):
    workdir = self.rewrite()
    self.assertFalse(saved_models.load(workdir).is_finished)
    records.write_json(workdir / records.RESULTS, {})
    self.assertTrue(saved_models.load(workdir).is_finished)
    (workdir / records.RESULTS).unlink()
    run = records.read_run(self.workdir)
    config = {**run['config'], 'tasks_command': {}}
    self.rewrite(run={**run, 'config': config}, config=config)
    self.assertTrue(saved_models.load(workdir).is_finished)

  def test_description_is_json_and_rebuilds(self):
    model = self.trainer.model
    model.bank.trainable = False
    description = saved_models.describe(model)
    model.bank.trainable = True
    self.assertEqual(json.loads(json.dumps(description)), description)
    twin = saved_models.build(description)
    self.assertFalse(twin.bank.trainable)
    self.assertEqual(twin.config, model.config)
    self.assertEqual(saved_models.describe(twin), description)
    self.assertCountEqual(twin.named_variables(), model.named_variables())

  def test_saves_a_model_without_training(self):
    model = saved_models.load(self.workdir).model
    model.add_task('three', 5, 'copy:one')
    config = {**self.config.to_json(), 'command': ['add', 'three']}
    facts = {'three': {'dataset': 'four'}}
    saved_models.save(self.copy, model, 'tasks', config, facts, 3, 4.5)
    saved = saved_models.load(self.copy)
    self.assertSameBits(
        saved.model, checkpoints.snapshot(model.named_variables()))
    self.assertEqual((saved.step, saved.seconds), (3, 4.5))
    self.assertEqual(saved.run['kind'], 'tasks')
    self.assertEqual(saved.tasks, {'one': {}, 'two': {}, **facts})
    self.assertEqual(saved.config.tasks, ('one', 'two', 'three'))
    self.assertEqual(saved.config.batch_size, 8)
    with self.assertRaisesRegex(ValueError, 'holds a run already'):
      saved_models.save(self.copy, model, 'tasks', config, facts)
    model.task('three').head.bias.assign(np.full(5, np.nan))
    with self.assertRaisesRegex(ValueError, 'finite weights.*three/bias'):
      saved_models.save(self.copy.parent / 'x', model, 'tasks', config, facts)

  def test_loads_data_as_it_was(self):
    saved = saved_models.load(self.workdir)
    saved.tasks['two'].update(
        dataset='named', examples_per_class=2, examples_seed=7, view='pad')
    asked = []

    def load_tasks(names, *options):
      asked.append((names, options))
      return {names[0]: self.data['two' if names == ['named'] else names[0]]}

    with mock.patch.object(pipeline, 'load_tasks', load_tasks):
      data = saved.load_data('somewhere', splits=['test'])
      self.assertEqual(data, self.data)
      self.assertEqual(asked, [
          (['one'], (8, 'somewhere', None, None, 0, True, False,
                     'centre')),
          (['named'], (8, 'somewhere', None, 2, 7, True, False,
                       'pad'))])
      self.assertEqual(
          list(saved.load_data(tasks=['two'], labelled=False)), ['two'])
      self.assertFalse(asked[-1][1][-3])
      saved.tasks['one'].update(dataset='two')
      with self.assertRaisesRegex(ValueError, 'other data .one.splits.test'):
        saved.load_data(tasks=['one'], splits=['test'])
      saved.tasks['one'].update(dataset=None)
      with self.assertRaisesRegex(ValueError, "'one', which .*not know"):
        saved.load_data()

  def test_tasks_with_labels(self):
    saved = saved_models.load(self.workdir)
    self.assertEqual(saved.labelled_tasks(), ['one', 'two'])
    saved.tasks['one'].update(dataset='images:photos')
    saved.tasks['two'].update(dataset=None)  # not known
    self.assertEqual(saved.labelled_tasks(), ['two'])

  def test_errors(self):
    run = records.read_run(self.workdir)
    with self.assertRaisesRegex(ValueError, 'weights must be one of'):
      saved_models.load(self.workdir, 'best')
    with self.assertRaisesRegex(ValueError, 'has no run.json'):
      saved_models.load(self.directory)
    other = {**run, 'config': {**run['config'], 'seed': 9}}
    with self.assertRaisesRegex(ValueError, 'a checkpoint of this run'):
      saved_models.load(self.rewrite(run=other))
    description = saved_models.describe(self.trainer.model)
    for broken in (None, {**description, 'tasks': [{}]},
                   {**description, 'config': {'later': 1}},
                   {'tasks': []}, None):
      with self.assertRaisesRegex(
          ValueError, 'checkpoint-.*safetensors, received one that is damaged'):
        saved_models.load(self.rewrite(model=broken))
    fewer = {**description, 'tasks': description['tasks'][:1]}
    with self.assertRaisesRegex(ValueError, 'has besides .*tasks/two'):
      saved_models.load(self.rewrite(model=fewer))


if __name__ == '__main__':
  tf.test.main()
