"""Layers of a kernel and a bias against Keras' own, in one table."""

import inspect

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import kernel_layer
from mixture_modules import mixture_conv
from mixture_modules import mixture_conv_transpose
from mixture_modules import mixture_dense
from mixture_modules import mixture_depthwise
from mixture_modules import signatures
from mixture_modules import template_bank

_IMAGES, _SEQUENCES = (2, 7, 6, 4), (2, 9, 4)
_CONV = {'filters': 6, 'kernel_size': 3}
_CASES = {  # class: (shape of inputs, arguments, changes of them by name)
    mixture_conv.MixtureConv1D: (_SEQUENCES, _CONV, {
        'plain': {}, 'same': {'padding': 'same'}, 'strides': {'strides': 2},
        'causal': {'padding': 'causal'},
        'causal_dilation': {'padding': 'causal', 'dilation_rate': 2},
        'causal_strides': {'padding': 'causal', 'strides': 2},
        'dilation': {'dilation_rate': 2}, 'groups': {'groups': 2},
        'pointwise': {'kernel_size': 1}, 'no_bias': {'use_bias': False},
        'activation': {'activation': 'hard_swish'}}),
    mixture_conv.MixtureConv2D: (_IMAGES, _CONV, {
        'plain': {}, 'same': {'padding': 'same'}, 'strides': {'strides': 2},
        'kernel': {'kernel_size': (1, 3), 'padding': 'same'},
        'dilation': {'dilation_rate': 2},
        'unequal_dilation': {'dilation_rate': (1, 2), 'padding': 'same'},
        'pointwise': {'kernel_size': 1}, 'groups': {'groups': 2},
        'no_bias': {'use_bias': False},
        'activation': {'activation': 'hard_swish'}}),
    mixture_conv_transpose.MixtureConv2DTranspose: (_IMAGES, _CONV, {
        'plain': {}, 'same': {'padding': 'same'}, 'strides': {'strides': 2},
        'output_padding': {'strides': (2, 3), 'output_padding': (0, 2)},
        'same_strides': {'padding': 'same', 'strides': 2},
        'dilation': {'dilation_rate': 2}, 'no_bias': {'use_bias': False},
        'activation': {'activation': 'hard_swish'}}),
    mixture_depthwise.MixtureDepthwise: (_IMAGES, {'kernel_size': 3}, {
        'plain': {}, 'same': {'padding': 'same'}, 'strides': {'strides': 2},
        'kernel': {'kernel_size': (1, 3), 'padding': 'same'},
        'dilation': {'dilation_rate': 2},
        'depth_multiplier': {'depth_multiplier': 3},
        'no_bias': {'use_bias': False},
        'activation': {'activation': 'hard_swish'}}),
    mixture_dense.MixtureDense: (_IMAGES, {'units': 6}, {
        'plain': {}, 'no_bias': {'use_bias': False},
        'activation': {'activation': 'hard_swish'}}),
    mixture_dense.MixtureEinsumDense: (
        _IMAGES,
        {'equation': 'abcd,def->abcef', 'output_shape': (7, 6, 3, 5),
         'bias_axes': 'ef'}, {
             'heads': {}, 'one_axis_of_bias': {'bias_axes': 'e'},
             'no_bias': {'bias_axes': None},
             'activation': {'activation': 'hard_swish'},
             'back': {'equation': 'abcd,cde->abe', 'output_shape': (7, 5),
                      'bias_axes': 'e'},
             'shared_axis': {'equation': 'abcd,cde->abce',
                             'output_shape': (7, 6, 5), 'bias_axes': 'ce'},
             'left': {'equation': '...d,de->...e', 'output_shape': 5,
                      'bias_axes': 'e'},
             'right': {'equation': 'ab...,bc->ac...', 'output_shape': 5,
                       'bias_axes': 'c'}}),
}
_CONVOLUTIONS = [x for x in _CASES if 'kernel_size' in _CASES[x][1]]


def _each(classes):
  return parameterized.named_parameters(
      *((layer_class.__name__, layer_class) for layer_class in classes))


def _inputs(shape):
  return np.random.default_rng(0).normal(size=shape).astype('float32')


def _pair(layer_class, shape, options, num_templates=3):
  """(mixed layer, Keras' layer with its second or only template)."""
  bank = template_bank.TemplateBank(num_templates)
  chosen = min(num_templates, 2)
  layer = layer_class(**options, bank=bank, signature=signatures.Signature(
      1, num_templates, str(chosen)))
  plain = layer_class.stock(**options)
  layer.build(shape)
  plain.build(shape)
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    bank.templates(slot).assign(rng.normal(size=bank.templates(slot).shape))
  plain.set_weights([bank.templates(s)[chosen - 1] for s in layer.slots])
  return layer, plain


class MixtureKernelLayerTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      (f'{layer_class.__name__}_{name}', layer_class, shape,
       {**options, **changes})
      for layer_class, (shape, options, cases) in _CASES.items()
      for name, changes in cases.items())
  def test_one_hot_mixture_equals_plain_layer(
      self, layer_class, shape, options):
    layer, plain = _pair(layer_class, shape, options)
    inputs = _inputs(shape)
    self.assertLen(layer.slots, len(plain.weights))
    expected = plain(inputs)
    for mixture in (None, 1):
      self.assertAllEqual(expected, layer(inputs, mixture=mixture))
    one_hot = np.float32([0, 1, 0])
    self.assertAllClose(expected, layer(inputs, mixture=one_hot), 1e-5, 1e-5)
    self.assertNotAllClose(expected, layer(inputs, mixture=0))
    symbolic = keras.Input(shape[1:])
    self.assertEqual((None, *expected.shape[1:]), layer(symbolic).shape)
    self.assertEqual(tuple(expected.shape), layer.compute_output_shape(shape))

  @parameterized.named_parameters(
      (f'{layer_class.__name__}_{name}', layer_class, changes)
      for layer_class in _CONVOLUTIONS
      for name, changes in _CASES[layer_class][2].items()
      if 'dilation' not in name)
  def test_channels_first_equals_plain_layer(self, layer_class, changes):
    shape, options, _ = _CASES[layer_class]
    inputs = np.moveaxis(_inputs(shape), -1, 1)
    layer, plain = _pair(layer_class, inputs.shape, {
        **options, **changes, 'data_format': 'channels_first'})
    self.assertAllClose(plain(inputs), layer(inputs), 1e-5, 1e-5)

  @_each(_CASES)
  def test_regularizers_act_as_in_plain_layer(self, layer_class):
    shape, options, _ = _CASES[layer_class]
    name = layer_class.kernel_name
    layer, plain = _pair(layer_class, shape, {
        **options, f'{name}_regularizer': keras.regularizers.L2(.1),
        'bias_regularizer': keras.regularizers.L1(.2),
        'activity_regularizer': keras.regularizers.L2(.3)}, num_templates=1)
    inputs = keras.Input(shape[1:])
    mixed, expected = (keras.Model(inputs, x(inputs)) for x in (layer, plain))
    for model in (mixed, expected):
      model(_inputs(shape))
    self.assertLen(mixed.losses, 3)
    self.assertAllClose(sorted(map(float, expected.losses)),
                        sorted(map(float, mixed.losses)))

  @_each(_CASES)
  def test_arguments_are_those_of_the_plain_layer(self, layer_class):

    def names(some_class):
      return {name: parameter.default for name, parameter in
              inspect.signature(some_class).parameters.items()}

    plain, own = names(layer_class.stock), names(layer_class)
    for name in ('kwargs', *kernel_layer.MISSING):
      plain.pop(name, None)
    self.assertEqual([*plain, 'bank', 'slot', 'signature', 'kwargs'], list(own))
    self.assertEqual(plain, {name: own[name] for name in plain})

  @_each(_CASES)
  def test_arguments_can_stand_by_their_place(self, layer_class):
    shape, options, _ = _CASES[layer_class]
    bank = template_bank.TemplateBank(1)
    options = {name: options[name] for name in inspect.signature(
        layer_class).parameters if name in options}
    in_place = list(options.values())[:2]
    named = dict(list(options.items())[2:])
    one, other = (layer_class(*in_place, **named, bank=bank, name='same'),
                  layer_class(**options, bank=bank, name='same'))
    self.assertEqual(other.get_config(), one.get_config())
    with self.assertRaisesRegex(TypeError, 'missing a required argument'):
      layer_class(bank=bank)
    with self.assertRaisesRegex(ValueError, 'Unrecognized keyword.*other'):
      layer_class(**options, bank=bank, other=1)

  @parameterized.named_parameters(
      (f'{layer_class.__name__}_{name}_{value}', layer_class, {name: value},
       message)
      for layer_class in _CASES
      for name, value, message in (
          ('filters', 0, 'filters'), ('filters', 8., 'filters .*received 8.0'),
          ('units', 0, 'units'), ('units', '8', "units .*received '8'"),
          ('kernel_size', 0, 'kernel_size'), ('strides', 0, 'strides'),
          ('padding', 'full', 'padding'), ('groups', 4, 'groups'),
          ('dilation_rate', 0, 'dilation_rate'),
          ('output_padding', 1, 'output_padding'),
          ('depth_multiplier', 0, 'depth_multiplier'),
          ('depth_multiplier', '1', "multiplier .*received '1'"),
          ('equation', 'ab', 'einsum equation'), ('bias_axes', 'x', "'x'"),
          ('dtype', 'int8_from_float32', 'quantization mode'))
      if name == 'dtype' or name in inspect.signature(layer_class).parameters)
  def test_arguments_are_checked(self, layer_class, changes, message):
    shape, options, _ = _CASES[layer_class]
    with self.assertRaisesRegex(ValueError, message):
      layer_class(**{**options, **changes},
                  bank=template_bank.TemplateBank(1)).build(shape)

  @_each(_CASES)
  def test_names_of_plain_layers_stay_free(self, layer_class):
    keras.backend.clear_session()
    options = _CASES[layer_class][1]
    layer = layer_class(**options, bank=template_bank.TemplateBank(1))
    layer.compute_output_shape(_CASES[layer_class][0])
    self.assertNotRegex(layer_class.stock(**options).name, r'_\d')

  def test_regularizer_is_on_templates_not_on_the_mixed_kernel(self):
    bank = template_bank.TemplateBank(2)
    layer = mixture_conv.MixtureConv2D(
        6, 3, bank=bank, kernel_regularizer=keras.regularizers.L2(.1))
    inputs = keras.Input((7, 7, 4))
    model = keras.Model(inputs, layer(inputs))
    kernel = bank.templates(layer.slots[0]).numpy()
    self.assertAllClose([.1 * np.sum(kernel**2)], model.losses)


if __name__ == '__main__':
  tf.test.main()
