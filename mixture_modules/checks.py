"""Checks that the arguments of several functions share."""

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
