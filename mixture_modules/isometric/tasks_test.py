"""What a task owns: head, names, copies (section 4.3)."""

import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import task_norms
from mixture_modules.isometric import tasks

_SHAPES = {'input': (3,), 'expand': (2, 4)}


class TasksTest(tf.test.TestCase):

  def test_copy_variables(self):
    source, target = (task_norms.NormStatistics(_SHAPES) for _ in range(2))
    source.move({'expand': (np.ones((2, 4)), np.ones((2, 4)) * 3)}, .5)
    tasks.copy_variables(target, source)
    for expected, received in zip(source.variables, target.variables):
      self.assertAllEqual(expected, received)

  def test_task_knows_its_classes_and_name(self):
    head = keras.layers.Dense(7)
    task = tasks.Task('a/b', 'digits', head, None, None)
    self.assertEqual((7, 'a/b', 'digits', 'a_b_07f4401c'),
                     (task.num_classes, task.task_name, task.head_name,
                      task.name))


if __name__ == '__main__':
  tf.test.main()
