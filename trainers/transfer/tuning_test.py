"""Tests of tuning what is a new task's own."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers.runs import checkpoints
from trainers.testing import toy
from trainers.transfer import tuning


def make_model(shared_head=False):
  return isometric_model.IsometricModel(
      toy.make_config().model, {'one': 4, 'two': 4}, shared_head, seed=0)


def make_data():
  return toy.make_data(['set'])['set']


class TuningTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      {'tune': ['mixture'], 'moved': {'signature'}},
      {'tune': ['head'], 'moved': {'head'}},
      {'tune': ['norm', 'mixture', 'head', 'input_adapter'],
       'moved': {'affine', 'signature', 'head', 'input_adapter'}})
  def test_nothing_else_moves(self, tune, moved):
    model = make_model(shared_head=True)
    model.add_task('new', 4, 'copy:one', 'shared')
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3))
    outputs = {name: model(images, task=name).numpy()
               for name in ('one', 'two')}
    config = toy.make_config(['new'], learning_rate=0.1, ema_decay=0.5)
    tuned = tuning.Tuning(
        model, 'new', tune, make_data(), config)
    trainer = tuned.trainer
    before = checkpoints.snapshot(model.named_variables())
    toy.run_steps(trainer, 3)
    with tuned.averaged():
      after = checkpoints.snapshot(model.named_variables())
      for name, expected in outputs.items():
        self.assertEqual(model(images, task=name).numpy().tobytes(),
                         expected.tobytes())
    changed = {name for name, array in before.items()
               if array.tobytes() != after[name].tobytes()}
    owners = {name.split('/')[2] if name.startswith('tasks/new/') else
              name.replace('heads/new', 'head').split('/')[0]
              for name in changed}
    self.assertEqual(owners, moved | {'statistics', 'num_updates'})
    sizes = sum(before[name].size for name in changed
                if 'statistics' not in name and 'num_updates' not in name)
    self.assertEqual((tuned.num_parameters, tuned.steps), (sizes, 10))
    self.assertEqual(trainer.images_per_step, 8)
    self.assertEqual(list(trainer.evaluate('test')), ['new'])

  def test_templates_move_others(self):
    model = make_model()
    model.add_task('new', 4, 'copy:one')
    bank = model.bank.templates('expand/kernel').numpy()
    tuned = tuning.Tuning(
        model, 'new', ['templates', 'head'], make_data(),
        toy.make_config(['new'], learning_rate=0.1))
    head = model.task('one').head.kernel.numpy()
    toy.run_steps(tuned.trainer, 2)
    self.assertNotAllClose(model.bank.templates('expand/kernel'), bank)
    self.assertAllEqual(model.task('one').head.kernel, head)

  def test_nothing_is_trained(self):
    model = make_model()
    tuned = tuning.Tuning(
        model, 'one', [], make_data(), toy.make_config(['one']))
    with tuned.averaged():
      self.assertEqual(
          (tuned.trainer, tuned.steps, tuned.num_parameters,
           tuned.run('nowhere', None, {})), (None, 0, 0, 0.0))


if __name__ == '__main__':
  tf.test.main()
