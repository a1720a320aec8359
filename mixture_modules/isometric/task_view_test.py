"""A view of one task has what the task uses, and nothing of others."""

import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import bank_sharing
from mixture_modules.testing import toy_models

_IMAGES = toy_models.make_images()


class TaskViewTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters('mixed', 'private', 'shared')
  def test_has_what_the_task_uses(self, norm):
    model = toy_models.make_model(norm=norm)
    view = model.view('b')
    self.assertAllEqual(model(_IMAGES, task='b'), view(_IMAGES))
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(view(_IMAGES, training=True) ** 2)
    gradients = tape.gradient(
        loss, [v.value for v in view.trainable_variables])
    self.assertNotIn(None, gradients)
    named = model.named_variables()
    others = {id(v) for name, v in named.items()
              if name.startswith(('tasks/a', 'heads/a'))}
    self.assertCountEqual(
        [name for name, v in named.items() if id(v) not in others],
        [name for name, v in named.items()
         if id(v) in {id(own) for own in view.variables}])
    self.assertLen(view.variables, len(named) - len(others))

  @parameterized.parameters('norm', 'input_adapter', 'output_adapter')
  def test_has_nothing_that_the_task_has_detached(self, part):
    model = toy_models.make_model()
    before = model.view('b')
    model.detach('b', part)
    view = model.view('b')
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(view(_IMAGES, training=True) ** 2)
    self.assertNotIn(None, tape.gradient(
        loss, [v.value for v in view.trainable_variables]))
    with self.assertRaisesRegex(ValueError, "task 'b' .*make the view again"):
      before(_IMAGES)

  def test_fit_leaves_other_tasks_alone(self):
    model = toy_models.make_model()
    before = toy_models.values(model)
    view = model.view('b')
    view.compile(keras.optimizers.AdamW(.1, weight_decay=.1),
                 keras.losses.SparseCategoricalCrossentropy(True))
    view.fit(toy_models.make_images(4), np.arange(4), batch_size=2, verbose=0)
    self.assertEqual(
        {name for name in before
         if not name.startswith(('tasks/a', 'heads/a', 'dropout'))},
        toy_models.changed(before, toy_models.values(model)))

  def test_frozen_view_moves_no_statistics(self):
    model = toy_models.make_model()
    view = model.view('b')
    view.trainable = False
    self.assertEmpty(view.trainable_variables)
    self.assertAllEqual(view(_IMAGES), view(_IMAGES, training=True))

  def test_view_thaws_no_frozen_bank(self):
    model = toy_models.make_model()
    model.bank.trainable = False
    view = model.view('b')
    view.trainable = False
    view.trainable = True
    self.assertEmpty(model.bank.trainable_variables)
    model.bank.trainable = True
    self.assertLen(model.bank.trainable_variables, len(model.bank.slots))

  def test_saved_view_has_one_task(self):
    model = toy_models.make_model({'a': 4, 'b': 4, 'bc': 4})
    for name in ('a', 'bc'):
      model.task(name).head.trainable = False
    model.task('b').signature.trainable = False
    view = model.view('b')
    path = os.path.join(self.get_temp_dir(), 'view.keras')
    view.save(path)
    loaded = keras.saving.load_model(path)
    self.assertAllEqual(view(_IMAGES), loaded(_IMAGES))
    self.assertLen(loaded.variables, len(view.variables))
    self.assertLen(loaded.trainable_variables, len(view.trainable_variables))
    self.assertEqual(view.count_params(), loaded.count_params())

  @parameterized.parameters('saved', 'copied')
  def test_two_views_in_one_model(self, how):
    model = toy_models.make_model({'a': 4, 'b': 4, 'c': 2})
    images = keras.Input((8, 8, 3))
    views = model.view('a'), model.view('b')
    both = keras.Model(images, [view(images) for view in views])
    views[0].trainable = False
    if how == 'saved':
      path = os.path.join(self.get_temp_dir(), 'both.keras')
      both.save(path)
      twin = keras.saving.load_model(path)
    else:
      twin = bank_sharing.copy_model(both)
    self.assertAllEqual(both(_IMAGES)[0], twin(_IMAGES)[0])
    self.assertAllEqual(both(_IMAGES)[1], twin(_IMAGES)[1])
    self.assertLen(twin.variables, len(both.variables))
    self.assertLen(twin.trainable_variables, len(both.trainable_variables))
    self.assertLen(both.trainable_variables, 3)  # signature and head of b

  def test_export(self):
    view = toy_models.make_model().view('b')
    path = os.path.join(self.get_temp_dir(), 'exported')
    view.export(path, verbose=False)
    loaded = tf.saved_model.load(path)
    self.assertAllClose(view(_IMAGES), loaded.serve(_IMAGES), 1e-5, 1e-5)

  def test_model_around_one_of_several_tasks_is_exported(self):
    model = toy_models.make_model()
    images = keras.Input((8, 8, 3))
    around = keras.Model(images, model(images, task='b'))
    path = os.path.join(self.get_temp_dir(), 'exported')
    for export in (lambda: around.export(path, verbose=False),
                   lambda: tf.saved_model.save(around, path)):
      export()
      loaded = tf.saved_model.load(path)
      served = loaded.signatures['serving_default'](
          tf.constant(_IMAGES))
      self.assertAllClose(
          around(_IMAGES), list(served.values())[0], 1e-5, 1e-5)
      tf.io.gfile.rmtree(path)

  def test_unknown_task_is_refused(self):
    with self.assertRaisesRegex(ValueError, "one of the tasks .'a', 'b'."):
      toy_models.make_model().view('c')


if __name__ == '__main__':
  tf.test.main()
