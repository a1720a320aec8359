"""Tests of flags made from dataclasses."""

import dataclasses
from typing import Literal

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launch import dataclass_flags


@dataclasses.dataclass(frozen=True)
class Part:
  """A part.

  Args:
    rate: How fast.
  """

  rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Whole:
  """Every kind of field.

  Args:
    part: A part.
    source: Where it is from, which is told
      on two lines.
    kind: Which kind.
    count: How many; Default is said.
    sizes: One number, or several.
    names: Some names.
    shown: Whether it is shown.
    others: Other names.

  Raises:
    ValueError: Never.
  """

  part: Part
  source: str
  kind: Literal['round', 'square'] = 'round'
  count: int | None = None
  sizes: int | tuple[int, ...] = 8
  names: tuple[str, ...] | None = None
  shown: bool = True
  others: tuple[str, ...] = ()


def define(**options):
  values = flags.FlagValues()
  return dataclass_flags.DataclassFlags(Whole, values, **options), values


class DataclassFlagsTest(parameterized.TestCase):

  @parameterized.parameters(
      ([], {}),
      (['--rate=2', '--source=x'], {'rate': 2.0, 'source': 'x'}),
      (['--kind=square', '--count=3'], {'kind': 'square', 'count': 3}),
      (['--sizes=8'], {'sizes': 8}),
      (['--sizes=8,16'], {'sizes': (8, 16)}),
      (['--names=a'], {'names': ('a',)}),
      (['--names=a,b', '--noshown'], {'names': ('a', 'b'), 'shown': False}),
      (['--names="a,b",c'], {'names': ('a,b', 'c')}),
  )
  def test_reads_what_was_given_and_writes_it_again(self, arguments, expected):
    fields, values = define()
    values(['command', *arguments])
    self.assertEqual(fields.given(), expected)
    values.unparse_flags()
    values(['command', *fields.arguments(expected)])
    self.assertEqual(fields.given(), expected)

  def test_help_is_the_docstring_with_the_default(self):
    _, values = define()
    self.assertEqual(
        {name: values[name].help for name in
         ('source', 'kind', 'count', 'sizes', 'rate', 'names', 'others')},
        {'source': 'Where it is from, which is told on two lines.',
         'kind': '<round|square>: Which kind. Default: round.',
         'count': 'How many; Default is said.',
         'sizes': 'One number, or several. Default: 8.',
         'rate': 'How fast. Default: 0.5.', 'names': 'Some names.',
         'others': 'Other names.'})

  def test_help_names_other_defaults(self):
    _, values = define(
        defaults=Whole(Part(0.25), 'x', sizes=(1, 2)), source='the preset\'s')
    self.assertEqual(values['rate'].help,
                     "How fast. Default: the preset's, here 0.25.")
    self.assertIn('here 1,2.', values['sizes'].help)

  def test_help_tells_of_other_defaults(self):
    _, values = define(default_texts={'rate': 'high', '': 'as before'})
    self.assertEqual(values['rate'].help, 'How fast. Default: high.')
    self.assertEqual(values['count'].help, 'How many; Default: as before.')
    self.assertEndsWith(values['names'].help, 'names. Default: as before.')

  def test_makes_the_dataclass(self):
    fields, values = define(names={'source': 'from'}, without=('part',))
    values(['command', '--from=x', '--count=3'])
    with self.assertRaisesRegex(TypeError, 'part'):  # which has no flag
      fields.make()
    former = Whole(Part(0.25), 'y', sizes=(1, 2))
    self.assertEqual(fields.make(former), dataclasses.replace(
        former, source='x', count=3))
    values = flags.FlagValues()
    fields = dataclass_flags.DataclassFlags(Part, values)
    values(['command', '--rate=2'])
    self.assertEqual(fields.make(), Part(2.0))

  def test_names_a_flag_that_is_needed(self):
    fields, values = define(names={'source': 'from'}, without=('part',))
    for arguments in ([], ['--from=']):
      values(['command', *arguments])
      with self.assertRaisesRegex(
          ValueError, '--from, received none: Where it is from, which'):
        fields.make()

  def test_other_names_fewer_flags_and_values(self):
    fields, values = define(names={'source': 'from'}, without=('part', 'kind'),
                            values={'source': ['here', 'there']})
    self.assertCountEqual(values, ['from', 'count', 'sizes', 'names', 'shown',
                                    'others'])
    self.assertEqual(fields.arguments({'source': 'here'}), ['--from=here'])
    with self.assertRaisesRegex(flags.IllegalFlagValueError, 'here|there'):
      values(['command', '--from=nowhere'])

  def test_refuses_lists_of_other_things(self):
    fields, values = define()
    values(['command', '--sizes=8,large'])
    with self.assertRaisesRegex(ValueError, '--sizes.*ints.*8,large'):
      fields.given()

  def test_refuses_fields_without_help(self):
    @dataclasses.dataclass
    class Silent:
      """Says nothing."""

      field: int = 0

    with self.assertRaisesRegex(ValueError, 'none for field'):
      dataclass_flags.field_helps(Silent)

  def test_fields_of_several(self):
    @dataclasses.dataclass(frozen=True)
    class Other:
      """Another.

      Args:
        rate: How slow.
        size: How much.
      """

      rate: float = 0.1
      size: int = 3

    values = flags.FlagValues()
    merged = dataclass_flags.DataclassFlags(
        dataclass_flags.merge({'part': Part, 'other': Other}), values,
        notes={'size': 'Mind it.'})
    self.assertEqual(values['rate'].help,
                     'Of part: How fast. Default: 0.5. Of other: How slow. '
                     'Default: 0.1.')
    self.assertEqual(values['size'].help,
                     'Of other: How much. Default: 3. Mind it.')
    values(['command', '--size=4'])
    self.assertEqual(merged.given(), {'size': 4})


if __name__ == '__main__':
  absltest.main()
