"""Tests of the tables that are shown of results."""

import dataclasses

import numpy as np
import tensorflow as tf

from launch.reports import results_text
from trainers import supervised
from trainers.runs import results
from trainers.testing import toy


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

  def test_table(self):
    lines = results_text.format_table(self.found).splitlines()
    self.assertLen(lines, 2 + 2 + 1)
    self.assertRegex(
        lines[0], '^task +top-1 +loss +examples +own parameters +mean max xi$')
    self.assertEqual({len(line) for line in lines[:4]}, {len(lines[0])})
    task = self.found.tasks['two+blur']
    self.assertEqual(lines[3].split(), [
        'two+blur', f'{task.top1:.2%}', f'{task.loss:.4f}', '23', '72',
        f'{task.max_xi:.3f}'])
    total = self.found.parameters['total']
    self.assertEqual(
        lines[4], 'test split, ema weights, after 12,345 steps; '
        f'{total:,} trained parameters in all')

  def test_distances(self):
    task = dataclasses.replace(
        self.found.tasks['one'], mixtures=np.eye(8).tolist())
    found = dataclasses.replace(
        self.found, tasks=dict.fromkeys('abc', task), distances=(
            results.Distance(('a', 'b'), (0.1,) * 2 + (0.5,) * 6),
            results.Distance(('a', 'c'), (0.2,) * 6 + (0.6,) * 2),
            results.Distance(('b', 'c'), (1.0,) + (0.0,) * 7)))
    rows = [line.split() for line in
            results_text.format_distances(found).splitlines()]
    self.assertEqual(rows[0], ['distance', '1', '2', '3'])
    self.assertEqual(rows[2], ['1', 'a', '0.50', '0.60'])
    self.assertEqual(rows[3], ['2', 'b', '0.10', '0.00'])
    self.assertEqual(rows[4], ['3', 'c', '0.20', '0.50'])

  def test_captions_of_weights_without_a_sum(self):
    softmax, linear = np.eye(2), np.array([[-3.0, 1.0]])
    self.assertEqual(results_text.with_shares('x', {'a': softmax}), 'x')
    self.assertEqual(results_text.with_shares('x', {'a': softmax, 'b': linear}),
                     f'x {results_text.SHARES}')

  def test_edits(self):
    def network(layers, **tasks):
      return results.EditedNetwork(layers, {
          name: results.SignedScore(
              top1=top1, loss=1.5, examples=9, signature=signature)
          for name, (top1, signature) in tasks.items()})

    edits = results.Edits(
        network((1, 2, 3), a=(0.5, '1-2-2'), b=(0.9, '1-1-1')),
        {'drop:1': network((2, 3), a=(0.4525, '2-2'), b=(0.91, '1-1'))},
        statistics='moved', split='test', weights='ema', steps=7)
    self.assertEqual(results_text.edit_rows(edits), [
        ('edit', 'task', 'top-1', 'change', 'layers', 'signature'),
        ('trained', 'a', '50.00%', '+0.00', '1-2-3', '1-2-2'),
        ('trained', 'b', '90.00%', '+0.00', '1-2-3', '1-1-1'),
        ('drop:1', 'a', '45.25%', '-4.75', '2-3', '2-2'),
        ('drop:1', 'b', '91.00%', '+1.00', '2-3', '1-1')])

  def test_between(self):
    def score(top1, loss, t):
      return results.SignedScore(
          top1=top1, loss=loss, examples=9, signature=f'{1 + int(t)}-1')

    line = results.Line(('b', 'a'), tuple(
        results.Point(t, {'a': score(1 - t, t, t), 'b': score(t, 2.5, t)})
        for t in (0.0, 0.5, 1.0)))
    self.assertEqual(results_text.between_rows(line), [
        ('t', 'b: top-1', 'b: loss', 'a: top-1', 'a: loss', 'signature'),
        ('0.00', '0.00%', '2.5000', '100.00%', '0.0000', '1-1'),
        ('0.50', '50.00%', '2.5000', '50.00%', '0.5000', '1-1'),
        ('1.00', '100.00%', '2.5000', '0.00%', '1.0000', '2-1')])


if __name__ == '__main__':
  tf.test.main()
