"""Checks of arguments, and the one wording of their errors.

    Expected temperature to be positive and finite, received -1: give a number
    above 0.
"""

import dataclasses
import math
import numbers
import operator
import typing


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


def literals(config):
  """Checks the fields of a dataclass that are a `Literal`, or that or None."""
  for field in dataclasses.fields(config):
    kinds = (field.type, *typing.get_args(field.type))
    choices = [choice for kind in kinds if typing.get_origin(kind) is
               typing.Literal for choice in typing.get_args(kind)]
    if choices:
      one_of(field.name, getattr(config, field.name),
             choices + [None] * (type(None) in kinds))


def positive_integer(name, value, remedy='give a whole number from 1 on'):
  """`value` as a Python integer: NumPy's integers pass, booleans do not."""
  number = _integer(value)
  require(number is not None and number >= 1, name, 'a positive integer',
          value, remedy)
  return number


def at_least(name, value, least, remedy=None):
  """`value` as a Python integer, if it is one of `least` or more."""
  number = _integer(value)
  require(number is not None and number >= least, name,
          f'a whole number from {least} on', value, remedy or f'try {least}')
  return number


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
