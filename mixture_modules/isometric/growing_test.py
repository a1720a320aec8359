"""A bank grows and shrinks; the network computes what it did."""

import itertools
import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.testing import toy_models

_MODELS = {
    'mixed': {}, 'private': {'norm': 'private', 'temperature': .5},
    'shared': {'norm': 'shared', 'use_se': True},
    'first': {'shared_half': 'first'},
    'second': {'shared_half': 'second', 'signature_init': 'diagonal'},
    'tanh': {'signature': 'tanh'}, 'linear': {'signature': 'linear'},
    'fixed': {'signature': 'cyclic', 'num_templates': 2},
    'plain': {'signature': 'diagonal', 'norm': 'shared'},
    'one': {'num_templates': 1}}
_OPERATIONS = {
    'add': lambda model: model.add_templates(2, seed=1),
    'copy': lambda model: model.add_templates(1, init='copy:1'),
    'duplicate': lambda model: model.duplicate_template(1),
    'spread': lambda model: model.duplicate_template(1, spread=1., seed=0)}


class GrowingTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.parameters(
      *itertools.product(_MODELS, ('add', 'spread')),
      *itertools.product(('mixed', 'fixed'), ('copy', 'duplicate')))
  def test_outputs_stay(self, kind, operation):
    model = toy_models.make_model(**_MODELS[kind])
    model.detach('b', 'mixture')
    before = model.config.num_templates
    outputs = toy_models.outputs(model)
    _OPERATIONS[operation](model)
    for name, logits in toy_models.outputs(model).items():
      self.assertAllClose(outputs[name], logits, 1e-5, 1e-5)
    count = before + (2 if operation == 'add' else 1)
    self.assertEqual((count, count), (
        model.config.num_templates, model.bank.num_templates))
    self.assertCountEqual([id(v) for v in model.variables],
                          [id(v) for v in model.named_variables().values()])
    for name in model.tasks:
      xi = model.tasks[name].signature.mixture_weights()
      self.assertEqual((3, count), xi.shape)
    new = model.add_task('new', 3)
    self.assertEqual((3, count), new.signature.mixture_weights().shape)
    # It is a model like others, and there is a way back.
    type(model).from_config(model.get_config())
    if operation in ('add', 'copy'):
      model.remove_task('new')
      model.drop_templates(list(range(before + 1, count + 1)))
      for name, logits in toy_models.outputs(model).items():
        self.assertAllClose(outputs[name], logits, 1e-5, 1e-5)

  def test_new_templates_are_new(self):
    model = toy_models.make_model()
    old = model.bank.templates('expand/kernel').numpy()
    model.add_templates(2)
    model.add_templates(1, 'copy:2')
    model.drop_templates([5])
    kernel = model.bank.templates('expand/kernel').numpy()
    self.assertAllEqual(old, kernel[:3])
    self.assertAllEqual(old[1], kernel[4])
    self.assertGreater(np.std(kernel[3]), .01)
    self.assertAllEqual(
        np.ones(48), model.bank.templates('expand/gamma').numpy()[3])

  def test_seed(self):
    kernels = []
    for seed in (1, 1, 2):
      model = toy_models.make_model()
      model.add_templates(1, seed=seed)
      kernels.append(model.bank.templates('expand/kernel').numpy()[3])
    self.assertAllEqual(kernels[0], kernels[1])
    self.assertNotAllClose(kernels[0], kernels[2])

  @parameterized.parameters('mixed', 'first', 'tanh', 'linear')
  def test_gradients_reach_both_twins(self, kind):
    model = toy_models.make_model(**_MODELS[kind])
    model.duplicate_template(2, spread=1., seed=0)
    xi = model.tasks['a'].signature.mixture_weights().numpy()
    self.assertNotAllClose(xi[:, 1], xi[:, 3], atol=.01)
    toy_models.descend(model, 'a', model.trainable_variables)
    kernel = model.bank.templates('expand/kernel').numpy()
    self.assertNotAllClose(kernel[1], kernel[3], atol=1e-6)
    self.assertNotAllClose(
        xi, model.tasks['a'].signature.mixture_weights(), atol=1e-6)

  def test_halves_of_a_twin(self):
    model = toy_models.make_model()
    xi = model.tasks['a'].signature.mixture_weights().numpy()
    model.duplicate_template(2)
    expected = np.concatenate([xi, xi[:, 1:2] / 2], -1)
    expected[:, 1] /= 2
    self.assertAllClose(
        expected, model.tasks['a'].signature.mixture_weights())

  def test_twin_in_a_fixed_signature(self):
    model = toy_models.make_model(signature='1-2-1')
    model.duplicate_template(1)
    self.assertEqual('1-2-4', model.config.signature)
    self.assertEqual('1-2-4', model.tasks['b'].signature.notation())

  # Dropping

  def test_drop_is_refused_where_a_task_leans(self):
    model = toy_models.make_model()
    model.tasks['a'].signature.assign(
        [[.5, .5, 0], [.995, 0, .005], [.2, .4, .4]])
    model.tasks['b'].signature.assign([[.5, .5, 0]] * 3)
    before, outputs = toy_models.values(model), toy_models.outputs(model)
    with self.assertRaisesRegex(
        ValueError, r"no \|xi\| above 0.01.*\[3\], on which lean: task 'a' in "
        r'the layers \[3\]. Choose'):
      model.drop_templates([3])
    with self.assertRaisesRegex(
        ValueError, r"'a' in the layers \[1, 3\]; task 'b' .* \[1, 2, 3\]"):
      model.drop_templates([2])
    self.assertEmpty(toy_models.changed(before, toy_models.values(model)))
    model.drop_templates([3], force=True)
    self.assertAllClose(
        [[.5, .5], [1, 0], [1 / 3, 2 / 3]],
        model.tasks['a'].signature.mixture_weights(), 1e-5, 1e-5)
    self.assertAllClose(outputs['b'], toy_models.outputs(model)['b'],
                        1e-5, 1e-5)

  def test_drop_keeps_the_rest(self):
    model = toy_models.make_model(num_templates=4, signature_init='diagonal')
    old = model.bank.templates('project/kernel').numpy()
    model.drop_templates((2, 4), force=True)
    self.assertAllEqual(
        old[[0, 2]], model.bank.templates('project/kernel'))
    self.assertEqual(
        (2, 'random'), (model.config.num_templates,
                        model.config.signature_init))
    model.add_task('c', 3)

  def test_drop_without_a_simplex(self):
    model = toy_models.make_model(signature='tanh')
    xi = model.tasks['a'].signature.mixture_weights().numpy()
    model.drop_templates([1], force=True)
    self.assertAllClose(
        xi[:, 1:], model.tasks['a'].signature.mixture_weights())

  @parameterized.parameters(True, False)
  def test_drop_of_a_fixed_signature(self, with_tasks):
    tasks = {'a': 4} if with_tasks else {}
    model = toy_models.make_model(tasks, signature='3-1-3')
    outputs = toy_models.outputs(model)
    for force in (False, True):
      with self.assertRaisesRegex(ValueError, r'layers \[1, 3\]'):
        model.drop_templates([3], force=force)
    model.drop_templates([2])
    self.assertEqual('2-1-2', model.config.signature)
    for name, logits in outputs.items():
      self.assertAllEqual(logits, toy_models.outputs(model)[name])

  def test_errors(self):
    model = toy_models.make_model()
    before = toy_models.values(model)
    for operation, message in (
        (lambda m: m.drop_templates([4]), r'from 1 to 3, .*\[4\]'),
        (lambda m: m.duplicate_template(0), r'from 1 to 3, .*\[0\]'),
        (lambda m: m.duplicate_template(4), r'from 1 to 3, .*\[4\]'),
        (lambda m: m.drop_templates([]), r'received \[\]'),
        (lambda m: m.drop_templates([1, 2, 3], force=True),
         'one template or more, received all 3'),
        (lambda m: m.add_templates(1, 'copy:4'), 'from 1 to 3'),
        (lambda m: m.add_templates(1, 'zeros'), "'random' or 'copy:K'"),
        (lambda m: m.add_templates(0), 'new templates to be a pos'),
        (lambda m: m.drop_templates(2), 'a list of .*received 2.'),
        (lambda m: m.duplicate_template(1, -1.), 'spread to be')):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        operation(model)
      self.assertEmpty(toy_models.changed(before, toy_models.values(model)))

  # Saving, freezing, drop-in layers

  def test_saving(self):
    model = toy_models.make_model(shared_half='first', seed=1)
    model.bank.trainable = False
    model.add_templates(1)
    model.duplicate_template(2)
    model.detach('a', 'norm')
    self.assertFalse(any(name.startswith('bank/') for name, v
                         in model.named_variables().items() if v.trainable))
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    loaded = keras.saving.load_model(path)
    self.assertEmpty(toy_models.changed(
        toy_models.values(model), toy_models.values(loaded)))
    self.assertAllEqual(toy_models.outputs(model)['a'],
                        toy_models.outputs(loaded)['a'])
    self.assertEqual(model.config, loaded.config)
    model.bank.trainable = True
    self.assertLen(model.bank.trainable_variables, len(model.bank.slots))

  def test_resize_errors(self):
    bank = toy_models.make_model().bank
    rows = {slot: bank.templates(slot).numpy() for slot in bank.slots}
    for wrong in ({**rows, 'other': np.ones(3)},
                  {**rows, 'expand/gamma': np.ones((3, 2))},
                  {**rows, 'expand/gamma': np.ones((4, 48))}):
      with self.assertRaisesRegex(ValueError, 'of one K for all slots'):
        bank.resize(wrong)


if __name__ == '__main__':
  tf.test.main()
