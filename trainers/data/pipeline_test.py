"""Tests of `pipeline`."""

import dataclasses
import json
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import image_task
from trainers.data import pipeline

_SIZE = 8


def _task(**kwargs):
  return dataclasses.replace(
      image_task.ImageTask(
          name='toy', tfds_name='mnist', version='3.0.1',
          splits={'train': 23, 'test': 23}, num_classes=23,
          image_shape=(_SIZE, _SIZE, 1)), **kwargs)


def _data(num_stored=23, channels=1, seed=None, task=None, **kwargs):
  """TaskData of images that hold their own number; with a seed, of noise."""
  shape = [num_stored, _SIZE, _SIZE, channels]
  images = np.broadcast_to(
      np.arange(num_stored).reshape(-1, 1, 1, 1), shape).astype(np.uint8)
  if seed is not None:
    images = np.random.default_rng(seed).integers(1, 256, shape, np.uint8)
  dataset = tf.data.Dataset.from_tensor_slices(
      {'image': images, 'label': np.arange(num_stored) % 23})
  task = task or _task(
      splits={'train': num_stored, 'test': num_stored},
      image_shape=(_SIZE, _SIZE, channels))
  data = pipeline.load_pool([task], _SIZE, **kwargs)
  with tfds.testing.mock_data(as_dataset_fn=lambda builder, **_: dataset):
    for split in pipeline.SPLITS:
      if split != 'validation' or kwargs.get('validation_fraction', 1):
        data.num_examples(split)  # Reads it while the mock stands.
  return data


def _numbers(images):
  """Returns which stored images these are."""
  return np.round((images[:, 0, 0, 0] + 1) * 127.5).astype(np.int64)


def _take(dataset, count):
  """Returns images and labels of `count` batches, stacked."""
  batches = list(dataset.take(count).as_numpy_iterator())
  return [np.stack(part) for part in zip(*batches)]


class OrderTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.noise = _data(task=_task(augmentation='shift_flip'), seed=3)

  @parameterized.parameters((2, 5), (3, 2), (23, 4), (110, 64), (200, 200))
  def test_every_epoch_has_every_example_once(self, num_stored, batch_size):
    data = _data(num_stored)
    rows = np.sort(np.concatenate(
        [_numbers(x) for x, _ in data.eval_batches('train', 50)]))
    steps = -(-3 * len(rows) // batch_size)
    images, labels = _take(data.train_batches(batch_size, seed=0), steps)
    seen = _numbers(images.reshape(-1, _SIZE, _SIZE, 3))
    self.assertAllEqual(labels.ravel(), seen % 23)
    for epoch in range(3):
      part = seen[epoch * len(rows):(epoch + 1) * len(rows)]
      self.assertAllEqual(np.sort(part), rows)

  def test_epochs_seeds_and_tasks_have_orders_of_their_own(self):
    def order(seed, name, skipped=0):
      data = _data(100, task=_task(name=name, splits={'train': 9, 'test': 9}))
      images, _ = _take(data.train_batches(90, seed, skipped), 1)
      return tuple(_numbers(images[0]))
    orders = [order(0, 'toy'), order(0, 'toy', 1), order(1, 'toy'),
              order(0, 'toy+blur')]
    self.assertLen(set(orders), 4)
    self.assertEqual(order(0, 'toy'), orders[0])

  @parameterized.parameters(1, 5, 17)
  def test_start_step_continues_the_same_batches(self, start_step):
    data = self.noise
    images, labels = _take(data.train_batches(8, seed=5), start_step + 4)
    resumed_images, resumed_labels = _take(
        data.train_batches(8, seed=5, start_step=start_step), 4)
    self.assertAllEqual(resumed_images, images[start_step:])
    self.assertAllEqual(resumed_labels, labels[start_step:])

  @parameterized.parameters((2, 1), (4, 4), (12, 3))
  def test_shards_together_are_the_global_batch(self, shards, pipelines):
    data = self.noise
    steps, batch_size = 5, 12
    images, labels = _take(data.train_batches(batch_size, seed=1), steps)
    parts = [
        _take(data.train_batches(
            batch_size, seed=1, num_shards=shards, num_pipelines=pipelines,
            pipeline_id=i), steps * shards // pipelines)
        for i in range(pipelines)]
    for whole, of_pipelines in zip((images, labels), zip(*parts)):
      self.assertEqual(of_pipelines[0].shape[1], batch_size // shards)
      by_step = [part.reshape(steps, -1, *whole.shape[2:])
                 for part in of_pipelines]
      self.assertAllEqual(np.concatenate(by_step, axis=1), whole)


class ImagesTest(parameterized.TestCase, tf.test.TestCase):

  def test_static_shapes(self):
    data = _data()
    spec = data.train_batches(8, seed=0, num_shards=2).element_spec
    self.assertEqual(spec[0], tf.TensorSpec([4, _SIZE, _SIZE, 3], tf.float32))
    self.assertEqual(spec[1], tf.TensorSpec([4], tf.int32))
    spec = data.eval_batches('test', 8).element_spec
    self.assertEqual(spec[0],
                     tf.TensorSpec([None, _SIZE, _SIZE, 3], tf.float32))

  @parameterized.parameters(1, 3)
  def test_uint8_becomes_minus_one_to_one_in_three_channels(self, channels):
    data = _data(256, channels)
    images = np.concatenate([x for x, _ in data.eval_batches('test', 100)])
    expected = np.linspace(-1, 1, 256).reshape(-1, 1, 1, 1)
    self.assertAllClose(
        images, np.broadcast_to(expected, [256, _SIZE, _SIZE, 3]))
    self.assertEqual((images.min(), images.max()), (-1, 1))

  def test_colours_stay_where_they_are(self):
    data = _data(channels=3, seed=0)
    images = np.concatenate([x for x, _ in data.eval_batches('test', 9)])
    stored = np.random.default_rng(0).integers(
        1, 256, [23, _SIZE, _SIZE, 3], np.uint8)
    self.assertAllClose(images, stored / 127.5 - 1, atol=1e-6)

  def test_augmentation_varies_and_can_be_turned_off(self):
    task = _task(augmentation='shift', splits={'train': 3, 'test': 3},
                 validation_split='test')
    data = _data(3, task=task, seed=1)
    stored, _ = next(data.eval_batches('train', 3).as_numpy_iterator())
    def seen(**kwargs):
      images, labels = _take(data.train_batches(3, seed=0, **kwargs), 40)
      images, labels = images.reshape(-1, *stored.shape[1:]), labels.ravel()
      return images[labels == 0]
    self.assertAllEqual(
        seen(augment=False), np.broadcast_to(stored[0], [40, _SIZE, _SIZE, 3]))
    self.assertLen({image.tobytes() for image in seen()}, 9)  # 3 x 3 shifts.
    self.assertAllEqual(seen(), seen())

  def test_none_does_not_augment(self):
    data = _data(seed=1)
    plain = _take(data.train_batches(8, seed=0, augment=False), 3)
    self.assertAllEqual(_take(data.train_batches(8, seed=0), 3)[0], plain[0])


class DatasetsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.enterContext(mock.patch.object(pipeline.batches, 'train_places'))
    self.enterContext(mock.patch.object(
        pipeline, '_gather', lambda *args: mock.Mock()))  # nothing is traced

  def assertAllDiffer(self, make, calls):
    """Each call gives one dataset, another than every other call."""
    made = [make(*args, **keywords) for args, keywords in calls]
    again = [make(*args, **keywords) for args, keywords in calls]
    self.assertEqual([*map(id, made)], [*map(id, again)])
    self.assertLen({*map(id, made)}, len(calls))

  def test_training_batches_are_made_once(self):
    self.assertAllDiffer(_data().train_batches, [
        ((4, 0), {}), ((8, 0), {}), ((4, 1), {}), ((4, 0, 1), {}),
        ((4, 0), {'augment': False}), ((4, 0), {'labelled': False}),
        ((4, 0), {'num_shards': 2}),
        ((4, 0), {'num_shards': 2, 'num_pipelines': 2}),
        ((4, 0), {'num_shards': 2, 'num_pipelines': 2, 'pipeline_id': 1})])

  def test_evaluation_batches_are_made_once(self):
    data = _data()
    self.assertAllDiffer(data.eval_batches, [
        (('test', 4), {}), (('train', 4), {}), (('test', 8), {}),
        (('test', 4, 0), {}), (('test', 4), {'every': 2}),
        (('test', 4), {'labelled': False}),
        (('test', 4), {'places': [0, 1]}), (('test', 4), {'places': [1, 0]}),
        (('test', 4), {'places': []})])
    self.assertIs(data.eval_batches('test', 4, places=np.arange(2)),
                  data.eval_batches('test', 4, places=[0, 1]))


class SplitsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters((1, [1] * 23), (10, [10, 10, 3]), (50, [23]))
  def test_evaluation_keeps_the_remainder_and_the_order(self, batch_size,
                                                        sizes):
    batches = list(_data().eval_batches('test', batch_size))
    self.assertEqual([len(labels) for _, labels in batches], sizes)
    self.assertAllEqual(
        np.concatenate([labels for _, labels in batches]), np.arange(23))

  def test_evaluation_can_leave_out_examples(self):
    batches = list(_data().eval_batches('test', 3, every=5))
    self.assertAllEqual(np.concatenate([y for _, y in batches]),
                        [0, 5, 10, 15, 20])
    with self.assertRaisesRegex(ValueError, 'every >= 1, received 0'):
      _data().eval_batches('test', 3, every=0)
    batches = list(_data().eval_batches('test', 3, places=[1, 22, 7, 8]))
    self.assertAllEqual(np.concatenate([y for _, y in batches]),
                        [1, 22, 7, 8])
    self.assertAllEqual(
        np.concatenate([_numbers(x) for x, _ in batches]),
        np.concatenate([_numbers(x) for x, _ in _data().eval_batches(
            'test', 23)])[[1, 22, 7, 8]])

  @parameterized.parameters((23, 2), (200, 20), (2, 1))
  def test_train_and_validation_part_the_training_split(self, stored, held):
    data = _data(stored)
    train, validation = (
        np.concatenate([_numbers(x) for x, _ in data.eval_batches(split, 7)])
        for split in ('train', 'validation'))
    self.assertLen(validation, held)
    self.assertEqual(data.num_examples('validation'), held)
    self.assertEqual(data.num_examples('train'), stored - held)
    self.assertCountEqual([*train, *validation], range(stored))

  def test_validation_is_the_same_for_tasks_of_one_size(self):
    def held_out(**kwargs):
      data = _data(task=_task(**kwargs))
      return np.concatenate([y for _, y in data.eval_batches('validation', 9)])
    self.assertAllEqual(
        held_out(name='toy'), held_out(name='other', tfds_name='kmnist'))

  def test_declared_validation_split_is_used(self):
    task = _task(splits={'train': 23, 'test': 23, 'validation': 23},
                 validation_split='validation')
    data = _data(task=task)
    self.assertEqual(
        [data.num_examples(split) for split in pipeline.SPLITS], [23, 23, 23])

  def test_no_fraction_leaves_all_for_training(self):
    data = _data(validation_fraction=0)
    self.assertEqual(data.num_examples('train'), 23)
    with self.assertRaisesRegex(
        ValueError, "split 'validation', received none of the 23"):
      data.num_examples('validation')

  def test_few_examples_of_every_class(self):
    task = _task(splits={'train': 230, 'test': 230})
    every, few, other = (
        _data(230, seed=0, task=task, **options) for options in (
            {}, {'examples_per_class': 3}, {
                'examples_per_class': 3, 'examples_seed': 1}))
    self.assertAllEqual(np.bincount(few.labels('train')), np.full(23, 3))
    self.assertEqual(few.num_examples('train'), 69)
    for split in ('validation', 'test'):
      self.assertAllEqual(few.labels(split), every.labels(split))
    images = [np.concatenate([x for x, _ in data.eval_batches('train', 50)])
              for data in (every, few, other)]
    chosen = [[np.flatnonzero((images[0] == image).all((1, 2, 3)))[0]
               for image in part] for part in images[1:]]
    self.assertAllEqual(chosen[0], np.unique(chosen[0]))
    self.assertNotAllEqual(chosen[0], chosen[1])
    labels = _take(few.train_batches(69, 0), 2)[1]
    self.assertAllEqual(np.bincount(labels[1]), np.full(23, 3))
    with self.assertRaisesRegex(
        ValueError, 'at least 10 training examples.*received 9 of class 0'):
      _data(230, task=task, examples_per_class=10)
    with self.assertRaisesRegex(ValueError, 'examples_per_class >= 1'):
      _data(230, task=task, examples_per_class=0)

  def test_refuses_to_cut_one_example(self):
    with self.assertRaisesRegex(ValueError, "'train', received none of the 1"):
      _data(1)

  @parameterized.named_parameters(
      ('image_size', {'image_size': 0}, 'image_size >= 1, received 0'),
      ('fraction', {'validation_fraction': 1.}, r'< 1, received 1\.0'))
  def test_constructor_refuses(self, kwargs, message):
    with self.assertRaisesRegex(ValueError, message):
      pipeline.load_pool(**{'tasks': [_task()], 'image_size': 32, **kwargs})

  def test_description_tells_other_labels_sizes_and_classes(self):
    data = _data()
    facts = data.describe()
    self.assertEqual(facts, _data(seed=1).describe())
    self.assertEqual(
        {split: fact['examples'] for split, fact in facts['splits'].items()},
        {'train': 21, 'validation': 2, 'test': 23})
    self.assertNotEqual(facts, _data(24).describe())
    self.assertNotEqual(facts, _data(validation_fraction=0.2).describe())
    self.assertNotEqual(facts, _data(task=_task(
        class_names=tuple('abcdefghijklmnopqrstuvw'))).describe())
    self.assertEqual(json.loads(json.dumps(facts)), facts)

  def test_classes_of_shared_labels_must_agree(self):
    names = tuple('abc')
    one = _task(num_classes=3, class_names=names)
    pipeline.check_same_classes([one, _task(num_classes=3), one])
    for other, message in (
        (_task(name='other', num_classes=4),
         'toy with 3 and other with 4: leave one out'),
        (_task(name='other', num_classes=3, class_names=tuple('abd')),
         'toy and other, which differ in c, d: leave'),
        (_task(name='other', num_classes=3, class_names=tuple('bac')),
         'differ in order')):
      with self.assertRaisesRegex(ValueError, message):
        pipeline.check_same_classes([one, other])

  def test_description_tells_the_view(self):
    facts = _data().describe()
    self.assertNotIn('view', facts)  # older runs have none
    self.assertEqual(
        _data(task=_task(view='pad')).describe(), {**facts, 'view': 'pad'})

  def test_a_pool_has_one_view(self):
    with self.assertRaisesRegex(
        ValueError, 'toy: centre, other: pad: choose one view'):
      pipeline.load_pool([_task(), _task(name='other', view='pad')], _SIZE)

  def test_refuses_unknown_split(self):
    data = _data()
    for use in (data.num_examples, lambda split: data.eval_batches(split, 8)):
      with self.assertRaisesRegex(ValueError, "'test'.*, received 'dev'"):
        use('dev')

  def test_evaluation_refuses_empty_batches(self):
    with self.assertRaisesRegex(ValueError, 'batch_size >= 1, received 0'):
      _data().eval_batches('test', 0)


class PoolTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    # Images of `grey` are 0 to 22, of `colour` 100 to 139; both hold their
    # number in every pixel.
    self.tasks = [
        _task(name='grey', augmentation='none'),
        _task(name='colour', tfds_name='cifar10', version='3.0.2',
              splits={'train': 40, 'test': 40}, augmentation='shift_flip',
              image_shape=(_SIZE, _SIZE, 3))]

  def _load(self, data):
    def as_dataset(builder, **unused):
      count, channels, first = (
          (23, 1, 0) if builder.name == 'mnist' else (40, 3, 100))
      numbers = first + np.arange(count)
      images = np.broadcast_to(numbers.reshape(-1, 1, 1, 1), [
          count, _SIZE, _SIZE, channels]).astype(np.uint8)
      return tf.data.Dataset.from_tensor_slices(
          {'image': images, 'label': np.arange(count) % 23})
    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
      for split in pipeline.SPLITS:
        data.num_examples(split)
    return data

  def _pool(self, tasks=None):
    return self._load(pipeline.load_pool(
        tasks or self.tasks, _SIZE, name='pool:grey|colour'))

  def test_is_one_task_with_all_examples(self):
    data = self._pool()
    self.assertEqual(data.name, 'pool:grey|colour')
    self.assertEqual(data.num_classes, 23)
    self.assertEqual(
        [data.num_examples(split) for split in pipeline.SPLITS], [57, 6, 63])
    images, labels = _take(data.eval_batches('test', 63), 1)
    self.assertAllEqual(
        _numbers(images[0]), [*range(23), *range(100, 140)])
    self.assertAllEqual(labels[0], data.labels('test'))

  def test_members_are_evaluated_apart(self):
    data = self._pool()
    for split in pipeline.SPLITS:
      parts = [[_numbers(x) for x, _ in data.eval_batches(split, 4, member)]
               for member in (0, 1)]
      whole = [_numbers(x) for x, _ in data.eval_batches(split, 4)]
      self.assertAllEqual(
          np.concatenate(parts[0] + parts[1]), np.concatenate(whole))
      self.assertAllInRange(np.concatenate(parts[0]), 0, 22)
      self.assertAllInRange(np.concatenate(parts[1]), 100, 139)

  def test_members_are_shuffled_together_in_every_epoch(self):
    data = self._pool()
    images, labels = _take(data.train_batches(19, seed=0), 6)
    centres = np.round((images[:, :, 4, 4, 0] + 1) * 127.5).astype(int)
    kept = np.concatenate(
        [_numbers(x) for x, _ in data.eval_batches('train', 9)])
    for epoch in (centres[:3], centres[3:]):
      self.assertAllEqual(np.sort(epoch.ravel()), np.sort(kept))
      for batch in epoch:
        self.assertBetween((batch < 100).sum(), 2, 14)  # 21 of 57 are grey
    self.assertAllEqual(labels, centres % 100 % 23)

  def test_each_member_is_augmented_in_its_own_way(self):
    images, _ = _take(self._pool().train_batches(19, seed=0), 6)
    images = images.reshape(-1, _SIZE, _SIZE, 3)
    moved = np.ptp(images, axis=(1, 2, 3)) > 0
    grey = images[:, 4, 4, 0] < (100 / 127.5 - 1)
    self.assertFalse(moved[grey].any())
    self.assertGreater(moved[~grey].mean(), 0.5)

  def test_draws_stay_with_their_images(self):
    """A pool of one data set in two parts moves images as the whole does."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [23, _SIZE, _SIZE, 3], np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices(
        {'image': images, 'label': np.arange(23)})
    task = _task(image_shape=(_SIZE, _SIZE, 3), augmentation='shift_flip')
    one, pool = (pipeline.load_pool(tasks, _SIZE) for tasks in (
        [task], [task, task]))
    with tfds.testing.mock_data(as_dataset_fn=lambda *_, **__: dataset):
      places = tf.constant([3, 7, 0], tf.int64)
      draws = tf.random.stateless_uniform([3, 5], [1, 2])
      expected = one._images('train', places, draws)
      size = one.num_examples('train')
      self.assertAllEqual(pool._images('train', places, draws), expected)
      self.assertAllEqual(
          pool._images('train', places + [size, 0, size], draws), expected)

  def test_continues_and_shards_as_one_task_does(self):
    data = self._pool()
    images, labels = _take(data.train_batches(12, seed=5), 7)
    resumed = _take(data.train_batches(12, seed=5, start_step=4), 3)
    self.assertAllEqual(resumed[0], images[4:])
    self.assertAllEqual(resumed[1], labels[4:])
    parts = _take(data.train_batches(12, seed=5, num_shards=3), 21)
    self.assertAllEqual(parts[0].reshape(images.shape), images)

  def test_refuses_tasks_with_other_classes(self):
    with self.assertRaisesRegex(ValueError, 'grey with 23 and other with 10'):
      pipeline.load_pool([self.tasks[0], _task(
          name='other', num_classes=10)], _SIZE)


if __name__ == '__main__':
  tf.test.main()
