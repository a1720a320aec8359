"""What a task shares becomes its own, and nothing else changes (4.3)."""

import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import detaching
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import rearranging
from mixture_modules.testing import toy_models

_SITES = ('expand', 'depthwise', 'project', 'input', 'hidden', 'embedding')


def _affine(*sites):
  return {f'tasks/a/affine/{kind}/{site}' for kind in ('gamma', 'beta')
          for site in sites}


def _new(part, norm):
  """Names of the variables that `detach('a', part)` adds."""
  sites = {'norm': _SITES, 'input_adapter': ('input',),
           'output_adapter': ('hidden', 'embedding')}.get(part, ())
  names = {'input_adapter': {'tasks/a/input_adapter/kernel'},
           'output_adapter': {'tasks/a/output_adapter/1/kernel',
                              'tasks/a/output_adapter/2/kernel'},
           'head': {'heads/a/kernel', 'heads/a/bias'}}.get(part, set())
  return names | (_affine(*sites) if norm != 'private' else set())


class DetachingTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      *((part, norm) for part in detaching.PARTS
        for norm in (toy_models.NORMS if part not in ('mixture', 'head')
                     else ('mixed',))))
  def test_outputs_stay(self, part, norm):
    model = toy_models.make_model(
        norm=norm, shared_half='first', shared_head=True)
    model.add_task('c', 4, head='shared')
    before, outputs = toy_models.values(model), toy_models.outputs(model)
    model.detach('a', part)
    for task, expected in outputs.items():
      self.assertAllEqual(
          expected, model(toy_models.make_images(), task=task), task)
    after = toy_models.values(model)
    self.assertEqual(_new(part, norm), set(after) - set(before))
    before.pop('tasks/a/signature/logits')
    self.assertEmpty(toy_models.changed(before, after))
    self.assertCountEqual([id(v) for v in model.variables],
                          [id(v) for v in model.named_variables().values()])
    model.detach('a', part)
    self.assertEqual(set(after), set(model.named_variables()))

  @parameterized.parameters(*toy_models.NORMS)
  def test_all_parts(self, norm):
    model = toy_models.make_model(
        norm=norm, shared_half='second', shared_head=True)
    outputs = toy_models.outputs(model)
    for part in reversed(detaching.PARTS):
      model.detach('a', part)
    self.assertAllEqual(outputs['a'], toy_models.outputs(model)['a'])
    shared = toy_models.values(model)
    toy_models.descend(model, 'a', [
        v for n, v in model.named_variables().items()
        if n.startswith(('tasks/a/', 'heads/a/')) and v.trainable])
    moved = toy_models.changed(shared, toy_models.values(model))
    # beta of 'project' has no gradient: the next norm takes it away again.
    self.assertEqual(
        {n for n in shared if n.startswith(('tasks/a/', 'heads/a/'))}
        - _affine('project'), moved - _affine('project'))
    self.assertAllEqual(outputs['b'], toy_models.outputs(model)['b'])
    self.assertNotAllClose(outputs['a'], toy_models.outputs(model)['a'])

  def test_detached_norms_do_not_follow_the_signature(self):
    model = toy_models.make_model()
    model.detach('a', 'norm')
    xi = model.tasks['a'].signature.mixture_weights().numpy()
    theta = model.bank.templates('expand/gamma').numpy()
    self.assertAllClose(
        xi @ theta, model.tasks['a'].affine.gamma['expand'], 1e-5, 1e-5)

  @parameterized.parameters(
      ('mixed', 1), ('mixed', -1), ('private', 1), ('shared', -1))
  def test_saving(self, norm, order):
    model = toy_models.make_model(
        norm=norm, shared_half='first', shared_head=True, seed=1)
    for part in list(detaching.PARTS)[::order]:
      model.detach('a', part)
    model.detach('b', 'input_adapter')
    toy_models.randomize(model, 3)
    model.tasks['a'].input_adapter.trainable = False
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    loaded = keras.saving.load_model(path)
    self.assertEqual(model.get_config()['tasks'], loaded.get_config()['tasks'])
    self.assertFalse(loaded.tasks['a'].input_adapter.trainable)
    values = toy_models.values(model)
    self.assertEqual(list(values), list(toy_models.values(loaded)))
    self.assertEmpty(toy_models.changed(values, toy_models.values(loaded)))
    self.assertAllEqual(toy_models.outputs(model)['a'],
                        toy_models.outputs(loaded)['a'])

  def test_weights_need_the_same_parts(self):
    model, other = toy_models.make_model(), toy_models.make_model()
    model.detach('b', 'norm')
    path = os.path.join(self.get_temp_dir(), 'm.weights.h5')
    model.save_weights(path)
    with self.assertRaisesRegex(ValueError, "'b': 'b, norm'.*same parts"):
      other.load_weights(path)
    other.detach('b', 'norm')
    other.load_weights(path)
    self.assertAllEqual(toy_models.outputs(model)['b'],
                        toy_models.outputs(other)['b'])

  @parameterized.parameters(*toy_models.NORMS)
  def test_copies_of_a_task_have_its_parts(self, norm):
    model = toy_models.make_model(norm=norm, shared_half='first')
    for part in detaching.PARTS:
      model.detach('a', part)
    toy_models.randomize(model, 5)
    copy = model.add_task('c', 4, init='copy:a')
    for to, value in zip(copy.head.variables, model.tasks['a'].head.variables):
      to.assign(value)
    outputs = toy_models.outputs(model)
    self.assertAllEqual(outputs['a'], outputs['c'])
    self.assertNotAllClose(outputs['a'], outputs['b'])
    for own, other in zip(copy.variables, model.tasks['a'].variables):
      self.assertIsNot(own, other)

  def test_head_copies_have_names_of_their_own(self):
    model = toy_models.make_model({'a': 4})
    model.add_task('b', 4, head='a')
    model.detach('a', 'head')
    self.assertEqual({'a', "a'"}, set(model.heads))
    self.assertEqual(["a'", 'a'], [t.head_name for t in model.tasks.values()])
    model.detach('b', 'head')  # now the only one that has it
    self.assertEqual('a', model.tasks['b'].head_name)

  @parameterized.parameters('mixed', 'private')
  def test_report(self, norm):
    model = toy_models.make_model(norm=norm)
    before = model.parameter_report()
    self.assertNotIn('private_adapters', before)
    own = model.own_parameters('a')
    for part in ('norm', 'input_adapter', 'output_adapter'):
      model.detach('a', part)
    report = model.parameter_report()
    adapters = 4 * 4 * 3 * 8 + 8 * 8 + 8 * 16
    self.assertEqual(adapters, report['private_adapters'])
    norms = report['statistics'] if norm == 'mixed' else 0
    self.assertEqual(norms, report['private_norms'] - before['private_norms'])
    self.assertEqual(own + adapters + norms, model.own_parameters('a'))
    total = report.pop('total')
    del report['statistics']
    self.assertEqual(total, sum(report.values()))
    self.assertEqual(
        total, sum(v.numpy().size for v in model.trainable_variables))

  def test_rearranging_copies_detached_parts(self):
    model = toy_models.make_model(shared_half='first')
    for part in detaching.PARTS:
      model.detach('a', part)
    toy_models.randomize(model, 2)
    mixtures = {name: task.signature.mixture_weights().numpy()
                for name, task in model.tasks.items()}
    copy = rearranging.rearrange(model, [0, 1, 2], mixtures)
    for name, logits in toy_models.outputs(model).items():
      self.assertAllEqual(logits, toy_models.outputs(copy)[name])
    order = [2, 0, 0, 1]
    copy = rearranging.rearrange(
        model, order, {n: xi[order] for n, xi in mixtures.items()})
    self.assertAllEqual(
        model.tasks['a'].affine.gamma['expand'].numpy()[order],
        copy.tasks['a'].affine.gamma['expand'])

  def test_private_adapters_decay(self):
    model = toy_models.make_model(weight_decay=.01)
    before = len(model.losses)
    model.detach('a', 'output_adapter')
    self.assertLen(model.losses, before + 2)

  def test_predicts_anew_after_detaching(self):
    model = toy_models.make_model({'a': 4}, num_layers=1)
    model.compile(jit_compile=False)
    images = toy_models.make_images()
    model.predict(images, verbose=0)
    model.detach('a', 'input_adapter')
    model.tasks['a'].input_adapter.kernel.assign_add(
        np.ones((4, 4, 3, 8), 'float32'))
    self.assertAllClose(model(images), model.predict(images, verbose=0),
                        1e-4, 1e-4)

  def test_mixed_precision_and_replicas(self):
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
      model = isometric_model.IsometricModel(
          toy_models.make_config(shared_half='first'), {'a': 4},
          dtype='mixed_bfloat16')
    toy_models.randomize(model)
    outputs = toy_models.outputs(model)['a']
    for part in detaching.PARTS:
      model.detach('a', part)
    self.assertAllEqual(outputs, toy_models.outputs(model)['a'])
    for name, variable in model.named_variables().items():
      self.assertLen(
          strategy.experimental_local_results(variable.value), 2, name)

  def test_errors(self):
    model = toy_models.make_model({'a': 4})
    with self.assertRaisesRegex(ValueError, "one of .*'norm'.* received 'x'"):
      model.detach('a', 'x')
    with self.assertRaisesRegex(ValueError, "received task='b'"):
      model.detach('b', 'norm')


if __name__ == '__main__':
  tf.test.main()
