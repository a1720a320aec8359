"""Checks that the arguments of several functions share."""

import math
import numbers
import operator


def positive_integer(name, value):
  """`value` as a Python integer: NumPy's integers pass, booleans do not.

  Args:
    name: What the value is, for the error.
    value: What was received.

  Raises:
    ValueError: If it is no integer of 1 or more.
  """
  try:
    number = operator.index(value)
  except TypeError:
    number = 0
  if isinstance(value, bool) or number < 1:
    raise ValueError(f'{name} must be a positive integer, received {value!r}.')
  return number


def positive(name, value):
  """`value` as a Python float; refuses what is no finite number above 0."""
  if not (_is_number(value) and 0 < value < math.inf):
    raise ValueError(f'{name} must be positive and finite, received '
                     f'{value!r}.')
  return float(value)


def not_negative(name, value):
  """`value` as a Python float; refuses what is below 0 or not finite."""
  if not (_is_number(value) and 0 <= value < math.inf):
    raise ValueError(f'{name} must be finite and not negative, received '
                     f'{value!r}.')
  return float(value)


def _is_number(value):
  return isinstance(value, numbers.Real) and not isinstance(value, bool)
