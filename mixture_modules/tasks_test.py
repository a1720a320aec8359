"""What a task owns: norm parameters, statistics, names (section 4.3)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import tasks

_SHAPES = {'input': (3,), 'expand': (2, 4)}


class TasksTest(parameterized.TestCase, tf.test.TestCase):

  def test_affine_starts_as_identity(self):
    affine = tasks.NormAffine(_SHAPES)
    self.assertLen(affine.trainable_variables, 4)
    for site, shape in _SHAPES.items():
      self.assertIn(site, affine)
      self.assertAllEqual(np.ones(shape), affine.gamma[site])
      self.assertAllEqual(np.zeros(shape), affine.beta[site])
    self.assertNotIn('hidden', affine)

  def test_statistics_start_standard_and_are_not_trained(self):
    statistics = tasks.NormStatistics(_SHAPES)
    self.assertLen(statistics.non_trainable_variables, 4)
    self.assertEmpty(statistics.trainable_variables)
    for site, shape in _SHAPES.items():
      self.assertAllEqual(np.zeros(shape), statistics.mean[site])
      self.assertAllEqual(np.ones(shape), statistics.variance[site])

  def test_move(self):
    statistics = tasks.NormStatistics(_SHAPES)
    statistics.move({'input': (np.full(3, 4.), np.full(3, 9.))}, .75)
    self.assertAllClose(np.ones(3), statistics.mean['input'])
    self.assertAllClose(np.full(3, 3.), statistics.variance['input'])
    self.assertAllEqual(np.zeros((2, 4)), statistics.mean['expand'])

  def test_variables_stay_float32_in_mixed_precision(self):
    keras.config.set_dtype_policy('mixed_bfloat16')
    self.addCleanup(keras.config.set_dtype_policy, 'float32')
    layers = tasks.NormAffine(_SHAPES), tasks.NormStatistics(_SHAPES)

    class Caller(keras.Model):

      def call(self, inputs):
        return [tf.convert_to_tensor(v)
                for layer in layers for v in layer.variables]

    self.assertEqual({tf.float32}, {v.dtype for v in Caller()(np.ones(1))})

  def test_copy_variables(self):
    source, target = (tasks.NormStatistics(_SHAPES) for _ in range(2))
    source.move({'expand': (np.ones((2, 4)), np.ones((2, 4)) * 3)}, .5)
    tasks.copy_variables(target, source)
    for expected, received in zip(source.variables, target.variables):
      self.assertAllEqual(expected, received)

  @parameterized.parameters(
      ('mnist', 'mnist'), ('a/b+c:d', 'a_b_c_d'), ('v1.2-x', 'v1.2-x'),
      ('Größe 3', 'Gr__e_3'), ('', 'task'))
  def test_layer_name(self, name, expected):
    self.assertEqual(expected, tasks.layer_name(name))

  def test_task_knows_its_classes_and_name(self):
    head = keras.layers.Dense(7)
    task = tasks.Task('a/b', 'digits', head, None, None)
    self.assertEqual((7, 'a/b', 'digits', 'a_b'),
                     (task.num_classes, task.task_name, task.head_name,
                      task.name))


if __name__ == '__main__':
  tf.test.main()
