"""The one error of a bad argument: expected, received, how to mend it."""


def require(condition, name, expected, received, remedy):
  """Raises an error unless a condition holds.

  Args:
    condition: What must be true of the argument; false for NaN.
    name: The argument's name.
    expected: What was expected, after "to be".
    received: The value.
    remedy: A sentence: how to mend it.

  Raises:
    ValueError: If the condition is false.

  Source: our choice.
  """
  if not condition:
    raise ValueError(
        f'Expected `{name}` to be {expected}; received {received!r}. {remedy}'
    )
