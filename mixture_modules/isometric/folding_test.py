"""Tests of folding: a plain network that computes what a task computes."""

import importlib
import os
import sys
from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import folding
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model

_SMALL = {'depth_multiplier': 0.2, 'num_layers': 2, 'num_templates': 2,
          'image_size': 8, 'adapter_filters': (8, 16)}


def make_config(**changes):
  return isometric_config.IsometricConfig(**{**_SMALL, **changes})


def make_model(config, tasks=('one',), **arguments):
  """A model none of whose variables has a value that hides a fault."""
  model = isometric_model.IsometricModel(
      config, dict.fromkeys(tasks, 5), seed=0, **arguments)
  randomize(model)
  return model


def randomize(model, seed=0):
  """Moves gamma, beta, statistics and biases away from 0 and 1."""
  rng = np.random.default_rng(seed)
  for name, variable in model.named_variables().items():
    value, shape = np.asarray(variable), variable.shape
    if 'gamma' in name or 'statistics/variance' in name:
      # Small steps on the residual path: rounding stays small in deep ones.
      scale = 0.1 if name.split('/')[-2:] in (
          ['gamma', 'project'], ['project', 'gamma']) else 1
      variable.assign(scale * rng.uniform(0.4, 1.6, shape))
    elif not np.any(value) and value.dtype == 'float32':
      variable.assign(rng.normal(0, 0.3, shape))


def make_images(config, count=3):
  side = config.image_size
  return np.random.default_rng(1).uniform(
      -1, 1, (count, side, side, 3)).astype('float32')


class FoldingTest(parameterized.TestCase, tf.test.TestCase):

  def assertComputes(self, plain, model, task=None, tolerance=1e-5):
    self.assertOutputs(plain(make_images(model.config)), model, task, tolerance)

  def assertComputesAll(self, plain, model):
    outputs = plain(make_images(model.config))
    self.assertCountEqual(outputs, model.tasks)
    for task in model.tasks:
      self.assertOutputs(outputs[task], model, task)

  def assertOutputs(self, outputs, model, task, tolerance=1e-5):
    expected = np.asarray(model(make_images(model.config), task=task))
    outputs, largest = np.asarray(outputs), np.abs(expected).max()
    self.assertEqual(outputs.dtype, np.float32)
    self.assertGreater(expected.std(0).max(), 1e-2 * largest)
    self.assertAllClose(
        outputs, expected, rtol=0, atol=tolerance * largest)

  @parameterized.parameters(*isometric_config.PRESETS)
  def test_presets(self, name):
    config = isometric_config.IsometricConfig.preset(name)
    config = config.replace(image_size=2 * config.patch_size)
    if name != 'digits':  # its 16 layers stand for all deep ones
      config = config.replace(num_layers=2, num_templates=2)
    model = make_model(config)
    self.assertComputes(folding.fold(model), model)

  @parameterized.parameters(*isometric_config.NORMS)
  def test_norms(self, norm):
    model = make_model(make_config(norm=norm))
    self.assertComputes(folding.fold(model), model)

  @parameterized.parameters('tanh', 'linear', '2-1')
  def test_signatures(self, signature):
    model = make_model(make_config(signature=signature))
    self.assertComputes(folding.fold(model), model)

  @parameterized.parameters(
      {'shared_half': 'first'}, {'shared_half': 'second'},
      {'original_input': True}, {'activation': 'relu'},
      {'norm_epsilon': 0.1, 'temperature': 0.5})
  def test_other_choices(self, **changes):
    model = make_model(make_config(**changes), ('one', 'two'))
    self.assertComputesAll(folding.fold(model, list(model.tasks)), model)

  @parameterized.parameters(*isometric_config.NORMS)
  def test_detached(self, norm):
    parts = ('norm', 'input_adapter', 'output_adapter', 'mixture', 'head')
    model = make_model(
        make_config(norm=norm, use_se=False, shared_half='first'),
        ('shared', *parts), shared_head=True)
    for task in parts:
      model.detach(task, task)
    randomize(model, 2)
    for number, (name, variable) in enumerate(model.named_variables().items()):
      if name.startswith('tasks/') and variable.trainable:
        variable.assign(variable * (1 + number / 100))
    self.assertComputesAll(folding.fold(model, list(model.tasks)), model)

  def test_layers_are_plain(self):
    model = make_model(make_config(original_input=True))
    plain = folding.fold(model, rescale=True)
    for layer in plain.layers:
      self.assertStartsWith(type(layer).__module__, 'keras.')
    kinds = {type(layer) for layer in plain.layers}
    self.assertNoCommonElements(
        kinds, {keras.layers.BatchNormalization, keras.layers.Dropout})
    # 2 convolutions and 1 depthwise a layer, 2 of the adapters; 2 of a gate,
    # 1 of the output adapter, the head.
    count = {kind: sum(isinstance(layer, kind) for layer in plain.layers)
             for kind in kinds}
    self.assertEqual(count[keras.layers.Conv2D]
                     + count[keras.layers.DepthwiseConv2D], 3 * 2 + 2)
    self.assertEqual(count[keras.layers.Dense], 2 * 2 + 2)
    self.assertEqual(plain.name, 'one')
    self.assertIn('layer_2_project', [layer.name for layer in plain.layers])

  def test_parameters(self):
    """A norm is a bias: mean, variance and gamma are gone."""
    model = make_model(make_config(use_se=False))
    c, e, (c1, c2) = 8, 48, (8, 16)
    plain = folding.fold(model)
    self.assertEqual(plain.count_params(), (
        3 * 16 * c + c + 2 * (c * e + e + 9 * e + e + e * c + c)
        + c * c1 + c1 + c1 * c2 + c2 + c2 * 5 + 5))

  def test_follows_no_training(self):
    model = make_model(make_config())
    plain = folding.fold(model)
    images = make_images(model.config)
    before = np.asarray(plain(images))
    model(images, training=True)
    for variable in model.trainable_variables:
      variable.assign(variable + 1)
    self.assertAllEqual(plain(images), before)

  def test_mixed_precision_is_folded_to_float32(self):
    model = make_model(make_config(), dtype='mixed_bfloat16')
    exact = make_model(make_config())
    for name, variable in exact.named_variables().items():
      variable.assign(model.named_variables()[name])
    plain = folding.fold(model)
    self.assertEqual(plain.dtype, 'float32')
    self.assertComputes(plain, exact)
    self.assertComputes(plain, model, tolerance=0.1)

  def test_global_policy_does_not_matter(self):
    model = make_model(make_config())
    before = keras.config.dtype_policy()
    self.addCleanup(keras.config.set_dtype_policy, before)
    keras.config.set_dtype_policy('mixed_bfloat16')
    self.assertComputes(folding.fold(model, rescale=False), model)

  def test_rescale_and_probabilities(self):
    model = make_model(make_config())
    plain = folding.fold(model, rescale=True, probabilities=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), 'uint8')
    self.assertEqual(plain.inputs[0].dtype, 'uint8')
    expected = tf.nn.softmax(model(images.astype('float32') / 127.5 - 1))
    for outputs in (plain(images), plain.predict(images, verbose=0)):
      self.assertAllClose(outputs, expected, rtol=1e-4)

  def test_image_size(self):
    model = make_model(make_config())
    plain = folding.fold(model, image_size=12)
    images = np.ones((2, 12, 12, 3), 'float32')
    self.assertAllClose(plain(images), model(images), atol=1e-4)
    with self.assertRaisesRegex(ValueError, 'multiples of patch_size=4'):
      folding.fold(model, image_size=10)

  def test_idempotent(self):
    model = make_model(make_config(), ('a', 'b+c'))
    for plain, task in ((folding.fold(model, 'b+c'), 'b+c'),
                        (folding.fold(model, ['a', 'b+c']), ['b+c', 'a'])):
      self.assertIs(folding.fold(plain), plain)
      self.assertIs(folding.fold(plain, task), plain)
      for arguments in ({'task': 'a'}, {'task': ['a']}, {'rescale': True},
                        {'probabilities': True}, {'image_size': 12}):
        with self.assertRaisesRegex(ValueError, 'folded already'):
          folding.fold(plain, **arguments)
    plain = folding.fold(model, 'a', rescale=True, probabilities=True)
    self.assertIs(folding.fold(plain, 'a', True, True, 8), plain)

  def test_errors(self):
    model = make_model(make_config(), ('a', 'b'))
    for task in (None, 'c', ['a', 'c']):
      with self.assertRaisesRegex(ValueError, 'Expected one of the tasks'):
        folding.fold(model, task)
    for task in ([], ['a', 'a']):
      with self.assertRaisesRegex(ValueError, 'a list of different ones'):
        folding.fold(model, task)
    with self.assertRaisesRegex(ValueError, 'a functional or Sequential'):
      folding.fold(model.bank)
    with self.assertRaisesRegex(ValueError, 'a built model'):
      folding.fold(keras.Sequential([keras.layers.Dense(1)]))
    inputs = keras.Input((4,))
    other = keras.Model(inputs, keras.layers.Dropout(.1)(inputs))
    with self.assertRaisesRegex(ValueError, 'no task, .*leave them out'):
      folding.fold(other, rescale=True)
    with self.assertRaisesRegex(ValueError, 'merge_norms of an Isometric'):
      folding.fold(model, 'a', merge_norms=False)

  def test_view(self):
    model = make_model(make_config(), ('a', 'b'))
    self.assertComputes(folding.fold(model.view('b')), model, 'b')

  def test_several_tasks(self):
    model = make_model(make_config(), ('a', 'b+c'))
    plain = folding.fold(model, ['b+c', 'a'])
    self.assertComputesAll(plain, model)
    self.assertComputes(
        keras.Model(plain.input, plain.output['b+c']), model, 'b+c')

  def test_what_is_equal_is_shared(self):
    model = make_model(make_config())
    alone = folding.fold(model).count_params()
    model.add_task('head', 5, init='copy:one')
    head = model.task('head').head
    head.kernel.assign(head.kernel + 1)
    plain = folding.fold(model, ['one', 'head'])
    self.assertEqual(plain.count_params(), alone + 16 * 5 + 5)
    self.assertLen([layer for layer in plain.layers if isinstance(
        layer, keras.layers.Conv2D)], 2 * 2 + 2)
    # From the first difference on, only the head's weights are shared.
    mean = model.task('head').statistics.mean['project']
    mean.assign(mean + np.eye(2, 8))
    model.task('one').head.kernel.assign(head.kernel)
    model.task('one').head.bias.assign(head.bias)
    plain = folding.fold(model, ['one', 'head'])
    names = [layer.name for layer in plain.layers]
    self.assertIn('one_layer_1_depthwise', names)
    self.assertIn('head_layer_1_project', names)
    self.assertNotIn('head_layer_1_depthwise', names)
    self.assertIn('one_logits', names)
    self.assertNotIn('head_logits', names)
    self.assertComputesAll(plain, model)

  def test_gates_of_one_template_are_shared(self):
    model = make_model(make_config(num_layers=4, signature='1-2-2-1'))
    plain = folding.fold(model)
    self.assertLen([layer for layer in plain.layers if isinstance(
        layer, keras.layers.Dense)], 2 * 2 + 2)
    self.assertComputes(plain, model)

  def test_inference_function(self):
    model = make_model(make_config())
    plain = folding.fold(model)
    infer = folding.inference_function(plain)
    images = make_images(model.config)
    expected = np.asarray(plain(images))
    plain.layers[-1].set_weights(
        [2 * weight for weight in plain.layers[-1].get_weights()])
    for count in (1, 3):
      self.assertAllClose(infer(images[:count]), expected[:count], rtol=1e-5)

  def test_loads_without_this_package(self):
    model = make_model(make_config(original_input=True))
    plain = folding.fold(model)
    path = os.path.join(self.get_temp_dir(), 'plain.keras')
    plain.save(path)
    ours = {name: None for name in sys.modules
            if name.partition('.')[0] == 'mixture_modules'}
    with (mock.patch.dict(sys.modules, ours),
          mock.patch.dict(keras.saving.get_custom_objects(), clear=True)):
      with self.assertRaises(ImportError):
        importlib.import_module(folding.__name__)
      loaded = keras.saving.load_model(path)
    self.assertComputes(loaded, model)
    self.assertIs(folding.fold(plain), plain)


if __name__ == '__main__':
  tf.test.main()
