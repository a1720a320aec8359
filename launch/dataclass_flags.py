"""Flags made from frozen dataclasses: names, types, help and defaults.

A field becomes a flag of its name. Its annotation decides the type, and its
paragraph in the docstring's Args section is the help.
"""

import csv
import dataclasses
import inspect
import io
import re
import types
import typing

from absl import flags

_SCALARS = (bool, int, float, str)


class DataclassFlags:
  """The flags of a dataclass's fields; `given` reads them.

  Fields that are dataclasses themselves are flattened: their fields become
  flags, too.

  Args:
    kind: The dataclass.
    flag_values: `flags.FlagValues` that gets the flags.
    names: {field: name of the flag}, where it is another.
    without: Names of fields that get no flag.
    values: {field: allowed texts}, where the annotation does not list them.
    defaults: An instance of `kind` that help texts name the defaults of.
      Default: those of the fields.
    source: Where defaults come from, for the help; such as 'the preset'.
      Default: nothing is said.
    default_texts: {field: what the help says of its default}, in place of
      what the dataclass says; that of '' is of all other fields.
    notes: {field: what the help says besides}.
  """

  def __init__(self, kind, flag_values, *, names=None, without=(), values=None,
               defaults=None, source=None, default_texts=None, notes=None):
    self._kind = kind
    self._notes = notes or {}
    self._names = names or {}
    self._default_texts = default_texts or {}
    self._readers = {}  # field: function of nothing
    self._define(kind, flag_values, set(without), values or {}, defaults,
                 source)

  def _define(self, kind, flag_values, without, values, defaults, source):
    hints, helps = typing.get_type_hints(kind), field_helps(kind)
    for field in dataclasses.fields(kind):
      if field.name in without:
        continue
      hint = hints[field.name]
      default = (field.default if defaults is None
                 else getattr(defaults, field.name))
      if dataclasses.is_dataclass(hint):
        inner = default if dataclasses.is_dataclass(default) else None
        self._define(hint, flag_values, without, values, inner, source)
        continue
      told = self._default_texts.get(field.name, self._default_texts.get(''))
      text = _with_default(helps[field.name], default, source, told)
      text = ' '.join([text, *filter(None, [self._notes.get(field.name)])])
      self._readers[field.name] = _define_flag(
          self.flag_name(field.name), hint, text, values.get(field.name),
          flag_values)

  def flag_name(self, field):
    """The name of a field's flag."""
    return self._names.get(field, field)

  @property
  def fields(self):
    """Names of the fields that have a flag."""
    return tuple(self._readers)

  def given(self):
    """{field: value} of the flags that were given.

    Raises:
      ValueError: If a list holds what is of another type.
    """
    found = {name: read() for name, read in self._readers.items()}
    return {name: value for name, value in found.items() if value is not None}

  def make(self, former=None):
    """The dataclass that the flags ask for.

    Args:
      former: An instance that flags which were not given are taken from.
        Default: the dataclass's defaults.

    Raises:
      ValueError: If a flag without a default is missing, or the dataclass
        refuses a value.
    """
    given = self.given()
    if former is not None:
      return dataclasses.replace(former, **given)
    for field in dataclasses.fields(self._kind):
      is_needed = field.default is dataclasses.MISSING
      if is_needed and field.name in self.fields and not given.get(field.name):
        raise ValueError(f'Expected --{self.flag_name(field.name)}, received '
                         f'none: {field_helps(self._kind)[field.name]}')
    return self._kind(**given)

  def arguments(self, values):
    """The arguments of a command line that give these values.

    Args:
      values: {field: value}.
    """
    return [_argument(self.flag_name(name), value)
            for name, value in values.items()]


def merge(kinds):
  """A dataclass of all fields of several, none of which is needed.

  Args:
    kinds: {name: dataclass}. Fields of one name are one: its help tells each
      dataclass's.

  Returns:
    A dataclass whose fields are None by default.
  """
  hints, helps = {}, {}
  for name, kind in kinds.items():
    own = field_helps(kind)
    for field in dataclasses.fields(kind):
      hints[field.name] = typing.get_type_hints(kind)[field.name]
      helps.setdefault(field.name, []).append(
          f'Of {name}: {_with_default(own[field.name], field.default)}')
  lines = [f'  {name}: {" ".join(texts)}' for name, texts in helps.items()]
  return dataclasses.make_dataclass(
      'Merged', [(name, hint, None) for name, hint in hints.items()],
      frozen=True, namespace={
          '__doc__': '\n'.join(['Fields of several.', '', 'Args:', *lines])})


def field_helps(kind):
  """{field: its paragraph in the docstring's Args section, on one line}.

  Args:
    kind: A dataclass.

  Raises:
    ValueError: If a field has none.
  """
  text = inspect.getdoc(kind) or ''
  args = re.split(r'^Args:\n', text, flags=re.MULTILINE)[-1]
  args = re.split(r'^\S', args, flags=re.MULTILINE)[0]
  found = re.findall(r'^  (\w+): (.*(?:\n(?:    .*|$))*)', args, re.MULTILINE)
  helps = {name: ' '.join(paragraph.split()) for name, paragraph in found}
  missing = [field.name for field in dataclasses.fields(kind)
             if field.name not in helps]
  if missing:
    raise ValueError(
        f'Expected every field of {kind.__name__} in the Args section of its '
        f'docstring, received none for {", ".join(missing)}: describe them.')
  return helps


def _with_default(text, default, source=None, told=None):
  if told:
    return f'{text.partition(" Default")[0]} Default: {told}.'
  if default in (None, (), dataclasses.MISSING) or 'Default' in text:
    return text
  shown = _text(default)
  return f'{text} Default: {f"{source}, here " if source else ""}{shown}.'


def _define_flag(name, hint, text, values, flag_values):
  """Defines one flag; a function that reads it, None if it was not given."""
  kinds = [kind for kind in _alternatives(hint) if kind is not type(None)]
  if values is None and typing.get_origin(kinds[0]) is typing.Literal:
    values = typing.get_args(kinds[0])
  if values is not None:
    holder = flags.DEFINE_enum(
        name, None, list(values), text, flag_values=flag_values)
    return lambda: holder.value
  lists = [kind for kind in kinds if typing.get_origin(kind) is tuple]
  if lists:
    item, = set(typing.get_args(lists[0])) - {...}
    holder = flags.DEFINE_list(name, None, text, flag_values=flag_values)
    return lambda: _read_list(holder, item, len(kinds) > 1)
  kind, = kinds
  if kind not in _SCALARS:
    raise TypeError(f'Expected a field of {_SCALARS}, a tuple or a Literal, '
                    f'received {name}: {hint}: leave it out with `without`.')
  define = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer,
            float: flags.DEFINE_float, str: flags.DEFINE_string}[kind]
  holder = define(name, None, text, flag_values=flag_values)
  return lambda: holder.value


def _alternatives(hint):
  if isinstance(hint, types.UnionType) or (
      typing.get_origin(hint) is typing.Union):
    return typing.get_args(hint)
  return (hint,)


def _read_list(holder, item, is_scalar_too):
  """The items; one alone where the field also takes one."""
  if holder.value is None:
    return None
  try:
    found = tuple(item(text) for text in holder.value)
  except ValueError:
    raise ValueError(
        f'Expected --{holder.name} to be of {item.__name__}s, separated by '
        f'commas, received {",".join(holder.value)}.') from None
  return found[0] if is_scalar_too and len(found) == 1 else found


def _argument(name, value):
  if isinstance(value, bool):
    return f'--{name}' if value else f'--no{name}'
  if isinstance(value, (tuple, list)):  # absl reads lists as CSV
    line = io.StringIO()
    csv.writer(line, lineterminator='').writerow(value)
    return f'--{name}={line.getvalue()}'
  return f'--{name}={_text(value)}'


def _text(value):
  if isinstance(value, (tuple, list)):
    return ','.join(map(str, value))
  return f'{value}'
