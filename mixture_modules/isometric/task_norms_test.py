"""Who owns which norm (section 4.1)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import task_norms

_SHAPES = {'input': (3,), 'expand': (2, 4)}


class TaskNormsTest(parameterized.TestCase, tf.test.TestCase):

  def test_affine_starts_as_identity(self):
    affine = task_norms.NormAffine(_SHAPES)
    self.assertLen(affine.trainable_variables, 4)
    for site, shape in _SHAPES.items():
      self.assertIn(site, affine)
      self.assertAllEqual(np.ones(shape), affine.gamma[site])
      self.assertAllEqual(np.zeros(shape), affine.beta[site])
    self.assertNotIn('hidden', affine)

  def test_statistics_start_standard_and_are_not_trained(self):
    statistics = task_norms.NormStatistics(_SHAPES)
    self.assertLen(statistics.non_trainable_variables, 5)
    self.assertEmpty(statistics.trainable_variables)
    for site, shape in _SHAPES.items():
      self.assertAllEqual(np.zeros(shape), statistics.mean[site])
      self.assertAllEqual(np.ones(shape), statistics.variance[site])

  def test_move(self):
    statistics = task_norms.NormStatistics(_SHAPES)
    statistics.num_updates.assign(1000)
    statistics.move({'input': (np.full(3, 4.), np.full(3, 9.))}, .75)
    self.assertAllClose(np.ones(3), statistics.mean['input'])
    self.assertAllClose(np.full(3, 3.), statistics.variance['input'])
    self.assertAllEqual(np.zeros((2, 4)), statistics.mean['expand'])
    self.assertAllEqual(1001, statistics.num_updates)

  @parameterized.parameters(.99, .5)
  def test_early_moves_match_numpy(self, momentum):
    statistics = task_norms.NormStatistics({'input': (3,)})
    rng = np.random.default_rng(0)
    mean, variance = np.zeros(3), np.ones(3)
    for n in range(30):
      batch = rng.normal(size=3), rng.uniform(0, .1, 3)
      statistics.move({'input': batch}, momentum)
      weight = min(momentum, (1 + n) / (10 + n))
      mean = weight * mean + (1 - weight) * batch[0]
      variance = weight * variance + (1 - weight) * batch[1]
    self.assertAllClose(mean, statistics.mean['input'])
    self.assertAllClose(variance, statistics.variance['input'])
    self.assertAllLess(statistics.variance['input'], .1)  # the 1 is forgotten

  def test_variables_stay_float32_in_mixed_precision(self):
    keras.config.set_dtype_policy('mixed_bfloat16')
    self.addCleanup(keras.config.set_dtype_policy, 'float32')
    layers = task_norms.NormAffine(_SHAPES), task_norms.NormStatistics(_SHAPES)

    class Caller(keras.Model):

      def call(self, inputs):
        return [tf.convert_to_tensor(v)
                for layer in layers for v in layer.variables]

    self.assertEqual({tf.float32, tf.int64},
                     {v.dtype for v in Caller()(np.ones(1))})


if __name__ == '__main__':
  tf.test.main()
