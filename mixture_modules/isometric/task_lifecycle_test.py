"""Tasks go and change their names; the others stay (section 4.3).

How they come is in isometric_test.py.
"""

import os

from absl.testing import parameterized
import keras
import tensorflow as tf

from mixture_modules.testing import toy_models


class TaskLifecycleTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(*toy_models.NORMS)
  def test_remove(self, norm):
    model = toy_models.make_model({'a': 4, 'b': 4, 'c': 5}, norm=norm)
    model.detach('b', 'input_adapter')
    outputs, before = toy_models.outputs(model), set(toy_models.values(model))
    model.remove_task('b')
    self.assertEqual(['a', 'c'], list(model.tasks))
    self.assertEqual(
        {n for n in before if not n.startswith(('tasks/b/', 'heads/b/'))},
        set(model.named_variables()))
    self.assertCountEqual([id(v) for v in model.variables],
                          [id(v) for v in model.named_variables().values()])
    for name, logits in toy_models.outputs(model).items():
      self.assertAllEqual(outputs[name], logits)
    model.add_task('b', 7)  # the name is free again
    self.assertEqual((5, 7), toy_models.outputs(model)['b'].shape)

  def test_list(self):
    model = toy_models.make_model({'a': 4, 'b': 7})
    xi = model.tasks['b'].signature.mixture_weights().numpy()
    listed = model.list_tasks()
    self.assertEqual(['a', 'b'], list(listed))
    embedding = model.config.adapter_filters[1]
    self.assertEqual({
        'classes': 7, 'head': 'b',
        'own_parameters': xi.size + 7 * embedding + 7,
        'signature': '-'.join(str(k + 1) for k in xi.argmax(-1))}, listed['b'])

  def test_a_shared_head_stays_with_the_last(self):
    model = toy_models.make_model(shared_head=True)
    model.remove_task('a')
    self.assertEqual(['shared'], list(model.heads))
    model.remove_task('b')
    self.assertEmpty(model.heads)
    self.assertEmpty(model.tasks)

  def test_seeds_stay_different(self):
    model = toy_models.make_model(seed=3)
    model.remove_task('a')
    model.add_task('c', 4)
    seeds = [task.signature.seed for task in model.tasks.values()]
    self.assertLen(set(seeds), 2)

  def test_rename(self):
    model = toy_models.make_model({'a': 4, 'b': 4, 'c': 4})
    outputs = toy_models.outputs(model)
    variables = model.named_variables()
    model.rename_task('b', 'new/name')
    self.assertEqual(['a', 'new/name', 'c'], list(model.tasks))
    self.assertEqual(['a', 'new/name', 'c'], list(model.heads))
    task = model.tasks['new/name']
    self.assertEqual(
        ('new/name', 'new/name'), (task.task_name, task.head_name))
    self.assertNotIn('/', task.name)
    renamed = {
        name.replace('tasks/b/', 'tasks/new/name/').replace(
            'heads/b/', 'heads/new/name/'): id(variable)
        for name, variable in variables.items()}
    self.assertEqual(renamed, {
        name: id(v) for name, v in model.named_variables().items()})
    self.assertLen(model.variables, len(variables))
    self.assertAllEqual(outputs['b'], toy_models.outputs(model)['new/name'])
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    loaded = keras.saving.load_model(path)
    self.assertAllEqual(outputs['b'], toy_models.outputs(loaded)['new/name'])

  def test_rename_leaves_shared_heads(self):
    model = toy_models.make_model({'a': 4})
    model.add_task('b', 4, head='a')
    model.rename_task('a', 'c')
    self.assertEqual(['a', 'a'], [t.head_name for t in model.tasks.values()])
    model.rename_task('c', 'c')
    self.assertEqual(['c', 'b'], list(model.tasks))

  @parameterized.named_parameters(
      ('unknown', 'x', 'y', "received task='x'"),
      ('taken', 'a', 'b', "a task 'b' already"),
      ('empty', 'a', '', 'needs a name'),
      ('head', 'a', 'digits', "There is a head 'digits' already"))
  def test_rename_errors(self, old, new, message):
    model = toy_models.make_model()
    model.add_task('c', 4, head='digits')
    before = model.get_config()['tasks']
    with self.assertRaisesRegex(ValueError, message):
      model.rename_task(old, new)
    self.assertEqual(before, model.get_config()['tasks'])

  def test_remove_errors(self):
    model = toy_models.make_model()
    for name in ('x', None):
      with self.assertRaisesRegex(ValueError, r"Expected one of .*'a', 'b'"):
        model.remove_task(name)


class ChangedSignatureTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('hardened', 'softmax', 'harden', ()),
      ('relaxed', '1-3-2', 'relax', ('linear',)))
  def test_one_task_of_two(self, kind, method, arguments):
    model = toy_models.make_model(signature=kind)
    before = toy_models.outputs(model)
    getattr(model.task('a').signature, method)(*arguments)
    after = toy_models.outputs(model)
    self.assertAllEqual(before['b'], after['b'])
    if method == 'relax':  # a linear one begins where it was
      self.assertAllClose(before['a'], after['a'], 1e-5, 1e-5)
    else:
      self.assertNotAllClose(before['a'], after['a'])
    model.add_task('c', 4, init='copy:a', head=model.task('a').head_name)
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    copy = keras.saving.load_model(path)
    for name in 'abc':
      changed = model.task(name).signature
      self.assertEqual(changed.kind, copy.task(name).signature.kind)
      self.assertEqual(name != 'b', changed.kind != kind)
    after = toy_models.outputs(model)
    self.assertAllEqual(after['a'], after['c'])
    self.assertAllClose(after, toy_models.outputs(copy), 0, 0)
    weights = os.path.join(self.get_temp_dir(), 'model.weights.h5')
    model.save_weights(weights)
    other = toy_models.make_model({'a': 4, 'b': 4, 'c': 4}, signature=kind)
    with self.assertRaisesRegex(ValueError, 'relax and harden the same'):
      other.load_weights(weights)
    # It grows with the others.
    model.duplicate_template(1)
    self.assertAllClose(after, toy_models.outputs(model), 1e-4, 1e-4)


if __name__ == '__main__':
  tf.test.main()
