"""What a task owns: head, names, copies (section 4.3)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import task_norms
from mixture_modules.isometric import tasks

_SHAPES = {'input': (3,), 'expand': (2, 4)}


class TasksTest(parameterized.TestCase, tf.test.TestCase):

  def test_copy_variables(self):
    source, target = (task_norms.NormStatistics(_SHAPES) for _ in range(2))
    source.move({'expand': (np.ones((2, 4)), np.ones((2, 4)) * 3)}, .5)
    tasks.copy_variables(target, source)
    for expected, received in zip(source.variables, target.variables):
      self.assertAllEqual(expected, received)

  @parameterized.parameters(
      ('mnist', 'mnist'), ('v1.2-x', 'v1.2-x'), ('a/b', 'a_b_07f4401c'),
      ('a+b', 'a_b_63988518'), ('Größe 3', 'Gr__e_3_ac37b675'))
  def test_layer_name(self, name, expected):
    self.assertEqual(expected, tasks.layer_name(name))

  def test_task_knows_its_classes_and_name(self):
    head = keras.layers.Dense(7)
    task = tasks.Task('a/b', 'digits', head, None, None)
    self.assertEqual((7, 'a/b', 'digits', 'a_b_07f4401c'),
                     (task.num_classes, task.task_name, task.head_name,
                      task.name))


if __name__ == '__main__':
  tf.test.main()
