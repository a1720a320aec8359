"""The loop that every trainer runs in: it owns time.

A trainer owns one update (`train_step`); the loop owns when things happen:
logging, evaluation, checkpoints, resuming, stopping.
"""

import contextlib
import functools
import math
import signal
import time
import typing

import numpy as np
import tensorflow as tf

from mixture_modules import self_organization
from trainers import progress
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_options

_EVAL_EVERY = 500


class Trainer(typing.Protocol):
  """What the loop asks of a trainer.

  Attributes:
    steps: Number of all steps.
    images_per_step: Images in a step.
    is_finished: Whether it leaves out the rest of its steps.
  """

  steps: int
  images_per_step: int
  is_finished: bool

  def state(self):
    """{key: variable} of all that a checkpoint must hold."""

  def metadata(self):
    """What a checkpoint says besides, for JSON."""

  def batches(self, start_step):
    """The endless batches from `start_step` on, as an iterator."""

  def train_step(self, step, batches):
    """Makes one update; {name: scalar}, 'loss' among them."""

  def evaluate(self, split):
    """{task: `results.TaskScore`} over a whole split."""

  def mixtures(self):
    """{task: mixture weights `[L, K]`} as arrays."""


class Interrupted(KeyboardInterrupt):
  """A signal asked the run to stop; a checkpoint was saved.

  Attributes:
    signal_number: The signal.
  """

  def __init__(self, message, signal_number):
    super().__init__(message)
    self.signal_number = signal_number


def run(trainer, workdir, options=run_options.RunOptions(), resume=False,
        chief=True, config=None):
  """Trains to the end, or from the last checkpoint on.

  Args:
    trainer: `Trainer`.
    workdir: Directory of records and checkpoints.
    options: `RunOptions`, which say how often things happen.
    resume: Whether to start from the last checkpoint, if there is one.
    chief: Whether this process writes.
    config: Written into checkpoints, for those who read them elsewhere.

  Returns:
    Seconds of training, those before a resume included.

  Raises:
    NonFiniteLossError: If a loss is infinite or not a number; checkpoints
      from before remain.
    Interrupted: After SIGINT or SIGTERM, once a checkpoint is saved.
    ValueError: If the checkpoint is damaged, or that of another run.
  """
  store = checkpoints.of_run(workdir)
  start, seconds = 0, 0.0
  if resume and store.latest():
    start, arrays, metadata = store.load()
    checkpoints.check_same_run(store.latest(), metadata, config)
    checkpoints.restore(trainer.state(), arrays)
    seconds = metadata['seconds']
  writer = records.Writer(workdir, start, enabled=chief)
  loop = _Loop(trainer, store, writer, options, chief, config, seconds)
  with _stop_signals() as stop:
    loop.run(start, stop)
  return loop.seconds()


class _Loop:
  """State of one call of `run`."""

  def __init__(self, trainer, store, writer, options, chief, config, seconds):
    self._trainer = trainer
    self._store = store
    self._writer = writer
    self._options = options
    self._eval_every = (_EVAL_EVERY if options.eval_every is None
                        else options.eval_every)
    self._chief = chief
    self._config = config
    self._seconds_before = seconds
    self._began = time.monotonic()
    self._pending = []  # scalars of the steps since the last line
    self._last_log = None
    self._saved = None

  def seconds(self):
    """Seconds of training so far."""
    return self._seconds_before + time.monotonic() - self._began

  def run(self, start, stop):
    """Runs the steps from `start` on."""
    steps = self._trainer.steps
    if start >= steps or self._trainer.is_finished:
      return
    if start == 0:
      self._writer.signatures(0, self._trainer.mixtures())
    batches = self._trainer.batches(start)
    self._last_log = (start, time.monotonic())
    is_shown = self._chief and self._options.progress
    with progress.show(start, steps, is_shown) as bar:
      for step in range(start, steps):
        scalars = self._trainer.train_step(
            tf.constant(step, tf.int64), next(batches))
        self._pending.append(scalars)
        done = step + 1
        bar.update()
        if self._due(done, self._options.log_every):
          self._log(done, bar)
        if self._due(done, self._eval_every):
          with self._not_timed():
            self._evaluate(done, bar)
        if self._due(done, self._options.checkpoint_every):
          self._save(done, bar)
        if self._trainer.is_finished:
          self._save(done, bar)
          return
        if stop:
          self._save(done, bar)
          name = signal.Signals(stop[0]).name
          raise Interrupted(
              f'Stopped by {name} after step {done} of {steps}; '
              + ('a checkpoint is saved: resume the run to go on.'
                 if self._chief else 'the first worker saves.'), stop[0])

  def _due(self, done, every):
    return bool(every) and (done % every == 0 or done == self._trainer.steps)

  def _collect(self, done):
    """Mean of the scalars since the last line; checks that they are finite."""
    pending = [{name: float(value) for name, value in scalars.items()}
               for scalars in self._pending]
    for i, scalars in enumerate(pending):
      bad = [name for name, value in scalars.items()
             if not math.isfinite(value)]
      if bad:
        # Those of the first step: later the shared weights spread it to all.
        raise checkpoints.NonFiniteLossError(
            self._advice(done - len(pending) + 1 + i, bad))
    return {name: float(np.mean([scalars[name] for scalars in pending]))
            for name in pending[0]}

  def _advice(self, step, names):
    saved = self._store.latest()
    names = ', '.join(names[:4])
    return (
        f'The loss is not finite from step {step} on ({names}). Lower '
        'learning_rate or mixture_learning_rate (in an adaptation '
        'network_learning_rate, too), or warm up longer with warmup_steps, in '
        'a new work directory; or look for bad values in the data. '
        + (f'The last checkpoint is from before: {saved}.' if saved else
           'There is no checkpoint from before.'))

  def _log(self, done, bar):
    scalars = self._collect(done)
    self._pending = []
    last_step, last_time = self._last_log
    now = time.monotonic()
    speed = (done - last_step) * self._trainer.images_per_step / (
        now - last_time)
    self._last_log = (done, now)
    mixtures = self._trainer.mixtures()
    for name, xi in mixtures.items():
      scalars[f'{name}/max_xi'] = float(
          self_organization.max_weights(xi).mean())
    self._writer.scalars(done, {
        **scalars, 'images_per_second': round(speed, 1),
        'seconds': round(self.seconds(), 2)})
    self._writer.signatures(done, mixtures)
    bar.note(done, f'loss {scalars["loss"]:.3f}, {speed:.0f} images/s')

  @contextlib.contextmanager
  def _not_timed(self):
    """Keeps what is not training out of the speed that is shown."""
    began = time.monotonic()
    yield
    step, last = self._last_log
    self._last_log = step, last + time.monotonic() - began

  def _evaluate(self, done, bar):
    scores = self._trainer.evaluate('validation')
    parts = {f'{name}/{member}': part for name, score in scores.items()
             for member, part in score.members.items()}
    self._writer.scalars(done, {
        f'validation/{name}/{key}': value
        for name, score in {**scores, **parts}.items()
        for key, value in score.numbers().items()})
    bar.note(done, 'validation top-1 ' + ', '.join(
        f'{name} {_number(score.top1)}' for name, score in scores.items()))

  def _save(self, done, bar):
    if self._saved == done:
      return
    if self._pending:
      # A run that resumes here has the same lines; and a broken state must
      # not push out a good one.
      self._log(done, bar)
    with self._not_timed():
      self._write_checkpoint(done)
    self._saved = done

  def _write_checkpoint(self, done):
    checkpoints.save(
        self._store, done, self._trainer.state(),
        {'seconds': self.seconds(), 'config': self._config,
         **self._trainer.metadata()},
        self._chief, functools.partial(self._advice, done))


def _number(value):
  return 'unknown' if value is None else f'{value:.3f}'  # without labels


@contextlib.contextmanager
def _stop_signals():
  """Collects SIGINT and SIGTERM in a list; a second one acts at once."""
  received = []
  previous = {}

  def note(number, frame):
    del frame
    received.append(number)
    for each, handler in previous.items():
      signal.signal(each, handler)

  for number in (signal.SIGINT, signal.SIGTERM):
    with contextlib.suppress(ValueError):  # not in the main thread
      previous[number] = signal.signal(number, note)
  try:
    yield received
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)
