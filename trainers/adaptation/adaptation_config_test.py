"""Tests of what defines an adaptation."""

from absl.testing import parameterized
import tensorflow as tf

from trainers.adaptation import adaptation_config
from trainers.runs import run_config


def make(**options):
  return adaptation_config.AdaptationConfig(**{
      'target': 'usps', 'method': 'adda', 'sources': ['mnist', 'svhn'],
      **options})


class AdaptationConfigTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ({'method': 'dann'}, 'method must be one of'),
      ({'target': 'mnist'}, "no source, received 'mnist' as both"),
      ({'sources': ()}, 'at least one source'),
      ({'tune': ('templates',)}, 'received templates: nothing of a source'),
      ({'tune': ('mixture', 'head')}, 'received head: nothing of a source'),
      ({'tune': ('all',)}, 'received all'),
      ({'tune': ()}, 'received none'),
      ({'init': 'copy'}, 'init must be copy:TASK'),
      ({'init': 'copy:kmnist'}, r"the sources \['mnist', 'svhn'\]"),
      ({'init': 'random'}, 'target_statistics=reestimate'),
      ({'target_statistics': 'mean'}, 'target_statistics must be one of'),
      ({'statistics': 'lost'}, 'statistics must be one of'),
      ({'score': 'accuracy'}, 'score must be one of'),
      ({'choose': 'first'}, 'choose must be one of'),
      ({'moment_features': 'logits'}, 'moment_features must be one of'),
      ({'tune': ('mixture', 'output_adapter')}, 'which it cannot train'),
      ({'source_free': True}, 'adda needs images of the sources'),
      ({'source_free': True, 'method': 'im', 'score': 'domain_accuracy'},
       'domain_accuracy needs images'),
      ({'choose': 'best', 'watch_every': 0}, 'choose=best needs'),
      ({'source_batch_size': 0}, 'source_batch_size must be positive'),
      ({'label_smoothing': 0.5}, r'label_smoothing must be in \[0, 0.5\)'),
      ({'collapse_classes': 1.0}, r'collapse_classes must be in \[0, 1\)'),
      ({'moment_weight': float('nan')}, 'moment_weight to be finite'),
      ({'pretraining_steps': -1}, 'pretraining_steps to be finite'),
      ({'method': 'im', 'pretraining_steps': 5}, 'nothing to be pretrained'),
      ({'network_learning_rate': float('nan')}, 'to be positive and finite'))
  def test_refuses(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      make(**options)

  def test_json_round_trip(self):
    config = make(tune=['mixture', 'norm'], moment_weight=0.5)
    self.assertEqual(
        adaptation_config.AdaptationConfig.from_json(config.to_json()), config)
    with self.assertRaisesRegex(ValueError, 'of another version'):
      adaptation_config.AdaptationConfig.from_json({'targets': 1})

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
    run = adaptation_config.default_run(
        run_config.recipe(preset), method, 'usps')
    self.assertEqual(run.epochs, epochs)
    self.assertEqual(run.tasks, ('usps',))
    self.assertEqual(run.task_batch_sizes(), {'usps': 64})

  def test_the_papers_learning_rates(self):
    for method, first, kind in (('adda', 2e-4, 'polynomial'),
                                ('m3sda', 1e-4, 'linear')):
      run = adaptation_config.default_run(
          run_config.recipe('digits'), method, 'usps')
      network = make(
          method=method, **adaptation_config.default_options(
              method, 64, 5, True)).network_optimizer(run.optimizer)
      self.assertEqual(
          (network.learning_rate, network.final_learning_rate,
           network.schedule), (first, 1e-5, kind))

  def test_network_rates_fall(self):
    config = make(network_learning_rate=5e-6)
    run = adaptation_config.default_run(
        run_config.recipe('digits'), 'adda', 'usps')
    with self.assertRaisesRegex(ValueError, 'received 1e-05 and 5e-06: give'):
      config.network_optimizer(run.optimizer)
    constant = run.replace(schedule='constant').optimizer
    self.assertEqual(config.network_optimizer(constant).learning_rate, 5e-6)

  def test_the_upper_bound_is_not_ended_early(self):
    options = adaptation_config.default_options('supervised', 64, 5, True)
    self.assertEqual(options['watch_every'], 0)

  @parameterized.parameters(('adda', 13), ('m3sda', 64), ('im', 13))
  def test_sources_share_a_batch_or_have_their_own(self, method, size):
    options = adaptation_config.default_options(method, 64, 5, True)
    self.assertEqual(options['source_batch_size'], size)
    self.assertEqual(options['tune'], ('mixture',))
    options = adaptation_config.default_options(method, 64, 1, False)
    self.assertEqual(options['source_batch_size'], 64)
    self.assertEqual(options['tune'], ('input_adapter',))


if __name__ == '__main__':
  tf.test.main()
