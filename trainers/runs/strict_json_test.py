"""Tests that files say what their dataclass has, or are refused."""

import dataclasses
import json
from typing import Literal

from absl.testing import absltest
from absl.testing import parameterized

from trainers.runs import strict_json


@dataclasses.dataclass(frozen=True)
class Inner:
  """A part of `Outer`."""

  number: float
  kind: Literal['a', 'b'] = 'a'

  def __post_init__(self):
    if self.number < 0:
      raise ValueError(f'number must not be negative, received {self.number}.')


@dataclasses.dataclass(frozen=True)
class Outer:
  """Every kind of field that this package has."""

  inner: Inner
  sizes: int | tuple[int, ...]
  name: str | None = None
  parts: dict[str, Inner] = dataclasses.field(default_factory=dict)
  rows: tuple[tuple[float, ...], ...] = ()
  pair: tuple[int, int] | None = None
  flag: bool = False


_VALUE = Outer(Inner(1.5), (1, 2), 'x', {'q': Inner(2.0, 'b')},
               ((1.0, 2.0), (3.0, 4.0)), (5, 6), True)


class StrictJsonTest(parameterized.TestCase):

  @parameterized.parameters(_VALUE, Outer(Inner(0.0), 3))
  def test_round_trip(self, value):
    text = json.dumps(strict_json.encode(value))
    self.assertEqual(
        strict_json.decode(Outer, json.loads(text), 'a file'), value)

  def test_whole_numbers_are_floats(self):
    values = {'inner': {'number': 2}, 'sizes': 1}
    number = strict_json.decode(Outer, values, 'a file').inner.number
    self.assertIsInstance(number, float)

  @parameterized.named_parameters(
      ('missing', {}, 'lacks inner'),
      ('unknown', {'other': 1}, "unknown 'other'"),
      ('text_for_number', {'inner': {'number': '1'}}, "float, received '1'"),
      ('not_finite', {'inner': {'number': float('nan')}},
       'finite number, received nan'),
      ('refused', {'inner': {'number': -1.0}}, 'must not be negative'),
      ('number_for_text', {'name': 3}, 'str'),
      ('truth_for_number', {'sizes': True}, 'received True'),
      ('number_for_truth', {'flag': 1}, 'bool, received 1'),
      ('literal', {'inner': {'number': 1, 'kind': 'c'}}, 'c not in literal'),
      ('list_for_dictionary', {'parts': [1]}, 'a file'),
      ('number_for_dataclass', {'inner': 5},
       'expected a dictionary, received 5'),
      ('row', {'rows': [[1, 'a']]}, "received 'a'"),
      ('length', {'pair': [1, 2, 3]}, 'expected 2 values'),
  )
  def test_refuses(self, changes, message):
    values = {**strict_json.encode(_VALUE), **changes} if changes else {}
    with self.assertRaisesRegex(ValueError, message):
      strict_json.decode(Outer, values, 'a file')

  def test_union_names_all_that_fits(self):
    values = {**strict_json.encode(_VALUE), 'sizes': 8.5}
    with self.assertRaisesRegex(
        ValueError, 'expected int or a list, received 8.5'):
      strict_json.decode(Outer, values, 'a file')

  def test_any_float(self):
    @dataclasses.dataclass(frozen=True)
    class Loss:
      """A loss."""

      value: strict_json.AnyFloat | None

    for value in (float('inf'), 0.5, None):
      written = json.loads(json.dumps(strict_json.encode(Loss(value))))
      self.assertEqual(strict_json.decode(Loss, written, 'x'), Loss(value))
    with self.assertRaisesRegex(ValueError, 'received True'):
      strict_json.decode(Loss, {'value': True}, 'x')

  @parameterized.parameters(None, 3, 'text', [[]])
  def test_refuses_what_is_no_dictionary(self, values):
    with self.assertRaisesRegex(ValueError, 'Expected Outer in a file'):
      strict_json.decode(Outer, values, 'a file')

  def test_refuses_what_is_too_deep(self):
    values = []
    for _ in range(100_000):
      values = [values]
    with self.assertRaisesRegex(ValueError, 'Expected Outer in a file'):
      strict_json.decode(
          Outer, {**strict_json.encode(_VALUE), 'rows': values}, 'a file')


if __name__ == '__main__':
  absltest.main()
