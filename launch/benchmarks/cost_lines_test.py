"""Tests of the counting of a step's work."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch.benchmarks import cost_lines
from launch.benchmarks import timed_networks
from mixture_modules.testing import toy_models
from trainers.testing import toy


class CostsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(True, False)
  def test_each_kernel_is_used_at_each_position(self, use_se):
    model = toy_models.make_model({'a': 4}, use_se=use_se)
    macs = []
    for values in timed_networks.resolved_values(model):
      if len(values) < 4:  # not a norm
        # At all 2x2 positions; squeeze-and-excite and what is behind the mean
        # at one.
        is_last = values[0].shape[-2:] == model.config.adapter_filters
        positions = 4 if values[0].ndim == 4 and not is_last else 1
        macs.append(positions * values[0].size)
    self.assertEqual(cost_lines.image_macs(model.config, 4),
                     (macs[0], sum(macs[1:])))

  def test_gate_by_hand(self):
    options = {'batch_size': 1, 'num_layers': 1, 'signature': '1',
               'num_templates': 1}
    plain, gated = (cost_lines.count(toy.make_config(
        ('task',), use_se=use_se, **options), 4) for use_se in (False, True))
    e, s, n = 48, 16, 4
    self.assertEqual(gated.macs - plain.macs, 3 * 2 * e * s)
    parameters = 2 * e * s + s + e
    self.assertEqual(gated.num_bytes - plain.num_bytes,
                     4 * (9 * e * n + 10 * parameters))

  def test_small_network_by_hand(self):
    config = toy.make_config(('task',), batch_size=1, num_layers=1,
                             signature='1', num_templates=1)
    costs = cost_lines.count(config, 4)
    c, e, c1, c2, n = 8, 48, 8, 16, 4
    self.assertEqual(
        costs.macs, 2 * n * 48 * c
        + 3 * (n * (2 * c * e + 9 * e) + n * c * c1 + c1 * c2 + c2 * 4))
    numbers = (2 * 3 * 64 + 16 * n * c
               + n * (3 * (4 * e + 2 * c) + 26 * e + 8 * c + 6 * c)
               + 3 * n * (c + c1) + 16 * n * c1 + 3 * (c1 + c2) + 13 * c2)
    parameters = (48 * c + 2 * c) + (
        2 * c * e + 9 * e + 4 * e + 2 * c) + (
            c * c1 + 2 * c1 + c1 * c2 + 2 * c2) + c2 * 4 + 4
    self.assertEqual(costs.num_bytes, 4 * (numbers + 10 * parameters))
    self.assertEqual(costs.flops, 2 * costs.macs)

  def test_mixing_is_per_task_not_per_image(self):
    def count(**changes):
      tasks = changes.pop('tasks', ('a',))
      return cost_lines.count(toy.make_config(tasks, **changes), 4)

    one, plain = count(), count(signature='1-2')
    template = 2 * 8 * 48 + 9 * 48 + 4 * 48 + 2 * 8  # norms are mixed
    self.assertEqual(one.macs - plain.macs, 3 * 2 * 2 * template)
    # The logits of the signature are updated, too.
    self.assertEqual(one.num_bytes - plain.num_bytes,
                     4 * (3 * (2 + 2) * template + 10 * 2 * 2))
    self.assertEqual(count(tasks=('a', 'b')).macs, 2 * one.macs)
    self.assertEqual(count(batch_size=16).macs - one.macs,
                     plain.macs)
    half = count(precision='mixed_bfloat16')
    images = count(batch_size=16).num_bytes - one.num_bytes
    self.assertEqual(one.num_bytes - half.num_bytes, images / 2)

  @parameterized.parameters('float32', 'mixed_bfloat16')
  def test_machine(self, precision):
    with (mock.patch.object(cost_lines, '_MATRIX', 3),
          mock.patch.object(cost_lines, '_NUMBERS', 5)):
      calls = cost_lines.machine_calls(precision)
    self.assertEqual({name: work for name, (_, work) in calls.items()},
                     {'arithmetic': 2 * 27, 'traffic': 60})
    multiply, add = (call for call, _ in calls.values())
    self.assertTrue(np.isfinite(multiply()))
    self.assertEqual([add(), add()], [1, 2])


if __name__ == '__main__':
  tf.test.main()
