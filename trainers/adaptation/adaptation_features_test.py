"""Tests of the file of features."""

import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
import numpy as np

from mixture_modules import tensor_files
from mixture_modules.testing import damage
from trainers.adaptation import adaptation_config
from trainers.adaptation import adaptation_features


def _arrays(seed, size=6):
  rng = np.random.default_rng(seed)
  return rng.integers(3, size=size), rng.normal(size=(size, 4))


class AdaptationFeaturesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)
    self.found = {'usps': {'usps': _arrays(0)},
                  'pool:a|b': {'a': _arrays(1), 'b': _arrays(2, 5)},
                  'mnist': {'mnist': _arrays(3)}}
    self.evaluation = mock.Mock()
    self.evaluation.features = mock.Mock(
        side_effect=lambda task, split, most: self.found[task])
    self.evaluation.model.task('usps').head.units = 3

  def config(self, **options):
    return adaptation_config.AdaptationConfig(
        'bank', 'usps', 'im', ('pool:a|b', 'mnist'), **options)

  def assertSameArrays(self, found, expected):
    classes, embeddings = found
    np.testing.assert_array_equal(classes, expected[0])
    np.testing.assert_array_equal(
        embeddings, expected[1].astype('float16').astype('float32'))
    self.assertEqual(embeddings.dtype, 'float32')

  def test_start_and_end(self):
    before = self.found['usps']['usps']
    adaptation_features.write_start(
        self.workdir, self.evaluation, self.config(), ('x', 'y', 'z'))
    found = adaptation_features.read(self.workdir)
    self.assertEqual((found.target, found.split, found.class_names),
                     ('usps', 'test', ('x', 'y', 'z')))
    self.assertEqual(list(found.sources), ['a', 'b', 'mnist'])
    self.assertSameArrays(found.sources['b'], self.found['pool:a|b']['b'])
    self.assertSameArrays(found.before, before)
    self.assertIsNone(found.after)

    # Sources are not looked at again: nothing of them has moved.
    self.evaluation.features.reset_mock()
    self.found['usps'] = {'usps': _arrays(4)}
    written = adaptation_features.write_end(
        self.workdir, self.evaluation, self.config())
    self.evaluation.features.assert_called_once_with('usps', 'test', mock.ANY)
    found = adaptation_features.read(self.workdir)
    self.assertSameArrays(found.before, before)
    self.assertSameArrays(found.after, self.found['usps']['usps'])
    self.assertSameArrays(found.sources['mnist'], self.found['mnist']['mnist'])
    self.assertCountEqual(written.sources, found.sources)

  def test_target_alone(self):
    config = self.config(source_free=True)
    adaptation_features.write_start(
        self.workdir, self.evaluation, config, None)
    self.evaluation.features.assert_called_once_with('usps', 'test', mock.ANY)
    found = adaptation_features.read(self.workdir)
    self.assertEqual(found.sources, {})
    self.assertEqual(found.class_names, ('0', '1', '2'))

  def test_source_only_ends_as_it_begins(self):
    config = adaptation_config.AdaptationConfig(
        'bank', 'usps', 'source_only', ('mnist',))
    adaptation_features.write_start(
        self.workdir, self.evaluation, config, None)
    self.assertIsNone(adaptation_features.write_end(
        self.workdir, self.evaluation, config).after)

  def test_large_values(self):
    self.found['usps']['usps'][1][0, 0] = 1e9
    adaptation_features.write_start(
        self.workdir, self.evaluation, self.config(), None)
    found = adaptation_features.read(self.workdir)
    self.assertEqual(found.before[1][0, 0], 65504)

  def test_no_file(self):
    self.assertIsNone(adaptation_features.read(self.workdir))
    self.assertIsNone(adaptation_features.write_end(
        self.workdir, self.evaluation, self.config()))
    self.assertEmpty(list(self.workdir.iterdir()))

  def test_damaged_file(self):
    adaptation_features.write_start(
        self.workdir, self.evaluation, self.config(), None)
    path = self.workdir / adaptation_features.FILE
    whole = path.read_bytes()
    np.savez(self.workdir / 'other.npz', target='usps')
    damaged = [(self.workdir / 'other.npz').read_bytes(), b'', b'text',
               whole[:-40]]
    rng = np.random.default_rng(0)
    damaged += [damage.mutate(whole, rng) for _ in range(300)]
    for data in damaged:
      path.write_bytes(data)
      with self.assertRaisesRegex(
          ValueError, f'{path}, a damaged file: .* move it away'):
        adaptation_features.read(self.workdir)

  def test_forged_file(self):
    adaptation_features.write_start(
        self.workdir, self.evaluation, self.config(), None)
    path = self.workdir / adaptation_features.FILE
    whole, rng, loaded = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
      path.write_bytes(tensor_files.sign(damage.mutate(whole, rng)))
      try:
        adaptation_features.read(self.workdir)
        loaded += 1
      except ValueError as error:
        self.assertRegex(
            str(error), f'{path}, a damaged file: .* move it away')
    self.assertBetween(loaded, 1, 200)
    arrays, metadata = tensor_files.decode(whole)
    for change, names, message in (
        ({'before/classes': np.zeros(2, 'int32')}, None, 'do not fit'),
        ({}, '[]', 'lacks a part'), ({}, '{}', "lacks a part .*'target'")):
      path.write_bytes(tensor_files.encode(
          {**arrays, **change}, {**metadata, 'names': names or
                                 metadata['names']}))
      with self.assertRaisesRegex(ValueError, message):
        adaptation_features.read(self.workdir)


if __name__ == '__main__':
  absltest.main()
