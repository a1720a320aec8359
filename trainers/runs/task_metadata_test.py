"""Tests of what a task file says of data; `launch.tasks` tests the rest."""

from absl.testing import absltest
from absl.testing import parameterized

from trainers.runs import task_metadata


class TaskMetadataTest(parameterized.TestCase):

  @parameterized.parameters(
      *((name, name) for name in ('mnist', 'mnist+blur', 'pool:mnist|usps')),
      *((name, None) for name in (
          'folder:/etc', 'tfds:../x', 'pool:mnist|folder:/etc', '../mnist',
          'mnist+folder', 'images:/etc', 'other', '', 3, None,
          'pool:mnist|mnist')))
  def test_keeps_what_is_known(self, dataset, expected):
    splits = {'test': {'examples': 3, 'labels': 'c0ffee'}}
    self.assertEqual(
        task_metadata.read(
            {'dataset': dataset, 'splits': splits, 'examples_seed': 2,
             'examples_per_class': None, 'view': 'pad', 'anything': 'else'},
            'x.task'),
        {'class_names': None, 'dataset': expected, 'splits': splits,
         'examples_seed': 2, 'view': 'pad'})

  @parameterized.parameters(
      {'examples': 3},
      {'examples': 2 ** 31, 'labels': 'a'}, {'examples': '3', 'labels': 'a'})
  def test_refuses_odd_splits(self, **split):
    with self.assertRaisesRegex(ValueError, 'x.task, received splits='):
      task_metadata.read({'splits': {'test': split}}, 'x.task')

  @parameterized.parameters(
      {'splits': 3}, {'splits': {'test': {}}}, {'examples_per_class': '3'},
      {'splits': {'test': {'examples': 3, 'names': ''}}},
      {'splits': {'../x': {'examples': 3, 'labels': ''}}},
      {'splits': {'test': {'examples': 3, 'labels': 3}}},
      {'view': 'half'}, {'view': 3},
      {'examples_per_class': -1}, {'examples_seed': True})
  def test_refuses_odd_facts(self, **facts):
    name, = facts
    with self.assertRaisesRegex(ValueError, f'x.task, received {name}='):
      task_metadata.read(facts, 'x.task')


if __name__ == '__main__':
  absltest.main()
