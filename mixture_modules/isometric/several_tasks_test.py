"""Several tasks in Keras' compile, fit, evaluate and predict (section 4.3)."""

import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.testing import toy_models

_TASKS = {'a': 4, 'b/2': 3, 'c': 2}
_NAMES = tuple(_TASKS)
_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_data(names=_NAMES, count=4):
  """({task: images}, {task: labels}); another seed for each task."""
  images = {name: toy_models.make_images(count, 7 * i)
            for i, name in enumerate(names)}
  labels = {name: np.arange(count) % _TASKS[name] for name in names}
  return images, labels


def cross_entropies(model, images, labels):
  """{task: [loss of each image]}, in NumPy."""
  losses = {}
  for name, each in images.items():
    shares = np.exp(model(each, task=name).numpy().astype('float64'))
    shares /= shares.sum(-1, keepdims=True)
    losses[name] = -np.log(shares[np.arange(len(shares)), labels[name]])
  return losses


class SeveralTasksTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    keras.utils.set_random_seed(0)
    cls.model = toy_models.make_model(
        _TASKS, num_layers=1, weight_decay=.01)
    cls.images, cls.labels = make_data()

  def setUp(self):
    super().setUp()
    toy_models.randomize(self.model)

  def compile(self, optimizer='sgd', loss=_LOSS, run_eagerly=True, **kwargs):
    self.model.compile(optimizer, loss, run_eagerly=run_eagerly, **kwargs)

  def test_evaluates_and_predicts_all_or_some(self):
    weights = {'b/2': 3.0}
    self.compile(loss_weights=weights, metrics=[
        'accuracy', keras.metrics.SparseTopKCategoricalAccuracy(2, 'top2')])
    outputs = self.model.predict(self.images, verbose=0)
    losses = cross_entropies(self.model, self.images, self.labels)
    decay = float(sum(self.model.losses))
    for names in _NAMES, ('a', 'c'), ('b/2',):
      images, labels = make_data()
      images = {name: images[name] for name in names}
      labels = {name: labels[name] for name in names}
      results = self.model.evaluate(
          images, labels, batch_size=2, verbose=0, return_dict=True)
      expected = {'loss': decay}
      for name in names:
        right = outputs[name].argmax(-1) == labels[name]
        best = np.argsort(outputs[name])[:, -2:] == labels[name][:, None]
        expected['loss'] += weights.get(name, 1) * losses[name].mean()
        expected[f'{name}_accuracy'] = right.mean()
        expected[f'{name}_top2'] = best.any(-1).mean()
        if len(names) > 1:
          expected[f'{name}_loss'] = losses[name].mean()
      self.assertEqual(set(expected), set(results))
      for key, value in expected.items():
        self.assertAllClose(value, results[key], 1e-4, 1e-5, msg=key)
    for name in _NAMES:
      self.assertAllClose(self.model(self.images[name], task=name),
                          outputs[name], 1e-5, 1e-5)
    some = self.model.predict({'c': self.images['c'][:1]}, verbose=0)
    self.assertEqual(['c'], list(some))
    self.assertAllClose(outputs['c'][:1], some['c'], 1e-5, 1e-5)
    # Templates that have changed since are seen.
    self.model.task('c').head.bias.assign_add([9., -9.])
    results = self.model.evaluate(
        {'c': self.images['c']}, {'c': self.labels['c']}, verbose=0,
        return_dict=True)
    self.assertEqual(0.5, results['c_accuracy'])

  def test_weights_of_images(self):
    self.compile()
    losses = cross_entropies(self.model, self.images, self.labels)
    weights = {'a': np.float32([1, 0, 0, 0]), 'b/2': np.zeros(4, 'float32'),
               'c': np.ones(4, 'float32')}
    loss = self.model.evaluate(self.images, self.labels, sample_weight=weights,
                               verbose=0, return_dict=True)['loss']
    expected = losses['a'][0] / 4 + losses['c'].mean()
    self.assertAllClose(expected + float(sum(self.model.losses)), loss, 1e-4)

  def test_a_step_is_one_of_the_sum(self):
    names = ('a', 'b/2')
    images, labels = make_data(names)
    before = toy_models.values(self.model)
    with tf.GradientTape() as tape:
      loss = sum(
          weight * _LOSS(labels[name],
                         self.model(images[name], task=name, training=True))
          for name, weight in zip(names, (2.0, 1.0)))
      loss += sum(self.model.losses)
    variables = self.model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    expected = [v.numpy() if g is None else v.numpy() - .1 * g
                for v, g in zip(variables, gradients)]
    statistics = toy_models.values(self.model)
    toy_models.randomize(self.model)
    self.compile(keras.optimizers.SGD(.1), {name: _LOSS for name in names},
                 loss_weights={'a': 2.0}, run_eagerly=False)
    self.model.fit(images, labels, verbose=0)
    for variable, value in zip(variables, expected):
      self.assertAllClose(value, variable, 1e-4, 1e-5, msg=variable.path)
    after = toy_models.values(self.model)
    for name in statistics:
      if '/statistics/' in name:
        self.assertAllClose(statistics[name], after[name], 1e-5, 1e-5)
    self.assertContainsSubset(
        {'tasks/a/signature/logits', 'heads/b/2/kernel', 'bank/expand/kernel'},
        toy_models.changed(before, after))

  def test_some_tasks_leave_the_others_alone(self):
    self.compile(keras.optimizers.AdamW(.01, weight_decay=.1),
                 {'a': _LOSS, 'b/2': _LOSS}, metrics={'a': ['accuracy']})
    before = toy_models.values(self.model)
    images, labels = make_data(('a', 'b/2'))
    # Of unequal length, one begins again: the longer one has two batches.
    longer = tf.data.Dataset.from_tensor_slices((images['a'], labels['a']))
    shorter = tf.data.Dataset.from_tensor_slices(
        (images['b/2'][:3], labels['b/2'][:3]))
    data = tf.data.Dataset.zip({
        'a': longer.repeat().batch(2), 'b/2': shorter.repeat().batch(2)})
    data = data.map(lambda pairs: (
        {name: x for name, (x, _) in pairs.items()},
        {name: y for name, (_, y) in pairs.items()}))
    history = self.model.fit(
        data, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0,
        validation_data=({'a': images['a']}, {'a': labels['a']})).history
    self.assertEqual(
        {'loss', 'a_loss', 'b/2_loss', 'a_accuracy', 'val_loss',
         'val_a_accuracy'}, set(history))
    changed = toy_models.changed(before, toy_models.values(self.model))
    self.assertNotEmpty(changed)
    self.assertEmpty([
        name for name in changed if name.startswith(('tasks/c/', 'heads/c/'))])
    trained = self.model.trainable_variables
    self.assertNotIn(self.model.task('c').head.kernel.path,
                     [v.path for v in trained])
    self.assertLen(self.model.variables,
                   len(trained) + len(self.model.non_trainable_variables))
    # A copy is compiled as the model is.
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    self.model.save(path)
    copy = keras.saving.load_model(path)
    self.assertAllClose(
        self.model.evaluate(images, labels, verbose=0, return_dict=True),
        copy.evaluate(images, labels, verbose=0, return_dict=True))
    self.assertLen(copy.trainable_variables, len(trained))
    # Compiled anew, without metrics, all are trained.
    self.compile()
    self.assertGreater(len(self.model.trainable_variables), len(trained))
    results = self.model.evaluate(
        self.images, self.labels, verbose=0, return_dict=True)
    self.assertEqual({'loss', *(f'{name}_loss' for name in _NAMES)},
                     set(results))

  @parameterized.named_parameters(
      ('unknown', {'loss': {'d': 'mse'}}, r"there are \['a', .*\['d'\]: name"),
      ('none', {'loss': {'a': None}}, 'for one task or more, received none'),
      ('metrics', {'loss': {'a': 'mse'}, 'metrics': {'c': ['mae']}},
       r"metrics by task, of which with a loss \['a'\], received \['c'\]"),
      ('weights', {'loss': {'a': 'mse'}, 'loss_weights': {'c': 1}},
       r"loss_weights .*received \['c'\]"))
  def test_compile_rejects(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      self.model.compile('sgd', **arguments)

  @parameterized.named_parameters(
      ('more', _NAMES, _NAMES, "compiled for, .*of .*'c'.*: give each a loss"),
      ('fewer', ('a',), ('a',), r"all tasks \['a', 'b/2'\].*these alone"),
      ('no_labels', ('a', 'b/2'), ('a',), r"labels .* those of \['a'\]: give"),
      ('plain_labels', ('a', 'b/2'), None, 'labels .*received ndarray'),
      ('plain', None, None, 'images as a dictionary .*received ndarray: give'))
  def test_fit_rejects(self, image_names, label_names, message):
    self.compile(loss={'a': _LOSS, 'b/2': _LOSS})
    images, labels = make_data()
    def some(values, names):
      return values['a'] if names is None else {n: values[n] for n in names}
    images, labels = some(images, image_names), some(labels, label_names)
    data = tf.data.Dataset.from_tensors((images, labels))
    with self.assertRaisesRegex(ValueError, message):
      self.model.fit(images, labels)
    if message.endswith('ndarray'):
      message = message.replace('ndarray', 'TensorSpec')
    if image_names:  # what Keras hears of in the first step alone
      with self.assertRaisesRegex(ValueError, message):
        self.model.fit(data, shuffle=False)
      with self.assertRaisesRegex(ValueError, 'images of|labels as'):
        self.model.fit((x for x in [(images, labels)]), steps_per_epoch=1,
                       shuffle=False)

  def test_rejects_weights_and_validation(self):
    self.compile(loss={'a': _LOSS})
    images, labels = make_data(('a',))
    with self.assertRaisesRegex(ValueError, r'sample_weight .* \[\]: give'):
      self.model.fit(images, labels, sample_weight={})
    with self.assertRaisesRegex(ValueError, "'b/2'.*give each a loss"):
      self.model.fit(images, labels, validation_data=make_data(('b/2',)))
    with self.assertRaisesRegex(ValueError, r'beside one of \[.a.\]: leave'):
      self.model(images, task='a')
    with self.assertRaisesRegex(ValueError, 'give fit a dictionary'):
      self.model(images['a'])

  def test_tasks_that_come_and_go(self):
    model = toy_models.make_model({'a': 4}, num_layers=1)
    images, labels = make_data(('a',))
    model.compile('sgd', _LOSS, metrics=['accuracy'], run_eagerly=True)
    plain = model.evaluate(
        images['a'], labels['a'], verbose=0, return_dict=True)
    model.compile('sgd', {'a': _LOSS}, metrics=['accuracy'],
                  run_eagerly=True)
    named = model.evaluate(images, labels, verbose=0, return_dict=True)
    self.assertAllClose(
        {'loss': plain['loss'], 'a_accuracy': plain['accuracy']}, named)
    model.add_task('b', 4)
    self.assertAllClose(
        named, model.evaluate(images, labels, verbose=0, return_dict=True))
    model.rename_task('a', 'c')
    with self.assertRaisesRegex(ValueError, r"for \['a'\]: compile it again"):
      model.evaluate(images, labels)


if __name__ == '__main__':
  tf.test.main()
