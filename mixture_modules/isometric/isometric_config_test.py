"""Validation, presets and exact parameter counts (sections 4.1, A.1)."""

import dataclasses

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model

IsometricConfig = isometric_config.IsometricConfig

# Trained parameters with one task of ten classes:
# preset: (input adapter, templates, output adapter, signatures, private
#          norms, heads, total, and the untrained statistics of a task).
_COUNTS = {
    'default': (1_200, 82_144, 36_608, 32, 0, 2_570, 122_554, 5_808),
    'small': (1_200, 82_144, 36_608, 64, 0, 2_570, 122_586, 10_800),
    'large': (30_800, 854_784, 1_271_680, 256, 0, 12_810, 2_170_330, 21_200),
    'natural5':
        (30_800, 1_709_568, 1_271_680, 512, 0, 12_810, 3_025_370, 21_200),
    'imagenet8': (30_800, 427_392, 1_271_680, 0, 0, 12_810, 1_742_682, 12_880),
    'imagenet8_32':
        (30_800, 427_392, 1_271_680, 0, 0, 12_810, 1_742_682, 37_840),
    'imagenet16': (30_800, 854_784, 1_271_680, 0, 0, 12_810, 2_170_074, 21_200),
    'imagenet16_48':
        (30_800, 854_784, 1_271_680, 0, 0, 12_810, 2_170_074, 54_480),
    'digits': (2_000, 89_600, 38_656, 64, 0, 2_570, 132_890, 17_488),
    'digits_baseline': (2_000, 89_600, 38_656, 0, 0, 2_570, 132_826, 5_008),
    'office': (7_760, 268_800, 38_656, 192, 0, 2_570, 317_978, 17_488),
    'office_baseline': (7_760, 268_800, 38_656, 0, 0, 2_570, 317_786, 13_328),
    'domainnet': (7_760, 268_800, 38_656, 192, 0, 2_570, 317_978, 17_488),
    'domainnet_baseline':
        (7_760, 268_800, 38_656, 0, 0, 2_570, 317_786, 13_328),
    'figure2b': (1_200, 184_824, 36_608, 144, 0, 2_570, 225_346, 10_800),
}


class IsometricConfigTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('layers', {'num_layers': 0}, 'num_layers to be a positive integer'),
      ('templates', {'num_templates': 2.}, 'num_templates to be a positive'),
      ('patch', {'patch_size': -4}, 'patch_size to be a positive'),
      ('image', {'image_size': '32'}, 'image_size to be a positive'),
      ('multiple', {'image_size': 30}, 'multiple of patch_size=4, received 30'),
      ('rho', {'depth_multiplier': 0}, 'depth_multiplier to be positive'),
      ('many_layers', {'num_layers': 10 ** 9, 'signature': 'sequential'},
       'num_layers to be at most 10,000, received 1000000000'),
      ('many_templates', {'num_templates': 10_001}, 'num_templates .* at most'),
      ('wide', {'depth_multiplier': 1e300}, 'depth_multiplier to be at most'),
      ('norm', {'norm': 'batch'}, "norm to be one of .*received 'batch'"),
      ('dropout', {'dropout': 1.}, 'dropout to be in .*, received 1.0'),
      ('dropout_below', {'dropout': -.1}, 'dropout to be in .*received -0.1'),
      ('decay', {'weight_decay': -1.}, 'weight_decay to be finite and not'),
      ('adapter', {'adapter_filters': (8,)}, 'two positive integers'),
      ('adapter_zero', {'adapter_filters': (8, 0)}, 'adapter_filters to be'),
      ('adapter_one', {'adapter_filters': 128}, 'two positive integers'),
      ('text', {'depth_multiplier': '1'}, "finite, received '1'"),
      ('flag', {'num_layers': True}, 'num_layers to be a positive integer'),
      ('activation', {'activation': 'swoosh'}, 'activation .*swoosh'),
      ('kind', {'signature': 'spiral'}, "Unknown signature 'spiral'"),
      ('explicit', {'signature': '1-2-9'}, 'names 3 layers'),
      ('template', {'signature': '1-9', 'num_layers': 2}, r'\[9\], which are'),
      ('plain', {'signature': 'diagonal'}, 'needs K = L'),
      ('init', {'signature_init': 'copy'}, 'signature_init to be one of'),
      ('diagonal', {'signature_init': 'diagonal'}, 'num_templates >= num_la'),
      ('half', {'shared_half': 'both'},
       "first, second or None, received 'both'"),
      ('fixed_half', {'shared_half': 'first', 'signature': 'cyclic'},
       'needs a trained signature of two or more'),
      ('one_row', {'shared_half': 'first', 'num_layers': 1},
       'needs a trained signature of two or more'),
      ('temperature', {'temperature': 0}, 'temperature to be positive'),
      ('spread', {'signature_spread': -1}, 'signature_spread to be finite'),
      ('momentum', {'norm_momentum': 1.}, 'norm_momentum to be in '),
      ('epsilon', {'norm_epsilon': 0}, 'norm_epsilon to be positive'))
  def test_errors(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      IsometricConfig(**changes)

  def test_takes_numpys_integers(self):
    config = IsometricConfig(
        num_layers=np.int64(4), adapter_filters=np.array([8, 16]))
    self.assertEqual((8, 16), config.adapter_filters)
    self.assertIs(int, type(config.num_layers))

  def test_replace_validates(self):
    config = IsometricConfig(num_layers=4)
    self.assertEqual(8, config.replace(num_layers=8).num_layers)
    self.assertEqual(4, config.num_layers)
    with self.assertRaisesRegex(ValueError, 'num_layers'):
      config.replace(num_layers=0)

  def test_is_frozen(self):
    with self.assertRaises(dataclasses.FrozenInstanceError):
      IsometricConfig().num_layers = 3

  def test_unknown_preset(self):
    with self.assertRaisesRegex(ValueError, "digits.*received 'huge'"):
      IsometricConfig.preset('huge')

  def test_preset_takes_changes(self):
    config = IsometricConfig.preset('digits', num_layers=2)
    self.assertEqual((2, 4, False, .3), (config.num_layers,
                     config.num_templates, config.use_se, config.dropout))

  @parameterized.parameters((1., 40), (.6, 24), (.2, 8), (.01, 8), (2, 80))
  def test_channels(self, depth_multiplier, channels):
    config = IsometricConfig(depth_multiplier=depth_multiplier)
    self.assertEqual(channels, config.channels)
    self.assertEqual(6 * channels, config.expanded_channels)

  def test_every_preset_has_a_row(self):
    self.assertCountEqual(isometric_config.PRESETS, _COUNTS)

  @parameterized.parameters(*_COUNTS)
  def test_preset_counts(self, name):
    model = isometric_model.IsometricModel(
        IsometricConfig.preset(name), tasks={'only': 10})
    report = model.parameter_report()
    self.assertEqual(_COUNTS[name], tuple(report.values()))
    trained = sum(v.numpy().size for v in model.trainable_variables)
    self.assertEqual(report['total'], trained)


class PaperCountsTest(parameterized.TestCase, tf.test.TestCase):
  """Numbers that must come out: Table 7 and the totals of section 4.4."""

  def _report(self, tasks=None, **options):
    if 'preset' in options:
      config = IsometricConfig.preset(**{
          'name': options.pop('preset'), **options})
    else:
      config = IsometricConfig(**options)
    model = isometric_model.IsometricModel(config, tasks or {'only': 10})
    return model.parameter_report()

  @parameterized.parameters(
      (1., (128, 256), 2_000, 22_400, 53_424, 38_656),
      (1., (960, 1280), 2_000, 22_400, 53_424, 1_271_680),
      (.6, (128, 256), 1_200, 8_832, 20_536, 36_608))
  def test_table_7(self, depth_multiplier, adapter, inputs, block, se_block,
                   outputs):
    options = {'depth_multiplier': depth_multiplier, 'num_layers': 2,
               'adapter_filters': adapter}
    for num_templates in (2, 3):
      for use_se, expected in ((False, block), (True, se_block)):
        report = self._report(
            **options, num_templates=num_templates, use_se=use_se)
        self.assertEqual(inputs, report['input_adapter'])
        self.assertEqual(expected * num_templates, report['templates'])
        self.assertEqual(outputs, report['output_adapter'])
        self.assertEqual(2 * num_templates, report['signatures'])

  @parameterized.parameters(7, 100)
  def test_logits(self, num_classes):
    report = self._report({'only': num_classes}, num_layers=1)
    self.assertEqual(256 * num_classes + num_classes, report['heads'])

  @parameterized.parameters((1, 132_890), (6, 133_210))
  def test_digits(self, num_tasks, expected):
    names = ('mnist', 'shear', 'scale', 'shot_noise', 'svhn', 'usps')
    model = isometric_model.IsometricModel(
        IsometricConfig.preset('digits'),
        tasks=dict.fromkeys(names[:num_tasks], 10), shared_head=True)
    self.assertEqual(expected, model.parameter_report()['total'])
    self.assertEqual(
        expected, sum(v.numpy().size for v in model.trainable_variables))

  def test_domainnet_baseline(self):
    report = self._report({'all': 100}, preset='domainnet_baseline')
    # The paper's baseline counts gamma and beta once for each layer.
    self.assertEqual(340_916, report['total'])

  @parameterized.parameters(
      ('imagenet8', 'imagenet8_32'), ('imagenet16', 'imagenet16_48'))
  def test_deeper_network_of_the_same_parameters(self, shallow, deep):
    configs = [IsometricConfig.preset(name) for name in (shallow, deep)]
    self.assertLess(configs[0].num_layers, configs[1].num_layers)
    reports = [isometric_model.IsometricModel(
        config, {'imagenet': 1000}).parameter_report() for config in configs]
    self.assertLess(reports[0].pop('statistics'), reports[1].pop('statistics'))
    self.assertEqual(reports[0], reports[1])


if __name__ == '__main__':
  tf.test.main()
