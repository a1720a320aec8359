"""Tests of results and of the tables shown."""

import json
from unittest import mock

import numpy as np
import tensorflow as tf

from launch.reports import results_text
from trainers import supervised
from trainers.testing import toy


class ResultsTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    config = toy.make_config(['one', 'two+blur'])
    cls.trainer = supervised.make_trainer(
        config, toy.make_data(config.tasks), tf.distribute.get_strategy())
    with cls.trainer.ema.applied():
      cls.found = results_text.collect(
          cls.trainer.network, 'test', 'ema', 12_345, 6.78)

  def test_collects(self):
    found = json.loads(json.dumps(self.found))
    self.assertEqual(found, self.found)
    mixtures = self.trainer.mixtures('ema')
    expected = self.trainer.evaluate('test')
    for name, task in found['tasks'].items():
      for key in ('top1', 'loss', 'examples'):
        self.assertEqual(task[key], expected[name][key])
      self.assertEqual(task['classes'], toy.CLASSES)
      self.assertAllClose(task['max_xi'], np.mean(mixtures[name].max(-1)))
      signature = self.trainer.model.tasks[name].signature
      self.assertEqual(task['signature'], signature.notation())
      self.assertEqual(
          task['own_parameters'], 2 * 2 + 16 * toy.CLASSES + toy.CLASSES)
    self.assertEqual((found['steps'], found['seconds']), (12_345, 6.8))
    self.assertEqual((found['split'], found['weights']), ('test', 'ema'))
    self.assertEqual(
        found['parameters'], self.trainer.model.parameter_report())
    distance, = found['distances']
    self.assertEqual(distance['tasks'], ['one', 'two+blur'])
    self.assertAllClose(
        distance['total_variation'],
        np.abs(mixtures['one'] - mixtures['two+blur']).sum(-1) / 2, atol=1e-4)

  def test_merges_tasks(self):
    one, other = ({**self.found, 'tasks': {name: task}, 'distances': []}
                  for name, task in self.found['tasks'].items())
    self.assertEqual(results_text.merge(one, other), self.found)
    self.assertEqual(results_text.merge({}, other), other)
    changed = {**other, 'tasks': {'two+blur': {
        **self.found['tasks']['two+blur'], 'top1': -1}}}
    merged = results_text.merge(self.found, changed)
    self.assertEqual(merged['tasks'], {**one['tasks'], **changed['tasks']})

  def test_table(self):
    lines = results_text.format_table(self.found).splitlines()
    self.assertLen(lines, 2 + 2 + 1)
    self.assertRegex(
        lines[0], '^task +top-1 +loss +examples +own parameters +mean max xi$')
    self.assertEqual({len(line) for line in lines[:4]}, {len(lines[0])})
    task = self.found['tasks']['two+blur']
    self.assertEqual(lines[3].split(), [
        'two+blur', f'{task["top1"]:.2%}', f'{task["loss"]:.4f}', '23', '72',
        f'{task["max_xi"]:.3f}'])
    total = self.found['parameters']['total']
    self.assertEqual(
        lines[4], 'test split, ema weights, after 12,345 steps; '
        f'{total:,} trained parameters in all')

  def test_distances(self):
    found = {
        'tasks': {name: {'mixtures': np.eye(8).tolist()} for name in 'abc'},
        'distances': [
            {'tasks': ['a', 'b'], 'total_variation': [0.1] * 2 + [0.5] * 6},
            {'tasks': ['a', 'c'], 'total_variation': [0.2] * 6 + [0.6] * 2},
            {'tasks': ['b', 'c'], 'total_variation': [1.0] + [0.0] * 7}]}
    rows = [line.split() for line in
            results_text.format_distances(found).splitlines()]
    self.assertEqual(rows[0], ['distance', '1', '2', '3'])
    self.assertEqual(rows[2], ['1', 'a', '0.50', '0.60'])
    self.assertEqual(rows[3], ['2', 'b', '0.10', '0.00'])
    self.assertEqual(rows[4], ['3', 'c', '0.20', '0.50'])

  def test_largest_weight_may_be_negative(self):
    network = mock.Mock()
    network.evaluate.return_value = {'one': {'top1': 0.5}}
    network.mixtures.return_value = {'one': np.array([[-3.0, 1.0], [0.5, 0]])}
    found = results_text.collect(network, 'test', 'ema', 1, 2)
    self.assertEqual(found['tasks']['one']['max_xi'], 1.75)
    self.assertEqual(found['tasks']['one']['signature'], '1-1')

  def test_captions_of_weights_without_a_sum(self):
    softmax, linear = np.eye(2), np.array([[-3.0, 1.0]])
    self.assertEqual(results_text.with_shares('x', {'a': softmax}), 'x')
    self.assertEqual(results_text.with_shares('x', {'a': softmax, 'b': linear}),
                     f'x {results_text.SHARES}')

  def test_edits(self):
    task = {'loss': 1.5, 'mixtures': np.eye(3).tolist(), 'examples': 9}
    trained = {
        'tasks': {'a': {**task, 'top1': 0.5, 'signature': '1-2-2'},
                  'b': {**task, 'top1': 0.9, 'signature': '1-1-1'}},
        'split': 'test', 'weights': 'ema', 'steps': 7, 'parameters': {}}
    edits = {'drop:1': {'layers': [2, 3], 'tasks': {
        'a': {'top1': 0.4525, 'signature': '2-2'},
        'b': {'top1': 0.91, 'signature': '1-1'}}}}
    described = results_text.describe_edits(trained, edits, 'moved')
    self.assertEqual(results_text.edit_rows(described), [
        ('edit', 'task', 'top-1', 'change', 'layers', 'signature'),
        ('trained', 'a', '50.00%', '+0.00', '1-2-3', '1-2-2'),
        ('trained', 'b', '90.00%', '+0.00', '1-2-3', '1-1-1'),
        ('drop:1', 'a', '45.25%', '-4.75', '2-3', '2-2'),
        ('drop:1', 'b', '91.00%', '+1.00', '2-3', '1-1')])
    self.assertEqual(
        {key: described[key] for key in (
            'split', 'weights', 'steps', 'statistics')},
        {'split': 'test', 'weights': 'ema', 'steps': 7, 'statistics': 'moved'})
    self.assertEqual(described['trained']['tasks']['a'], {
        'top1': 0.5, 'loss': 1.5, 'signature': '1-2-2'})

  def test_merges_edits(self):
    def network(**tasks):
      return {'layers': [1], 'tasks': tasks}

    former = {'steps': 1, 'trained': network(a=1, b=2), 'edits': {
        'reverse': network(a=3, b=4), 'harden': network(a=5, b=6)}}
    found = {'steps': 1, 'trained': network(b=7), 'edits': {
        'reverse': network(b=8), 'none': network(b=9)}}
    self.assertEqual(results_text.merge_edits(former, found), {
        'steps': 1, 'trained': network(a=1, b=7), 'edits': {
            'reverse': network(a=3, b=8), 'harden': network(a=5, b=6),
            'none': network(b=9)}})
    self.assertEqual(results_text.merge_edits({}, found), found)

  def test_between(self):
    results_ = {'split': 'test', 'weights': 'ema', 'steps': 7, 'tasks': {}}
    points = [
        {'t': t, 'tasks': {
            'a': {'top1': 1 - t, 'loss': t, 'signature': f'{1 + int(t)}-1'},
            'b': {'top1': t, 'loss': 2.5, 'signature': f'{1 + int(t)}-1'}}}
        for t in (0.0, 0.5, 1.0)]
    described = results_text.describe_between(
        results_, ['b', 'a'], points, 'moved')
    self.assertEqual(described, {
        'lines': {'b to a': {'between': ['b', 'a'], 'points': points}},
        'statistics': 'moved', 'split': 'test', 'weights': 'ema', 'steps': 7})
    self.assertEqual(results_text.between_rows(described['lines']['b to a']), [
        ('t', 'b: top-1', 'b: loss', 'a: top-1', 'a: loss', 'signature'),
        ('0.00', '0.00%', '2.5000', '100.00%', '0.0000', '1-1'),
        ('0.50', '50.00%', '2.5000', '50.00%', '0.5000', '1-1'),
        ('1.00', '100.00%', '2.5000', '0.00%', '1.0000', '2-1')])


if __name__ == '__main__':
  tf.test.main()
