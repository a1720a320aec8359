"""Task files of families fit their family, and no damaged one is loaded."""

import os
import warnings

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import task_format
from mixture_modules import tensor_files
from mixture_modules.testing import damage
from mixture_modules.testing import toy_families
from mixture_modules.testing import toy_models


class FamilyFilesTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)
    self._path = os.path.join(self.get_temp_dir(), 'new.task')
    if os.path.exists(self._path):
      os.remove(self._path)

  def _saved(self, **kwargs):
    """A family whose task 'new' is in the file."""
    family = toy_families.make_family(**kwargs)
    toy_families.fit(family.add_task('new', 5))
    mm.save_task(family, 'new', self._path, {'class_names': list('abcde')})
    return family

  @parameterized.parameters(
      (True, 'linear'), (False, 'softmax'), (False, '2'))
  def test_loads_into_the_family_and_its_copies(self, norms, kind):
    family = self._saved(norms=norms, kind=kind)
    images = toy_families.make_images()
    expected = family['new'](images)
    file = task_format.read_task_file(self._path)
    self.assertEqual(('new', list('abcde')), (
        file.name, file.header['metadata']['class_names']))
    family.remove_task('new')
    kept = os.path.join(self.get_temp_dir(), 'old.keras')
    family['old'].save(kept)
    for each in (family, *(mm.TaskFamily(model, 'old') for model in (
        mm.copy_model(family['old']), mm.load_model(kept)))):
      before = toy_families.values(each['old'])
      loaded = mm.load_task(each, self._path)
      self.assertAllEqual(expected, loaded(images))
      self.assertIs(loaded, each['new'])
      self.assertAllEqual(
          expected, mm.load_task(each, self._path, name='again')(images))
      for old, now in zip(before, toy_families.values(each['old'])):
        self.assertAllEqual(old, now)

  @parameterized.parameters('after', 'nested', 'convolution')
  def test_heads_of_each_kind(self, kind):
    layers = keras.layers
    ends = {
        'after': [layers.Flatten(), layers.Dense(4), layers.Softmax(),
                  layers.Activation('relu')],
        'nested': [keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(),
                                     layers.Dense(4, activation='softmax')])],
        'convolution': [layers.Conv2D(4, 1), layers.GlobalMaxPooling2D()]}[kind]
    family = mm.TaskFamily(mm.convert(keras.Sequential([
        keras.Input((4, 4, 3)), *(layers.Conv2D(3, 1) for _ in range(2)),
        *ends])), 'old')
    model = family.add_task('relu', 7)  # the name of something else, too
    mm.save_task(family, 'relu', self._path)
    images = np.ones((2, 4, 4, 3))
    self.assertAllEqual(
        model(images), mm.load_task(family, self._path, 'again')(images))

  def test_weights_of_equal_names(self):
    inputs = keras.Input((4, 6))
    x = keras.layers.MultiHeadAttention(2, 3)(inputs, inputs)
    for _ in range(2):
      x = keras.layers.Dense(6)(x)
    model = mm.convert(keras.Model(inputs, keras.layers.Dense(2)(x)))
    family = mm.TaskFamily(model, 'old')
    family.add_task('new', 3)
    mm.save_task(family, 'new', self._path)
    query = next(v for v in model.weights if 'query/kernel' in v.path)
    query.assign(query * 2)
    with self.assertRaisesRegex(ValueError, 'other values'):
      mm.load_task(family, self._path, 'again')

  def test_other_kinds_of_signatures_are_not_saved(self):
    family = self._saved()
    toy_families.mixtures(family['new'])[0].signature.harden()
    with self.assertRaisesRegex(ValueError, 'signatures of the kinds'):
      mm.save_task(family, 'new', self._path, overwrite=True)

  def test_small(self):
    family = self._saved()
    size = os.path.getsize(self._path)
    self.assertLess(size, 8_000 + 4 * family.count_own('new'))

  def test_other_shared_weights(self):
    family = self._saved()
    first, = {layer.bank for layer in toy_families.mixtures(family['old'])}
    variable = first.variables[0]
    variable.assign(variable + 1)
    with self.assertRaisesRegex(ValueError, 'other values .bank_1/group_1'):
      mm.load_task(family, self._path, 'again')
    with self.assertWarnsRegex(UserWarning, 'its outputs differ'):
      mm.load_task(family, self._path, 'again', force=True)
    self.assertEqual(['old', 'new', 'again'], list(family))

  def test_other_models_are_refused(self):
    self._saved()
    plain = mm.TaskFamily(toy_families.make_network(), 'old')
    for other, message in (
        (toy_families.make_family(norms=True), 'architecture'),
        (toy_families.make_family(kind='softmax'), 'signature of'),
        (plain, 'fit'), (toy_models.make_model(), 'fit')):
      with self.assertRaisesRegex(ValueError, message):
        mm.load_task(other, self._path)
    self.assertEqual(['old'], list(plain))
    mm.save_task(toy_models.make_model(), 'a', self._path, overwrite=True)
    with self.assertRaisesRegex(ValueError, 'fit'):
      mm.load_task(plain, self._path)

  def test_names(self):
    family = self._saved()
    with self.assertRaisesRegex(ValueError, "a task 'new' already"):
      mm.load_task(family, self._path)
    with self.assertRaisesRegex(ValueError, "received 'x'"):
      mm.save_task(family, 'x', self._path, overwrite=True)
    with self.assertRaisesRegex(ValueError, 'exists'):
      mm.save_task(family, 'new', self._path)

  def test_what_is_not_finite_is_not_saved(self):
    family = self._saved()
    head = family.head('new')
    head.bias.assign(np.full(5, np.nan))
    with self.assertRaisesRegex(ValueError, 'not a number'):
      mm.save_task(family, 'new', self._path, overwrite=True)

  def test_damage(self):
    """Half of the files have a digest that fits, as a forged one could."""
    family = self._saved()
    family.remove_task('new')
    before = toy_families.values(family['old'])
    with open(self._path, 'rb') as file:
      original = file.read()
    rng, loaded = np.random.default_rng(0), 0
    for number in range(300):
      data = damage.mutate(original, rng)
      if number % 2 and len(data) > 200:
        data = tensor_files.sign(data)
      with open(self._path, 'wb') as file:
        file.write(data)
      try:
        with warnings.catch_warnings():
          warnings.simplefilter('ignore')
          model = mm.load_task(family, self._path, 'damaged')
      except ValueError:
        self.assertEqual(['old'], list(family))
      else:  # Other numbers, or another text of the metadata.
        loaded += 1
        self.assertTrue(all(np.isfinite(v).all() for v in
                            toy_families.values(model)))
        family.remove_task('damaged')
    self.assertLess(loaded, 150)
    for old, now in zip(before, toy_families.values(family['old'])):
      self.assertAllEqual(old, now)


if __name__ == '__main__':
  tf.test.main()
