"""Tests of what is asked of a table."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from launch.tables import table_options


class TableOptionsTest(parameterized.TestCase):

  def test_models_have_names(self):
    options = table_options.TableOptions(
        pathlib.Path('x'), models=('a=runs/a', 'runs/b'))
    self.assertEqual(
        options.parse_models(['a', 'b'], 'b'),
        {'a': pathlib.Path('runs/a'), 'b': pathlib.Path('runs/b')})
    for known, main in ((['b'], 'b'), (['a', 'b'], None)):
      with self.assertRaisesRegex(ValueError, 'BANK=DIR with a bank of'):
        options.parse_models(known, main)

  def test_paths_may_have_the_sign(self):
    parent = tempfile.TemporaryDirectory()
    self.addCleanup(parent.cleanup)
    directory = pathlib.Path(parent.name, 'a=b')
    directory.mkdir()
    options = table_options.TableOptions(
        pathlib.Path('x'), models=(f'a={directory}', f'{directory}'))
    self.assertEqual(options.parse_models(['a', 'b'], 'b'),
                     {'a': directory, 'b': directory})

  @parameterized.parameters(
      (None, ['1/a', '1/b', '2/a']), (['2/a', '1/a'], ['2/a', '1/a']),
      (['*/a', '1/a'], ['1/a', '2/a']))
  def test_names_are_chosen(self, patterns, expected):
    self.assertEqual(
        table_options.choose(['1/a', '1/b', '2/a'], patterns), expected)

  def test_a_pattern_of_nothing_is_refused(self):
    with self.assertRaisesRegex(ValueError, r"--row must .* received \['b'\]"):
      table_options.choose(['a'], ['a', 'b'], 'row')


if __name__ == '__main__':
  absltest.main()
