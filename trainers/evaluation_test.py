"""Tests that evaluation is exact."""

import types

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import evaluation
from trainers.testing import toy


class EvaluatorTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    keras.utils.set_random_seed(0)
    config = toy.make_config(['one', 'two'])
    cls.data = toy.make_data(config.tasks)
    cls.model = isometric_model.IsometricModel(
        config.model, {name: toy.CLASSES for name in config.tasks})
    for task in cls.model.tasks.values():
      task.head.kernel.assign(5 * task.head.kernel)  # far from chance
    cls.evaluator = evaluation.Evaluator(cls.model)

  def expected(self, task, split):
    """The definition, on the whole split at once, in float64."""
    images, labels = next(iter(self.data[task].eval_batches(split, 1000)))
    logits = self.model(images, task=task).numpy().astype('float64')
    largest = logits.max(-1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(-1)) + largest[:, 0]
    rows = np.arange(len(labels))
    return {
        'top1': np.mean(logits.argmax(-1) == labels.numpy()),
        'loss': np.mean(log_sum - logits[rows, labels.numpy()]),
        'examples': len(labels)}

  @parameterized.product(
      task=['one', 'two'], batch_size=[1, 7, 22, 23, 100])
  def test_is_sum_over_count(self, task, batch_size):
    # 23 examples: 7 and 22 leave a remainder, of 2 and of a single image.
    result = self.evaluator.evaluate(
        task, self.data[task].eval_batches('test', batch_size))
    expected = self.expected(task, 'test')
    self.assertEqual(result.examples, 23)
    self.assertEqual(result.top1, expected['top1'])
    self.assertAllClose(result.loss, expected['loss'], rtol=1e-5)
    self.assertBetween(result.top1, 0.01, 0.99)

  def test_no_stale_function_of_a_detached_task(self):
    model = isometric_model.IsometricModel(
        self.model.config, {'one': toy.CLASSES})
    evaluator = evaluation.Evaluator(model)
    batches = self.data['one'].eval_batches('test', 100)
    before = evaluator.evaluate('one', batches)
    model.detach('one', 'output_adapter')
    self.assertEqual(before, evaluator.evaluate('one', batches))
    kernel = model.tasks['one'].output_adapter[1].kernel
    kernel.assign(-kernel)
    self.assertNotEqual(before, evaluator.evaluate('one', batches))

  def test_traces_once_while_a_tasks_variables_stay(self):
    model = isometric_model.IsometricModel(
        self.model.config, {'one': toy.CLASSES})
    graphs = evaluation.Graphs(model)
    graph = graphs.current('one')
    self.assertIs(graphs.current('one'), graph)
    # Another task has nothing to do with it.
    model.add_task('two', toy.CLASSES, init='copy:one')
    other = graphs.current('two')
    self.assertIsNot(other, graph)
    self.assertIs(graphs.current('one'), graph)
    # A task of the name of one that was removed is another.
    model.remove_task('two')
    model.add_task('two', toy.CLASSES, init='copy:one')
    self.assertIsNot(graphs.current('two'), other)
    # All tasks are of the bank.
    model.add_templates(1)
    self.assertIsNot(graphs.current('one'), graph)

  def test_graphs_give_logits_and_embeddings(self):
    images, _ = next(iter(self.data['one'].eval_batches('test', 7)))
    logits, embeddings = evaluation.Graphs(self.model).current('one')(images)
    self.assertAllClose(
        logits, self.model(images, task='one'), rtol=1e-5, atol=1e-5)
    self.assertAllClose(
        embeddings, self.model.encode(images, 'one')[1], rtol=1e-5, atol=1e-5)

  def test_uses_the_present_weights(self):
    head = self.model.tasks['one'].head
    before = self.evaluator.evaluate(
        'one', self.data['one'].eval_batches('test', 10))
    kernel = head.kernel.numpy()
    head.kernel.assign(-kernel)
    after = self.evaluator.evaluate(
        'one', self.data['one'].eval_batches('test', 10))
    head.kernel.assign(kernel)
    self.assertNotEqual(before.loss, after.loss)

  def test_predictors_stand_beside_own_heads(self):
    head = self.model.tasks['one'].head
    network = evaluation.TaskEvaluator(self.model, self.data, 10, {
        'one': lambda embedding: (tf.nn.softmax(head(embedding)) + 1) / 5})
    images, labels = next(iter(self.data['one'].eval_batches('test', 100)))
    softmax = tf.nn.softmax(self.model(images, task='one')).numpy()
    right = softmax[np.arange(len(labels)), labels.numpy()]
    found = network.evaluate('test')
    one, own = found['one'], found['one'].own_head
    self.assertEqual((own.top1, own.examples), (one.top1, one.examples))
    self.assertAllClose(own.loss, np.mean(-np.log(right)), rtol=1e-5)
    self.assertAllClose(one.loss, np.mean(-np.log((right + 1) / 5)), rtol=1e-5)
    self.assertIsNone(found['two'].own_head)

  def test_pool_names_its_members(self):
    members = [self.data['one'], self.data['two']]
    pool = types.SimpleNamespace(
        tasks=[types.SimpleNamespace(name=name) for name in ('a', 'b')],
        eval_batches=lambda split, size, number: members[number].eval_batches(
            split, size))
    result = self.evaluator.evaluate_split('one', pool, 'test', 10)
    alone = [self.evaluator.evaluate_split('one', data, 'test', 10)
             for data in members]
    self.assertEqual(
        result.members, {'a': alone[0].plain(), 'b': alone[1].plain()})
    self.assertEqual(result.plain(), evaluation.pool(alone))
    self.assertEqual(result.examples, 46)
    self.assertNotEqual(alone[0].loss, alone[1].loss)

  def test_refuses_an_empty_split(self):
    empty = self.data['one'].eval_batches('test', 10).take(0)
    with self.assertRaisesRegex(ValueError, "task 'one'.*an empty split"):
      self.evaluator.evaluate('one', empty)


if __name__ == '__main__':
  tf.test.main()
