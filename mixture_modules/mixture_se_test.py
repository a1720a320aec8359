"""The mixed squeeze-and-excite against NumPy and Keras (sections 3.2, 4.1)."""

from absl.testing import parameterized
import keras
from keras import ops
import numpy as np
import tensorflow as tf

from mixture_modules import mixture_se
from mixture_modules import template_bank

_PARAMETERS = ('squeeze_kernel', 'squeeze_bias', 'excite_kernel',
               'excite_bias')


def _images():
  rng = np.random.default_rng(0)
  return rng.normal(size=(2, 5, 6, 12)).astype('float32') + .5


def _built(num_templates=3, **options):
  bank = template_bank.TemplateBank(num_templates)
  layer = mixture_se.MixtureSE(bank=bank, slot='se', **options)
  layer.build((None, None, None, 12))
  rng = np.random.default_rng(1)
  for slot in bank.slots:
    variable = bank.templates(slot)
    variable.assign(rng.normal(size=variable.shape))
  return layer, [bank.templates(f'se/{p}').numpy() for p in _PARAMETERS]


class MixtureSETest(parameterized.TestCase, tf.test.TestCase):

  def test_matches_numpy(self):
    layer, theta = _built()
    xi = np.float32([.5, -.3, .8])
    # s = activation(mean_hw(x) @ W1(xi) + b1(xi))
    # y = x * gate_activation(s @ W2(xi) + b2(xi))
    w1, b1, w2, b2 = (np.tensordot(xi, t, 1) for t in theta)
    squeezed = np.maximum(_images().mean((1, 2)) @ w1 + b1, 0)
    gate = np.clip((squeezed @ w2 + b2) / 6 + .5, 0, 1)
    self.assertGreater(np.std(gate), .1)
    self.assertAllClose(_images() * gate[:, None, None],
                        layer(_images(), mixture=xi), 1e-5, 1e-5)

  @parameterized.named_parameters(
      ('default', {}, 'relu', 'hard_sigmoid'),
      ('other', {'activation': 'tanh', 'gate_activation': 'sigmoid'},
       'tanh', 'sigmoid'))
  def test_one_hot_mixture_equals_plain_layers(self, options, first, second):
    layer, theta = _built(**options)
    squeeze = keras.layers.Dense(8, first)
    excite = keras.layers.Dense(12, second)
    squeeze.build((None, 12))
    excite.build((None, 8))
    squeeze.set_weights([t[1] for t in theta[:2]])
    excite.set_weights([t[1] for t in theta[2:]])
    gate = excite(squeeze(keras.layers.GlobalAveragePooling2D()(_images())))
    expected = _images() * ops.reshape(gate, (2, 1, 1, 12))
    for mixture in (1, np.float32([0, 1, 0])):
      self.assertAllClose(
          expected, layer(_images(), mixture=mixture), 1e-5, 1e-5)
    self.assertNotAllClose(expected, layer(_images(), mixture=0))

  def test_channels_first(self):
    layer, _ = _built()
    first = mixture_se.MixtureSE(
        bank=layer.bank, slot='se', data_format='channels_first')
    images = np.moveaxis(_images(), -1, 1)
    self.assertAllClose(np.moveaxis(layer(_images(), mixture=1), -1, 1),
                        first(images, mixture=1), 1e-6, 1e-6)
    with self.assertRaisesRegex(ValueError, 'expected axis 1.* to have value'):
      first(_images(), mixture=1)

  def test_data_format_is_that_of_keras(self):
    keras.config.set_image_data_format('channels_first')
    self.addCleanup(keras.config.set_image_data_format, 'channels_last')
    bank = template_bank.TemplateBank(1)
    layer = mixture_se.MixtureSE(bank=bank)
    self.assertEqual('channels_first', layer.get_config()['data_format'])
    with self.assertRaisesRegex(ValueError, "one of .*received 'last'"):
      mixture_se.MixtureSE(data_format='last', bank=bank)

  def test_kernels_alone_are_regularized(self):
    layer, theta = _built(kernel_regularizer=keras.regularizers.L2(.1))
    self.assertAllClose(
        sorted(.1 * np.sum(t**2) for t in (theta[0], theta[2])),
        sorted(map(float, layer.losses)), 1e-5, 1e-5)

  @parameterized.named_parameters(
      ('quarter', .25, 8), ('whole', 1., 16), ('double', 2, 24))
  def test_squeeze_ratio(self, ratio, squeezed):
    layer, theta = _built(squeeze_ratio=ratio)
    self.assertEqual((3, 12, squeezed), theta[0].shape)
    self.assertEqual((2, 5, 6, 12), layer(_images()).shape)

  @parameterized.parameters(
      (1, 8), (8, 8), (11.9, 16), (12, 16), (15, 16), (20, 24), (24, 24),
      (36, 40), (60, 64), (40 * .6, 24), (40 * .2, 8), (100, 104), (17, 16))
  def test_make_divisible(self, value, expected):
    self.assertEqual(expected, mixture_se.make_divisible(value))

  @parameterized.parameters(0, -.5)
  def test_squeeze_ratio_must_be_positive(self, ratio):
    with self.assertRaisesRegex(ValueError, 'squeeze_ratio to be positive'):
      mixture_se.MixtureSE(ratio, bank=template_bank.TemplateBank(1))


if __name__ == '__main__':
  tf.test.main()
