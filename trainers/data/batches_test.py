"""Tests of `batches`; `pipeline_test` has what is seen through batches."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.data import batches


def _orders(size, epochs):
  """Returns the permutations of the first epochs, [epochs, size]."""
  places = batches.endless_places(
      size, tf.constant([1, 2], tf.int64), start=0, batch_size=size)
  return np.stack(list(places.take(epochs).as_numpy_iterator()))


class PlacesTest(parameterized.TestCase, tf.test.TestCase):

  def test_small_permutations_are_uniform(self):
    """Each example is equally likely at each place, over many epochs."""
    epochs = 2_000
    places = _orders(5, epochs)
    share = (places[..., None] == np.arange(5)).mean(0)
    self.assertAllClose(share, np.full([5, 5], 0.2), atol=0.04)
    self.assertLen({tuple(p) for p in places}, 120)

  def test_large_permutations_keep_no_neighbours_together(self):
    size, epochs = 1_617, 40
    places = _orders(size, epochs)
    neighbours = (np.diff(places) == 1).mean() * size
    self.assertBetween(neighbours, 0.5, 1.5)
    fixed = (places == np.arange(size)).mean() * size
    self.assertBetween(fixed, 0.5, 1.5)
    self.assertLess(np.abs(np.corrcoef(places) - np.eye(epochs)).max(), 0.15)

  @parameterized.named_parameters(
      ('batch_size', {'batch_size': 0}, 'batch_size >= 1, received 0'),
      ('start_step', {'start_step': -1}, 'start_step >= 0, received -1'),
      ('no_shard', {'num_shards': 0}, 'num_shards >= 1, received 0'),
      ('shards', {'num_shards': 3}, 'multiple of the 3 replicas, received 8'),
      ('pipelines', {'num_shards': 2, 'num_pipelines': 4},
       'num_pipelines=4, received 2'),
      ('id', {'pipeline_id': 1}, 'pipeline_id < 1, received 1'))
  def test_refuses(self, kwargs, message):
    with self.assertRaisesRegex(ValueError, message):
      batches.train_places(**{
          'name': 'toy', 'num_examples': 21, 'batch_size': 8, 'seed': 0,
          **kwargs})


if __name__ == '__main__':
  tf.test.main()
