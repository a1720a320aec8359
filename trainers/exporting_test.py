"""Tests of exported networks: each format is read back by its own runtime."""

import dataclasses
import importlib.util
import os
import pathlib
from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from trainers import exporting

_CONFIG = mm.IsometricConfig(
    depth_multiplier=0.2, num_layers=1, num_templates=2, image_size=8,
    adapter_filters=(8, 16))


def make_model(tasks=('one',)):
  return mm.IsometricModel(_CONFIG, dict.fromkeys(tasks, 3), seed=0)


class ExportingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(self.get_temp_dir()) / self.id()
    self.directory.mkdir()

  def assertLeavesNothing(self):
    self.assertEqual(list(self.directory.iterdir()), [])

  def skip_unless_installed(self, form):
    for name in exporting.FORMATS[form].packages:
      if importlib.util.find_spec(name.replace('-', '_')) is None:
        self.skipTest(f'{name} is not installed: pip install -e .[export]')

  @parameterized.product(form=tuple(exporting.FORMATS), several=(False, True))
  def test_agrees(self, form, several):
    self.skip_unless_installed(form)
    if several:
      plain = mm.fold(make_model(('a', 'b+c/d')), ['b+c/d', 'a'])
      images = np.random.default_rng(0).normal(size=(3, 8, 8, 3))
      images = images.astype('float32')
    else:
      plain = mm.fold(make_model(), rescale=True, probabilities=True)
      images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), 'uint8')
    path = self.directory / f'plain{exporting.FORMATS[form].suffix}'
    exported = exporting.export(plain, path, form, images)
    self.assertEqual(list(self.directory.iterdir()), [path])
    self.assertBetween(exported.num_bytes, 4 * plain.count_params(), 10 ** 6)
    self.assertLess(exported.difference, 1e-5)
    again = exporting.FORMATS[form].read(path)(images)
    self.assertLess(exporting.compare(plain(images), again, 'again'), 1e-5)

  @parameterized.parameters('litert', 'onnx')
  def test_names_the_extra_of_a_missing_package(self, form):
    with (mock.patch.object(importlib.util, 'find_spec', return_value=None),
          self.assertRaisesRegex(
              ValueError, rf"without .*{form}.*'\.\[export\]'")):
      exporting.check(self.directory / 'x.onnx', form)

  def test_errors_before_any_work(self):
    taken = self.directory / 'taken.keras'
    for path, form, message in (
        ('x.keras', 'pickle', "Expected a format of .*received 'pickle'"),
        ('x.h5', 'keras', 'ends in .keras, received .*x.h5'),
        (taken, 'keras', 'exists and is not overwritten'),
        ('no/x.keras', 'keras', 'make .*no first')):
      taken.write_text('mine')
      with self.assertRaisesRegex(ValueError, message):
        exporting.export(None, self.directory / path, form, None)
    self.assertEqual(taken.read_text(), 'mine')

  @parameterized.named_parameters(
      ('name', 'a[1]'), ('backslash', 'a\\b'), ('directory', '[x]/a'))
  def test_a_saved_model_needs_a_path_that_tensorflow_finds(self, name):
    path = self.directory / name
    path.parent.mkdir(exist_ok=True)
    with self.assertRaisesRegex(ValueError, 'brackets .*takes them for'):
      exporting.check(path, 'savedmodel')
    exporting.check(path.with_suffix('.keras'), 'keras')

  def test_a_directory_that_cannot_be_written(self):
    with (mock.patch.object(os, 'access', return_value=False),
          self.assertRaisesRegex(ValueError, 'directory that can be written')):
      exporting.check(self.directory / 'x.keras', 'keras')

  def test_leaves_nothing_that_does_not_agree(self):
    model = make_model()
    plain, other = mm.fold(model), mm.fold(model)
    images = np.ones((2, 8, 8, 3), 'float32')
    other.layers[-1].bias.assign(other.layers[-1].bias + 1)
    wrong = dataclasses.replace(
        exporting.FORMATS['keras'], read=lambda path: other)
    with (mock.patch.dict(exporting.FORMATS, {'keras': wrong}),
          self.assertRaisesRegex(ValueError, 'received a difference of 1')):
      exporting.export(plain, self.directory / 'x.keras', 'keras', images)
    self.assertLeavesNothing()

  def test_keras_files_need_no_other_layers(self):
    inputs = keras.Input((8, 8, 3))
    bank = mm.TemplateBank(num_templates=2)
    model = keras.Model(inputs, mm.MixtureConv2D(2, 1, bank=bank)(inputs))
    with self.assertRaisesRegex(ValueError, "received layers of .'mixture_mod"):
      exporting.export(model, self.directory / 'x.keras', 'keras',
                       np.ones((2, 8, 8, 3), 'float32'))
    self.assertLeavesNothing()

  def test_compare(self):
    ones = np.ones((2, 3))
    self.assertAlmostEqual(
        exporting.compare(50 * ones, {'any': 50 * ones + 4e-3}, 'x'), 4e-3)
    with self.assertRaisesRegex(ValueError, 'difference of 0.02'):
      exporting.compare({'a': ones}, {'a': ones + 2e-2}, 'x')
    # An output is not excused by another, larger one.
    with self.assertRaisesRegex(ValueError, 'Expected b of the x to differ'):
      exporting.compare({'a': 50 * ones, 'b': 0.02 * ones},
                        {'a': 50 * ones, 'b': 0.016 * ones}, 'x')
    with self.assertRaisesRegex(ValueError, 'difference of nan'):
      exporting.compare(ones, ones * np.nan, 'x')
    for other in ({'b': ones}, {'a': ones[:1]}):
      with self.assertRaisesRegex(ValueError, 'Expected outputs .* of the x'):
        exporting.compare({'a': ones}, other, 'x')


if __name__ == '__main__':
  tf.test.main()
