"""Rearranged copies against the same layers called in another order."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import normalization
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import layer_edits
from mixture_modules.isometric import rearranging
from mixture_modules.isometric import task_norms

_TASKS = {'a': 4, 'expand': 5}  # the second is called like a norm's site
_IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype('float32')


def make_model(**changes):
  """A tiny network, no two of whose values are equal."""
  config = isometric_config.IsometricConfig(**{
      'depth_multiplier': .2, 'num_layers': 3, 'num_templates': 3,
      'image_size': 8, 'adapter_filters': (8, 16), 'use_se': False, **changes})
  model = isometric_model.IsometricModel(config, _TASKS)
  rng = np.random.default_rng(1)
  for key, variable in model.named_variables().items():
    if '/variance/' in key:
      variable.assign(rng.uniform(.5, 2, variable.shape))
    elif key != 'dropout_seeds':
      variable.assign(rng.normal(size=variable.shape) * .5)
  return model


def edited(model, edit, into=None):
  """(layers, mixtures of each task, the rearranged copy)."""
  mixtures = {}
  for name, task in model.tasks.items():
    layers, mixtures[name] = layer_edits.apply(
        edit, task.signature.mixture_weights())
  return layers, mixtures, rearranging.rearrange(model, layers, mixtures, into)


def direct_logits(model, name, layers, mixtures):
  """Layers of `model`, called in another order with mixtures of their own."""
  task = model.task(name)
  templates = {slot: model.bank.templates(slot) for slot in model.bank.slots}
  x = model.input_adapter(_IMAGES)
  norms = task_norms.Norms(
      model, task, model.bank.resolve(task.signature), training=False)
  x = original = model.activation(norms(x, 'input'))
  for layer, xi in zip(layers, mixtures):
    row = {slot: np.tensordot(xi, theta, 1)
           for slot, theta in templates.items()}
    own = task_norms.Norms(
        model, task, [row] * model.config.num_layers, training=False)
    parameters = own.of_layer(layer)

    def norm(x, site, parameters=parameters):
      return normalization.batch_norm(
          x, *parameters[site], model.config.norm_epsilon, training=False)[0]

    x = model.block(
        x, row=row, norm=norm,
        original=original if model.config.original_input else None)
  first, second = model.output_adapter
  x = model.activation(norms(first(x), 'hidden'))
  x = keras.ops.mean(x, (1, 2), keepdims=True)
  x = model.activation(norms(second(x), 'embedding'))
  return task.head(x[:, 0, 0])


_MODELS = {
    'mixed': {'use_se': True},
    'private': {'norm': 'private'},
    'shared': {'norm': 'shared', 'original_input': True},
    'half_shared': {'shared_half': 'first', 'temperature': .7},
    'second_half': {'shared_half': 'second', 'signature_init': 'diagonal'},
    'tanh': {'signature': 'tanh'},
    'linear': {'signature': 'linear', 'norm': 'private'},
    'fixed': {'signature': '1-3-3', 'norm': 'private'},
    'plain': {'signature': 'diagonal', 'norm': 'shared'},
}


class RearrangingTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(*_MODELS)
  def test_identity_is_bit_identical(self, kind):
    model = make_model(**_MODELS[kind])
    before = {k: v.numpy() for k, v in model.named_variables().items()}
    layers, _, copy = edited(model, 'swap:1:3+swap:1:3')
    self.assertEqual(layers, [0, 1, 2])
    for name in _TASKS:
      logits = model(_IMAGES, task=name).numpy()
      self.assertEqual(
          copy(_IMAGES, task=name).numpy().tobytes(), logits.tobytes())
    # Nothing is shared: what trains the copy leaves the model alone.
    for variable in copy.variables:
      variable.assign(np.ones(variable.shape))
    for key, variable in model.named_variables().items():
      self.assertEqual(variable.numpy().tobytes(), before[key].tobytes(), key)

  @parameterized.parameters(
      *((kind, 'swap:1:3') for kind in _MODELS), ('shared', 'drop:2'),
      ('private', 'reverse+repeat:2'), ('mixed', 'replace:2:1'),
      ('half_shared', 'harden'))
  def test_equals_the_layers_called_in_that_order(self, kind, edit):
    model = make_model(**_MODELS[kind])
    layers, mixtures, copy = edited(model, edit)
    self.assertEqual(copy.config.num_layers, len(layers))
    for name in _TASKS:
      logits = copy(_IMAGES, task=name).numpy()
      expected = direct_logits(model, name, layers, mixtures[name])
      self.assertAllClose(logits, expected, rtol=1e-6, atol=2e-6)
      change = np.abs(logits - model(_IMAGES, task=name))
      self.assertGreater(change.max(), 1e-4)

  def test_what_belongs_to_a_layer_goes_with_it(self):
    model = make_model(norm='private')
    _, mixtures, copy = edited(model, 'repeat:1+swap:1:4')
    source = model.named_variables()
    moved = set()
    for key, variable in copy.named_variables().items():
      before = source[key].numpy()
      if key.endswith('/signature/logits'):
        self.assertAllEqual(variable, mixtures[key.split('/')[1]])
      elif variable.shape == before.shape:
        self.assertAllEqual(variable, before, key)
      else:
        moved.add(key)
        self.assertAllEqual(variable, before[[2, 0, 1, 0]], key)
    # Of two tasks, at three sites: gamma, beta, mean, variance.
    self.assertLen(moved, 2 * 3 * 4)

  def test_shared_heads_stay_shared(self):
    config = make_model().config
    model = isometric_model.IsometricModel(
        config, {'a': 4, 'b': 4}, shared_head=True, dtype='mixed_bfloat16')
    copy = edited(model, 'reverse')[2]
    self.assertIs(copy.task('a').head, copy.task('b').head)
    self.assertEqual(copy.compute_dtype, 'bfloat16')

  def test_overwrites_an_earlier_copy(self):
    model = make_model()
    earlier = edited(model, 'drop:1')[2]
    run = tf.function(lambda: earlier(_IMAGES, task='a'))
    before = run()
    copy = edited(model, 'drop:3', into=earlier)[2]
    self.assertIs(copy, earlier)
    self.assertNotAllClose(run(), before)
    self.assertAllClose(
        run(), edited(model, 'drop:3')[2](_IMAGES, task='a'), rtol=1e-4)
    with self.assertRaisesRegex(ValueError, 'of 3 layers.*received one of 2'):
      edited(model, 'reverse', into=earlier)


if __name__ == '__main__':
  tf.test.main()
