"""Tasks of a family are models of their own on shared weights."""

import os

from absl.testing import parameterized
import keras
from keras import layers
import numpy as np
import tensorflow as tf

import mixture_modules as mm
from mixture_modules import families
from mixture_modules import family_starts
from mixture_modules.testing import toy_families as toys
from mixture_modules.testing import toy_models


class _Block(keras.layers.Layer):
  """A mixture layer that the model does not see."""

  def __init__(self):
    super().__init__()
    self.conv = mm.MixtureConv2D(3, 1, bank=mm.TemplateBank(2))

  def call(self, inputs):
    return self.conv(inputs)


class FamiliesTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.parameters(
      (True, 'linear'), (False, 'softmax'), (False, '2'))
  def test_new_task_starts_as_the_first_and_leaves_it_alone(self, norms, kind):
    family = toys.make_family(norms, kind)
    old, images = family['old'], toys.make_images()
    outputs, weights = old(images), toys.values(old)
    new = family.add_task('new', 5)
    self.assertIs(new, family['new'])
    self.assertEqual((None, 5), new.output_shape)
    features = [keras.Model(m.input, m.layers[-1].input)(images)
                for m in (old, new)]
    self.assertAllEqual(*features)
    before = toys.values(new)
    toys.fit(new)
    self.assertAllEqual(outputs, old(images))
    for value, now in zip(weights, toys.values(old)):
      self.assertAllEqual(value, now)
    changed = [not np.array_equal(*pair)
               for pair in zip(before, toys.values(new))]
    self.assertEqual(
        [v.trainable or 'moving' in v.name for v in new.weights], changed)

  def test_what_tasks_share(self):
    family = toys.make_family()
    new = family.add_task('new', 5)
    shared = {id(v) for v in family['old'].weights} & {
        id(v) for v in new.weights}
    names = [v.path.rpartition('/')[2] for v in new.weights if id(v) in shared]
    self.assertCountEqual(  # one plain convolution, templates of the others
        ['kernel', 'bias', 'group_1_kernel', 'group_1_bias'], names)
    self.assertEqual(
        2 * 2 + 3 * 2 * 4 + 5 * 4 + 5, family.count_own('new'))
    self.assertEqual({'classes': 5, 'own_parameters': 53},
                     family.list_tasks()['new'])

  def test_shared_signatures_stay_shared(self):
    bank = mm.TemplateBank(2)
    signature = mm.Signature(1, 2)
    model = keras.Sequential([
        keras.Input((4,)), *(mm.MixtureDense(4, bank=bank, signature=signature)
                             for _ in range(2)), layers.Dense(2)])
    new = families.TaskFamily(model, 'old').add_task('new', 3)
    first, second = toys.mixtures(new)
    self.assertIs(first.signature, second.signature)
    self.assertIsNot(signature, first.signature)

  @parameterized.named_parameters(
      ('mixture', 'mixture', {'logits'}),
      ('norm', ['norm'], {'gamma', 'beta'}),
      ('head', 'head', {'kernel', 'bias'}),
      ('several', ('mixture', 'head'), {'logits', 'kernel', 'bias'}),
      ('templates', 'templates', {'group_1_kernel', 'group_1_bias'}),
      ('layers', 'layers', {'kernel', 'bias'}))
  def test_scopes(self, scopes, expected):
    family = toys.make_family()
    family.add_task('new', 5)
    variables = family.tune('new', scopes)
    self.assertEqual(
        expected, {v.path.rpartition('/')[2] for v in variables})
    before = {id(v): v.numpy() for v in family['new'].weights}
    toys.fit(family['new'])
    self.assertEqual(
        {id(v) for v in variables},
        {id(v) for v in family['new'].weights if 'moving' not in v.name
         and not np.array_equal(before[id(v)], v.numpy())})

  def test_starts(self):
    family = toys.make_family()
    family.add_task('a', 5)
    toys.fit(family['a'])
    xi = {name: [layer.signature.mixture_weights().numpy()
                 for layer in toys.mixtures(family[name])]
          for name in ('old', 'a')}
    copy = family.add_task('copy', 3, 'copy:a')
    for layer, expected in zip(toys.mixtures(copy), xi['a']):
      self.assertAllEqual(expected, layer.signature.mixture_weights())
    mean = family.add_task('mean', 3, {'old': 1, 'a': 3})
    for layer, old, a in zip(toys.mixtures(mean), xi['old'], xi['a']):
      self.assertAllClose(.25 * old + .75 * a,
                          layer.signature.mixture_weights(), 1e-6)
    norms = [[v.numpy() for v in family[name].weights if 'norm' in v.path]
             for name in ('old', 'a', 'mean')]
    for old, a, both in zip(*norms):
      self.assertAllClose(.25 * old + .75 * a, both, 1e-5, 1e-6)
    uniform = family.add_task('uniform', 3, 'uniform')
    for layer in toys.mixtures(uniform):
      self.assertAllClose([[.5, .5]], layer.signature.mixture_weights())
    drawn = [layer.signature.mixture_weights().numpy()
             for seed in (1, 2) for layer in toys.mixtures(
                 family.add_task(f'random {seed}', 3, 'random', seed=seed))]
    self.assertLen({xi.tobytes() for xi in drawn}, 4)

  def test_names(self):
    family = toys.make_family()
    family.add_task('a b', 5)
    family.rename_task('old', 'first')
    self.assertEqual(['first', 'a b'], list(family))
    self.assertIn('first', family)
    self.assertEqual(['first', 'a b'], list(family.tasks))
    family.remove_task('first')
    family.add_task('c', 2)
    self.assertLen(family, 2)
    family.remove_task('c')
    with self.assertRaisesRegex(ValueError, 'not the last'):
      family.remove_task('a b')

  def test_predict_mixed(self):
    family = toys.make_family()
    family.add_task('new', 5)
    images = toys.make_images(3)
    for row, (name, image) in zip(
        family.predict_mixed(images, ['new', 'old', 'new']),
        zip(['new', 'old', 'new'], images)):
      self.assertAllClose(family[name](image[None])[0], row, 1e-5, 1e-5)

  def test_a_task_is_saved_copied_folded_alone(self):
    family = toys.make_family(norms=True)
    model = family.add_task('new', 5)
    toys.fit(model)
    path = os.path.join(self.get_temp_dir(), 'new.keras')
    model.save(path)
    images = toys.make_images()
    self.assertAllEqual(model(images), mm.load_model(path)(images))
    self.assertAllEqual(model(images), mm.copy_model(model)(images))
    self.assertAllClose(model(images), mm.fold(model)(images), 1e-5, 1e-5)

  def test_what_trains_otherwise_is_compiled_no_more(self):
    family = toys.make_family()
    old = family['old']
    toys.fit(old, classes=4)
    new = family.add_task('new', 5)
    self.assertFalse(old.compiled)
    with self.assertRaisesRegex(ValueError, 'call `compile'):
      old.fit(toys.make_images(), np.arange(6) % 4, verbose=0)
    toys.fit(new)
    family.tune('new', ('mixture', 'norm', 'head'))
    self.assertTrue(new.compiled)  # Nothing has changed.
    family.tune('new', 'head')
    self.assertFalse(new.compiled)

  def test_a_removed_task_does_not_keep_slots_training(self):
    family = toys.make_family()
    family.add_task('new', 5)
    family.remove_task('new')
    family.find_start((toys.make_images(), np.arange(6) % 2), 'learned')
    family.tune('old', 'templates')
    for layer in toys.mixtures(family['old']):
      layer.trainable = False
    self.assertEmpty(toys.mixtures(family['old'])[0].bank.trainable_variables)

  def test_copy_of_a_task_trains_as_a_whole(self):
    family = toys.make_family()
    new = family.add_task('new', 5)
    copy, before = family.copy_task('new'), toys.values(new)
    self.assertLen(copy.trainable_variables,
                   sum('moving' not in v.name for v in copy.weights))
    toys.fit(copy)
    for value, now in zip(before, toys.values(new)):
      self.assertAllEqual(value, now)

  def test_seed_draws_the_head(self):
    family = toys.make_family()
    kernels = [family.add_task(str(number), 5, seed=seed).layers[-1].kernel
               for number, seed in enumerate((1, 1, 2))]
    self.assertAllEqual(*kernels[:2])
    self.assertNotAllClose(*kernels[1:])

  def test_banks_stay_shared_within_sharing(self):
    family = toys.make_family()
    with mm.sharing():
      new = family.add_task('new', 5)
    self.assertEqual(*({layer.bank for layer in toys.mixtures(model)}
                       for model in (family['old'], new)))

  @parameterized.parameters(*family_starts.KINDS)
  def test_find_start(self, kind):
    family = toys.make_family()
    family.add_task('a', 5, 'random', seed=1)
    flags = [v.trainable for v in family['a'].weights]
    before = toys.values(family['old']) + toys.values(family['a'])
    images = toys.make_images(20)
    labels = (images.mean((1, 2, 3)) > 0).astype('int64')
    data = (images, labels)
    if kind == 'best':
      data = tf.data.Dataset.from_tensor_slices(data).batch(8)
    start = family.find_start(data, kind)
    self.assertContainsSubset(start, ['old', 'a'])
    self.assertAllClose(1, sum(start.values()), 1e-5)
    self.assertEqual(flags, [v.trainable for v in family['a'].weights])
    for old, new in zip(
        before, toys.values(family['old']) + toys.values(family['a'])):
      self.assertAllEqual(old, new)
    family.add_task('b', 2, start)

  def test_learned_start_leaves_what_does_not_serve(self):
    """Mixtures of 0 give no features at all."""
    bank = mm.TemplateBank(2)
    family = families.TaskFamily(keras.Sequential([
        keras.Input((6, 6, 3)), layers.Flatten(), mm.MixtureDense(
            8, activation='relu', bank=bank, signature='linear'),
        layers.Dense(2)]), 'good')
    dead, = toys.mixtures(family.add_task('dead', 2))
    dead.signature.assign(np.zeros((1, 2)))
    images = toys.make_images(60)
    labels = (images[..., 0].mean((1, 2)) > 0).astype('int64')
    start = family.find_start((images, labels), 'learned', epochs=40)
    self.assertGreater(start['good'], .6)

  def test_errors(self):
    family = toys.make_family()
    family.add_task('a', 5)
    for name, call in (
        ("a task 'a' already", lambda: family.add_task('a', 3)),
        ('classes', lambda: family.add_task('b', 0)),
        ("received 'x'", lambda: family.add_task('b', 3, 'copy:x')),
        ("'copy:TASK'", lambda: family.add_task('b', 3, 'best')),
        ("'copy:TASK'", lambda: family.add_task('b', 3, {})),
        ('coefficient', lambda: family.add_task('b', 3, {'a': -1})),
        ('sum of', lambda: family.add_task('b', 3, {'a': 0})),
        ('scopes', lambda: family.add_task('b', 3, tune='bias')),
        ('scopes', lambda: family.tune('a', [])),
        ("received 'x'", lambda: family['x']),
        ('kind', lambda: family.find_start(
            (toys.make_images(), range(6)), 'x')),
        ('as many labels', lambda: family.find_start(
            (toys.make_images(), range(5)))),
        ('sources', lambda: family.find_start(
            (toys.make_images(), range(6)), sources=[]))):
      with self.subTest(name), self.assertRaisesRegex(ValueError, name):
        call()
    self.assertEqual(['old', 'a'], list(family))
    plain = families.TaskFamily(toys.make_family(True, '2')['old'], 'fixed')
    with self.assertRaisesRegex(ValueError, "what task 'fixed' has"):
      plain.tune('fixed', 'mixture')
    for init in ('random', {'fixed': 1, 'other': 1}):
      if isinstance(init, dict):
        plain.add_task('other', 3)
      with self.assertRaisesRegex(ValueError, 'mixtures are fixed'):
        plain.add_task('new', 3, init)
    for layer in (keras.layers.SpectralNormalization(layers.Conv2D(3, 1)),
                  _Block()):
      with self.assertRaisesRegex(ValueError, 'no call moves|some inside of'):
        families.TaskFamily(keras.Sequential(
            [keras.Input((6, 6, 3)), layer, layers.Dense(2)]), 'a')
    with self.assertRaisesRegex(ValueError, 'a Dense or Conv2D layer'):
      model = toys.make_network()
      families.TaskFamily(model, 'a', head=model.layers[2].name)
    with self.assertRaisesRegex(ValueError, "head.*received 'x'"):
      families.TaskFamily(toys.make_network(), 'a', head='x')
    with self.assertRaisesRegex(ValueError, 'functional or Sequential'):
      families.TaskFamily(toy_models.make_model(), 'a')


if __name__ == '__main__':
  tf.test.main()
