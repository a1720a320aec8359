"""Checks of arguments, and the one wording of their errors.

    Expected temperature to be positive and finite, received -1: give a number
    above 0.
"""

import dataclasses
import math
import numbers
import operator
import types as python_types
import typing

import numpy as np

LARGEST = 2 ** 31 - 1  # of whole numbers: no count of anything here is larger


def require(condition, name, expected, received, remedy):
  """Raises ValueError unless a condition holds.

  Args:
    condition: What must be true.
    name: What was received, such as the name of an argument.
    expected: What it was expected to be, after "to be".
    received: Its value.
    remedy: What to do, without a full stop.
  """
  if not condition:
    raise ValueError(
        f'Expected {name} to be {expected}, received {received!r}: {remedy}.')


def one_of(name, value, choices, remedy='use one of these'):
  """`value`, if it is among `choices`."""
  listed = ', '.join(map(str, choices))
  require(value in choices, name, f'one of {listed}', value, remedy)
  return value


def at_most(name, value, most):
  """`value`, a number, if it is no larger than `most`."""
  require(value <= most, name, f'at most {most:,}', value, 'give a smaller one')
  return value


def is_a(name, value, kind):
  """`value`, if it is an instance of a class."""
  require(isinstance(value, kind), name, f'a {kind.__name__}', value,
          'make one')
  return value


def types(config):
  """Checks the fields of a dataclass by their annotations.

  NumPy's numbers become Python's, and lists become tuples.

  Args:
    config: An instance, as in its `__post_init__`.

  Raises:
    ValueError: If a field holds a value of another type.
  """
  hints = typing.get_type_hints(type(config))
  for field in dataclasses.fields(config):
    value, hint = getattr(config, field.name), hints[field.name]
    kinds = alternatives(hint)
    found = [fit for kind in kinds for fit in _fit(value, kind)]
    if not found:
      listed = ' or '.join(map(_describe, kinds))
      remedy = 'give such a value'
      if isinstance(value, str) and any(map(_is_tuple, kinds)):
        remedy = f'write ({value!r},)'
      require(False, field.name, listed, value, remedy)
    object.__setattr__(config, field.name, found[0])


def alternatives(hint):
  """The types that an annotation allows: those of a union, or itself alone."""
  is_union = isinstance(hint, python_types.UnionType) or (
      typing.get_origin(hint) is typing.Union)
  return typing.get_args(hint) if is_union else (hint,)


def _fit(value, kind):
  """[`value` as that kind of value], or [] if it is none."""
  if typing.get_origin(kind) is typing.Literal:
    choices = typing.get_args(kind)
    return [value] if isinstance(value, str) and value in choices else []
  if _is_tuple(kind):
    if not isinstance(value, (list, tuple, np.ndarray)):
      return []
    items = typing.get_args(kind)
    if items[-1] is ...:
      items = items[:1] * len(value)
    found = [fit for each, item in zip(value, items) for fit in
             _fit(each, item)[:1]]
    return [tuple(found)] if len(value) == len(items) == len(found) else []
  if kind is typing.Any:
    return [value]
  if kind is bool:
    return [bool(value)] if isinstance(value, (bool, np.bool_)) else []
  if kind is int:
    return [] if _integer(value) is None else [_integer(value)]
  if kind is float:
    if not _is_number(value):
      return []
    return [value if isinstance(value, (int, float)) else float(value)]
  return [value] if isinstance(value, kind) else []


def _describe(kind):
  if typing.get_origin(kind) is typing.Literal:
    return f'one of {", ".join(map(str, typing.get_args(kind)))}'
  if _is_tuple(kind):
    item, *rest = typing.get_args(kind)
    count = '' if rest == [...] else f' of {1 + len(rest)}'
    return f'a list{count}, each {_describe(item)}'
  return {bool: 'True or False', int: 'a whole number', float: 'a number',
          str: 'text', type(None): 'None'}.get(
              kind, f'a {getattr(kind, "__name__", kind)}')


def _is_tuple(kind):
  return typing.get_origin(kind) is tuple


def positive_integer(name, value, remedy='give a whole number from 1 on'):
  """`value` as a Python integer: NumPy's integers pass, booleans do not."""
  number = _integer(value)
  require(number is not None and number >= 1, name, 'a positive integer',
          value, remedy)
  return at_most(name, number, LARGEST)


def at_least(name, value, least, remedy=None):
  """`value` as a Python integer, if it is one of `least` or more."""
  number = _integer(value)
  require(number is not None and number >= least, name,
          f'a whole number from {least} on', value, remedy or f'try {least}')
  return at_most(name, number, LARGEST)


def positive(name, value, remedy='give a number above 0'):
  """`value` as a Python float; refuses what is no finite number above 0."""
  require(_is_number(value) and 0 < value < math.inf, name,
          'positive and finite', value, remedy)
  return float(value)


def not_negative(name, value, remedy='give a number from 0 on'):
  """`value` as a Python float; refuses what is below 0 or not finite."""
  require(_is_number(value) and 0 <= value < math.inf, name,
          'finite and not negative', value, remedy)
  return float(value)


def in_range(name, value, low, high, remedy=None):
  """`value`, if it is a number with `low <= value < high`."""
  require(_is_number(value) and low <= value < high, name,
          f'in [{low}, {high})', value, remedy or f'try {low}')
  return value


def _integer(value):
  """`value` as a Python integer, or None if it is none."""
  if isinstance(value, bool):
    return None
  try:
    return operator.index(value)
  except TypeError:
    return None


def _is_number(value):
  return isinstance(value, numbers.Real) and not isinstance(value, bool)
