"""Nothing outside a tune scope moves, bit for bit (section 4.3)."""

from absl.testing import parameterized
import tensorflow as tf

from mixture_modules.isometric import parameters
from mixture_modules.isometric import tune_scopes
from mixture_modules.testing import toy_models


def _is_statistic(name):
  return name.startswith(('tasks/a/statistics/', 'tasks/a/num_updates'))


class TuneScopesTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(*(
      (scope, norm) for scope in tune_scopes.SCOPES
      for norm in (toy_models.NORMS if scope not in ('mixture', 'head')
                   else ('mixed',))))
  def test_nothing_else_moves(self, scope, norm):
    model = toy_models.make_model(
        norm=norm, shared_half='first', shared_head=True, num_layers=2)
    before, outputs = toy_models.values(model), toy_models.outputs(model)
    tuned = tune_scopes.tuned_variables(model, 'a', scope)
    detached = toy_models.values(model)
    # Detaching changed nothing.
    self.assertEmpty(toy_models.changed(before, detached))
    self.assertAllEqual(outputs['a'], toy_models.outputs(model)['a'])
    gradients = toy_models.descend(model, 'a', tuned.values())
    self.assertNotIn(None, gradients)  # the task computes with all of it
    moved = {n for n in toy_models.changed(detached, toy_models.values(model))
             if not _is_statistic(n)}
    # beta of 'project' has no gradient: the next norm takes it away again.
    idle = {name for name in tuned
            if name.endswith(('beta/project', 'project/beta'))}
    self.assertContainsSubset(moved, set(tuned))
    self.assertEqual(set(tuned) - idle, moved - idle)
    after = toy_models.outputs(model)
    self.assertNotAllClose(outputs['a'], after['a'])
    if scope in tune_scopes.MOVES_OTHERS:
      self.assertNotAllClose(outputs['b'], after['b'])
    else:
      self.assertAllEqual(outputs['b'], after['b'])

  @parameterized.parameters(*toy_models.NORMS)
  def test_scopes_together(self, norm):
    model = toy_models.make_model(norm=norm)
    scopes = ['norm', 'head', 'mixture', 'input_adapter', 'output_adapter']
    tuned = tune_scopes.tuned_variables(model, 'a', scopes)
    own = parameters.task_variables(model, 'a')
    trained = {name for name in own
               if not name.startswith(('statistics/', 'num_updates'))}
    self.assertCountEqual(
        [id(own[name]) for name in trained], [id(v) for v in tuned.values()])
    named = model.named_variables()
    self.assertEqual([n for n in named if n in tuned], list(tuned))
    for name, variable in tuned.items():
      self.assertIs(variable, named[name])

  def test_templates_leave_out_what_the_task_has_itself(self):
    model = toy_models.make_model()
    slots = {f'bank/{slot}' for slot in model.bank.slots}
    self.assertEqual(
        slots, set(tune_scopes.tuned_variables(model, 'a', 'templates')))
    tuned = tune_scopes.tuned_variables(model, 'a', ('norm', 'templates'))
    self.assertEqual({'bank/expand/kernel', 'bank/depthwise/kernel',
                      'bank/project/kernel'},
                     {name for name in tuned if name.startswith('bank/')})

  def test_all_leaves_out_what_the_task_has_itself(self):
    model = toy_models.make_model(norm='shared', shared_half='second')
    everything = set(tune_scopes.tuned_variables(model, 'a', 'all'))
    self.assertEqual(
        {name for name, v in model.named_variables().items() if v.trainable
         and not name.startswith(('tasks/b/', 'heads/b/'))}, everything)
    model.detach('a', 'mixture')
    tuned = tune_scopes.tuned_variables(model, 'a', ['all', 'input_adapter'])
    self.assertEqual(
        {'tasks/a/input_adapter/kernel', 'tasks/a/affine/gamma/input',
         'tasks/a/affine/beta/input'}, set(tuned) - everything)
    self.assertEqual(
        {'input_adapter/kernel', 'affine/gamma/input', 'affine/beta/input',
         'shared_signature/logits'}, everything - set(tuned))

  def test_fixed_signature(self):
    model = toy_models.make_model(signature='cyclic')
    before = list(model.named_variables())
    with self.assertRaisesRegex(ValueError, "fixed 'cyclic': leave"):
      tune_scopes.tuned_variables(model, 'a', ['norm', 'mixture'])
    self.assertEqual(before, list(model.named_variables()))
    self.assertNotEmpty(tune_scopes.tuned_variables(model, 'a', 'all'))

  @parameterized.named_parameters(
      ('unknown', 'a', ['norm', 'bank'], r"of templates, .* \['bank'\]"),
      ('none', 'a', [], 'received none'), ('task', 'x', 'norm', "task='x'"))
  def test_errors(self, task, scopes, message):
    model = toy_models.make_model()
    with self.assertRaisesRegex(ValueError, message):
      tune_scopes.tuned_variables(model, task, scopes)


if __name__ == '__main__':
  tf.test.main()
