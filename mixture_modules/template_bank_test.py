"""Slots, initialisation, mixing and saving of the bank (section 3.2)."""

import copy
import os
import pickle

from absl.testing import parameterized
import keras
from keras import ops
import numpy as np
import tensorflow as tf

from mixture_modules import bank_growth
from mixture_modules import mixture_conv
from mixture_modules import signatures
from mixture_modules import template_bank
from mixture_modules.testing import toy_models


def _ones(shape, dtype=None):
  return ops.ones(shape, dtype)


def _fixed(shape, dtype=None):
  return keras.random.normal(shape, dtype=dtype, seed=3)


class _Fixed(keras.initializers.Initializer):
  """Draws the same at every call, and says nothing of it."""

  def __call__(self, shape, dtype=None):
    return _fixed(shape, dtype)


class _OwnRandomness(keras.initializers.Initializer):
  """Draws by NumPy; without a seed every call draws anew."""

  def __init__(self, seed=None):
    self.seed = seed

  def __call__(self, shape, dtype=None):
    return np.random.default_rng(self.seed).normal(size=shape).astype(dtype)

  def get_config(self):
    return {'seed': self.seed}


@keras.saving.register_keras_serializable('template_bank_test')
class _Difference(keras.initializers.Initializer):
  """What one initialiser draws minus what another does."""

  def __init__(self, one, other='zeros'):
    self.one, self.other = map(keras.initializers.get, (one, other))

  def __call__(self, shape, dtype=None):
    return self.one(shape, dtype) - self.other(shape, dtype)

  def get_config(self):
    return {name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ('one', 'other')}


def _filled(num_templates=3, slots=(('a', (2, 3)), ('b/c', (4,)))):
  """A bank with random templates and its NumPy copy."""
  bank = template_bank.TemplateBank(num_templates)
  rng = np.random.default_rng(0)
  values = {}
  for slot, shape in slots:
    bank.add_slot(slot, shape)
    values[slot] = rng.normal(size=(num_templates, *shape)).astype('float32')
    bank.templates(slot).assign(values[slot])
  return bank, values


def _model(bank, filters):
  """A model whose second slot no other number of filters has."""
  inputs = keras.Input((None, None, 3))
  x = mixture_conv.MixtureConv2D(4, 3, bank=bank, slot='common')(inputs)
  return keras.Model(inputs, mixture_conv.MixtureConv2D(
      filters, 1, bank=bank)(x))


class TemplateBankTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)
    self._images = np.random.default_rng(2).normal(
        size=(2, 6, 6, 3)).astype('float32')

  @parameterized.parameters(0, -1, 2.0, '4', None, True)
  def test_num_templates_must_be_positive_integer(self, value):
    with self.assertRaisesRegex(ValueError, 'positive integer.*received'):
      template_bank.TemplateBank(value)

  def test_templates_are_initialised_on_their_own_shape(self):
    bank = template_bank.TemplateBank(50)
    bank.add_slot('kernel', (3, 3, 4, 8), 'glorot_uniform')
    limit = np.sqrt(6 / (9 * (4 + 8)))
    templates = bank.templates('kernel').numpy()
    self.assertEqual((50, 3, 3, 4, 8), templates.shape)
    largest = np.abs(templates).max((1, 2, 3, 4))
    self.assertAllInRange(largest, .9 * limit, limit)

  def test_templates_of_orthogonal_initializer_are_orthogonal(self):
    bank = template_bank.TemplateBank(3)
    bank.add_slot('kernel', (5, 5), 'orthogonal')
    for template in bank.templates('kernel').numpy():
      self.assertAllClose(np.eye(5), template @ template.T, 1e-5, 1e-5)

  @parameterized.named_parameters(
      ('no_seed', None), ('seed', 7), ('seed_zero', 0), ('generator', 'make'))
  def test_templates_differ(self, seed):
    if seed == 'make':
      seed = keras.random.SeedGenerator(3)
    bank = template_bank.TemplateBank(4)
    bank.add_slot('a', (3, 3), keras.initializers.RandomNormal(seed=seed))
    templates = bank.templates('a').numpy()
    for k in range(4):
      for other in range(k):
        self.assertGreater(np.abs(templates[k] - templates[other]).max(), 1e-3)

  @parameterized.named_parameters(
      ('inner', _Difference(keras.initializers.HeNormal(3))),
      ('inner_without', _Difference(keras.initializers.HeNormal())),
      ('two_deep', _Difference(_Difference(keras.initializers.HeNormal(3)))),
      ('own', _OwnRandomness(3)), ('own_without', _OwnRandomness()))
  def test_templates_of_any_initializer_with_a_seed_differ(self, initializer):
    banks = [template_bank.TemplateBank(3) for _ in range(2)]
    for bank in banks:
      keras.utils.set_random_seed(5)
      bank.add_slot('a', (3, 3), initializer)
      rows = [*bank.templates('a').numpy(), *bank.draw(2, seed=1)['a']]
      self.assertLen(np.unique(rows, axis=0), 5)
    self.assertAllEqual(*(bank.templates('a') for bank in banks))

  def test_an_inner_generator_moves_on(self):
    bank = template_bank.TemplateBank(3)
    bank.add_slot('a', (3, 3), _Difference(keras.initializers.HeNormal(
        keras.random.SeedGenerator(3))))
    self.assertLen(np.unique(bank.templates('a'), axis=0), 3)

  def test_several_seeds_stay_apart(self):
    bank = template_bank.TemplateBank(2)
    bank.add_slot('a', (3, 3), _Difference(
        keras.initializers.RandomNormal(seed=1),
        keras.initializers.RandomNormal(seed=2)))
    templates = bank.templates('a').numpy()
    self.assertGreater(np.abs(templates).min(), 0)

  @parameterized.named_parameters(
      ('function', _fixed, '_fixed'), ('class', _Fixed(), '_Fixed'),
      ('inner', _Difference(_Fixed()), '_Difference'),
      ('unregistered', _Difference(_OwnRandomness(3)), '_Difference'))
  def test_warns_of_random_templates_that_are_equal(self, initializer, name):
    bank = template_bank.TemplateBank(3)
    with self.assertWarnsRegex(
        UserWarning, f'^Expected {name} to draw 3 different templates, receive'
        'd equal ones, .*: give the initialiser a `seed`'):
      bank.add_slot('a', (3, 3), initializer)
    template_bank.TemplateBank(1).add_slot('a', (3, 3), initializer)

  @parameterized.parameters(
      'zeros', 'identity', keras.initializers.Constant(np.diag([1., 2, 3])),
      lambda shape, dtype=None: np.eye(*shape, dtype=dtype))
  def test_constants_are_equal_without_a_warning(self, initializer):
    bank = template_bank.TemplateBank(2)
    bank.add_slot('a', (3, 3), initializer)
    self.assertAllEqual(*bank.templates('a').numpy())

  @parameterized.parameters(0, 7)
  def test_seed_gives_the_same_templates_again(self, seed):
    first, second = (template_bank.TemplateBank(4) for _ in range(2))
    for bank in (first, second):
      bank.add_slot('a', (3, 3), keras.initializers.HeNormal(seed=seed))
    self.assertAllEqual(first.templates('a'), second.templates('a'))

  @parameterized.named_parameters(
      ('text', 'ones'), ('object', keras.initializers.Ones()),
      ('function', _ones))
  def test_constant_initializers(self, initializer):
    bank = template_bank.TemplateBank(2)
    bank.add_slot('a', (3,), initializer)
    self.assertAllEqual(np.ones((2, 3)), bank.templates('a'))

  @parameterized.named_parameters(
      ('normal', 'he_normal', 3), ('orthogonal', 'orthogonal', 3),
      ('uniform', keras.initializers.RandomUniform(-1, 1), 3),
      ('constant', keras.initializers.Constant(2.), 1),
      ('about_one', keras.initializers.RandomNormal(1.), 1),
      ('positive', keras.initializers.RandomUniform(0, 1), 1))
  def test_scale_of_random_templates(self, initializer, expected):
    spreads = []
    for scale in (1., 3.):
      bank = template_bank.TemplateBank(4)
      bank.add_slot('a', (20, 20), initializer, scale=scale)
      drawn = bank.draw(4, seed=1)['a']
      for templates in (bank.templates('a').numpy(), drawn):
        spreads.append(np.sqrt(np.mean(templates ** 2)))
    self.assertAllClose([expected] * 2, np.divide(spreads[2:], spreads[:2]),
                        .1, 0)

  def test_same_slot_twice_is_one(self):
    bank = template_bank.TemplateBank(2)
    for _ in range(2):
      bank.add_slot('a', [3], 'he_normal', keras.regularizers.L2(.1))
    self.assertEqual(('a',), bank.slots)
    self.assertLen(bank.variables, 1)

  @parameterized.named_parameters(
      ('shape', {'shape': (4,)}), ('initializer', {'initializer': 'ones'}),
      ('regularizer', {'regularizer': 'l2'}))
  def test_same_slot_with_other_properties_is_refused(self, change):
    bank = template_bank.TemplateBank(2)
    slot = {'slot': 'a', 'shape': (3,), 'initializer': 'zeros'}
    bank.add_slot(**slot)
    name, = change
    with self.assertRaisesRegex(ValueError, f"Slot 'a' .*{name}.*slot=..."):
      bank.add_slot(**{**slot, **change})

  def test_slot_added_to_a_frozen_bank_is_frozen(self):
    bank = template_bank.TemplateBank(2, trainable=False)
    bank.add_slot('a', (3,))
    self.assertEmpty(bank.trainable_variables)
    self.assertFalse(bank.templates('a').trainable)

  def test_unknown_slot_is_refused(self):
    bank, _ = _filled()
    with self.assertRaisesRegex(ValueError, "no slot 'x'; it has .'a', 'b/c'"):
      bank.mix('x', 0)

  def test_mix_matches_numpy(self):
    bank, values = _filled()
    xi = np.float32([.2, -.5, 1.3])
    for mixture in (xi, tf.constant(xi), tf.constant(xi, tf.float64)):
      for slot, theta in values.items():
        # The formula of `mix`: sum_k mixture[k] * templates[k].
        expected = sum(xi[k] * theta[k] for k in range(3))
        self.assertAllClose(expected, bank.mix(slot, mixture), 1e-6, 1e-6)

  def test_mix_with_index_looks_up(self):
    bank, values = _filled()
    for k in range(3):
      self.assertAllEqual(values['a'][k], bank.mix('a', k))

  def test_mix_of_unknown_length_in_a_function(self):
    bank, values = _filled()
    mix = tf.function(lambda xi: bank.mix('a', xi),
                      input_signature=[tf.TensorSpec([None])])
    self.assertAllClose(values['a'][1], mix(tf.constant([0., 1., 0.])))

  @parameterized.named_parameters(
      ('short', (2,)), ('long', (4,)), ('matrix', (1, 3)), ('scalar', ()))
  def test_mixture_of_another_shape_is_refused(self, shape):
    bank, _ = _filled()
    with self.assertRaisesRegex(ValueError, r'mixture of shape \[3\]'):
      bank.mix('a', np.ones(shape, 'float32'))

  @parameterized.parameters('bfloat16', 'mixed_bfloat16')
  def test_mixing_is_float32(self, policy):
    bank = template_bank.TemplateBank(2, dtype=policy)
    bank.add_slot('a', (1,))
    bank.templates('a').assign([[1.], [-1.]])
    xi = np.float32([1 + 2**-9, 1.])  # 1 and 1 in bfloat16
    mixed = bank.mix('a', xi)
    self.assertEqual(tf.float32, mixed.dtype)
    self.assertAllEqual([2.**-9], mixed)

  def test_autocasting_model_does_not_cast_templates(self):

    class Caller(keras.Model):

      def __init__(self):
        super().__init__(dtype='mixed_bfloat16')
        self.bank = template_bank.TemplateBank(2)
        self.bank.add_slot('a', (1,))
        self.bank.templates('a').assign([[1 + 2**-9], [-1.]])
        self.signature = signatures.Signature(1, 2, initializer='uniform')

      def call(self, inputs):
        return (self.bank.resolve(self.signature)[0]['a'],
                self.bank.mix('a', self.signature.mixture_weights()[0]))

    for mixed in Caller()(np.zeros((1, 1), 'float32')):
      self.assertEqual(tf.float32, mixed.dtype)
      self.assertAllEqual([2.**-10], mixed)

  @parameterized.parameters('softmax', 'tanh', 'linear', 'cyclic', '3-1-1-2')
  def test_resolve_equals_row_by_row(self, kind):
    bank, values = _filled()
    signature = signatures.Signature(4, 3, kind)
    rows = bank.resolve(signature)
    self.assertLen(rows, 4)
    for row, xi in zip(rows, signature.mixture_weights().numpy()):
      self.assertEqual({'a', 'b/c'}, set(row))
      for slot, theta in values.items():
        self.assertAllClose(
            np.tensordot(xi, theta, 1), row[slot], 1e-6, 1e-6)

  def test_resolve_of_fixed_signature_is_exact(self):
    bank, values = _filled()
    rows = bank.resolve(signatures.Signature(4, 3, '3-1-1-2'))
    for row, k in zip(rows, (2, 0, 0, 1)):
      self.assertAllEqual(values['a'][k], row['a'])

  def test_resolve_refuses_another_number_of_templates(self):
    bank, _ = _filled()
    with self.assertRaisesRegex(ValueError, 'mixes 2 templates.* has 3'):
      bank.resolve(signatures.Signature(4, 2))

  @parameterized.parameters(
      copy.deepcopy, lambda bank: pickle.loads(pickle.dumps(bank)))
  def test_copy_of_a_bank_alone(self, copier):
    bank, values = _filled()
    bank.trainable = False
    twin = copier({'first': bank, 'second': bank})
    self.assertIs(twin['first'], twin['second'])
    twin = twin['first']
    self.assertIsNot(bank, twin)
    for slot, theta in values.items():
      self.assertAllEqual(theta, twin.templates(slot))
      self.assertIsNot(bank.templates(slot), twin.templates(slot))
    self.assertEmpty(twin.trainable_variables)
    for slot in bank.slots:  # Another layer finds what it asks for.
      self.assertEqual(bank.slot(slot).properties, twin.slot(slot).properties)

  def test_slot_trains_while_one_of_its_layers_does(self):

    class Scale(keras.layers.Layer):

      def __init__(self, bank):
        super().__init__()
        self.scale = bank.add_slot('scale', (1,), layer=self)

    bank = template_bank.TemplateBank(2)
    first, second = Scale(bank), Scale(bank)
    first.trainable = False
    self.assertTrue(first.scale.trainable)
    self.assertEmpty(first.trainable_variables)
    self.assertLen(second.trainable_variables, 1)
    second.trainable = False
    self.assertEmpty(bank.trainable_variables)
    first.trainable = True
    self.assertLen(keras.Sequential([first, second]).trainable_variables, 1)

  def test_config_round_trip(self):
    bank = template_bank.TemplateBank(3, name='mine')
    bank.add_slot('a/b', (2, 3), keras.initializers.HeNormal(seed=4),
                  keras.regularizers.L2(.1))
    bank.add_slot('c', (2,), 'zeros')
    config = keras.saving.serialize_keras_object(bank)
    loaded = keras.saving.deserialize_keras_object(config)
    self.assertEqual(bank.get_config()['num_templates'], loaded.num_templates)
    self.assertEqual(bank.name, loaded.name)
    self.assertEmpty(loaded.slots)  # layers make them again

  def test_seed_generator_survives_saving(self):
    bank = template_bank.TemplateBank(2)
    initializer = keras.initializers.RandomNormal(
        seed=keras.random.SeedGenerator(3))
    inputs = keras.Input((None, None, 3))
    x = inputs
    for _ in range(2):
      x = mixture_conv.MixtureConv2D(
          3, 1, bank=bank, kernel_initializer=initializer)(x)
    model = keras.Model(inputs, x)
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    loaded = keras.saving.load_model(path)
    self.assertAllEqual(model(self._images), loaded(self._images))

  def test_regularizer_acts_once_on_the_templates(self):
    bank = template_bank.TemplateBank(3)
    inputs = x = keras.Input((None, None, 3))
    for _ in range(3):
      x = mixture_conv.MixtureConv2D(
          3, 1, bank=bank, kernel_regularizer=keras.regularizers.L2(.1))(x)
    model = keras.Model(inputs, x)
    self.assertLen(model.losses, 1)
    templates = bank.templates('conv_1x1x3x3/kernel').numpy()
    self.assertAllClose(.1 * np.sum(templates**2), model.losses[0])
    bank.trainable = False
    self.assertEmpty(model.losses)

  def test_two_models_on_one_bank_round_trip(self):
    bank = template_bank.TemplateBank(3)
    models = [_model(bank, filters) for filters in (5, 7)]
    self.assertLen(bank.slots, 6)
    for model in models:
      path = os.path.join(self.get_temp_dir(), 'model.keras')
      model.save(path)
      loaded = keras.saving.load_model(path)
      self.assertEqual(
          model.layers[1].slots + model.layers[2].slots,
          loaded.layers[1].bank.slots)
      self.assertAllEqual(model(self._images), loaded(self._images))

  def test_two_models_on_one_bank_round_trip_weights(self):
    bank, other_bank = (template_bank.TemplateBank(3) for _ in range(2))
    models = [_model(bank, filters) for filters in (5, 7)]
    # The slots' order differs: weights are found by name.
    others = [_model(other_bank, filters) for filters in (7, 5)][::-1]
    for model, other in zip(models, others):
      path = os.path.join(self.get_temp_dir(), 'some.weights.h5')
      self.assertNotAllClose(model(self._images), other(self._images))
      model.save_weights(path)
      other.load_weights(path)
      self.assertAllEqual(model(self._images), other(self._images))

  def test_models_on_one_bank_have_their_own_slots_alone(self):
    bank = template_bank.TemplateBank(3)
    first, second = (_model(bank, filters) for filters in (5, 7))
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    first.save(path)
    third = _model(bank, 9)  # further slots change nothing of the others
    expected = first(self._images)
    self.assertAllEqual(
        expected, keras.saving.load_model(path)(self._images))
    # 3 templates of 3 * 3 * 3 * 4 + 4 and 4 * 5 + 5, and two signatures.
    self.assertEqual(3 * (112 + 25) + 6, first.count_params())
    self.assertEqual(3 * (4 * 5 + 5) + 3, first.layers[-1].count_params())
    layers = [*first.layers[1:], *second.layers[1:], *third.layers[1:]]
    bank_growth.add_in_bank(bank, [layer.signature for layer in layers], 1)
    self.assertAllClose(expected, first(self._images), 1e-6, 1e-6)
    self.assertEqual(4 * (112 + 25) + 8, first.count_params())
    before = [v.numpy() for v in (*second.weights, *third.weights)]
    first.compile(keras.optimizers.AdamW(.1, weight_decay=.1), 'mse')
    first.fit(self._images, np.ones((2, 4, 4, 5)), verbose=0)
    own = {id(v) for v in first.weights}
    for old, variable in zip(before, (*second.weights, *third.weights)):
      if id(variable) not in own:
        self.assertAllEqual(old, variable)
    first.save(path)
    self.assertAllEqual(
        first(self._images), keras.saving.load_model(path)(self._images))

  def test_loading_another_slot_is_refused(self):
    bank, _ = _filled()
    store = {}
    bank.slot('a').save_own_variables(store)
    with self.assertRaisesRegex(
        ValueError, r"of the slot 'b/c', received \['a'\].*same layers"):
      bank.slot('b/c').load_own_variables(store)

  def test_loading_another_number_of_templates_is_refused(self):
    bank, _ = _filled()
    store = {}
    bank.slot('a').save_own_variables(store)
    other, _ = _filled(num_templates=2)
    with self.assertRaisesRegex(ValueError, r'= \[2, 2, 3\] of the slot .a., '
                                r'received \[3, 2, 3\].*num_templates'):
      other.slot('a').load_own_variables(store)

  def test_loading_weights_of_another_k_says_so(self):
    # Keras looks for the bank at a second place when the first did not fit.
    path = os.path.join(self.get_temp_dir(), 'some.weights.h5')
    toy_models.make_model(num_templates=3).save_weights(path)
    with self.assertRaisesRegex(ValueError, 'another number of templates'):
      toy_models.make_model(num_templates=2).load_weights(path)

  def test_colons_in_names_are_refused(self):
    with self.assertRaisesRegex(ValueError, "without a colon, received 'b:c'"):
      template_bank.TemplateBank(2).add_slot('b:c', (4,))

  def test_saved_variables_are_named_by_slot(self):
    bank, values = _filled()
    store = {}
    bank.slot('b/c').save_own_variables(store)
    self.assertEqual({'b:c'}, set(store))
    self.assertAllEqual(values['b/c'], store['b:c'])
    other, _ = _filled()
    other.templates('b/c').assign(np.zeros((3, 4)))
    other.slot('b/c').load_own_variables(store)
    self.assertAllEqual(values['b/c'], other.templates('b/c'))

  def test_variables_are_trained_and_float32(self):
    bank, _ = _filled()
    self.assertLen(bank.trainable_variables, 2)
    self.assertEqual({'float32'}, {v.dtype for v in bank.variables})


if __name__ == '__main__':
  tf.test.main()
