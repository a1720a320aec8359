"""What all mixture layers promise (section 3.2): gradients, saving, types."""

import inspect
import os

from absl.testing import parameterized
import keras
from keras import ops
import numpy as np
import tensorflow as tf

from mixture_modules import layer_normalization
from mixture_modules import mixture_conv
from mixture_modules import mixture_conv_transpose
from mixture_modules import mixture_dense
from mixture_modules import mixture_depthwise
from mixture_modules import mixture_layer
from mixture_modules import mixture_se
from mixture_modules import normalization
from mixture_modules import signatures
from mixture_modules import template_bank

# All keep [batch, height, width, 4] as it is, or [batch, steps, 4] if they are
# among _SEQUENCES, so that they can be stacked.
_CONV = {'filters': 4, 'kernel_size': 3, 'padding': 'same'}
_LAYERS = {
    'conv': (mixture_conv.MixtureConv2D, _CONV),
    'conv1d': (mixture_conv.MixtureConv1D, {**_CONV, 'padding': 'causal'}),
    'conv_transpose': (mixture_conv_transpose.MixtureConv2DTranspose, _CONV),
    'depthwise': (mixture_depthwise.MixtureDepthwise,
                  {'kernel_size': 3, 'padding': 'same'}),
    'dense': (mixture_dense.MixtureDense, {'units': 4}),
    'einsum_dense': (
        mixture_dense.MixtureEinsumDense,
        {'equation': '...x,xy->...y', 'output_shape': 4, 'bias_axes': 'y'}),
    'se': (mixture_se.MixtureSE, {}),
    'norm': (normalization.MixtureBatchNormalization, {}),
    'layer_norm': (layer_normalization.MixtureLayerNormalization, {}),
}
_SEQUENCES = ('conv1d',)
_IMAGE_LAYERS = [name for name in _LAYERS if name not in _SEQUENCES]
_NORMS = ('norm', 'layer_norm')
# What leaves out the second parameter, where it is no `use_bias`.
_WITHOUT_SECOND = {'einsum_dense': {'bias_axes': None},
                   **dict.fromkeys(_NORMS, {'center': False})}
# Arguments that Keras' signature hides in **kwargs, and its config has.
_BY_KEYWORD = {'einsum_dense': {'activity_regularizer'},
               'layer_norm': {'rms_scaling'}}
# Keras' layer of the same job, and an argument of it that is missing here.
_STOCK = {
    'conv': (keras.layers.Conv2D, 'lora_rank', 2),
    'conv1d': (keras.layers.Conv1D, 'lora_alpha', 2),
    'conv_transpose': (keras.layers.Conv2DTranspose, 'lora_rank', 2),
    'depthwise': (keras.layers.DepthwiseConv2D, 'lora_rank', 2),
    'dense': (keras.layers.Dense, 'quantization_config', 'int8'),
    'einsum_dense': (
        keras.layers.EinsumDense, 'gptq_unpacked_column_size', 2),
    'norm': (keras.layers.BatchNormalization, 'renorm', True),
    'layer_norm': (keras.layers.LayerNormalization, 'lora_rank', 2),
}
_each_stock = parameterized.named_parameters(*((k, k) for k in _STOCK))
_each_layer = parameterized.named_parameters(*((k, k) for k in _LAYERS))


def _make(name, bank, **kwargs):
  layer_class, options = _LAYERS[name]
  return layer_class(**options, bank=bank, **kwargs)


def _images(name=None, batch=2, size=5, seed=0, channels=4):
  rng = np.random.default_rng(seed)
  sizes = [size] * (1 if name in _SEQUENCES else 2)
  return rng.normal(size=(batch, *sizes, channels)).astype('float32')


def _shape(name, channels=4):
  """Shape of inputs of unknown sizes."""
  return (None,) * (2 if name in _SEQUENCES else 3) + (channels,)


def _randomize(bank, seed=0):
  """Gives every slot random templates: those of norms are all alike."""
  rng = np.random.default_rng(seed)
  for slot in bank.slots:
    variable = bank.templates(slot)
    variable.assign(rng.normal(size=variable.shape))


def _built(name, num_templates=3, **kwargs):
  layer = _make(name, template_bank.TemplateBank(num_templates), **kwargs)
  layer.build(_shape(name))
  _randomize(layer.bank)
  return layer


def _functional(name, bank, signature=None):
  """Two layers on one bank."""
  inputs = keras.Input(_shape(name)[1:])
  x = _make(name, bank, signature=signature)(inputs)
  x = _make(name, bank, signature=signature)(x)
  model = keras.Model(inputs, x)
  _randomize(bank)
  return model


@keras.saving.register_keras_serializable(package='mixture_layer_test')
class _Subclassed(keras.Model):
  """Two layers on one bank, one of them called twice."""

  def __init__(self, layer_name, **kwargs):
    super().__init__(**kwargs)
    self.layer_name = layer_name
    self.bank = template_bank.TemplateBank(3)
    self.first = _make(layer_name, self.bank)
    self.second = _make(layer_name, self.bank)

  def build(self, input_shape):
    self.first.build(input_shape)
    self.second.build(input_shape)

  def call(self, inputs):
    return self.first(self.second(self.first(inputs)))

  def get_config(self):
    return {**super().get_config(), 'layer_name': self.layer_name}


class MixtureLayerTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  def _save_and_load(self, model):
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    return keras.saving.load_model(path)

  @_each_layer
  def test_parameters_are_linear_in_mixture(self, name):
    layer = _built(name)
    one, two = np.float32([.2, .5, .3]), np.float32([-1., 2., .7])
    combined = template_bank.ResolvedRow({
        slot: 2 * layer.bank.mix(slot, one) - 3 * layer.bank.mix(slot, two)
        for slot in layer.slots})
    images = _images(name)
    self.assertAllClose(layer(images, mixture=2 * one - 3 * two),
                        layer(images, row=combined), 1e-5, 1e-5)

  @parameterized.named_parameters(
      *((k, k) for k in _STOCK))
  def test_outputs_are_linear_in_mixture(self, name):
    layer = _built(name)
    one, two = np.float32([.2, .5, .3]), np.float32([-1., 2., .7])
    images = _images(name)
    self.assertAllClose(
        layer(images, mixture=2 * one - 3 * two),
        2 * layer(images, mixture=one) - 3 * layer(images, mixture=two),
        1e-4, 1e-4)

  @_each_layer
  def test_own_signature_is_the_default_mixture(self, name):
    layer = _built(name)
    xi = layer.signature.mixture_weights()[0]
    self.assertAllClose(layer(_images(name)), layer(_images(name), mixture=xi))
    self.assertNotAllClose(
        layer(_images(name)), layer(_images(name), mixture=0))

  @_each_layer
  def test_row_of_resolve_equals_mixture(self, name):
    layer = _built(name)
    signature = signatures.Signature(2, 3)
    rows = layer.bank.resolve(signature)
    xi = signature.mixture_weights()
    for row in range(2):
      self.assertAllClose(layer(_images(name), row=rows[row]),
                          layer(_images(name), mixture=xi[row]), 1e-5, 1e-5)

  @_each_layer
  def test_without_a_signature_calls_bring_a_mixture_or_a_row(self, name):
    layer = _built(name, signature=False)
    self.assertIsNone(layer.signature)
    self.assertIs(layer.get_config()['signature'], False)
    layer.trainable = False
    layer.trainable = True
    self.assertLen(layer.bank.variables, len(layer.slots))
    self.assertCountEqual(
        [v.path for v in layer.trainable_variables],
        [v.path for v in layer.bank.variables])
    row = layer.bank.resolve(signatures.Signature(2, 3, '3-1'))[0]
    images = _images(name)
    self.assertAllEqual(layer(images, row=row), layer(images, mixture=2))
    traced = tf.function(lambda images, row: layer(images, row=row))
    self.assertAllClose(
        layer(_images(name), row=row), traced(_images(name), row), 1e-5, 1e-5)
    copy = type(layer).from_config(layer.get_config())
    self.assertIsNone(copy.signature)
    with self.assertRaisesRegex(ValueError, 'no signature, received neither'):
      layer(_images(name))
    with self.assertRaisesRegex(ValueError, 'a row, received both'):
      layer(_images(name), mixture=0, row=row)

  @_each_layer
  def test_row_of_another_bank_is_refused(self, name):
    layer = _built(name)
    with self.assertRaisesRegex(ValueError, r"the slot '.*with \['other'\]"):
      layer(_images(name), row=template_bank.ResolvedRow(other=np.ones(1)))

  def _gradients(self, name, layer):
    """Largest gradient of each trainable variable of a model of `layer`."""
    weights = _images(name, seed=3)
    inputs = keras.Input(_shape(name)[1:])
    model = keras.Model(inputs, layer(inputs))
    with tf.GradientTape() as tape:
      loss = ops.sum(model(_images(name)) * weights)
    gradients = tape.gradient(
        loss, [v.value for v in model.trainable_variables])
    return {v.path: np.abs(gradient).max()
            for v, gradient in zip(model.trainable_variables, gradients)}

  def _assert_trained(self, name, layer, bank, signature):
    """Gradients reach exactly these, and are not zero."""
    expected = [v.path for v in layer.bank.variables] if bank else []
    expected += [layer.signature.logits.path] if signature else []
    gradients = self._gradients(name, layer)
    self.assertCountEqual(expected, gradients)
    for gradient in gradients.values():
      self.assertGreater(gradient, 1e-4)

  @_each_layer
  def test_gradients_reach_bank_and_mixture(self, name):
    layer = _built(name)
    self.assertLen(layer.bank.variables, len(layer.slots))
    self._assert_trained(name, layer, bank=True, signature=True)

  @_each_layer
  def test_frozen_bank_gets_no_gradient(self, name):
    layer = _built(name)
    layer.bank.trainable = False
    self._assert_trained(name, layer, bank=False, signature=True)
    layer.bank.trainable = True
    self._assert_trained(name, layer, bank=True, signature=True)

  @parameterized.product(
      name=tuple(_LAYERS), early=(True, False), owned=(True, False))
  def test_frozen_layer_takes_no_part_in_training(self, name, early, owned):
    signature = None if owned else signatures.Signature(1, 3)
    layer = _built(name, trainable=not early, signature=signature)
    if not early:
      layer.trainable = False
    self._assert_trained(name, layer, bank=False, signature=False)
    layer.trainable = True
    self._assert_trained(name, layer, bank=True, signature=True)

  @_each_layer
  def test_layers_that_train_go_on_beside_frozen_ones(self, name):
    signature = signatures.Signature(1, 3)
    frozen = _built(name, signature=signature)
    trained = _make(name, frozen.bank, signature=signature)
    variables = [*frozen.bank.variables, signature.logits]
    trained(_images(name))

    def gradients(between):
      with tf.GradientTape() as tape:
        outputs = trained(between(frozen(_images(name))))
        loss = ops.sum(outputs * _images(name, seed=3))
      received = tape.gradient(loss, [v.value for v in variables])
      return [ops.convert_to_numpy(gradient) for gradient in received]

    both = gradients(lambda x: x)
    second = gradients(ops.stop_gradient)
    frozen.trainable = False
    self.assertCountEqual([v.path for v in variables],
                          [v.path for v in trained.trainable_variables])
    for part in gradients(lambda x: x), gradients(ops.stop_gradient):
      self.assertAllClose(second, part, 1e-5, 1e-5)
    self.assertNotAllClose(both, second)

  @_each_layer
  def test_bank_frozen_before_the_layers_stays_frozen(self, name):
    bank = template_bank.TemplateBank(3)
    bank.trainable = False
    model = _functional(name, bank)
    self.assertLen(model.trainable_variables, 2)  # two signatures' logits

  @_each_layer
  def test_frozen_model_leaves_the_slots_that_others_train(self, name):
    bank = template_bank.TemplateBank(3)
    model = _functional(name, bank)
    other = _make(name, bank)
    apart = _make(name, bank, slot='apart')
    for layer in (other, apart):
      layer.build(_shape(name))
    model.trainable = False
    self.assertEmpty(model.trainable_variables)
    self.assertTrue(bank.trainable)
    self.assertLen(bank.trainable_variables, len(bank.slots))
    other.trainable = False
    self.assertCountEqual([bank.templates(slot).path for slot in apart.slots],
                          [v.path for v in bank.trainable_variables])
    bank.trainable = False
    self.assertEmpty(bank.trainable_variables)
    bank.trainable = True
    self.assertLen(bank.trainable_variables, len(apart.slots))
    model.trainable = True
    self.assertLen(bank.trainable_variables, len(bank.slots))

  @parameterized.parameters(True, False)
  def test_head_on_a_frozen_base_moves_nothing_of_it(self, nested):
    bank = template_bank.TemplateBank(3)
    inputs = keras.Input((5, 5, 4))
    x = inputs
    for name in _IMAGE_LAYERS:
      decay = {key: 'l2' for key in _make(name, bank).get_config()
               if key.endswith('_regularizer')
               and not key.startswith(('activity', 'mixture'))}
      x = _make(name, bank, **decay)(x)
    base = keras.Model(inputs, x)
    if nested:
      base = keras.Sequential([keras.Input((5, 5, 4)), base])
    base.trainable = False
    self.assertEmpty(base.losses)
    x = keras.layers.GlobalAveragePooling2D()(base(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    self.assertLen(model.trainable_variables, 2)

    def fit():
      before = [v.numpy() for v in model.variables]
      model.compile(keras.optimizers.AdamW(.1, weight_decay=.1), 'mse',
                    jit_compile=False)
      images = _images(batch=8)
      model.fit(images, images[:, 0, 0, :1], epochs=2, verbose=0)
      return {v.path for v, old in zip(model.variables, before)
              if v.numpy().tobytes() != old.tobytes()}

    head = {v.path for v in model.layers[-1].variables}
    self.assertEqual(head, fit())
    if not nested:
      base.trainable = True
      self.assertEqual({v.path for v in model.variables}, fit())

  @_each_layer
  def test_eager_equals_function(self, name):
    layer = _built(name)
    function = tf.function(
        layer, input_signature=[tf.TensorSpec(_shape(name))])
    for batch, size in ((2, 5), (3, 7)):
      images = _images(name, batch, size)
      self.assertAllClose(layer(images), function(images), 1e-5, 1e-5)

  @_each_layer
  def test_unknown_batch_and_sizes(self, name):
    bank = template_bank.TemplateBank(3)
    model = _functional(name, bank)
    self.assertEqual(_shape(name), model.output_shape)
    first, second = model.layers[1:]
    for batch, size in ((1, 4), (3, 6)):
      images = _images(name, batch, size)
      self.assertAllClose(second(first(images)), model(images), 1e-5, 1e-5)

  @parameterized.product(name=tuple(_LAYERS), in_model=(True, False))
  def test_mixed_precision_mixes_in_float32(self, name, in_model):
    keras.config.set_dtype_policy('mixed_bfloat16')
    self.addCleanup(keras.config.set_dtype_policy, 'float32')
    # 1 + 2 ** -9 is 1 in bfloat16: mixed there, the templates would cancel.
    options = {'gate_activation': 'linear'} if name == 'se' else {}
    layer = _make(name, template_bank.TemplateBank(2), **options)
    layer.build(_shape(name))
    for slot in layer.slots:
      templates = layer.bank.templates(slot)
      templates.assign(np.stack([
          np.full(templates.shape[1:], 1 + 2**-9),
          np.full(templates.shape[1:], -1.)]))
      self.assertEqual('float32', templates.dtype)
    layer.signature.assign([[.5, .5]])
    images = _images(name)
    call = layer
    if in_model:
      inputs = keras.Input(_shape(name)[1:])
      call = keras.Model(inputs, layer(inputs))
    outputs = call(images)
    self.assertEqual(tf.bfloat16, outputs.dtype)
    expected, cancelled = (
        layer(images, row=template_bank.ResolvedRow({slot: tf.fill(
            layer.bank.templates(slot).shape[1:], value)
                                                     for slot in layer.slots}))
        for value in (2.**-10, 0.))
    self.assertAllEqual(expected, outputs)
    self.assertNotAllEqual(cancelled, outputs)

  @_each_layer
  def test_mixed_precision_is_near_float32(self, name):
    layer = _built(name)
    low = _make(name, layer.bank, signature=layer.signature,
                dtype='mixed_bfloat16')
    self.assertAllClose(
        layer(_images(name)), ops.cast(low(_images(name)), 'float32'), .1, .1)

  @parameterized.product(name=tuple(_LAYERS), kind=('softmax', '2'))
  def test_float64_is_honoured(self, name, kind):
    bank = template_bank.TemplateBank(3, dtype='float64')
    options = {} if kind == 'softmax' else {
        'signature': signatures.Signature(1, 3, kind, dtype='float64')}
    layer, low = (_make(name, bank, dtype=dtype, **options)
                  for dtype in ('float64', 'float32'))
    for one in (layer, low):
      one.build(_shape(name))
    _randomize(bank)
    images = _images(name) * np.float64(1 + 1e-10)
    self.assertEqual({'float64'}, {v.dtype for v in layer.variables})
    signature = layer.signature
    xi = signature.mixture_weights().numpy()[0]
    row = template_bank.ResolvedRow({
        slot: np.tensordot(xi, bank.templates(slot).numpy(), 1)
        for slot in layer.slots})
    outputs = layer(images)
    self.assertEqual('float64', outputs.dtype)
    self.assertAllClose(layer(images, row=row), outputs, 1e-13, 1e-13)
    self.assertAllClose(
        bank.resolve(signature)[0][layer.slots[0]], row[layer.slots[0]],
        1e-14, 1e-14)
    if kind != 'softmax':
      self.assertAllClose(low(images), outputs, 1e-4, 1e-4)
      self.assertNotAllClose(low(images), outputs, 1e-9, 1e-9)
    self.assertEqual('float64', layer(images, training=True).dtype
                     if name == 'norm' else outputs.dtype)

  @_each_stock
  def test_mixed_parameters_can_be_read(self, name):
    parameters = ('gamma', 'beta') if name in _NORMS else ('kernel', 'bias')
    layer = _built(name)
    xi = layer.signature.mixture_weights()[0]
    for parameter, slot in zip(parameters, layer.slots):
      self.assertAllEqual(
          layer.bank.mix(slot, xi), getattr(layer, parameter))
    fixed = _built(name, signature=signatures.Signature(1, 3, '2'))
    self.assertAllEqual(fixed.bank.templates(fixed.slots[0])[1],
                        getattr(fixed, parameters[0]))
    without = _WITHOUT_SECOND.get(name, {'use_bias': False})
    layer_class, options = _LAYERS[name]
    plain = layer_class(**{**options, **without}, bank=layer.bank)
    self.assertFalse(hasattr(plain, parameters[0]))  # not built yet
    plain.build(_shape(name))
    self.assertIsNone(getattr(plain, parameters[1]))
    bare = _built(name, signature=False)
    with self.assertRaisesRegex(AttributeError, 'signature to mix'):
      getattr(bare, parameters[0])
    with self.assertRaises(AttributeError):
      setattr(layer, parameters[0], getattr(layer, parameters[0]))

  @_each_layer
  def test_constructor_arguments_are_config_keys(self, name):
    layer_class, _ = _LAYERS[name]
    layer = _built(name)
    parameters = {
        name for each in (layer_class, mixture_layer.MixtureLayer)
        for name in inspect.signature(each).parameters} - {'kwargs'}
    config = layer.get_config()
    self.assertEqual(
        parameters | {'name', 'trainable', 'dtype'} | _BY_KEYWORD.get(
            name, set()), set(config))
    self.assertIs(layer.bank, config['bank'])

  @_each_layer
  def test_config_round_trip(self, name):
    layer = _built(name, slot='own', trainable=False)
    config = keras.saving.serialize_keras_object(layer)
    loaded = keras.saving.deserialize_keras_object(config)
    copy = type(layer).from_config(layer.get_config())
    self.assertEqual(layer.get_config(), copy.get_config())
    self.assertEqual(layer.slots, copy.slots or layer.slots)
    self.assertEqual(layer.bank.slots, loaded.bank.slots)
    received, expected = loaded.get_config(), layer.get_config()
    for key in ('bank', 'dtype'):
      received.pop(key)
      expected.pop(key)
    self.assertEqual(expected, received)

  @_each_stock
  def test_stock_configuration_is_accepted(self, name):
    layer_class, options = _LAYERS[name]
    stock = _STOCK[name][0](**options, name='mine', trainable=False)
    bank = template_bank.TemplateBank(1)
    layer = layer_class.from_config({**stock.get_config(), 'bank': bank})
    stock.build(_shape(name))
    layer.build(_shape(name))
    _randomize(bank)
    own = [v.numpy() for v in stock.weights[len(layer.slots):]]  # statistics
    stock.set_weights([*(bank.templates(s)[0] for s in layer.slots), *own])
    self.assertAllClose(stock(_images(name)), layer(_images(name)), 1e-5, 1e-5)
    config = layer.get_config()
    for key, value in stock.get_config().items():
      self.assertEqual(value, config.pop(key, None), key)
    config.pop('activity_regularizer', None)  # Keras' Dense forgets it
    self.assertEqual({'bank', 'slot', 'signature', 'mixture_regularizer'},
                     set(config))

  @_each_stock
  def test_missing_arguments_are_refused_by_name(self, name):
    _, missing, value = _STOCK[name]
    layer = _make(name, template_bank.TemplateBank(1))
    for key, other in ((missing, value), *(
        (('renorm_momentum', .9), ('renorm_clipping', {'rmax': 3}),
         ('synchronized', True)) if name == 'norm' else ())):
      config = {**layer.get_config(), key: other}
      with self.assertRaisesRegex(ValueError, f'{key} to be .*received'):
        type(layer)(**config)
      with self.assertRaisesRegex(TypeError, f'{key} to be .*received'):
        type(layer).from_config(config)  # as Keras words all such errors

  def test_initializer_none_is_the_default(self):
    for name in _STOCK:
      layer = _built(name)
      initializers = [key for key in layer.get_config() if 'initializer' in key]
      other = _make(name, template_bank.TemplateBank(3),
                    **dict.fromkeys(initializers))
      for key in initializers:
        expected, received = (x.get_config()[key] for x in (layer, other))
        expected['config'].pop('seed', None)
        received['config'].pop('seed', None)
        self.assertEqual(expected, received)

  @_each_stock
  def test_constraints_act_on_each_template_as_in_the_plain_layer(self, name):
    limit = keras.constraints.UnitNorm(axis=-1)
    bank = template_bank.TemplateBank(3)
    options = {key: limit for key in _make(name, bank).get_config()
               if 'constraint' in key}
    self.assertLen(options, 2)
    first, second = (_make(name, bank, **options) for _ in range(2))
    inputs = keras.Input(_images(name).shape[1:])
    model = keras.Model(inputs, second(first(inputs)))
    _randomize(bank)
    model.compile(keras.optimizers.SGD(0.), 'mse', jit_compile=False)
    before = {slot: bank.templates(slot).numpy() for slot in bank.slots}
    model.fit(_images(name), _images(name), verbose=0)
    for slot, templates in before.items():
      expected = [limit(template) for template in templates]
      self.assertAllClose(expected, bank.templates(slot), 1e-6, 1e-6)
      self.assertNotAllClose(templates, bank.templates(slot))
    loaded = self._save_and_load(model)
    self.assertEqual(
        [bank.slot(slot).properties for slot in bank.slots],
        [loaded.layers[1].bank.slot(slot).properties for slot in bank.slots])
    with self.assertRaisesRegex(ValueError, 'with constraint UnitNorm'):
      _make(name, bank).build(_shape(name))

  @_each_layer
  def test_functional_model_has_one_bank_after_loading(self, name):
    model = _functional(name, template_bank.TemplateBank(3))
    loaded = self._save_and_load(model)
    self.assertIs(loaded.layers[1].bank, loaded.layers[2].bank)
    self.assertIsNot(loaded.layers[1].bank, model.layers[1].bank)
    self.assertLen(loaded.variables, len(model.variables))
    self.assertAllEqual(model(_images(name)), loaded(_images(name)))

  @_each_layer
  def test_shared_signature_is_one_after_loading(self, name):
    signature = signatures.Signature(1, 3)
    model = _functional(name, template_bank.TemplateBank(3), signature)
    loaded = self._save_and_load(model)
    self.assertIs(loaded.layers[1].signature, loaded.layers[2].signature)
    self.assertAllEqual(signature.mixture_weights(),
                        loaded.layers[1].signature.mixture_weights())
    self.assertAllEqual(model(_images(name)), loaded(_images(name)))

  @_each_layer
  def test_sequential_model_has_one_bank_after_loading(self, name):
    bank = template_bank.TemplateBank(3)
    model = keras.Sequential(
        [keras.Input(_shape(name)[1:]), _make(name, bank), _make(name, bank)])
    _randomize(bank)
    loaded = self._save_and_load(model)
    self.assertIs(loaded.layers[0].bank, loaded.layers[1].bank)
    self.assertAllEqual(model(_images(name)), loaded(_images(name)))

  @_each_layer
  def test_subclassed_model_has_one_bank_after_loading(self, name):
    model = _Subclassed(name)
    expected = model(_images(name))
    _randomize(model.bank)
    self.assertNotAllClose(expected, model(_images(name)))
    loaded = self._save_and_load(model)
    self.assertIs(loaded.bank, loaded.first.bank)
    self.assertIs(loaded.bank, loaded.second.bank)
    self.assertAllEqual(model(_images(name)), loaded(_images(name)))

  @_each_layer
  def test_clone_shares_the_bank(self, name):
    bank = template_bank.TemplateBank(3)
    model = _functional(name, bank)
    clone = keras.models.clone_model(model)
    for layer, original in zip(clone.layers[1:], model.layers[1:]):
      self.assertIs(bank, layer.bank)
      self.assertIsNot(original.signature, layer.signature)

  def test_compile_fit_evaluate_predict(self):
    bank = template_bank.TemplateBank(3)
    inputs = x = keras.Input((None, None, 4))
    for name in _IMAGE_LAYERS:
      x = _make(name, bank)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    before = [v.numpy() for v in model.trainable_variables]
    images, labels = _images(batch=8), _images(batch=8)[:, 0, 0, :1]
    model.compile(keras.optimizers.Adam(.01), 'mse', jit_compile=False)
    start = model.evaluate(images, labels, verbose=0)
    model.fit(images, labels, batch_size=4, epochs=4, verbose=0)
    self.assertLess(model.evaluate(images, labels, verbose=0), start)
    for old, variable in zip(before, model.trainable_variables):
      self.assertNotAllEqual(old, variable)
    self.assertAllClose(
        model(images), model.predict(images, verbose=0), 1e-5, 1e-5)

  @_each_layer
  def test_layers_of_equal_shapes_share_templates(self, name):
    bank = template_bank.TemplateBank(3)
    first, second, apart = (
        _make(name, bank, slot=slot) for slot in (None, None, 'apart'))
    for layer in (first, second, apart):
      layer.build(_shape(name))
    self.assertEqual(first.slots, second.slots)
    self.assertEmpty(set(first.slots) & set(apart.slots))
    self.assertLen(bank.variables, 2 * len(first.slots))

  @_each_layer
  def test_one_slot_holds_one_shape(self, name):
    bank = template_bank.TemplateBank(3)
    _make(name, bank, slot='mine').build(_shape(name))
    options = {'filters': 8} if 'filters' in _LAYERS[name][1] else {}
    layer_class, defaults = _LAYERS[name]
    layer = layer_class(**{**defaults, **options}, bank=bank, slot='mine')
    with self.assertRaisesRegex(ValueError, "Slot 'mine/.*with shape"):
      layer.build(_shape(name, 40))

  @parameterized.parameters(2, 8)
  def test_depth_without_norms_keeps_its_scale(self, num_templates):
    spreads = []
    for seed in range(5):
      keras.utils.set_random_seed(seed)
      bank = template_bank.TemplateBank(num_templates)
      x = np.random.default_rng(seed).normal(size=(4, 8, 8, 32))
      for _ in range(8):
        x = mixture_conv.MixtureConv2D(
            32, 3, padding='same', activation='relu', bank=bank,
            kernel_initializer='he_normal')(x)
      spreads.append(np.std(x))
    self.assertBetween(np.median(spreads), .2, 2)  # was 3e-2 and 3e-4

  def test_layers_are_built_where_fit_first_calls_them(self):
    bank = template_bank.TemplateBank(3)
    model = keras.Sequential([
        _make('conv', bank), _make('conv', bank), keras.layers.Flatten(),
        keras.layers.Dense(1)])
    model.compile('adam', 'mse')
    model.fit(_images('conv'), np.zeros((len(_images('conv')), 1)), verbose=0)
    self.assertTrue(model.built)

  def test_another_layer_s_own_signature_stays_shared(self):
    bank = template_bank.TemplateBank(3)
    inputs = keras.Input((None, None, 4))
    first = _make('conv', bank)
    second = _make('conv', bank, signature=first.signature)
    loaded = self._save_and_load(
        keras.Model(inputs, second(first(inputs))))
    self.assertIs(loaded.layers[1].signature, loaded.layers[2].signature)

  def test_checkpoint_of_tensorflow_has_the_templates(self):
    models = [_functional('conv', template_bank.TemplateBank(3))
              for _ in range(2)]
    path = tf.train.Checkpoint(models[0]).write(
        os.path.join(self.get_temp_dir(), 'checkpoint'))
    _randomize(models[1].layers[1].bank, 7)
    tf.train.Checkpoint(models[1]).read(path).assert_consumed()
    self.assertAllEqual(models[0](_images('conv')), models[1](_images('conv')))

  @parameterized.parameters(*_NORMS)
  def test_regularizers_of_norms_act_on_templates(self, name):
    layer = _built(name, gamma_regularizer=keras.regularizers.L2(.1),
                   beta_regularizer=keras.regularizers.L1(.2))
    gamma, beta = (layer.bank.templates(s).numpy() for s in layer.slots)
    self.assertAllClose(
        sorted([.1 * np.sum(gamma**2), .2 * np.sum(np.abs(beta))]),
        sorted(map(float, layer.losses)), 1e-5, 1e-5)

  @_each_layer
  def test_unknown_channels_are_refused(self, name):
    layer = _make(name, template_bank.TemplateBank(3))
    with self.assertRaisesRegex(ValueError, 'channels must be known'):
      layer.build(_shape(name, None))

  @_each_layer
  def test_other_channels_are_refused(self, name):
    layer = _built(name)
    with self.assertRaisesRegex(ValueError, 'expected axis -1.* to have'):
      layer(_images(name)[..., :3])

  @_each_layer
  def test_mixture_of_another_length_is_refused(self, name):
    layer = _built(name)
    with self.assertRaisesRegex(ValueError, r'shape \[3\].*received \[4\]'):
      layer(_images(name), mixture=np.ones(4, 'float32'))

  @_each_layer
  def test_bank_must_be_a_bank(self, name):
    with self.assertRaisesRegex(ValueError, 'bank must be a TemplateBank'):
      _make(name, 4)

  @_each_layer
  def test_signature_must_fit_the_bank(self, name):
    for shape in ((1, 4), (2, 3)):
      with self.assertRaisesRegex(ValueError, r'signature of shape \[1, 3\]'):
        _make(name, template_bank.TemplateBank(3),
              signature=signatures.Signature(*shape))
    with self.assertRaisesRegex(ValueError, 'of one row, .*received 1.5'):
      _make(name, template_bank.TemplateBank(3), signature=1.5)

  @parameterized.named_parameters(
      ('kind', 'linear', {'kind': 'linear'}),
      ('default', 'softmax', None),
      ('template', 2, {'kind': '2'}),
      ('options', {'temperature': 2., 'spread': 0., 'kind': 'softmax'},
       {'temperature': 2., 'spread': 0.}))
  def test_signature_of_its_own(self, signature, config):
    regularizer = None if signature == 'linear' else {'entropy': .1}
    inputs = keras.Input((5, 5, 4))
    model = keras.Model(inputs, _make(
        'conv', template_bank.TemplateBank(3), signature=signature,
        mixture_regularizer=regularizer)(inputs))
    layer = model.layers[-1]
    _randomize(layer.bank)
    own = layer.signature
    expected = {**signatures.OPTIONS, **(config or {})}
    self.assertEqual(
        expected, {name: getattr(own, name) for name in signatures.OPTIONS})
    self.assertEqual(config, layer.get_config()['signature'])
    # It changes in place, and the file knows.
    if own.sequence is None:
      own.harden()
    else:
      own.relax('softmax', .5)
    loaded = self._save_and_load(model)
    self.assertEqual(
        layer.get_config()['signature'],
        loaded.layers[-1].get_config()['signature'])
    self.assertEqual(
        layer.mixture_regularizer, loaded.layers[-1].mixture_regularizer)
    self.assertAllEqual(model(_images()), loaded(_images()))

  def test_unknown_options_of_a_signature_are_refused(self):
    bank = template_bank.TemplateBank(3)
    with self.assertRaisesRegex(ValueError, "one of kind, .*received 'heat'"):
      _make('conv', bank, signature={'heat': 2})
    with self.assertRaisesRegex(ValueError, r'templates \[4\].*has 3'):
      _make('conv', bank, signature=4)

  def test_sizes_must_be_positive_integers(self):
    bank = template_bank.TemplateBank(3)
    with self.assertRaisesRegex(ValueError, 'filters to .*received 8.0'):
      mixture_conv.MixtureConv2D(8., 3, bank=bank)
    with self.assertRaisesRegex(ValueError, "multiplier to .*received '1'"):
      mixture_depthwise.MixtureDepthwise(3, depth_multiplier='1', bank=bank)

  def test_default_slot_is_the_subclass_affair(self):
    layer = mixture_layer.MixtureLayer(bank=template_bank.TemplateBank(1))
    with self.assertRaises(NotImplementedError):
      layer._add_parameter('kernel', (1,), 'ones')

  @parameterized.product(
      name=('conv', 'conv1d', 'depthwise'), late=(True, False),
      options=({'kernel_size': 6, 'padding': 'valid'}, {'kernel_size': 3,
               'padding': 'valid', 'dilation_rate': 3}))
  def test_outputs_of_no_size_are_refused(self, name, late, options):
    layer_class, defaults = _LAYERS[name]
    layer = layer_class(
        **{**defaults, **options}, bank=template_bank.TemplateBank(3))
    layer.compute_output_shape(_images(name, size=7).shape)
    if late:
      layer.build(_shape(name))
    shape = _images(name).shape[1:]
    for images in (_images(name), keras.Input(shape),
                   keras.Input((None,) * (len(shape) - 2) + shape[-2:])):
      with self.assertRaisesRegex(ValueError, 'would be zero or negative'):
        layer(images)
    if late:
      self.assertGreater(min(layer(_images(name, size=7)).shape), 0)

  @_each_layer
  def test_output_shape(self, name):
    layer = _make(name, template_bank.TemplateBank(3))
    shape = (None, *_images(name).shape[1:])
    self.assertEqual(shape, tuple(layer.compute_output_shape(shape)))
    frames = keras.layers.TimeDistributed(layer)(np.ones((2, 3, *shape[1:])))
    self.assertEqual((2, 3, *shape[1:]), frames.shape)

  def test_output_shape_of_strides_and_multiplier(self):
    bank = template_bank.TemplateBank(3)
    conv = mixture_conv.MixtureConv2D(5, 3, strides=2, bank=bank)
    self.assertEqual(conv.compute_output_shape((None, 9, None, 4)),
                     (None, 4, None, 5))
    depthwise = mixture_depthwise.MixtureDepthwise(
        3, depth_multiplier=2, bank=bank)
    self.assertEqual(depthwise.compute_output_shape((2, 9, 8, 4)),
                     (2, 7, 6, 8))


if __name__ == '__main__':
  tf.test.main()
