"""Tests of what a task file says of data; `launch.tasks` tests the rest."""

from absl.testing import absltest
from absl.testing import parameterized

from trainers.runs import task_metadata


class TaskMetadataTest(parameterized.TestCase):

  @parameterized.parameters(
      ('mnist', 'mnist'), ('mnist+blur', 'mnist+blur'),
      ('pool:mnist|usps', 'pool:mnist|usps'), ('folder:/etc', None), (3, None))
  def test_keeps_what_is_known(self, dataset, expected):
    splits = {'test': {'examples': 3, 'labels': 'c0ffee'}}
    self.assertEqual(
        task_metadata.read(
            {'dataset': dataset, 'splits': splits, 'examples_seed': 2,
             'examples_per_class': None, 'anything': 'else'}, 'x.task'),
        {'class_names': None, 'dataset': expected, 'splits': splits,
         'examples_seed': 2})

  @parameterized.parameters(
      {'examples': 3},
      {'examples': 2 ** 31, 'labels': 'a'}, {'examples': '3', 'labels': 'a'})
  def test_refuses_odd_splits(self, **split):
    with self.assertRaisesRegex(ValueError, 'x.task, received splits='):
      task_metadata.read({'splits': {'test': split}}, 'x.task')


if __name__ == '__main__':
  absltest.main()
