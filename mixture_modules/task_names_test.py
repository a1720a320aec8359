"""Names of tasks are any text, and differ as layers' names, too."""

from absl.testing import parameterized
import tensorflow as tf

from mixture_modules import task_names


class TaskNamesTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('mnist', 'mnist'), ('v1.2-x', 'v1.2-x'), ('a/b', 'a_b_07f4401c'),
      ('a+b', 'a_b_63988518'), ('Größe 3', 'Gr__e_3_ac37b675'))
  def test_layer_name(self, name, expected):
    self.assertEqual(expected, task_names.layer_name(name))

  @parameterized.parameters('', None, 3)
  def test_what_is_no_name(self, name):
    with self.assertRaisesRegex(ValueError, 'some text'):
      task_names.check_new(name, [])

  def test_taken_name(self):
    self.assertEqual('b', task_names.check_new('b', ['a']))
    with self.assertRaisesRegex(ValueError, "a task 'a' already"):
      task_names.check_new('a', ['a'])


if __name__ == '__main__':
  tf.test.main()
