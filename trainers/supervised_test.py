"""Tests of supervised training: losses, state, evaluation, replicas."""

import json
import pathlib
import re
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.testing import numpy_regularizers
from trainers import supervised
from trainers.runs import checkpoints
from trainers.testing import toy

_TESTDATA = pathlib.Path(__file__).parents[1] / 'testdata'


def make_trainer(config, strategy=None, data=None):
  return supervised.make_trainer(
      config, data or toy.make_data(config.tasks),
      strategy or tf.distribute.get_strategy())


class SupervisedTest(parameterized.TestCase, tf.test.TestCase):

  def assertSameBits(self, received, expected):
    self.assertCountEqual(received, expected)
    for key, array in expected.items():
      self.assertEqual(received[key].tobytes(), array.tobytes(), key)

  def test_first_losses(self):
    golden = json.loads((_TESTDATA / 'first_losses.json').read_text())
    config = toy.make_config(**golden['changes'])
    received = [s['loss'] for s in toy.run_steps(make_trainer(config), 4)]
    self.assertAllClose(received, golden['losses'], rtol=1e-3,
                        msg=f'{received}')

  def test_learns(self):
    config = toy.make_config(
        ['one'], steps=60, batch_size=20, ema_decay=0.9, learning_rate=0.05)
    trainer = make_trainer(config)
    losses = [s['one/loss'] for s in toy.run_steps(trainer, 60)]
    self.assertLess(np.mean(losses[-5:]), 0.3 * np.mean(losses[:5]))
    for split, count in (('train', 36), ('validation', 4), ('test', 23)):
      result = trainer.evaluate(split)['one']
      self.assertEqual(result.examples, count)
      self.assertGreater(result.top1, 0.9)

  def test_names_of_tasks_decide_nothing(self):
    config = toy.make_config(['folder:a/statistics/b'])
    averages = make_trainer(config).ema.averages
    plain = make_trainer(toy.make_config(['one'])).ema.averages
    self.assertLen(averages, len(plain))

  @parameterized.parameters('tanh', 'linear')
  def test_learns_with_the_ablations(self, kind):
    trainer = make_trainer(toy.make_config(
        ['one'], steps=30, batch_size=20, learning_rate=0.02, signature=kind))
    before = trainer.mixtures()['one']
    losses = [s['one/loss'] for s in toy.run_steps(trainer, 30)]
    self.assertLess(np.mean(losses[-5:]), 0.7 * np.mean(losses[:5]))
    self.assertGreater(np.abs(trainer.mixtures()['one'] - before).max(), 1e-3)

  def test_loss_is_the_weighted_sum(self):
    trainer = make_trainer(toy.make_config(
        loss_weights=(2.0, 0.25), weight_decay=0.0, batch_size=(8, 4)))
    self.assertEqual(trainer.images_per_step, 12)
    images = {name: batch[0].shape
              for name, batch in next(trainer.batches(0)).items()}
    self.assertEqual(images, {'one': (8, 8, 8, 3), 'two': (4, 8, 8, 3)})
    for scalars in toy.run_steps(trainer, 2, traced=False):
      self.assertAllClose(
          scalars['loss'],
          2 * scalars['one/loss'] + 0.25 * scalars['two/loss'], rtol=1e-5)

  def test_zero_weight_trains_nothing_of_a_task(self):
    trainer = make_trainer(toy.make_config(loss_weights=(1.0, 0.0)))
    before = checkpoints.snapshot(trainer.model.named_variables())
    toy.run_steps(trainer, 3, traced=False)
    after = checkpoints.snapshot(trainer.model.named_variables())
    moved = {key for key in before
             if before[key].tobytes() != after[key].tobytes()}
    self.assertContainsSubset(
        {'heads/one/kernel', 'tasks/one/signature/logits',
         'bank/expand/kernel', 'tasks/two/statistics/mean/input'}, moved)
    self.assertNoCommonElements(
        {'heads/two/kernel', 'heads/two/bias', 'tasks/two/signature/logits'},
        moved)

  def test_batches_depend_on_the_step_alone(self):
    trainer = make_trainer(toy.make_config(batch_size=7))
    first = trainer.batches(0)
    for _ in range(9):  # 36 images: into the second epoch
      expected = next(first)
    received = next(trainer.batches(8))
    for name in ('one', 'two'):
      for one, other in zip(received[name], expected[name]):
        self.assertAllEqual(one, other)

  @parameterized.named_parameters(
      ('mixed', {}),
      ('private', {'norm': 'private', 'use_se': True}),
      ('shared', {'norm': 'shared', 'original_input': True}),
      ('shared_head', {'shared_head': True, 'shared_half': 'second'}),
      ('fixed', {'signature': 'cyclic', 'ema_statistics': False}))
  def test_state_covers_everything(self, changes):
    trainer = make_trainer(toy.make_config(**changes))
    state = trainer.state()
    expected = [*trainer.model.variables, *trainer.optimizer.variables,
                *trainer.ema.averages.values(), trainer.ema.counter]
    self.assertCountEqual(
        [id(v) for v in state.values()], [id(v) for v in expected])
    self.assertIn('model/dropout_seeds', state)
    trained = {id(v) for v in trainer.model.trainable_variables}
    named = trainer.model.named_variables()
    averaged = {key for key, v in named.items() if id(v) in trained}
    self.assertLen(averaged, len(trained))
    if changes.get('ema_statistics', True):
      averaged |= {key for key in named if '/statistics/' in key}
    self.assertCountEqual(trainer.ema.averages, averaged)

  def test_restores_into_a_fresh_trainer(self):
    config = toy.make_config(dropout=0.3)
    trainer = make_trainer(config)
    toy.run_steps(trainer, 2, traced=False)
    saved = checkpoints.snapshot(trainer.state())
    fresh = make_trainer(config)
    for variable in fresh.state().values():
      variable.assign(np.ones(variable.shape))
    checkpoints.restore(fresh.state(), saved)
    self.assertSameBits(checkpoints.snapshot(fresh.state()), saved)
    one, other = (toy.run_steps(each, 2, 2, traced=False)[-1]
                  for each in (fresh, trainer))
    self.assertAllClose(one, other, rtol=1e-4)

  def test_evaluates_averages_and_brings_the_weights_back(self):
    trainer = make_trainer(toy.make_config(learning_rate=0.1))
    toy.run_steps(trainer, 3, traced=False)
    before = checkpoints.snapshot(trainer.state())
    ema = trainer.evaluate('test')
    raw = trainer.evaluate('test', weights='raw')
    mixtures = trainer.mixtures('ema')
    self.assertSameBits(checkpoints.snapshot(trainer.state()), before)
    self.assertCountEqual(ema, ['one', 'two'])
    self.assertNotEqual(ema['one'].loss, raw['one'].loss)
    self.assertNotAllClose(mixtures['one'], trainer.mixtures()['one'])
    # With the averages in the place of the weights, raw is what ema was.
    for key, average in trainer.ema.averages.items():
      trainer.model.named_variables()[key].assign(average)
    self.assertEqual(trainer.evaluate('test', weights='raw'), ema)
    self.assertAllEqual(trainer.mixtures()['one'], mixtures['one'])
    self.assertCountEqual(trainer.evaluate('test', ['two']), ['two'])

  def test_weight_decay_is_on_convolution_kernels_only(self):
    decay = 1e-2
    trainer = make_trainer(toy.make_config(weight_decay=decay, use_se=True))
    named = trainer.model.named_variables()
    decayed = {
        'bank/expand/kernel', 'bank/project/kernel', 'input_adapter/kernel',
        'output_adapter/1/kernel', 'output_adapter/2/kernel'}
    decayed |= {key for key in named if re.fullmatch(r'bank/se/.*kernel', key)}
    self.assertLen(decayed, 7)
    for variable in named.values():  # also biases, which are 0 at first
      if variable.trainable:
        variable.assign_add(np.full(variable.shape, 0.1))
    expected = decay / 2 * sum(
        np.sum(named[key].numpy() ** 2) for key in decayed)
    with tf.GradientTape() as tape:
      loss = tf.add_n(trainer.model.losses)
    self.assertAllClose(loss, expected, rtol=1e-5)
    gradients = tape.gradient(loss, {key: v.value for key, v in named.items()})
    self.assertEqual(
        {key for key, g in gradients.items() if g is not None}, decayed)
    for key in decayed:
      self.assertAllClose(gradients[key], decay * named[key].numpy())
    # And it is in the loss, once for both tasks.
    scalars = toy.run_steps(trainer, 1, traced=False)[0]
    self.assertAllClose(
        scalars['loss'] - scalars['one/loss'] - scalars['two/loss'], expected,
        rtol=1e-3)

  @parameterized.named_parameters(
      ('plain', {}),
      ('half', {'shared_half': 'second', 'num_layers': 3,
                'clustering_distance': 'square'}),
      ('bounded', {'clustering_distance': 'bounded'}))
  def test_regularisers_sum_over_layers_and_tasks(self, changes):
    config = toy.make_config(
        weight_decay=0.0, entropy=0.5, clustering=0.25, **changes)
    trainer = make_trainer(config)
    expected = 0.0
    for xi in trainer.mixtures().values():
      self.assertLen(xi, config.model.num_layers)
      expected += 0.5 * numpy_regularizers.direct_entropy(xi)
      expected += 0.25 * numpy_regularizers.direct_clustering(
          xi, trainer.model.bank, config.clustering_distance)
    scalars = toy.run_steps(trainer, 1, traced=False)[0]
    self.assertAllClose(
        scalars['loss'] - scalars['one/loss'] - scalars['two/loss'], expected,
        rtol=1e-3)

  def test_mixed_precision(self):
    config = toy.make_config(['one'], use_se=True)
    trainer = make_trainer(config.replace(precision='mixed_bfloat16'))
    scalars = toy.run_steps(trainer, 3)
    self.assertTrue(np.isfinite([s['loss'] for s in scalars]).all())
    exact = toy.run_steps(make_trainer(config), 1, traced=False)[0]
    self.assertAllClose(scalars[0]['loss'], exact['loss'], rtol=0.05)
    self.assertNotEqual(scalars[0]['loss'], exact['loss'])
    self.assertEqual(trainer.model.block.compute_dtype, 'bfloat16')
    self.assertEqual(
        {v.dtype for v in trainer.model.trainable_variables}, {'float32'})
    self.assertBetween(trainer.evaluate('test')['one'].loss, 0.1, 5)

  def test_rejects(self):
    config = toy.make_config(warmup_steps=10)
    with self.assertRaisesRegex(ValueError, 'below the number of training'):
      make_trainer(config)


_PLAIN = {'clustering': 0.1, 'weight_decay': 1e-3, 'learning_rate': 0.1}
_DROPPED = {'tasks': ['one'], 'dropout': 0.5, 'norm': 'private',
            'entropy': 0.1, 'learning_rate': 0.1}


class _Doubled:
  """Task data each of whose batches is the same half batch twice."""

  def __init__(self, data):
    self._data = data
    self.tasks = data.tasks
    self.num_classes = data.num_classes
    self.num_examples = data.num_examples
    self.eval_batches = data.eval_batches

  def train_batches(self, batch_size, seed, start_step=0, num_shards=1,
                    num_pipelines=1, pipeline_id=0):
    assert (num_pipelines, pipeline_id) == (1, 0)
    half = self._data.train_batches(batch_size // 2, seed, start_step)
    if num_shards == 2:  # one half for each replica
      return half.flat_map(
          lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(2))
    return half.map(lambda *batch: tuple(tf.concat([x, x], 0) for x in batch))


class ReplicasTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Collectives of several strategies in one process get into each other's
    # way; launch/train_test.py tries them in processes of their own.
    cls.strategy = tf.distribute.MirroredStrategy(
        ['CPU:0', 'CPU:1'],
        cross_device_ops=tf.distribute.ReductionToOneDevice())
    cls.kept = {}

  def make_mirrored(self, **changes):
    """A trainer of all replicas, traced but once, as it was at the start."""
    key = str(changes)
    if key not in self.kept:
      trainer = make_trainer(toy.make_config(**changes), self.strategy)
      self.kept[key] = trainer, checkpoints.snapshot(trainer.state())
    trainer, start = self.kept[key]
    checkpoints.restore(trainer.state(), start)
    return trainer

  def test_equals_one_device_where_halves_have_the_same_statistics(self):
    single = make_trainer(toy.make_config(**_PLAIN))
    trainers = [self.make_mirrored(**_PLAIN), single]
    scalars = []
    for trainer in trainers:
      data = {name: _Doubled(task_data)
              for name, task_data in trainer.data.items()}
      with mock.patch.object(trainer, 'data', data):
        scalars.append(toy.run_steps(
            trainer, 4, traced=trainer is not single))
    for mirrored, single in zip(*scalars):
      self.assertAllClose(mirrored, single, rtol=1e-3, atol=1e-5)
    mirrored, single = (checkpoints.snapshot(t.state()) for t in trainers)
    for key, array in single.items():
      self.assertAllClose(mirrored[key], array, rtol=1e-2, atol=1e-4, msg=key)
    one, other = ({name: score.numbers() for name, score
                   in trainer.evaluate('test').items()} for trainer in trainers)
    self.assertAllClose(one, other, rtol=1e-2)

  def test_loss_and_statistics_are_means_over_replicas(self):
    mirrored = self.make_mirrored(**_PLAIN)
    single = make_trainer(toy.make_config(**_PLAIN))
    start = checkpoints.snapshot(single.state())
    self.assertSameBitsAsMirrored(mirrored, start)
    whole = next(single.batches(0))
    losses, states = [], []
    for half in (slice(0, 4), slice(4, 8)):
      checkpoints.restore(single.state(), start)
      batches = {name: tuple(x[half] for x in batch)
                 for name, batch in whole.items()}
      with toy.eagerly():
        losses.append(float(single.train_step(
            tf.constant(0, tf.int64), batches)['loss']))
      states.append(checkpoints.snapshot(single.state()))
    received = toy.run_steps(mirrored, 1)[0]['loss']
    self.assertGreater(abs(losses[0] - losses[1]), 0.01)
    self.assertAllClose(received, np.mean(losses), rtol=1e-4)
    after = checkpoints.snapshot(mirrored.state())
    moving = [key for key in after if key.startswith('model/')
              and '/statistics/' in key]
    self.assertLen(moving, 2 * 2 * 6)
    for key in moving:
      self.assertAllClose(after[key], (states[0][key] + states[1][key]) / 2,
                          rtol=1e-3, atol=1e-5, msg=key)

  def assertSameBitsAsMirrored(self, mirrored, arrays):
    for key, variable in mirrored.state().items():
      values = self.strategy.experimental_local_results(variable.value)
      self.assertLen(values, 2)
      for value in values:
        self.assertEqual(value.numpy().tobytes(), arrays[key].tobytes(), key)

  def test_replicas_stay_equal(self):
    trainer = self.make_mirrored(**_DROPPED)
    before = checkpoints.snapshot(trainer.state())
    toy.run_steps(trainer, 3)
    after = checkpoints.snapshot(trainer.state())
    self.assertSameBitsAsMirrored(trainer, after)
    still = {key for key in after
             if after[key].tobytes() == before[key].tobytes()}
    still = {key for key in still if not key.startswith('optimizer/')}
    self.assertEqual(still, {'model/dropout_seeds'})
    trainer.evaluate('validation')
    self.assertSameBitsAsMirrored(trainer, after)

  def test_restores_all_replicas(self):
    single = make_trainer(toy.make_config(**_DROPPED))
    toy.run_steps(single, 2, traced=False)
    arrays = checkpoints.snapshot(single.state())
    mirrored = self.make_mirrored(**_DROPPED)
    checkpoints.restore(mirrored.state(), arrays)
    self.assertSameBitsAsMirrored(mirrored, arrays)

  def test_dropout_differs_by_step_task_and_replica(self):
    trainer = self.make_mirrored(**_DROPPED)
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3))
    images = tf.constant(images, tf.float32)

    def embed(step, index):
      seed = trainer._dropout_seed(step, index)
      return seed, trainer.model(
          images, task='one', training=True, dropout_seed=seed)

    seeds, outputs = set(), []
    for step in (0, 1, 2):
      for index in (0, 1):
        seed, logits = self.strategy.run(
            embed, (tf.constant(step, tf.int64), index))
        seeds |= {tuple(s.numpy()) for s in seed.values}
        outputs += [x.numpy() for x in logits.values]
    self.assertLen(seeds, 3 * 2 * 2)
    for i, one in enumerate(outputs):
      for other in outputs[:i]:
        self.assertNotAllClose(one, other)
    # Without dropout the replicas would agree: it is the mask that differs.
    _, logits = self.strategy.run(lambda: (0, trainer.model(
        images, task='one', training=False)))
    self.assertAllEqual(*logits.values)

  @parameterized.parameters(((8, 7), 'two', 7, 6), ((2, 8), 'one', 2, 4))
  def test_refuses_a_batch_that_replicas_cannot_share(
      self, sizes, task, received, nearest):
    with self.assertRaisesRegex(
        ValueError, f'batch_size of {task} to be a multiple of the 2 replicas, '
        f'and 4 or more, received {received}: try {nearest}'):
      make_trainer(toy.make_config(batch_size=sizes), self.strategy)


if __name__ == '__main__':
  tf.test.main()
