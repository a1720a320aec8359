"""Tests that results are what was evaluated, written, read and merged."""

import dataclasses
import pathlib
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from trainers import supervised
from trainers.runs import records
from trainers.runs import results
from trainers.testing import toy

_PERTURBED = {
    'statistics': 'moved', 'split': 'test', 'weights': 'ema', 'steps': 1}


def network(layers=(1,), **top1):
  """An edited network of tasks with these accuracies."""
  return results.EditedNetwork(layers, {
      name: results.SignedScore(
          top1=value, loss=1.5, examples=9, signature='1')
      for name, value in top1.items()})


class ResultsTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    config = toy.make_config(['one', 'two+blur'])
    cls.trainer = supervised.make_trainer(
        config, toy.make_data(config.tasks), tf.distribute.get_strategy())
    with cls.trainer.ema.applied():
      cls.found = results.collect(
          cls.trainer.network, 'test', 'ema', 12_345, 6.78)

  def test_collects(self):
    mixtures = self.trainer.mixtures('ema')
    expected = self.trainer.evaluate('test')
    for name, task in self.found.tasks.items():
      self.assertEqual(task.plain(), expected[name].plain())
      self.assertEqual(task.classes, toy.CLASSES)
      self.assertAllClose(task.max_xi, np.mean(mixtures[name].max(-1)))
      signature = self.trainer.model.tasks[name].signature
      self.assertEqual(task.signature, signature.notation())
      self.assertEqual(
          task.own_parameters, 2 * 2 + 16 * toy.CLASSES + toy.CLASSES)
      self.assertAllClose(task.mixtures, mixtures[name], atol=1e-6)
    self.assertEqual((self.found.steps, self.found.seconds), (12_345, 6.8))
    self.assertEqual((self.found.split, self.found.weights), ('test', 'ema'))
    self.assertEqual(
        self.found.parameters, self.trainer.model.parameter_report())
    distance, = self.found.distances
    self.assertEqual(distance.tasks, ('one', 'two+blur'))
    self.assertAllClose(
        distance.total_variation,
        np.abs(mixtures['one'] - mixtures['two+blur']).sum(-1) / 2, atol=1e-4)

  def test_reads_what_was_written(self):
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory) / 'results.json'
      results.write(path, self.found)
      self.assertEqual(results.read(path), self.found)
      written = records.read_json(path)
      for damage in ({}, [], {**written, 'tasks': 3}, {**written, 'new': 1}):
        records.write_json(path, damage)
        with self.assertRaisesRegex(ValueError, 'Expected RunResults in .*res'):
          results.read(path)

  def test_largest_weight_may_be_negative(self):
    evaluated = mock.Mock()
    evaluated.evaluate.return_value = {
        'one': results.TaskScore(top1=0.5, loss=1.0, examples=2)}
    evaluated.mixtures.return_value = {'one': np.array([[-3.0, 1.0], [0.5, 0]])}
    evaluated.model.parameter_report.return_value = {'total': 1}
    found = results.collect(evaluated, 'test', 'ema', 1, 2)
    self.assertEqual(found.tasks['one'].max_xi, 1.75)
    self.assertEqual(found.tasks['one'].signature, '1-1')

  def test_merges_tasks(self):
    one, other = (
        dataclasses.replace(self.found, tasks={name: task}, distances=())
        for name, task in self.found.tasks.items())
    self.assertEqual(other.merge(one), self.found)
    task = dataclasses.replace(self.found.tasks['two+blur'], top1=-1.0)
    merged = dataclasses.replace(other, tasks={'two+blur': task}).merge(
        self.found)
    self.assertEqual(merged.tasks, {**one.tasks, 'two+blur': task})

  def test_edits(self):
    edits = {'drop:1': network((2, 3), **{'one': 0.5, 'two+blur': 0.25})}
    described = results.describe_edits(self.found, edits, 'moved')
    self.assertEqual(described.edits, edits)
    self.assertEqual(
        (described.split, described.weights, described.steps,
         described.statistics), ('test', 'ema', 12_345, 'moved'))
    layers = len(self.found.tasks['one'].mixtures)
    self.assertEqual(described.trained.layers, tuple(range(1, layers + 1)))
    for name, task in self.found.tasks.items():
      trained = described.trained.tasks[name]
      self.assertEqual(trained.plain(), task.plain())
      self.assertEqual(trained.signature, task.signature)

  def test_merges_edits(self):
    def edits(trained, **edits):
      return results.Edits(trained, edits, **_PERTURBED)

    former = edits(network(a=1.0, b=2.0), reverse=network(a=3.0, b=4.0),
                   harden=network(a=5.0, b=6.0))
    found = edits(network(b=7.0), reverse=network(b=8.0), none=network(b=9.0))
    self.assertEqual(found.merge(former), edits(
        network(a=1.0, b=7.0), reverse=network(a=3.0, b=8.0),
        harden=network(a=5.0, b=6.0), none=network(b=9.0)))

  def test_edits_need_the_trained_network(self):
    with self.assertRaisesRegex(ValueError, 'tasks of reverse, .* for b'):
      results.Edits(
          network(a=1.0), {'reverse': network(b=1.0)}, **_PERTURBED)

  def test_lines_between(self):
    lines = [results.Line(pair, tuple(
        results.Point(t, network(**dict.fromkeys(pair, t)).tasks)
        for t in (0.0, 1.0))) for pair in (('b', 'a'), ('b', 'c'))]
    former, found = (results.describe_between(self.found, line, 'moved')
                     for line in lines)
    self.assertEqual(found, results.Between(
        {'b to c': lines[1]}, **{**_PERTURBED, 'steps': 12_345}))
    self.assertEqual(found.merge(former).lines,
                     {'b to a': lines[0], 'b to c': lines[1]})
    with self.assertRaisesRegex(ValueError, r"a and b at t=0.0, .*\['a'\]"):
      results.Line(('a', 'b'), (results.Point(0.0, network(a=1.0).tasks),))


if __name__ == '__main__':
  tf.test.main()
