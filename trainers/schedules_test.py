"""Tests of the learning-rate schedules."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from trainers import schedules


def numpy_schedule(kind, initial, final, steps, warmup_steps, power, t):
  if t < warmup_steps:
    return initial * (t + 1) / (warmup_steps + 1)
  p = min(1, (t - warmup_steps) / (steps - warmup_steps))
  return {
      'constant': initial,
      'linear': final + (initial - final) * (1 - p),
      'polynomial': final + (initial - final) * (1 - p) ** power,
      'cosine': final + (initial - final) * (1 + np.cos(np.pi * p)) / 2,
      'exponential': initial * (final / initial) ** p,
  }[kind]


class ScheduleTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.product(
      kind=schedules.KINDS, warmup_steps=(0, 3), power=(1.0, 2.0)
  )
  def test_matches_numpy(self, kind, warmup_steps, power):
    final = 0.4 if kind == 'constant' else 0.1
    schedule = schedules.Schedule(kind, 0.4, 10, final, warmup_steps, power)
    expected = [
        numpy_schedule(kind, 0.4, final, 10, warmup_steps, power, t)
        for t in range(15)
    ]
    traced = tf.function(schedule)
    received = [traced(tf.constant(t, tf.int64)) for t in range(15)]
    self.assertAllClose(received, expected, rtol=1e-5, atol=1e-7)

  @parameterized.named_parameters(
      ('linear', 'linear', 0.0),
      ('polynomial', 'polynomial', 0.0),
      ('cosine', 'cosine', 0.0),
      ('constant', 'constant', 0.4),
  )
  def test_default_final(self, kind, expected):
    self.assertAllClose(schedules.Schedule(kind, 0.4, 10)(10), expected)

  def test_config_round_trip(self):
    arguments = {
        'kind': 'polynomial',
        'initial': 0.4,
        'steps': 10,
        'final': 0.1,
        'warmup_steps': 3,
        'power': 3.0,
    }
    schedule = schedules.Schedule(**arguments)
    self.assertEqual(schedule.get_config(), arguments)
    received = keras.optimizers.schedules.deserialize(
        keras.optimizers.schedules.serialize(schedule)
    )
    for step in range(11):
      self.assertAllEqual(received(step), schedule(step))

  @parameterized.named_parameters(
      ('kind', {'kind': 'step'}, 'one of constant, linear.*received .step.'),
      ('initial', {'initial': 0.0}, 'learning_rate .* received 0.0'),
      ('warmup', {'warmup_steps': 10}, 'below the number .* 10, received 10'),
      ('negative', {'warmup_steps': -1}, 'number from 0 on, received -1'),
      ('fraction', {'warmup_steps': 0.5}, 'whole number.* received 0.5'),
      ('final', {'final': 0.5}, 'None or from 0 to 0.4, .* received 0.5'),
      ('power', {'power': 0.0}, 'power .* received 0.0'),
      (
          'constant',
          {'kind': 'constant', 'final': 0.1},
          'schedule is constant, received 0.1: give',
      ),
      (
          'exponential',
          {'kind': 'exponential'},
          'schedule is exponential, received None: give',
      ),
  )
  def test_rejects(self, changes, message):
    arguments = {'kind': 'linear', 'initial': 0.4, 'steps': 10, **changes}
    with self.assertRaisesRegex(ValueError, message):
      schedules.Schedule(**arguments)


if __name__ == '__main__':
  tf.test.main()
