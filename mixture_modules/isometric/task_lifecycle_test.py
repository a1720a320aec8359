"""Tasks come, go and change their names; the others stay (section 4.3)."""

import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import fixed_sequences
from mixture_modules.testing import toy_models


class TaskLifecycleTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  # Coming

  @parameterized.parameters(
      *((norm, init) for norm in toy_models.NORMS
        for init in ('copy:a', {'a': 1, 'b': 3})),
      ('mixed', None), ('mixed', 'random'), ('private', 'uniform'),
      ('shared', 'diagonal'))
  def test_adding_a_task_leaves_older_outputs(self, norm, init):
    model = toy_models.make_model({'a': 4, 'b': 5}, norm=norm)
    model(toy_models.make_images(), task='a', training=True)
    outputs = toy_models.outputs(model)
    model.add_task('new', 6, init=init)
    after = toy_models.outputs(model)
    self.assertEqual((5, 6), after.pop('new').shape)
    for name, logits in outputs.items():
      self.assertAllEqual(logits, after[name])
    before = toy_models.values(model)
    toy_models.descend(model, 'new', model.trainable_variables)
    self.assertIn('tasks/new/signature/logits', toy_models.changed(
        before, toy_models.values(model)))

  def test_initial_signatures(self):
    model = toy_models.make_model()
    a, b = (model.task(t).signature.mixture_weights().numpy() for t in 'ab')

    def initial(init):
      task = model.add_task(f'task{len(model.tasks)}', 4, init=init)
      return task.signature.mixture_weights()

    self.assertAllClose(np.full((3, 3), 1 / 3), initial('uniform'))
    self.assertAllClose([.99] * 3, np.diag(initial('diagonal')))
    self.assertAllEqual(b, initial('copy:b'))
    self.assertAllClose(
        .25 * a + .75 * b, initial({'a': 1, 'b': 3}), 1e-5, 1e-5)
    self.assertNotAllClose(initial('random'), initial('random'))

  def test_fixed_signature_takes_no_initial_one(self):
    model = toy_models.make_model({'a': 4}, signature='sequential')
    for init, message in (('uniform', "fixed .sequential.*'uniform'"),
                          ({'a': 1}, 'fixed')):
      with self.assertRaisesRegex(ValueError, message):
        model.add_task('new', 2, init=init)
    self.assertNotIn('new', model.tasks)
    copied = model.add_task('new', 2, init='copy:a')
    self.assertEqual(copied.signature.sequence,
                     model.task('a').signature.sequence)

  @parameterized.parameters(*toy_models.NORMS)
  def test_copy_takes_norms_and_statistics_too(self, norm):
    model = toy_models.make_model(norm=norm)
    model.add_task('new', 4, init='copy:b')
    for to, value in zip(model.task('new').head.variables,
                         model.task('b').head.variables):
      to.assign(value)
    outputs = toy_models.outputs(model)
    self.assertAllEqual(outputs['b'], outputs['new'])
    self.assertNotAllClose(outputs['a'], outputs['new'])
    before = toy_models.values(model)
    toy_models.descend(model, 'new', model.trainable_variables)
    changed = toy_models.changed(before, toy_models.values(model))
    self.assertIn('tasks/new/signature/logits', changed)
    self.assertEmpty({n for n in changed if n.startswith('tasks/b/')})

  def test_copy_of_a_fixed_signature(self):
    model = toy_models.make_model(
        {'a': 4}, signature='random', num_layers=6, seed=4)
    model.add_task('new', 4, init='copy:a')
    for task in ('a', 'new'):
      self.assertEqual(
          fixed_sequences.make_sequence('random', 6, 3, seed=4),
          model.task(task).signature.sequence)

  def test_head_sharing(self):
    model = toy_models.make_model({'a': 4})
    model.add_task('b', 4, head='a')
    model.add_task('c', 4, head='new')
    model.add_task('d', 4, head='new')
    heads = [model.task(t).head for t in 'abcd']
    self.assertIs(heads[0], heads[1])
    self.assertIs(heads[2], heads[3])
    self.assertIsNot(heads[0], heads[2])
    self.assertEqual(['a', 'a', 'new', 'new'],
                     [model.task(t).head_name for t in 'abcd'])

  def test_add_task_errors_leave_the_model_alone(self):
    model = toy_models.make_model({'a': 4})
    model.add_task('b', 4, head='digits')
    before = set(model.named_variables())
    for message, options in (
        (r"task='x'", {'init': 'copy:x'}),
        (r"task='x'", {'init': {'x': 1}}),
        ("'copy:TASK' or .*zeros", {'init': 'zeros'}),
        ('init must be', {'init': 3}),
        ('none negative', {'init': {'a': 2, 'b': -1}}),
        ('needs a name', {'name': 5}),
        ('a name', {'name': ''}),
        ("a task 'a' already. Tasks: .'a', 'b'", {'name': 'a'}),
        ("Head 'a' has 4 classes, received a task of 5",
         {'head': 'a', 'num_classes': 5}),
        ('name of a head .*received 5', {'head': 5}),
        ("There is a head 'digits' already", {'name': 'digits'}),
        ("classes of task 'c' to be", {'num_classes': 0}),
        ("classes of task 'c' to be", {'num_classes': 2.})):
      with (self.subTest(**options),
            self.assertRaisesRegex(ValueError, message)):
        model.add_task(**{'name': 'c', 'num_classes': 4, **options})
      self.assertEqual(before, set(model.named_variables()))
      self.assertLen(model.variables, len(before))
      self.assertEqual(['a', 'b'], list(model.tasks))

  # Going, and other names

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

  def test_rename_errors(self):
    model = toy_models.make_model()
    model.add_task('c', 4, head='digits')
    before = model.get_config()['tasks']
    for old, new, message in (
        ('x', 'y', "received task='x'"), ('a', 'b', "a task 'b' already"),
        ('a', '', 'needs a name'),
        ('a', 'digits', "There is a head 'digits' already")):
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
