"""Tests of the parts, on a tiny network."""

from unittest import mock

import tensorflow as tf

from launch.benchmarks import contenders
from launch.benchmarks import cost_lines
from launch.benchmarks import parts
from launch.benchmarks import timing
from trainers.testing import toy

_TURNS = timing.Turns(rounds=2, seconds=0)


def _config():
  return toy.make_config(('task',), batch_size=4)


class PartsTest(tf.test.TestCase):

  def test_training(self):
    names = (contenders.OURS, contenders.PLAIN, contenders.STOCK)
    makers = {name: lambda: lambda: 1.0 for name in names}
    with mock.patch.object(contenders, 'training', return_value=makers):
      part = parts.training(_config(), _TURNS)
    self.assertEqual([row[0] for row in part.rows], ['training', *names])
    self.assertLen(part.lines, 2)
    self.assertStartsWith(
        part.lines[0], 'training, ours against stock Keras: ')
    self.assertStartsWith(
        part.lines[1], 'training, time of ours to that of plain signature: ')
    seconds, ratios = part.numbers['seconds'], part.numbers['ratios']
    self.assertAllClose(
        ratios['training, ours against stock Keras'],
        [a / b for a, b in zip(seconds['stock Keras'], seconds['ours'])])
    self.assertAllClose(
        ratios['training, time of ours to that of plain signature'],
        [a / b for a, b in zip(seconds['ours'], seconds['plain signature'])])

  def test_inference(self):
    names = (contenders.OURS, contenders.FOLDED, contenders.STOCK_PREDICT)
    sizes = []

    class Inference:

      def __init__(self, config):
        pass

      def contenders(self, images):
        sizes.append(len(images))
        return dict.fromkeys(names, lambda: None)

    with mock.patch.object(contenders, 'Inference', Inference):
      part = parts.inference(_config(), _TURNS)
    self.assertEqual(sizes, [4, 1])
    self.assertLen(part.rows, 1 + 2 * len(names))
    self.assertEqual(list(part.numbers['ratios']), [
        f'inference of {size}, folded against {other}' for size in (4, 1)
        for other in ('ours', 'stock Keras, predict')])

  def test_pipeline(self):
    with mock.patch.multiple(
        parts, _PIPELINE_IMAGES=50, _DRAWN_BATCHES=3,
        _ours=lambda _: {contenders.OURS: lambda: 1.0}):
      part = parts.pipeline(_config(), _TURNS)
    self.assertEqual([row[0] for row in part.rows],
                     ['pipeline', 'input pipeline', 'ours'])
    self.assertEqual(list(part.numbers['ratios']),
                     ['training, input pipeline against ours'])

  def test_pipeline_makes_batches(self):
    data = parts._made_up_data(_config(), 50)
    self.assertEqual(data.num_examples('train'), 45)
    self.assertEqual(data.num_examples('validation'), 5)
    batches = iter(data.train_batches(4, 0))
    (images, labels), (others, _) = next(batches), next(batches)
    self.assertEqual(images.shape, (4, 8, 8, 3))
    self.assertEqual(labels.shape, (4,))
    self.assertNotAllEqual(images, others)

  def test_evaluation(self):
    with mock.patch.object(parts, '_EVALUATED_IMAGES', 5):
      part = parts.evaluation(_config(), _TURNS)
    self.assertEqual([row[0] for row in part.rows], [
        'evaluation of 5 images', 'raw weights', 'averaged weights',
        'swapping them alone'])
    self.assertLen(part.lines, 1)

  def test_sizes(self):
    part = parts.sizes(_config(), _TURNS)
    sizes = part.numbers['bytes']
    parameters = part.numbers['parameters']
    # Weights, mean squares, momenta, averages; a task has no templates.
    self.assertGreater(sizes['checkpoint'], 4 * 4 * parameters['total'])
    own = (parameters['signatures'] + parameters['heads']
           + parameters['statistics'])
    self.assertGreater(sizes['task file'], 4 * own)
    self.assertLess(sizes['task file'], 4 * own + 20_000)
    self.assertEqual(part.rows[1], ('checkpoint', f'{sizes["checkpoint"]:,}'))

  def test_limit(self):
    machine = {'arithmetic': (lambda: 1.0, 1e9), 'traffic': (lambda: 1.0, 2e9)}
    seconds = {'ours': [2.0, 4.0], 'arithmetic': [1.0, 1.0],
               'traffic': [2.0, 4.0]}
    costs = cost_lines.Costs(macs=10 ** 9, num_bytes=10 ** 9)
    with (mock.patch.multiple(
        cost_lines, count=lambda *_: costs,
        machine_calls=lambda _: machine),
          mock.patch.object(
              parts, '_ours',
              lambda _: {contenders.OURS: lambda: 1.0}),
          mock.patch.object(timing.Turns, 'take', return_value=seconds)):
      part = parts.limit(_config(), _TURNS)
    # 2 GFLOP at 1 GFLOP/s take 2 s; 1 GB at 1 and .5 GB/s takes 1 and 2 s.
    self.assertEqual(part.numbers['arithmetic'], {
        'work': 2 * 10 ** 9, 'rates': [1e9, 1e9], 'percent': [100, 50]})
    self.assertEqual(part.numbers['traffic'], {
        'work': 10 ** 9, 'rates': [1e9, 5e8], 'percent': [50, 50]})
    self.assertEqual(part.rows[1], (
        'arithmetic', '2 GFLOP', '1 / 1 / 1 GFLOP',
        '2000.0 / 2000.0 / 2000.0', '50 / 75 / 100'))
    self.assertEqual(part.lines,
                     ['A step takes 2000.0 / 3000.0 / 4000.0 ms.'])


if __name__ == '__main__':
  tf.test.main()
