"""Tests of which model a run begins from."""

import dataclasses
import pathlib
import tempfile
import warnings

import tensorflow as tf

from trainers.runs import origins
from trainers.runs import records
from trainers.runs import run_options
from trainers.runs import saved_models
from trainers.runs import strict_json
from trainers.runs import work_lock
from trainers.testing import toy_records


@dataclasses.dataclass(frozen=True)
class _Config(strict_json.Json):
  """The configuration of a run that adds a task, as far as matters here."""

  source: str


class OriginsTest(tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.source, cls.other = cls.directory / 'source', cls.directory / 'other'
    for seed, workdir in enumerate((cls.source, cls.other)):
      toy_records.write_model(workdir, ['optdigits'], seed=seed)

  def begin(self, workdir, config=None, resume=False, smoke=True):
    with work_lock.WorkLock() as lock:
      return origins.NewTaskRun(
          'transfer', _Config, config or _Config(str(self.source)), workdir,
          run_options.RunOptions(resume=resume, smoke=smoke), lock)

  def write(self, workdir, **config):
    """Writes a run of `_Config` that has made a checkpoint."""
    saved = origins.load(self.other)
    saved_models.save(workdir, saved.model, 'smoke', {
        **saved.config.to_json(), 'transfer': {'source': str(self.source)},
        **config}, saved.tasks)

  def decide(self, run):
    """What it warns of, as one text."""
    with warnings.catch_warnings(record=True, action='always') as caught:
      run.decide(run.config, run.former or run.saved.config)
    return ''.join(str(warning.message) for warning in caught
                   if warning.category is UserWarning)

  def test_a_run_begins_from_another_and_goes_on_from_its_own(self):
    new, own = self.directory / 'new', self.directory / 'own'
    self.write(own)
    for workdir, resume, expected, weights in (
        (new, False, self.source, 'ema'),
        (own, False, self.source, 'ema'),  # to be refused as taken
        (own, True, own, 'raw')):
      run = self.begin(workdir, resume=resume)
      self.assertEqual((run.saved.workdir, run.saved.weights, run.is_begun),
                       (expected, weights, resume))
      self.assertEqual(run.former is not None, resume)
    for latest in own.glob(f'{records.CHECKPOINTS}/*'):
      latest.unlink()
    run = self.begin(own, resume=True)  # which was stopped before its first
    self.assertEqual((run.saved.workdir, run.is_begun), (self.source, False))
    with self.assertRaisesRegex(ValueError, 'made-up images: use smoke'):
      self.begin(new, smoke=False)
    with self.assertRaisesRegex(ValueError, "kind 'transfer' in .*'train': re"):
      self.begin(self.other, resume=True)
    with self.assertRaisesRegex(ValueError, 'a configuration, received none'):
      origins.NewTaskRun('transfer', _Config, None, new,
                         run_options.RunOptions(), work_lock.WorkLock())

  def test_a_run_is_resumed_by_one_process_at_a_time(self):
    own, new = self.directory / 'mine', self.directory / 'not_yet'
    self.write(own)
    with work_lock.WorkLock() as lock:
      lock.take(own)
      with self.assertRaisesRegex(ValueError, 'mine, which process'):
        self.begin(own, resume=True)
    run = self.begin(new)
    self.decide(run)
    with work_lock.WorkLock() as lock:
      lock.take(new)
      with self.assertRaisesRegex(ValueError, 'not_yet, which process'):
        run.claim({})

  def test_a_run_holds_on_to_its_model(self):
    run = self.begin(self.directory / 'new')
    self.decide(run)
    origin = run.saved.origin()
    self.assertEqual(vars(run.origin), origin)
    for number, (known, message) in enumerate((
        ({}, 'Expected Origin in run.json'),
        ({'origin': {**origin, 'step': 9}},
         'source as it was when the run began'))):
      workdir = self.directory / f'held{number}'
      self.write(workdir, **known)
      goes_on = self.begin(workdir, resume=True)
      goes_on.is_begun = False
      with self.assertRaisesRegex(ValueError, message):
        self.decide(goes_on)
    # A run that goes on from its checkpoint needs it no more.
    self.assertEqual(self.decide(self.begin(workdir, resume=True)), '')

  def test_warns_until_the_run_has_ended(self):
    run = self.begin(self.directory / 'new')
    self.assertRegex(
        self.decide(run),
        '^.*source has no results.json: its run has not ended, and this one '
        'begins from its step 0.$')
    records.write_json(self.source / records.RESULTS, {})
    self.assertEqual(self.decide(run), '')
    (self.source / records.RESULTS).unlink()


if __name__ == '__main__':
  tf.test.main()
