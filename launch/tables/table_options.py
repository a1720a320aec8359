"""What is asked of a table."""

import dataclasses
import fnmatch
import pathlib


@dataclasses.dataclass(frozen=True)
class TableOptions:
  """What is asked of a table, whichever it is.

  Args:
    workdir: Directory of the table and its runs, a `pathlib.Path`.
    rows: Names of the rows to run; of Tables 2, 9 and 10, of banks. A * stands
      for anything. Default: all.
    columns: Domains of Table 3. Default: all.
    seeds: Seeds; each row is run once with each.
    models: Models that are trained already, as BANK=DIR with a work directory;
      in Tables 2 and 9 a DIR alone takes the place of the main bank. Default:
      all are trained.
    new_tasks: Data sets of the new tasks of Tables 2, 9 and 10. Default: the
      paper's.
    targets: Data sets of the targets of one column of Table 3. Default: the
      paper's.
    changes: {field: value}, handed to the runs, as for `RunConfig.replace`;
      with models and banks in a table, to what starts from these.
    data_dir: TFDS's data directory. Default: TFDS's own, or $TFDS_DATA_DIR.
    smoke: Take three steps on made-up images in each run, to see that
      everything works. No data is needed, and the numbers mean nothing.

  Raises:
    ValueError: If seeds are no different whole numbers, or changes have one.
  """

  workdir: pathlib.Path
  rows: tuple[str, ...] | None = None
  columns: tuple[str, ...] | None = None
  seeds: tuple[int, ...] = (0,)
  models: tuple[str, ...] = ()
  new_tasks: tuple[str, ...] | None = None
  targets: tuple[str, ...] | None = None
  changes: dict = dataclasses.field(default_factory=dict)
  data_dir: str | None = None
  smoke: bool = False

  def __post_init__(self):
    if min(self.seeds, default=-1) < 0 or (
        len(set(self.seeds)) < len(self.seeds)):
      raise ValueError('Expected seeds that are whole numbers and differ, '
                       f'received {self.seeds}.')
    if 'seed' in self.changes:
      raise ValueError('Expected no seed among the changes, received '
                       f'{self.changes["seed"]}: give seeds.')

  def parse_models(self, known, main=None):
    """{bank: path} of `models`.

    Args:
      known: Names of the banks.
      main: The bank of a path alone. Default: none is allowed.
    """
    found = {}
    for text in self.models:
      bank, _, path = text.partition('=')
      if main and (not path or pathlib.Path(text).exists()):
        bank, path = main, text
      if bank not in known or not path:
        raise ValueError(f'--from must be BANK=DIR with a bank of '
                         f'{list(known)}, received {text!r}.')
      found[bank] = pathlib.Path(path)
    return found


def choose(names, patterns, flag='rows'):
  """Those of some names that match one of the patterns; all without any."""
  if patterns is None:
    return list(names)
  found = {text: fnmatch.filter(names, text) for text in patterns}
  wrong = [text for text, own in found.items() if not own]
  if wrong:
    raise ValueError(f'--{flag} must be of {list(names)}, where * stands for '
                     f'anything, received {wrong}.')
  return list(dict.fromkeys(sum(found.values(), [])))
