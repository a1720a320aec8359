"""Tests of the loop: cadence, records, resuming, stopping."""

import contextlib
import io
import json
import os
import pathlib
import signal
import tempfile

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers import loop
from trainers import supervised
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import results
from trainers.runs import run_options
from trainers.testing import toy


class _Trainer:
  """Counts; its loss is a function of the step and of its one weight."""

  images_per_step = 8
  is_finished = False

  def __init__(self, steps, before_step=lambda step: None, scalars=None):
    self.steps = steps
    self.weight = tf.Variable(1.0)
    self.starts = []
    self.evaluated = []
    self._before_step = before_step
    self._scalars = scalars or {}

  def state(self):
    return {'weight': self.weight}

  def metadata(self):
    return {'model': {'weights': 1}}

  def batches(self, start_step):
    self.starts.append(start_step)
    return iter(range(start_step, 10 ** 6))

  def train_step(self, step, batches):
    assert int(step) == batches
    self._before_step(batches + 1)
    self.weight.assign(self.weight * 1.5 % 7 + batches)
    one = self._scalars.get(('one', batches + 1), float(self.weight))
    two = self._scalars.get(('two', batches + 1), 1.0)
    return {'loss': tf.constant(one + two), 'one/loss': tf.constant(one),
            'two/loss': tf.constant(two)}

  def evaluate(self, split):
    self.evaluated.append(split)
    return {'one': results.TaskScore(top1=0.5, loss=1.0, examples=4)}

  def mixtures(self):
    return {'one': np.array([[0.75, 0.25], [0.0, 1.0]])}


class LoopTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)
    self.store = checkpoints.Checkpoints(self.workdir / 'checkpoints')

  def run_loop(self, trainer, resume=False, config=None, log=50, evaluate=0,
               checkpoint=500):
    options = run_options.RunOptions(
        log_every=log, eval_every=evaluate, checkpoint_every=checkpoint,
        progress=False)
    return loop.run(trainer, self.workdir, options, resume, config=config)

  def lines(self, drop=('images_per_second', 'seconds')):
    return [{key: value for key, value in line.items() if key not in drop}
            for line in records.read_lines(self.workdir / records.METRICS)]

  def saved_steps(self):
    return sorted(int(path.stem.split('-')[1])
                  for path in self.workdir.glob('checkpoints/*'))

  def test_cadence(self):
    trainer = _Trainer(11)
    seconds = self.run_loop(trainer, log=3, evaluate=5, checkpoint=3)
    self.assertBetween(seconds, 1e-4, 60)
    trained = [line for line in self.lines() if 'loss' in line]
    self.assertEqual([line['step'] for line in trained], [3, 6, 9, 11])
    validated = [line for line in self.lines() if 'loss' not in line]
    self.assertEqual(validated, [
        {'step': step, 'validation/one/top1': 0.5, 'validation/one/loss': 1.0,
         'validation/one/examples': 4} for step in (5, 10, 11)])
    self.assertEqual(trainer.evaluated, ['validation'] * 3)
    self.assertEqual(self.saved_steps(), [9, 11])
    self.assertEqual([line['step'] for line in records.read_lines(
        self.workdir / records.SIGNATURES)], [0, 3, 6, 9, 11])

  def test_lines_are_means_since_the_last(self):
    losses = {}
    trainer = _Trainer(7)
    step = trainer.train_step
    trainer.train_step = lambda *args: losses.setdefault(
        int(args[0]) + 1, step(*args))
    self.run_loop(trainer, log=5)
    first, second = self.lines(drop=())
    expected = [float(losses[i]['one/loss']) for i in range(1, 8)]
    self.assertAllClose(first['one/loss'], np.mean(expected[:5]))
    self.assertAllClose(second['one/loss'], np.mean(expected[5:]))
    self.assertAllClose(second['loss'], np.mean(expected[5:]) + 1)
    self.assertEqual(second['one/max_xi'], 0.875)
    self.assertGreater(second['images_per_second'], 0)
    self.assertGreaterEqual(second['seconds'], first['seconds'])

  @parameterized.parameters(1, 4, 5, 6, 9, 10)
  def test_stopped_and_resumed_is_uninterrupted(self, stop_at):
    whole = _Trainer(10)
    self.run_loop(whole, log=5, checkpoint=5, evaluate=3)
    expected = {line['step']: line for line in self.lines()
                if 'loss' in line}
    for path in (self.workdir / 'checkpoints').iterdir():
      path.unlink()

    def kill(step):
      if step == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)

    with self.assertRaisesRegex(
        loop.Interrupted,
        f'SIGTERM after step {stop_at} of 10; .*saved.*resume') as caught:
      self.run_loop(_Trainer(10, kill), log=5, checkpoint=5, evaluate=3)
    self.assertEqual(caught.exception.signal_number, signal.SIGTERM)
    self.assertEqual(self.store.load()[0], stop_at)
    resumed = _Trainer(10)
    self.run_loop(resumed, resume=True, log=5, checkpoint=5, evaluate=3)
    self.assertEqual(resumed.starts, [stop_at] if stop_at < 10 else [])
    self.assertEqual(float(resumed.weight), float(whole.weight))
    lines = [line for line in self.lines() if 'loss' in line]
    # One more line, for the steps before the interruption.
    self.assertEqual([line['step'] for line in lines],
                     sorted({5, 10, stop_at}))
    if stop_at in (5, 10):
      self.assertEqual(lines, [expected[5], expected[10]])

  def test_killed_and_resumed_has_every_line_once(self):
    self.run_loop(_Trainer(10), log=2, checkpoint=4, evaluate=5)
    expected = self.lines()
    signatures = records.read_lines(self.workdir / records.SIGNATURES)
    # As if killed while line 8 was written.
    (self.workdir / 'checkpoints/checkpoint-00000010.safetensors').unlink()
    (self.workdir / 'checkpoints/checkpoint-00000008.safetensors').unlink()
    self.run_loop_until_killed(5)
    path = self.workdir / records.METRICS
    path.write_text(path.read_text() + '{"step": 8, "lo')
    self.run_loop(
        _Trainer(10), resume=True, log=2, checkpoint=4, evaluate=5)
    self.assertEqual(self.lines(), expected)
    self.assertEqual(
        records.read_lines(self.workdir / records.SIGNATURES), signatures)

  def run_loop_until_killed(self, step):
    """Leaves what a run leaves that is killed before this step."""
    class Killed(BaseException):
      pass

    def kill(now):
      if now == step:
        raise Killed

    with self.assertRaises(Killed):
      self.run_loop(_Trainer(10, kill), log=2, checkpoint=4, evaluate=5)

  def test_killed_before_the_first_checkpoint(self):
    self.run_loop_until_killed(3)
    self.assertIsNone(self.store.latest())
    trainer = _Trainer(4)
    self.run_loop(trainer, resume=True, log=2)
    self.assertEqual(trainer.starts, [0])
    for name in (records.METRICS, records.SIGNATURES):
      steps = [line['step'] for line in records.read_lines(
          self.workdir / name)]
      self.assertEqual(steps, sorted(set(steps)), name)

  def test_finished_run_is_not_trained_again(self):
    trainer = _Trainer(4)
    first = self.run_loop(trainer, log=2)
    before = self.lines()
    again = _Trainer(4)
    self.assertGreaterEqual(self.run_loop(again, resume=True, log=2),
                            0.5 * first)
    self.assertEqual(again.starts, [])
    self.assertEqual(float(again.weight), float(trainer.weight))
    self.assertEqual(self.lines(), before)

  def test_seconds_go_on(self):
    trainer = _Trainer(4)
    self.run_loop(trainer, log=2)
    step, arrays, metadata = self.store.load()
    self.store.save(step, arrays, {**metadata, 'seconds': 1000.0})
    self.assertBetween(
        self.run_loop(_Trainer(4), resume=True, log=2), 1000, 1060)

  @parameterized.named_parameters(
      ('first_logged', 6, 5, 100), ('first_saved', 6, 100, 5),
      ('both', 4, 4, 4))
  def test_non_finite_loss_stops(self, step, log, checkpoint):
    # Two breaks first; one follows because they share weights.
    bad = {('two', step): float('nan'), ('two', step + 1): float('nan'),
           ('one', step + 1): float('inf')}
    with self.assertRaisesRegex(
        checkpoints.NonFiniteLossError,
        rf'from step {step} on \(loss, two/loss\).*learning_rate'):
      self.run_loop(_Trainer(20, scalars=bad), log=log, checkpoint=checkpoint)
    for line in self.lines():
      self.assertLess(line['step'], step)
    saved = [5] if checkpoint == 5 else []
    self.assertEqual(self.saved_steps(), saved)

  def test_non_finite_loss_leaves_the_older_checkpoint(self):
    with self.assertRaisesRegex(
        checkpoints.NonFiniteLossError, 'from before: .*checkpoint-00000006'):
      self.run_loop(_Trainer(20, scalars={('one', 7): float('nan')}), log=100,
                    checkpoint=2)
    self.assertEqual(self.saved_steps(), [4, 6])
    trainer = _Trainer(6)
    self.run_loop(trainer)
    self.assertEqual(self.store.load()[1]['weight'], float(trainer.weight))

  def test_broken_weights_are_never_saved(self):
    trainer = _Trainer(20)

    def spoil(step):
      if step == 6:  # after which the losses still look well
        trainer.weight.assign(float('nan'))

    trainer._before_step = spoil
    trainer._scalars = {('one', step): 1.0 for step in range(1, 21)}
    with self.assertRaisesRegex(
        checkpoints.NonFiniteLossError,
        r'step 8 .*\(weight\).*checkpoint-00000004'):
      self.run_loop(trainer, log=2, checkpoint=4)
    self.assertEqual(self.saved_steps(), [4])

  def test_signal_handlers_are_put_back(self):
    received = []

    def handler(number, frame):
      del frame
      received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
      self.addCleanup(signal.signal, number, signal.signal(number, handler))

    def kill_twice(step):
      if step == 2:
        os.kill(os.getpid(), signal.SIGINT)
        self.assertEqual(received, [])
        os.kill(os.getpid(), signal.SIGINT)  # acts at once
        self.assertEqual(received, [signal.SIGINT])

    with self.assertRaisesRegex(loop.Interrupted, 'SIGINT after step 2'):
      self.run_loop(_Trainer(5, kill_twice))
    self.assertEqual(self.saved_steps(), [2])
    self.assertIs(signal.getsignal(signal.SIGTERM), handler)

  def test_other_processes_write_nothing(self):
    trainer = _Trainer(4)
    loop.run(trainer, self.workdir, run_options.RunOptions(
        log_every=1, checkpoint_every=1), chief=False)
    self.assertEmpty(list(self.workdir.rglob('*')))
    self.assertEqual(trainer.starts, [0])

  def test_refuses_the_checkpoint_of_another_run(self):
    self.run_loop(_Trainer(4), config={'seed': 0, 'tasks': ('one',)})
    self.run_loop(_Trainer(4), True, config={'seed': 0, 'tasks': ('one',)})
    trainer = _Trainer(4)
    with self.assertRaisesRegex(
        ValueError, 'checkpoint-00000004.safetensors, .*another configuration'):
      self.run_loop(trainer, True, config={'seed': 1, 'tasks': ('one',)})
    self.assertEqual(float(trainer.weight), 1.0)
    (self.workdir / 'checkpoints/checkpoint-00000004.safetensors').write_bytes(
        b'x')
    with self.assertRaisesRegex(ValueError, 'which is damaged or foreign'):
      self.run_loop(trainer, True)
    self.store.save(4, {'other': np.zeros(2)}, {'seconds': 1, 'config': None})
    with self.assertRaisesRegex(ValueError, 'lacks weight; has besides other'):
      self.run_loop(trainer, True)

  @parameterized.parameters(
      (run_options.RunOptions(), [500, 510], True),
      (run_options.RunOptions(eval_every=0), [], True),
      (run_options.RunOptions(progress=False), [500, 510], False))
  def test_default_options(self, options, evaluated, is_shown):
    trainer = _Trainer(510)
    with contextlib.redirect_stderr(io.StringIO()) as shown:
      loop.run(trainer, self.workdir, options)
    self.assertEqual([line['step'] for line in self.lines()
                      if 'validation/one/top1' in line], evaluated)
    self.assertEqual('step 50/510: loss' in shown.getvalue(), is_shown)
    self.assertEqual(bool(shown.getvalue()), is_shown)

  @parameterized.parameters(
      ({'log_every': 0}, 'log_every .*received 0'),
      ({'checkpoint_every': -1}, 'checkpoint_every .*received -1'),
      ({'eval_every': -1}, 'eval_every .*received -1'))
  def test_options_reject(self, values, message):
    with self.assertRaisesRegex(ValueError, message):
      run_options.RunOptions(**values)

  def test_supervised_training(self):
    """The true trainer: its loss breaks, and the message names the task."""
    config = toy.make_config(weight_decay=0.0)
    trainer = supervised.make_trainer(
        config, toy.make_data(config.tasks), tf.distribute.get_strategy())
    train_step = trainer.train_step

    def break_later(step, batches):
      if step == 4:
        images, labels = batches['two']
        batches = {**batches, 'two': (images * np.nan, labels)}
      return train_step(step, batches)

    trainer.train_step = break_later
    with self.assertRaisesRegex(
        checkpoints.NonFiniteLossError,
        r'step 5 on \(loss, two/loss\).*checkpoint-00000004'):
      self.run_loop(trainer, config=config.to_json(), log=3, checkpoint=4,
                    evaluate=3)
    _, arrays, metadata = self.store.load()
    self.assertEqual(metadata['config'],
                     json.loads(json.dumps(config.to_json())))
    for key, array in arrays.items():
      self.assertTrue(np.isfinite(array).all(), key)
    self.assertEqual([line['step'] for line in self.lines()], [3, 3, 4])


if __name__ == '__main__':
  tf.test.main()
