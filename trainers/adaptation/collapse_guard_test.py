"""Tests of the collapse guard on made-up scores."""

from absl.testing import parameterized
import keras
import tensorflow as tf

from trainers.adaptation import collapse_guard
from trainers.runs import checkpoints
from trainers.runs import results


class CollapseGuardTest(parameterized.TestCase, tf.test.TestCase):

  def make(self, score='information', **options):
    self.variable = keras.Variable([0.0])
    return collapse_guard.CollapseGuard(
        {'x': self.variable}, score, **options)

  def observe(self, guard, values, classes=10.0, first=0):
    """Steps with a score each; the variable holds the step's number."""
    alarms = []
    for step, value in enumerate(values, first):
      self.variable.assign([step])
      alarms.append(guard.observe(step, {
          'information': value, 'entropy': value,
          'classes_predicted': classes}))
    return alarms

  def test_score_must_be_bad_for_a_while(self):
    guard = self.make(drop=0.1, patience=2)
    calm = [1.0, 1.2, 1.0, 1.15, 1.0, 1.11]
    self.assertEqual(self.observe(guard, calm), [False] * 6)
    with self.assertWarnsRegex(
        UserWarning,
        'step 7: information is 1.000, and was 1.200. It goes back to step 1'):
      self.assertEqual(self.observe(guard, [1.0, 1.0], first=6), [False, True])
    report = guard.report()
    self.assertAllClose(report.best_score, 1.2)
    self.assertEqual((report.score, report.best_step, report.alarm_step),
                     ('information', 1, 7))
    self.assertTrue(guard.is_alarmed)

  def test_lower_may_be_better(self):
    guard = self.make('entropy', drop=0.1, patience=1)
    self.assertEqual(self.observe(guard, [1.0, 0.5, 0.4, 0.45]), [False] * 4)
    self.assertEqual(guard.report().best_step, 2)
    with self.assertWarnsRegex(UserWarning, 'collapses'):
      self.assertEqual(self.observe(guard, [0.6]), [True])

  def test_few_classes_are_an_alarm_however_good_the_score(self):
    guard = self.make('entropy', least_classes=0.5)
    self.observe(guard, [1.0])
    self.assertEqual(self.observe(guard, [0.9], classes=5.1), [False])
    with self.assertWarnsRegex(UserWarning, 'collapses'):
      self.assertEqual(
          self.observe(guard, [0.0], classes=4.9, first=1), [True])
    self.assertEqual(guard.report().best_step, 0)

  def test_a_score_that_is_not_a_number_is_bad(self):
    guard = self.make(patience=2)
    with self.assertWarnsRegex(UserWarning, 'collapses'):
      self.assertEqual(self.observe(guard, [1.0, float('nan'), float('nan')]),
                       [False, False, True])
    self.assertEqual(guard.report().best_step, 0)

  def test_without_patience_scores_raise_no_alarm(self):
    guard = self.make(patience=0)
    self.assertEqual(self.observe(guard, [1.0] + [0.0] * 9), [False] * 10)

  def test_exchange_goes_back_and_forth(self):
    guard = self.make()
    self.observe(guard, [1.0, 2.0, 1.95])
    guard.exchange()
    self.assertAllEqual(self.variable, [1])
    self.assertTrue(guard.is_exchanged)
    guard.exchange()
    self.assertAllEqual(self.variable, [2])
    self.assertFalse(guard.is_exchanged)

  def test_all_that_it_remembers_is_in_its_state(self):
    guard = self.make(drop=0.1, patience=2)
    self.observe(guard, [1.0, 0.5])
    state = checkpoints.snapshot(guard.state())
    other = self.make(drop=0.1, patience=2)
    checkpoints.restore(other.state(), state)
    with self.assertWarnsRegex(UserWarning, 'collapses'):
      self.assertEqual(self.observe(other, [0.5], first=2), [True])
    other.exchange()
    self.assertAllEqual(self.variable, [0])

  def test_before_any_measurement(self):
    self.assertEqual(
        self.make().report(), results.Guard('information', None, 0.0, None))


if __name__ == '__main__':
  tf.test.main()
