"""Tests of which model a run begins from."""

import pathlib
import tempfile
import warnings

import tensorflow as tf

from trainers.runs import origins
from trainers.runs import records
from trainers.testing import toy_records


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
    cls.former = records.read_run(cls.other)

  def check(self, saved, workdir, origin):
    """What it warns of, as one text."""
    with warnings.catch_warnings(record=True, action='always') as caught:
      origins.check(saved, workdir, self.source, origin)
    return ''.join(str(warning.message) for warning in caught
                   if warning.category is UserWarning)

  def test_a_run_begins_from_another_and_goes_on_from_its_own(self):
    new = self.directory / 'new'
    for workdir, former, expected, weights in (
        (new, None, self.source, 'ema'), (new, self.former, self.source, 'ema'),
        (self.other, None, self.source, 'ema'),  # to be refused as taken
        (self.other, self.former, self.other, 'raw')):
      saved = origins.begin(workdir, self.source, former, smoke=True)
      self.assertEqual((saved.workdir, saved.weights), (expected, weights))
    with self.assertRaisesRegex(ValueError, 'made-up images: use smoke'):
      origins.begin(new, self.source, None, smoke=False)

  def test_a_run_holds_on_to_its_model(self):
    saved = origins.begin(
        self.directory / 'new', self.source, None, smoke=True)
    origin = origins.describe(saved, None)['origin']
    self.assertEqual(origin, saved.origin())
    with self.assertRaisesRegex(ValueError, 'Expected Origin in run.json'):
      origins.describe(saved, self.former)
    known = {'origin': {**origin, 'step': 9}}
    self.assertEqual(
        origins.describe(saved, {**self.former, 'config': known}), known)
    other = origins.load(self.other)
    workdir = self.directory / 'new'
    with self.assertRaisesRegex(
        ValueError, 'source as it was when the run began'):
      self.check(other, workdir, origin)
    # A run that goes on needs it no more.
    self.assertEqual(self.check(other, self.other, origin), '')

  def test_warns_until_the_run_has_ended(self):
    saved = origins.load(self.source)
    workdir, origin = self.directory / 'new', saved.origin()
    self.assertRegex(
        self.check(saved, workdir, origin),
        '^.*source has no results.json: its run has not ended, and this one '
        'begins from its step 0.$')
    records.write_json(self.source / records.RESULTS, {})
    self.assertEqual(self.check(saved, workdir, origin), '')
    (self.source / records.RESULTS).unlink()


if __name__ == '__main__':
  tf.test.main()
