"""Tests of what defines an adaptation."""

import json

from absl.testing import parameterized
import tensorflow as tf

from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.adaptation import methods
from trainers.adaptation import target_optimizer
from trainers.runs import run_config

_DIGITS = run_config.recipe('digits')


def make(**options):
  return adaptation_config.AdaptationConfig(**{
      'source': 'bank', 'target': 'usps', 'method': 'adda',
      'sources': ['mnist', 'svhn'], **options})


def resolve(method, model=_DIGITS, **options):
  config = adaptation_config.AdaptationConfig(
      'bank', 'usps', method, **options)
  return adaptation_config.resolve(config, model, 64)


class AdaptationConfigTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ({'method': 'dann'}, 'method to be one of source_only, adda'),
      ({'target': 'mnist'}, "no source, received 'mnist' as both"),
      ({'sources': ()}, 'at least one source'),
      ({'tune': ('templates',)}, 'received templates: nothing of a source'),
      ({'tune': ('mixture', 'head')}, 'received head: nothing of a source'),
      ({'tune': ('all',)}, 'received all'),
      ({'tune': ()}, 'received none'),
      ({'init': 'copy'}, 'init of copy:TASK, best'),
      ({'init': 'copy:kmnist'}, r"the sources \['mnist', 'svhn'\]"),
      ({'init': 'random'}, 'target_statistics=reestimate'),
      ({'target_statistics': 'mean'}, 'target_statistics to be one of'),
      ({'score': 'accuracy'}, 'score to be one of'),
      ({'choose': 'first'}, 'choose to be one of'),
      ({'method': 'm3sda', 'options': {'moment_features': 'logits'}},
       'moment_features to be one of'),
      ({'tune': ('mixture', 'output_adapter')}, 'which adda cannot train'),
      ({'source_free': True}, 'adda needs images of the sources'),
      ({'source_free': True, 'method': 'im', 'score': 'domain_accuracy'},
       'domain_accuracy needs images'),
      ({'choose': 'best', 'watch_every': 0}, 'choose=best needs'),
      ({'source_batch_size': 0}, 'source_batch_size to be a positive'),
      ({'watch_every': -1}, 'watch_every to be a whole number from 0'),
      ({'collapse_classes': 1.0}, r'collapse_classes to be in \[0, 1\)'),
      ({'options': {'label_smoothing': 0.5}}, r'smoothing to be in \[0, 0.5\)'),
      ({'method': 'm3sda', 'options': {'moment_weight': float('nan')}},
       'moment_weight to be finite'),
      ({'options': {'pretraining_steps': -1}}, 'steps to be a whole number'),
      ({'options': {'network_learning_rate': float('nan')}},
       'to be positive and finite'),
      ({'options': {'moment_weight': 1.0}},
       'options of adda, received moment_weight, which is of m3sda: leave'),
      ({'method': 'im', 'options': {'pretraining_steps': 5}},
       'options of im, received pretraining_steps, which is of adda, m3sda'),
      ({'options': {'nosuch': 5}}, 'received nosuch, which is of no method'),
      ({'options': methods.METHODS['m3sda'].Options()},
       'AdversarialAdaptation.Options of adda, received MomentMatching'),
      ({'method': 'source_only', 'move_statistics': False},
       'no move_statistics, of which method=source_only has no use'),
      ({'method': 'source_only', 'tune': ('mixture',)}, 'Expected no tune'),
      ({'method': 'im', 'source_batch_size': 5}, 'no source_batch_size'))
  def test_refuses(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      make(**options)

  def test_json_round_trip(self):
    config = make(method='m3sda', tune=['mixture', 'norm'],
                  options={'moment_weight': 0.5})
    self.assertEqual(config.options.pretraining_steps, 100)
    values = json.loads(json.dumps(config.to_json()))
    self.assertEqual(values['options']['moment_weight'], 0.5)
    self.assertEqual(
        adaptation_config.AdaptationConfig.from_json(values), config)
    for change, message in (
        ({'targets': 1}, "unknown 'targets'"),
        ({'method': 'adda'}, 'moment_features, which is of m3sda'),
        ({'options': {'pretraining_steps': 2.0}}, 'a whole number'),
        ({'options': [1]}, r'received \[1\]')):
      with self.assertRaisesRegex(ValueError, f'another version .*{message}'):
        adaptation_config.AdaptationConfig.from_json({**values, **change})

  def test_says_how_labels_are_used(self):
    self.assertEqual(make().uses_labels, '')
    self.assertEqual(
        make(method='supervised', init='oracle').uses_labels,
        'trained on labels, start chosen by labels')

  @parameterized.parameters(
      ('digits', 'adda', 10), ('digits_baseline', 'm3sda', 10),
      ('domainnet', 'adda', 20), ('domainnet', 'm3sda', 15),
      ('domainnet_baseline', 'm3sda', 15), ('office', 'im', 50))
  def test_epochs(self, preset, method, epochs):
    run = adapting.default_run(
        run_config.recipe(preset), make(method=method))
    self.assertEqual(run.epochs, epochs)
    self.assertEqual(run.tasks, ('usps',))
    self.assertEqual(run.task_batch_sizes(), {'usps': 64})

  def test_the_papers_learning_rates(self):
    for method, first, kind in (('adda', 2e-4, 'polynomial'),
                                ('m3sda', 1e-4, 'linear')):
      config = make(method=method)
      run = adapting.default_run(_DIGITS, config)
      network = target_optimizer.network_config(run.optimizer, config.options)
      self.assertEqual(
          (network.learning_rate, network.final_learning_rate,
           network.schedule), (first, 1e-5, kind))

  def test_network_rates_fall(self):
    config = make(options={'network_learning_rate': 5e-6})
    run = adapting.default_run(_DIGITS, config)
    with self.assertRaisesRegex(ValueError, 'received 1e-05 and 5e-06: give'):
      config.method_class.check(config.options, run.optimizer, 10)
    constant = run.replace(schedule='constant').optimizer
    self.assertEqual(target_optimizer.network_config(
        constant, config.options).learning_rate, 5e-6)

  @parameterized.parameters(
      ('adda', 50), ('im', 50), ('supervised', 0), ('source_only', None))
  def test_the_upper_bound_is_not_ended_early(self, method, every):
    self.assertEqual(resolve(method).watch_every, every)

  @parameterized.parameters(('adda', 13), ('m3sda', 64), ('im', None))
  def test_sources_share_a_batch_or_have_their_own(self, method, size):
    config = resolve(method)
    self.assertEqual(config.sources, _DIGITS.tasks)
    self.assertEqual(config.source_batch_size, size)
    self.assertEqual(config.tune, ('mixture',))
    pooled = resolve(method, run_config.recipe('digits_baseline'))
    self.assertEqual(pooled.sources, ('pool:digits',))
    self.assertEqual(pooled.source_batch_size, size)
    self.assertEqual(pooled.tune, ('input_adapter',))
    one = resolve(method, sources=_DIGITS.tasks[:1])
    self.assertEqual(one.source_batch_size, size and 64)

  def test_resolved_is_resolved(self):
    for method in methods.METHODS:
      config = resolve(method)
      self.assertEqual(
          adaptation_config.resolve(config, _DIGITS, 8), config)
    self.assertIsNone(resolve('source_only').tune)

  def test_default_sources(self):
    model = _DIGITS.replace(tasks=('usps', 'images:x', 'mnist', 'other'))
    config = adaptation_config.AdaptationConfig('bank', 'usps', 'im')
    self.assertEqual(adaptation_config.resolve(
        config, model, 8).sources, ('mnist', 'other'))
    self.assertEqual(adaptation_config.resolve(
        config, model, 8, {'mnist': 'mnist', 'other': 'images:y'}).sources,
                     ('mnist',))
    self.assertEqual(adaptation_config.resolve(
        config, model, 8, None, ['usps', 'images:x']).sources, ('images:x',))


if __name__ == '__main__':
  tf.test.main()
