"""Tests of run configurations and of the presets' recipes."""

import dataclasses
import json
import math

from absl.testing import absltest
from absl.testing import parameterized

from mixture_modules.isometric import isometric_config
from trainers import optimizers
from trainers.runs import run_config
from trainers.testing import toy

_NAN, _INF = math.nan, math.inf


class RecipeTest(parameterized.TestCase):

  @parameterized.parameters(sorted(isometric_config.PRESETS))
  def test_every_preset_has_a_recipe(self, preset):
    config = run_config.recipe(preset)
    self.assertEqual(config.preset, preset)
    self.assertEqual(
        config.model, isometric_config.IsometricConfig.preset(preset))
    again = run_config.RunConfig.from_json(
        json.loads(json.dumps(config.to_json())))
    self.assertEqual(again, config)

  def test_no_recipe_without_a_preset(self):
    self.assertCountEqual(run_config._RECIPES, isometric_config.PRESETS)

  @parameterized.parameters('digits', 'domainnet')
  def test_adaptation_as_the_paper_states(self, preset):
    config = run_config.recipe(preset)
    optimizer = config.optimizer
    self.assertEqual(
        (optimizer.learning_rate, optimizer.final_learning_rate,
         optimizer.schedule), (2e-3, 2e-5, 'linear'))
    self.assertEqual(config.epochs, 2 if preset == 'digits' else 20)
    self.assertEqual(config.model.dropout, 0.3)
    self.assertTrue(config.shared_head)
    self.assertLen(config.tasks, 5)

  @parameterized.parameters('default', 'small', 'large', 'figure2b')
  def test_section_a2(self, preset):
    config = run_config.recipe(preset)
    self.assertIn(config.optimizer.learning_rate, (0.02, 0.04))
    self.assertEqual(config.model.weight_decay, 1e-5)
    self.assertEqual(config.model.dropout, 0.2)

  def test_figure_2b(self):
    tasks = run_config.recipe('figure2b').tasks
    self.assertLen(tasks, 9)
    self.assertContainsSubset(
        {'mnist', 'kmnist+blur', 'emnist/letters+boundary'}, tasks)

  def test_unknown(self):
    with self.assertRaisesRegex(ValueError, "small.*received 'tiny'"):
      run_config.recipe('tiny')


class RunConfigTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('no_tasks', {'tasks': ()}, 'at least one task, received none'),
      ('repeated', {'tasks': ('a', 'b', 'a')}, r"\['a'\] more than once"),
      ('both', {'steps': 5, 'epochs': 2.0}, 'epochs, received both: give one'),
      ('neither', {'steps': None}, 'epochs=None, steps=None: give one'),
      ('steps', {'steps': 0}, 'steps to be a positive.*received 0'),
      ('epochs', {'epochs': -1.0}, 'epochs to be positive.*received -1.0'),
      ('epochs_nan', {'epochs': _NAN}, 'epochs to be .*received nan'),
      ('epochs_inf', {'epochs': _INF}, 'epochs to be .*finite.*received inf'),
      ('eval', {'eval_batch_size': 0}, 'eval_batch_size to be a positive'),
      ('entropy', {'entropy': -0.1}, 'entropy to be .*received -0.1'),
      ('clustering', {'clustering': _NAN}, 'clustering to be .*nan'),
      ('tanh', {'clustering': 0.1, 'signature': 'tanh'},
       "clustering needs mixtures that sum to 1.*'tanh'.*clustering=0"),
      ('linear', {'entropy': 0.1, 'signature': 'linear'},
       "entropy needs mixtures that sum to 1.*'linear'.*entropy=0"),
      ('distance', {'clustering_distance': 'cube'}, "received 'cube'"),
      ('precision', {'precision': 'float16'}, "received 'float16'"),
      ('ema', {'ema_decay': 1.0}, r'in \[0, 1\), received 1.0'),
      ('ema_nan', {'ema_decay': _NAN}, r'in \[0, 1\), received nan'),
      ('seed', {'seed': -1}, r'seed to be in .*received -1'),
      ('seed_large', {'seed': 2 ** 31}, 'received 2147483648'),
      ('batch', {'batch_size': 0}, 'batch_size to be positive, received 0'),
      ('many_images', {'batch_size': 10 ** 30}, 'batch_size to be at most'),
      ('many_steps', {'steps': 10 ** 12}, 'steps to be at most'),
      ('many_epochs', {'steps': None, 'epochs': 1e300}, 'epochs to be at most'),
      ('batches', {'batch_size': (8, 0)}, r'positive, received \(8, 0\)'),
      ('batch_count', {'batch_size': (8, 8, 8)},
       'one for each of the 2 tasks, received 3'),
      ('no_batches', {'batch_size': ()}, 'of the 2 tasks, received 0'),
      ('weights', {'loss_weights': (1.0, -1.0)}, 'loss_weights to be finite'),
      ('weights_inf', {'loss_weights': _INF}, 'not negative, received inf'),
      ('weight_count', {'loss_weights': (1.0,)}, 'of the 2 tasks, received 1'),
      ('model', {'num_layers': 0}, 'num_layers to be a positive integer'),
      ('templates', {'num_templates': 0}, 'num_templates to be a positive'),
      ('sequence', {'signature': '1-3'}, r'templates \[3\], which are not'),
      ('optimizer', {'learning_rate': 0.0}, 'learning_rate'))
  def test_rejects(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      toy.make_config(**changes)

  def test_per_task_values(self):
    config = toy.make_config(batch_size=(8, 4), loss_weights=0.5)
    self.assertEqual(config.task_batch_sizes(), {'one': 8, 'two': 4})
    self.assertEqual(config.task_loss_weights(), {'one': 0.5, 'two': 0.5})

  @parameterized.parameters(
      (1, 1, 'one to be 2 or more, as batch norm needs .*received 1: try 2'),
      ((8, 1), 1, 'two to be 2 or more, .*received 1: try 2'),
      ((4, 2), 2, 'two to be a multiple of the 2 replicas, and 4 or more, '
       'received 2: try 4'),
      (7, 3, 'one to be a multiple of the 3 .*received 7: try 6'),
      (1, 8, 'received 1: try 16'))
  def test_every_replica_needs_two_images(self, sizes, replicas, message):
    with self.assertRaisesRegex(ValueError, message):
      toy.make_config(batch_size=sizes).check_batches(replicas)

  def test_batches_of_two_images_a_replica_train(self):
    toy.make_config(batch_size=2).check_batches()
    toy.make_config(batch_size=(6, 12)).check_batches(3)

  def test_total_steps(self):
    sizes = {'one': 100, 'two': 41}
    config = toy.make_config(batch_size=8)
    self.assertEqual(config.total_steps(sizes), 10)
    config = config.replace(epochs=2.0)
    self.assertEqual(config.total_steps(sizes), 2 * 13)  # the largest task's
    config = config.replace(batch_size=(50, 4))
    self.assertEqual(config.total_steps(sizes), 2 * 11)
    self.assertEqual(config.replace(epochs=0.5).total_steps(sizes), 6)
    self.assertEqual(config.replace(epochs=1e-6).total_steps(sizes), 1)

  def test_replace_reaches_every_part(self):
    config = toy.make_config()
    changed = config.replace(
        num_layers=3, learning_rate=0.5, seed=7, tasks=('one',))
    self.assertEqual(changed.model, dataclasses.replace(
        config.model, num_layers=3))
    self.assertEqual(changed.optimizer, dataclasses.replace(
        config.optimizer, learning_rate=0.5))
    self.assertEqual((changed.seed, changed.tasks), (7, ('one',)))
    self.assertEqual(toy.make_config(), config)  # which is as it was

  def test_replace_takes_what_is_so_already(self):
    config = toy.make_config(signature='cyclic')
    same = {'clustering': config.clustering,
            'signature_spread': config.model.signature_spread,
            'mixture_lr_multiplier': config.optimizer.mixture_lr_multiplier}
    self.assertEqual(config.replace(**same), config)
    with self.assertRaisesRegex(ValueError, 'Expected no clustering, .*cyclic'):
      config.replace(clustering=0.5)

  def test_replace_takes_the_last_word(self):
    config = toy.make_config(steps=10).replace(epochs=3.0)
    self.assertEqual((config.epochs, config.steps), (3.0, None))
    config = config.replace(steps=5)
    self.assertEqual((config.epochs, config.steps), (None, 5))
    config = config.replace(mixture_learning_rate=0.1, learning_rate=0.02)
    self.assertAlmostEqual(config.optimizer.mixture_multiplier, 5)
    config = config.replace(mixture_lr_multiplier=3.0)
    self.assertEqual(config.optimizer.mixture_multiplier, 3)
    with self.assertRaisesRegex(ValueError, 'did you mean learning_rate'):
      config.replace(learnig_rate=0.1)

  def test_parts_share_no_field(self):
    names = [field.name for part in (
        run_config.RunConfig, isometric_config.IsometricConfig,
        optimizers.OptimizerConfig) for field in dataclasses.fields(part)]
    self.assertLen(set(names), len(names))

  def test_json_round_trip(self):
    config = toy.make_config(
        batch_size=(8, 4), loss_weights=(1.0, 0.5), epochs=2.5,
        shared_half='first', final_learning_rate=1e-4, deterministic=True)
    values = json.loads(json.dumps(config.to_json()))
    self.assertEqual(run_config.RunConfig.from_json(values), config)
    self.assertEqual(values['batch_size'], [8, 4])

  @parameterized.parameters(
      ({'deterministic': 1}, 'deterministic to be True or False, received 1'),
      ({'seed': 1.5}, 'seed to be a whole number, received 1.5'),
      ({'batch_size': (8.0, 8.0)}, r'received \(8.0, 8.0\)'),
      ({'use_se': 1}, 'use_se to be True or False, received 1'),
      ({'tasks': 'one'}, r"received 'one': write \('one',\)"),
      ({'stesp': 3}, 'received stesp: did you mean steps'),
      ({'zzz': 3}, 'received zzz: see RunConfig'))
  def test_types_and_names(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      toy.make_config().replace(**changes)

  def test_parts_can_be_replaced(self):
    config = toy.make_config()
    other = toy.make_config(num_layers=3)
    self.assertEqual(
        config.replace(model=other.model, dropout=0.5),
        other.replace(dropout=0.5))

  def test_replace_training_refuses_what_the_model_decides(self):
    config = toy.make_config(['one'], signature='sequential')
    self.assertEqual(config.replace_training(steps=7).steps, 7)
    for changes in ({'num_layers': 3}, {'tasks': ('two',)},
                    {'precision': 'mixed_bfloat16'}, {'clustering': 0.1}):
      with self.assertRaisesRegex(ValueError, next(iter(changes))):
        config.replace_training(**changes)

  @parameterized.named_parameters(
      ('empty', lambda values: values.clear(), 'model'),
      ('later', lambda values: values.update(future=1), 'future'),
      ('model', lambda values: values.update(model=3), 'expected a dictionary'),
      ('later_model', lambda values: values['model'].update(x=1), 'x'),
      ('fewer', lambda values: values.pop('tasks'), 'tasks'))
  def test_damaged_json_is_one_error(self, damage, message):
    values = json.loads(json.dumps(toy.make_config().to_json()))
    damage(values)
    with self.assertRaisesRegex(
        ValueError, f'damaged or of another version .*{message}'):
      run_config.RunConfig.from_json(values)


if __name__ == '__main__':
  absltest.main()
