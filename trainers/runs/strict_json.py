"""Dataclasses to JSON and back; what a file says is checked, not trusted."""

import contextlib
import dataclasses
import math
import typing

import cattrs
from cattrs import errors
from cattrs import gen

from mixture_modules import checks

_PLAIN = (bool, int, float, str)
# A number that may be infinite or none, as the loss of a broken model.
AnyFloat = typing.NewType('AnyFloat', float)

_ERRORS = (cattrs.BaseValidationError, ValueError, TypeError, AttributeError,
           RecursionError)


def encode(value):
  """What JSON can hold of a dataclass; `decode` takes it back.

  Args:
    value: A dataclass of plain values, tuples, dictionaries and dataclasses.
  """
  return _converter.unstructure(value)


def decode(kind, values, where):
  """A dataclass of what JSON gave.

  Args:
    kind: The dataclass. Fields that have a default may be missing.
    values: What `encode` made, from wherever it comes.
    where: The place of the values, for the error.

  Returns:
    An instance of `kind`.

  Raises:
    ValueError: If a field is missing, unknown or of another type, a number is
      not finite, or the dataclass refuses a value.
  """
  try:
    return _converter.structure(values, kind)
  except _ERRORS as error:
    raise ValueError(
        f'Expected {kind.__name__} in {where}, received one that is damaged '
        f'or of another version ({_explain(error)}): restore it, or use the '
        'version of the package that wrote it.') from error


class Json:
  """Gives a dataclass that checks its own types a way to JSON and back."""

  def to_json(self):
    """A dictionary that JSON can hold; `from_json` takes it back."""
    return encode(self)

  @classmethod
  def from_json(cls, values, where='run.json'):
    """The instance of a dictionary made by `to_json`.

    Args:
      values: The dictionary.
      where: Where it is from, for the error.

    Raises:
      ValueError: If it is damaged, or of another version.
    """
    return decode(cls, values, where)


def _explain(error):
  if isinstance(error, RecursionError):
    return 'it is too deep'
  if not isinstance(error, cattrs.BaseValidationError):
    return str(error)
  return '; '.join(cattrs.transform_error(error, 'it', _format)[:3])


def _format(error, kind):
  del kind
  if isinstance(error, KeyError):
    return f'lacks {error.args[0]}'
  if isinstance(error, errors.ForbiddenExtraKeysError):
    return f'has an unknown {sorted(error.extra_fields)[0]!r}'
  return str(error)


def _structure_plain(value, kind):
  """Refuses what Python would convert: '1' is no number, 1 no truth."""
  is_number = kind is float and type(value) is int
  if type(value) is not kind and not is_number:
    raise ValueError(f'expected {kind.__name__}, received {_shorten(value)}')
  if kind is float:
    value = float(value)
    if not math.isfinite(value):
      raise ValueError(f'expected a finite number, received {value}')
  return value


def _structure_any_float(value, kind):
  del kind
  if type(value) not in (int, float):
    raise ValueError(f'expected a number, received {_shorten(value)}')
  return float(value)


def _make_dataclass_hook(kind):
  structure = gen.make_dict_structure_fn(
      kind, _converter, _cattrs_forbid_extra_keys=True)

  def hook(value, kind):
    if not isinstance(value, dict):
      raise ValueError(f'expected a dictionary, received {_shorten(value)}')
    return structure(value, kind)
  return hook


def _structure_union(value, kind):
  """The first of the kinds that fits."""
  kinds = checks.alternatives(kind)
  if value is None and type(None) in kinds:
    return None
  kinds = [each for each in kinds if each is not type(None)]
  if len(kinds) == 1:
    return _converter.structure(value, kinds[0])
  for each in sorted(kinds, key=lambda each: each not in _PLAIN):
    with contextlib.suppress(*_ERRORS):
      return _converter.structure(value, each)
  names = ' or '.join(map(_name, kinds))
  raise ValueError(f'expected {names}, received {_shorten(value)}')


def _name(kind):
  return 'a list' if typing.get_origin(kind) is tuple else kind.__name__


def _structure_tuple(value, kind):
  if not isinstance(value, (list, tuple)):
    raise ValueError(f'expected a list, received {_shorten(value)}')
  item, *rest = typing.get_args(kind)
  if rest == [...]:
    return tuple(_converter.structure(each, item) for each in value)
  if len(value) != 1 + len(rest):
    raise ValueError(
        f'expected {1 + len(rest)} values, received {_shorten(value)}')
  return tuple(map(_converter.structure, value, (item, *rest)))


def _shorten(value):
  text = repr(value)
  return text if len(text) <= 60 else f'{text[:60]}...'


_converter = cattrs.Converter(
    unstruct_collection_overrides={tuple: list})
for _kind in (bool, int, float, str):
  _converter.register_structure_hook(_kind, _structure_plain)
_converter.register_structure_hook(AnyFloat, _structure_any_float)
_converter.register_structure_hook_factory(
    dataclasses.is_dataclass, _make_dataclass_hook)
_converter.register_structure_hook_func(
    lambda kind: len(checks.alternatives(kind)) > 1, _structure_union)
_converter.register_structure_hook_func(
    lambda kind: typing.get_origin(kind) is tuple, _structure_tuple)
