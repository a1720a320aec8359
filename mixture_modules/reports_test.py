"""Parameters of models beside their plain twins, counted by Keras."""

from absl.testing import parameterized
import keras
import tensorflow as tf

from mixture_modules import mixture_conv
from mixture_modules import mixture_depthwise
from mixture_modules import normalization
from mixture_modules import reports
from mixture_modules import signatures
from mixture_modules import template_bank
from mixture_modules.testing import toy_models


def _network(conv, depthwise, norm):
  """Three equal convolutions, one of its own shape, three norms."""
  x = inputs = keras.Input((8, 8, 4))
  for _ in range(3):
    x = norm()(conv(4, 3, padding='same')(x))
  x = depthwise(3)(x)
  x = keras.layers.GlobalAveragePooling2D()(conv(6, 1)(x))
  return keras.Model(inputs, keras.layers.Dense(2)(x))


def _plain():
  return _network(keras.layers.Conv2D, keras.layers.DepthwiseConv2D,
                  keras.layers.BatchNormalization)


def _mixture(bank):
  return _network(*(
      lambda *args, layer=layer, **kwargs: layer(*args, **kwargs, bank=bank)
      for layer in (mixture_conv.MixtureConv2D,
                    mixture_depthwise.MixtureDepthwise,
                    normalization.MixtureBatchNormalization)))


class ReportsTest(parameterized.TestCase, tf.test.TestCase):

  def test_report_counts_as_keras_does(self):
    model = _mixture(template_bank.TemplateBank(2))
    nested = keras.Sequential([keras.Input((8, 8, 4)), model])
    for built in (model, nested):
      report = reports.report(built)
      self.assertEqual(model.count_params(), report.parameters)
      self.assertEqual(_plain().count_params(), report.plain_parameters)
    self.assertEqual(8 * 2, report.signatures)
    self.assertEqual(
        {'conv_3x3x4x4/kernel': 3, 'conv_3x3x4x4/bias': 3, 'norm_4/gamma': 3,
         'norm_4/beta': 3, 'depthwise_3x3x4x1/kernel': 1,
         'depthwise_3x3x4x1/bias': 1, 'conv_1x1x4x6/kernel': 1,
         'conv_1x1x4x6/bias': 1},
        {use.slot: use.num_layers for use in report.slots})

  def test_report_as_a_table(self):
    lines = str(reports.report(_mixture(template_bank.TemplateBank(2)))
                ).splitlines()
    self.assertRegex(lines[0], 'slot .*shape .*layers .*parameters .*plain')
    self.assertRegex(lines[1], r'conv_3x3x4x4/kernel +3x3x4x4 +2 +3 +288 +'
                               '432')
    self.assertRegex(lines[-1], r'^\d\.\d\d times the plain model.$')

  def test_shared_signatures_count_once(self):
    bank = template_bank.TemplateBank(2)
    signature = signatures.Signature(1, 2)
    model = keras.Sequential([keras.Input((8, 8, 4)), *(
        mixture_conv.MixtureConv2D(4, 1, bank=bank, signature=signature)
        for _ in range(2))])
    report = reports.report(model)
    self.assertEqual(2, report.signatures)
    self.assertEqual(model.count_params(), report.parameters)

  def test_forecast_is_what_the_report_says(self):
    forecast = reports.forecast(_plain(), 2)
    report = reports.report(_mixture(template_bank.TemplateBank(2)))
    frozen = _plain()
    frozen.trainable = False
    self.assertEqual(forecast.slots, reports.forecast(frozen, 2).slots)
    for name in ('parameters', 'plain_parameters', 'signatures', 'others'):
      self.assertEqual(getattr(report, name), getattr(forecast, name), name)

  def test_forecast_of_single_shapes_and_banks(self):
    plain = _plain()
    mixed = reports.forecast(plain, 2, min_layers=2)
    self.assertLen(mixed.slots, 4)
    self.assertEqual(plain.count_params(), mixed.plain_parameters)
    saved = 4 * 4 * 9 + 4 + 2 * 4  # one of three kernels, biases, norms
    self.assertEqual(plain.count_params() - saved + 2 * 6, mixed.parameters)
    apart = reports.forecast(
        plain, 2, bank_of=lambda layer: layer.name, min_layers=2)
    self.assertEmpty(apart.slots)
    self.assertEqual(plain.count_params(), apart.parameters)

  def test_what_has_no_report(self):
    with self.assertRaisesRegex(ValueError, 'with mixture layers.*forecast'):
      reports.report(_plain())
    isometric = toy_models.make_model()
    images = keras.Input((8, 8, 3))
    for model in (isometric, isometric.view('a'),
                  keras.Model(images, isometric(images, task='a'))):
      with self.assertRaisesRegex(ValueError, 'parameter_report'):
        reports.report(model)
    with self.assertRaisesRegex(ValueError, 'a built model'):
      reports.report(keras.Sequential([keras.layers.Dense(2)]))
    with self.assertRaisesRegex(ValueError, 'num_templates'):
      reports.forecast(_plain(), 0)
    with self.assertRaisesRegex(ValueError, 'min_layers'):
      reports.forecast(_plain(), 2, min_layers=0)


if __name__ == '__main__':
  tf.test.main()
