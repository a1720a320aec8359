"""Tests that edited networks are evaluated as what they are (section B)."""

import contextlib
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import rearranging
from trainers import evaluation
from trainers import perturbation
from trainers import supervised
from trainers.runs import checkpoints
from trainers.runs import results
from trainers.testing import toy


class PerturbationTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.config = toy.make_config(
        num_layers=3, norm='private', shared_half='first', dropout=0.3,
        learning_rate=0.1)
    cls.trainer = supervised.make_trainer(
        cls.config, toy.make_data(cls.config.tasks),
        tf.distribute.get_strategy())
    toy.run_steps(cls.trainer, 5, traced=False)

  def perturb(self, edits, *options, **keywords):
    """Results, and how each network was made: layers and mixtures."""
    with mock.patch.object(
        rearranging, 'rearrange', wraps=rearranging.rearrange) as rearrange:
      found = perturbation.evaluate(
          self.trainer.network, self.config, edits, *options, **keywords)
    return found, [call.args[1:] for call in rearrange.call_args_list]

  @parameterized.parameters('ema', 'raw')
  def test_unchanged_networks_are_the_trained_one(self, weights):
    before = checkpoints.snapshot(self.trainer.state())
    with (self.trainer.ema.applied() if weights == 'ema'
          else contextlib.nullcontext()):
      found, _ = self.perturb(['none', 'swap:1:2+swap:1:2'], 'test')
    expected = self.trainer.evaluate('test', weights=weights)
    notations = {name: '-'.join(str(k + 1) for k in xi.argmax(-1))
                 for name, xi in self.trainer.mixtures(weights).items()}
    for result in found.values():
      self.assertEqual(result.layers, (1, 2, 3))
      self.assertEqual(result.tasks, {
          name: results.SignedScore(**vars(task), signature=notations[name])
          for name, task in expected.items()})
    after = checkpoints.snapshot(self.trainer.state())
    for key, array in before.items():
      self.assertEqual(after[key].tobytes(), array.tobytes(), key)

  def test_each_edit_is_made_to_the_trained_network(self):
    edits = ['drop:1', 'reverse', 'drop:3', 'reverse+drop:1']
    found, made = self.perturb(edits, 'train')
    self.assertEqual([found[edit].layers for edit in edits],
                     [(2, 3), (3, 2, 1), (1, 2), (2, 1)])
    losses = set()
    for edit, arguments in zip(edits, made):
      model = rearranging.rearrange(self.trainer.model, *arguments)
      for name, data in self.trainer.data.items():
        expected = evaluation.Evaluator(model).evaluate_split(
            name, data, 'train', 36)
        received = found[edit].tasks[name]
        self.assertEqual(received.top1, expected.top1)
        self.assertAllClose(received.loss, expected.loss, rtol=1e-5)
        losses.add(received.loss)
    self.assertLen(losses, 2 * len(edits))

  def test_copies_have_the_predictors(self):
    trained = self.trainer.network
    network = evaluation.TaskEvaluator(
        trained.model, {'one': trained.data['one']}, predictors={
            'one': lambda x: tf.fill([tf.shape(x)[0], toy.CLASSES], 0.25)})
    found = perturbation.evaluate(network, self.config, ['reverse'], 'test')
    self.assertAllClose(
        found['reverse'].tasks['one'].loss, np.log(toy.CLASSES))

  def test_reestimates_statistics(self):
    copies = []
    make = rearranging.rearrange

    def rearrange(*args, **keywords):
      copies.append(make(*args, **keywords))
      return copies[-1]

    with mock.patch.object(rearranging, 'rearrange', rearrange):
      found = perturbation.evaluate(
          self.trainer.network, self.config, ['reverse', 'swap:1:2'], 'test',
          'reestimated', num_batches=2)
    copy, same = copies
    self.assertIs(copy, same)
    trained = self.trainer.model
    for name, data in self.trainer.data.items():
      expected = trained.task(name).statistics.mean['input'].numpy()
      batches = data.train_batches(8, self.config.seed).take(2)
      for old, (images, _) in zip((1 / 10, 2 / 11), batches):
        mean = np.mean(trained.input_adapter(images), (0, 1, 2))
        expected = old * expected + (1 - old) * mean
      statistics = copy.task(name).statistics
      self.assertAllClose(
          statistics.mean['input'], expected, rtol=1e-4, atol=1e-6)
      self.assertEqual(int(statistics.num_updates), 2)
      self.assertNotAllClose(
          statistics.mean['project'],
          trained.task(name).statistics.mean['project'].numpy()[[1, 0, 2]])
    moved, _ = self.perturb(['swap:1:2'], 'test')
    self.assertNotEqual(moved['swap:1:2'].tasks, found['swap:1:2'].tasks)
    # Each edit starts from the trained network, not from the one before.
    alone, _ = self.perturb(
        ['swap:1:2'], 'test', 'reestimated', num_batches=2)
    self.assertAllClose(alone['swap:1:2'].tasks['one'].loss,
                        found['swap:1:2'].tasks['one'].loss)

  def test_between_two_tasks(self):
    with mock.patch.object(
        rearranging, 'rearrange', wraps=rearranging.rearrange) as rearrange:
      line = perturbation.evaluate_between(
          self.trainer.network, self.config, ['two', 'one'], 3, 'test')
    self.assertEqual(line.between, ('two', 'one'))
    points = line.points
    self.assertEqual([point.t for point in points], [0, 0.5, 1])
    xi = self.trainer.mixtures()
    self.assertNotAllClose(xi['one'], xi['two'])
    for t, call in zip((0, 0.5, 1), rearrange.call_args_list):
      _, layers, mixtures = call.args
      self.assertAllEqual(layers, [0, 1, 2])
      for name in ('one', 'two'):
        self.assertAllClose(
            mixtures[name], (1 - t) * xi['two'] + t * xi['one'])
    ends = self.trainer.evaluate('test', weights='raw')
    losses = {(point.t, name): task.loss for point in points
              for name, task in point.tasks.items()}
    self.assertLen(set(losses.values()), 6)
    for t, name in ((0, 'two'), (1, 'one')):
      self.assertAllClose(losses[t, name], ends[name].loss, rtol=1e-5)
    self.assertCountEqual(points[1].tasks, ['two', 'one'])
    self.assertEqual(points[1].tasks['one'].signature,
                     points[1].tasks['two'].signature)

  @parameterized.parameters(
      (['one'], 2, 'two of the tasks'), (['one', 'one'], 2, 'two of the tasks'),
      (['one', 'six'], 2, 'received one, six'),
      (['one', 'two'], 1, 'two points or more'))
  def test_rejects_lines(self, pair, points, message):
    with self.assertRaisesRegex(ValueError, message):
      perturbation.evaluate_between(
          self.trainer.network, self.config, pair, points, 'test')

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, 'LAYER from 1 to 3.*received 4'):
      self.perturb(['drop:4'], 'test')


if __name__ == '__main__':
  tf.test.main()
