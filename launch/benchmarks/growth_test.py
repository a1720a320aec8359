"""Tests of figures over a field, without the networks."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from launch.benchmarks import contenders
from launch.benchmarks import growth
from launch.benchmarks import process
from launch.benchmarks import pytorch
from launch.benchmarks import timing
from trainers.testing import toy

_TURNS = timing.Turns(rounds=3, processes=2)


def _config():
  return toy.make_config(('task',), batch_size=4)


def _measure(config, contender):
  """2 + 3 T seconds, 100 MB + 10 MB T; others' 1 s and 50 MB."""
  ours = contender == contenders.OURS
  tasks = len(config.tasks) if ours else 0
  return {'seconds': 2 + 3 * tasks if ours else 1,
          'peak_bytes': (100 + 10 * tasks) * 10 ** 6 if ours else 5 * 10 ** 7,
          'bytes_before': 10 ** 7, 'loss': 1.0}


class GrowthTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.enter_context(mock.patch.object(
        process, 'measure', _measure))

  @parameterized.parameters(True, False)
  def test_first_step(self, has_torch):
    with mock.patch.object(
        pytorch, 'is_compared', lambda: has_torch):
      part = growth.first_step(_config(), _TURNS)
    self.assertEqual(part.rows[2], (
        'ours, 2 task(s)', '8.0 / 8.0 / 8.0', '120', '10'))
    self.assertEqual(
        [row[0] for row in part.rows[4:]],
        [contenders.STOCK, contenders.TORCH][:1 + has_torch])
    self.assertEqual(part.lines, [
        'first step, s: 2 + 3 num_tasks, R2 1.000',
        'peak memory, MB: 100 + 10 num_tasks, R2 1.000'])
    runs = part.numbers['processes'][contenders.STOCK]
    self.assertLen(runs, 2)

  def test_variation(self):
    made = []

    def make_calls(config):
      made.append(config)
      return dict.fromkeys(growth._KINDS)

    def take(turns, calls):
      # Steps of 0.1 s for each task, plain ones of 0.08.
      return {(kind, value): [
          value * (.08 if kind.endswith('plain') else .1)] * turns.rounds
              for kind, value in calls}

    varied = growth.Variation.parse('num_tasks:1,2,3', _config())
    with (mock.patch.object(growth, '_make_calls', make_calls),
          mock.patch.object(timing.Turns, 'take', take)):
      part = growth.variation(varied, _TURNS)
    self.assertEqual(made, list(varied.configs.values()))
    self.assertEqual(part.rows[0], ('num_tasks', '1', '2', '3'))
    self.assertEqual(part.rows[1], (
        'training, ms', '100.0 / 100.0 / 100.0', '200.0 / 200.0 / 200.0',
        '300.0 / 300.0 / 300.0'))
    self.assertIn(('mixed to plain, time', *['1.25 / 1.25 / 1.25'] * 3),
                  part.rows)
    self.assertEqual(part.rows[-2:], [
        ('first step, s', '5.0 / 5.0 / 5.0', '8.0 / 8.0 / 8.0',
         '11.0 / 11.0 / 11.0'),
        ('peak memory, MB', '110', '120', '130')])
    self.assertIn('peak memory, MB: 100 + 10 num_tasks, R2 1.000', part.lines)
    fit = part.numbers['fits']['training, ms']
    self.assertAlmostEqual(fit['slope'], 100)
    self.assertLen(part.numbers['seconds']['inference'][3], 3)

  @parameterized.parameters(
      ('precision:float32,mixed_bfloat16',
       ['Folded networks compute in float32.']), ('batch_size:4,8', []))
  def test_no_line(self, text, lines):
    varied = growth.Variation.parse(text, _config())
    with (mock.patch.object(
        growth, '_make_calls',
        lambda _: dict.fromkeys(growth._KINDS)),
          mock.patch.object(timing.Turns, 'take', lambda _, calls: {
              key: [1.0] for key in calls})):
      part = growth.variation(varied, _TURNS)
    self.assertEqual(part.lines, lines)

  def test_parse(self):
    config = _config()
    varied = growth.Variation.parse('num_templates:2,4', config)
    self.assertEqual(varied.field, 'num_templates')
    self.assertEqual(varied.configs, {
        2: config, 4: config.replace(num_templates=4)})
    varied = growth.Variation.parse('num_tasks:2', config)
    self.assertEqual(varied.configs[2].tasks, ('task 1', 'task 2'))

  @parameterized.parameters(
      ('num_templates', 'FIELD:VALUE'), ('num_templates:', 'FIELD:VALUE'),
      ('num_templates:4,x', 'FIELD:VALUE'), ('dropout:.1', 'FIELD:VALUE'),
      ('num_templates:0', 'num_templates to be'),
      ('num_tasks:0', 'at least one task'),
      ('precision:float8', 'precision to be'))
  def test_refuses(self, text, message):
    with self.assertRaisesRegex(ValueError, message):
      growth.Variation.parse(text, _config())


if __name__ == '__main__':
  absltest.main()
