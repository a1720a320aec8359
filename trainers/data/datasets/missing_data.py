"""The error of data that is not there, which knows what would make it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Missing:
  """What is not there; None where a field is no part of that.

  Args:
    data_dir: TFDS's data directory that lacks it.
    task: Name of a task whose preparation makes it.
    tfds_name: What TFDS itself, which can make it, calls it.
    class_list: Name of a class list, of the data that is prepared.
  """

  data_dir: str
  task: str | None = None
  tfds_name: str | None = None
  class_list: str | None = None


class MissingDataError(ValueError):
  """Data is not prepared, or a class list not written.

  Args:
    text: The message.
    missing: `Missing`, each of which is to be made.
  """

  def __init__(self, text, missing):
    super().__init__(text)
    self.missing = tuple(missing)


def raise_all(errors):
  """Raises one error of several, with all their lines; nothing if none."""
  if errors:
    raise MissingDataError('\n'.join(map(str, errors)), dict.fromkeys(
        each for error in errors for each in getattr(error, 'missing', ())))
