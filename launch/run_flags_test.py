"""Tests of the flags that decide a run."""

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launch import run_flags
from mixture_modules.isometric import isometric_config
from trainers.runs import run_config


def make_config(former=None, default_preset='default', **values):
  """The configuration of flags, given as text as on a command line."""
  flag_values = flags.FlagValues()
  config = run_flags.RunFlags(flag_values, default_preset)
  flag_values(['command', *(
      f'--{name}={value}' for name, value in values.items())])
  return config.config(former)


class RunFlagsTest(parameterized.TestCase):

  @parameterized.parameters(sorted(isometric_config.PRESETS))
  def test_defaults_are_the_presets(self, preset):
    self.assertEqual(make_config(), run_config.recipe('default'))
    for config in (make_config(preset=preset),
                   make_config(default_preset=preset)):
      self.assertEqual(config, run_config.recipe(preset))

  def test_every_flag_reaches_its_field(self):
    config = make_config(
        tasks='mnist,kmnist+blur', batch_size='8,16', loss_weights='1,0.5',
        steps='7', eval_batch_size='9', entropy='0.1', clustering='0.2',
        clustering_distance='square', ema_decay='0.5', ema_statistics='false',
        precision='mixed_bfloat16', augmentation='none', seed='3',
        view='pad',
        deterministic='true', shared_head='true', depth_multiplier='0.2',
        num_layers='4',
        num_templates='2', image_size='16', patch_size='8', use_se='false',
        norm='private', signature='softmax', signature_init='uniform',
        signature_spread='0.25', temperature='2', shared_half='second',
        original_input='true', dropout='0.1', adapter_filters='8,16',
        activation='relu', norm_epsilon='0.5', weight_decay='0', power='3',
        norm_momentum='0.5',
        learning_rate='0.5', final_learning_rate='0.25', schedule='linear',
        warmup_steps='2', mixture_learning_rate='0.125', momentum='0.5',
        rho='0.75', epsilon='0.01', initial_mean_square='0', clipnorm='5')
    default = run_config.recipe('default')
    for part in (config, config.model, config.optimizer):
      original = {config: default, config.model: default.model,
                  config.optimizer: default.optimizer}[part]
      same = {name for name, value in vars(part).items()
              if value == getattr(original, name)}
      # What stays: what has no flag, and what was given its default.
      self.assertContainsSubset(same, {
          'epochs', 'preset', 'signature', 'mixture_lr_multiplier'})
    self.assertEqual(config.tasks, ('mnist', 'kmnist+blur'))
    self.assertEqual(config.batch_size, (8, 16))
    self.assertEqual(config.loss_weights, (1.0, 0.5))
    self.assertEqual((config.steps, config.epochs), (7, None))
    self.assertEqual(config.optimizer.mixture_multiplier, 0.25)

  def test_groups_of_tasks(self):
    config = make_config(tasks='digits+blur', batch_size='4')
    self.assertIn('mnist+blur', config.tasks)
    self.assertGreaterEqual(len(config.tasks), 5)
    self.assertEqual(config.batch_size, 4)

  def test_pool(self):
    config = make_config(tasks='digits,usps', pool='true', batch_size='64')
    self.assertEqual(config.tasks, ('pool:digits|usps',))
    self.assertEqual(config.task_batch_sizes(), {'pool:digits|usps': 64})

  @parameterized.named_parameters(
      ('pool', {'pool': 'true'}, '--pool needs --tasks'),
      ('pool_name', {'pool': 'true', 'tasks': 'folder:a|b,mnist'}, 'Rename'),
      ('budget', {'steps': '1', 'epochs': '1'}, 'or epochs, received both'),
      ('mixture_lr', {'mixture_lr_multiplier': '1',
                      'mixture_learning_rate': '1'}, 'received both'),
      ('fixed', {'signature': 'cyclic', 'temperature': '2'},
       'no temperature, for which signature=cyclic has'),
      ('explicit', {'signature': '1-2-3-4-1-2-3-4', 'entropy': '1'},
       'no entropy, for which signature=1-2-3-4-1-2-3-4 has'),
      ('fixed_preset', {'preset': 'digits_baseline', 'clustering': '1'},
       'no clustering, for which signature=diagonal has'),
      ('tanh', {'signature': 'tanh', 'temperature': '2'},
       'no temperature, for which signature=tanh has'),
      ('linear', {'signature': 'linear', 'entropy': '1'}, 'sum to 1'),
      ('layers', {'num_layers': '0'}, 'num_layers to be'),
      ('templates', {'num_templates': '-1'}, 'num_templates to be'),
      ('diagonal', {'signature': 'diagonal'}, 'needs K = L'),
      ('word', {'signature': 'spiral'}, "Unknown signature 'spiral'"),
      ('image', {'image_size': '30'}, 'multiple of patch_size'),
      ('batch_word', {'batch_size': '8,x'}, '--batch_size to be of ints.*8,x'),
      ('batch_none', {'batch_size': ''}, 'each of the 3 tasks, received 0'),
      ('batch_many', {'batch_size': '1,2'}, 'one for each of the 3 tasks'),
      ('weight_word', {'loss_weights': 'x'}, '--loss_weights to be of floats'),
      ('no_task', {'tasks': ''}, 'at least one task'),
      ('twice', {'tasks': 'mnist,mnist'}, 'more than once'),
      ('group_twice', {'tasks': 'digits,mnist'}, r"\['mnist'\] more than once"),
      ('seed', {'seed': '-1'}, 'seed to be in'),
      ('rate', {'learning_rate': 'nan'}, 'learning_rate'),
      ('clipnorm', {'clipnorm': '0'}, 'clipnorm'),
      ('exponential', {'schedule': 'exponential'}, 'final_learning_rate'))
  def test_rejects(self, values, message):
    with self.assertRaisesRegex(ValueError, message):
      make_config(**values)

  @parameterized.parameters(
      ('preset', 'tiny'), ('norm', 'none'), ('schedule', 'step'),
      ('steps', 'many'), ('clustering_distance', 'cube'),
      ('shared_half', 'third'), ('precision', 'float16'),
      ('augmentation', 'turn'))
  def test_flags_reject_words(self, name, value):
    with self.assertRaisesRegex(flags.IllegalFlagValueError, value):
      make_config(**{name: value})

  def test_resume_takes_what_is_saved(self):
    saved = make_config(num_layers='3', learning_rate='0.5', epochs='2',
                        preset='figure2b')
    self.assertEqual(make_config(saved), saved)
    self.assertEqual(make_config(saved, preset='figure2b'), saved)
    self.assertEqual(make_config(saved, seed='7'), saved.replace(seed=7))
    self.assertEqual(make_config(saved, preset='small').preset, 'small')

  def test_fewer_flags_and_help(self):
    values = flags.FlagValues()
    run_flags.RunFlags(values, 'small', without=('seed', 'model'))
    self.assertNotIn('seed', values)
    self.assertNotIn('num_layers', values)
    self.assertIn("Default: the preset's, here 128.", values['batch_size'].help)
    self.assertIn('Default: small.', values['preset'].help)


if __name__ == '__main__':
  absltest.main()
