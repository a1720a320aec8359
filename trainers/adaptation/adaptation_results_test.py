"""Tests of what an adaptation finds, on one that truly collapses."""

import tempfile
import warnings

import tensorflow as tf

from trainers import loop
from trainers.adaptation import adaptation_results
from trainers.runs import checkpoints
from trainers.runs import results
from trainers.runs import run_options
from trainers.testing import toy_adaptation

_TARGET = toy_adaptation.TARGET


def bits(arrays):
  return {key: array.tobytes() for key, array in arrays.items()}


class CollapseTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    """Runs ADDA with absurd learning rates; keeps what the guard saw."""
    super().setUpClass()
    cls.trainer = trainer = toy_adaptation.make_trainer(
        'adda', {'steps': 20, 'learning_rate': 1.0,
                 'mixture_learning_rate': 10.0},
        tune=('mixture', 'input_adapter'), watch_every=1, choose='last')
    cls.seen = {}
    observe = trainer.guard.observe

    def observe_and_keep(step, scores):
      cls.seen[step] = (scores['information'], bits(checkpoints.snapshot(
          trainer.network.own_variables())))
      return observe(step, scores)

    trainer.guard.observe = observe_and_keep
    cls.before = adaptation_results.others_digest(trainer.model, _TARGET)
    cls.initial = trainer.evaluate('test')[_TARGET]
    with (tempfile.TemporaryDirectory() as workdir,
          warnings.catch_warnings(
              record=True, action='always') as cls.warnings):
      loop.run(trainer, workdir, run_options.RunOptions(eval_every=0))
      cls.saved = checkpoints.Checkpoints(f'{workdir}/checkpoints').load()
    cls.guard = trainer.guard.report()

  def assertIsBest(self):
    own = checkpoints.snapshot(self.trainer.network.own_variables())
    self.assertEqual(bits(own), self.seen[self.guard.best_step][1])

  def test_ends_early_at_the_best_state(self):
    best, alarm = self.guard.best_step, self.guard.alarm_step
    self.assertBetween(alarm, best + 1, self.trainer.steps - 1)
    self.assertEqual(
        list(self.seen), list(range(toy_adaptation.PRETRAINING, alarm + 1)))
    self.assertEqual(
        best, max(self.seen, key=lambda step: self.seen[step][0]))
    self.assertNotEqual(self.seen[best][1], self.seen[alarm][1])
    self.assertIn('The adaptation collapses', str(self.warnings[-1].message))
    self.assertIsBest()
    step, arrays, _ = self.saved
    self.assertEqual(step, alarm)
    self.assertEqual(
        bits({key.removeprefix('model/'): array
              for key, array in arrays.items()
              if key.startswith(f'model/tasks/{_TARGET}/')}),
        self.seen[best][1])

  def test_results_say_so(self):
    found = adaptation_results.collect(
        self.trainer, self.trainer._evaluation, self.trainer._config,
        results.Origin(5, 'ema', 'f'), 1.0, adaptation_results.Initial(
            results.TargetStart('copy:one', 'given', {}), self.initial,
            self.initial, self.before))
    self.assertIsBest()
    facts = found.adaptation
    self.assertEqual(
        (facts.result, facts.guard, facts.sources_unchanged),
        ('best', self.guard, True))
    self.assertEqual(found.steps, self.guard.alarm_step)
    self.assertEqual(found.initial, {_TARGET: self.initial})
    states = facts.states
    self.assertCountEqual(states, ['best', 'last'])
    self.assertEqual(states['best'].loss, found.tasks[_TARGET].loss)
    self.assertNotEqual(states['best'].loss, states['last'].loss)
    self.assertGreater(states['best'].label_free['information'],
                       states['last'].label_free['information'])

  def test_digest_is_of_all_but_the_target(self):
    model = self.trainer.model
    for name, variable in model.named_variables().items():
      value = variable.numpy()
      variable.assign(value + 1)
      same = adaptation_results.others_digest(model, _TARGET) == self.before
      self.assertEqual(same, name.startswith(f'tasks/{_TARGET}/'), name)
      variable.assign(value)


if __name__ == '__main__':
  tf.test.main()
