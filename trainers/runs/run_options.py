"""How a run is watched and kept; nothing here decides its numbers."""

import dataclasses

from mixture_modules import checks


@dataclasses.dataclass(frozen=True)
class RunOptions:
  """Options that train, transfer, adapt and evaluate share.

  Args:
    data_dir: TFDS's data directory. Default: TFDS's own, or $TFDS_DATA_DIR.
    resume: Continue the run in the work directory from its last checkpoint.
    smoke: Take three steps on made-up images, to see that everything works.
      No data is needed, and the numbers mean nothing.
    log_every: Steps between lines of metrics.
    eval_every: Steps between evaluations on the validation splits; 0: never.
      Default: 500; of an adaptation 100.
    checkpoint_every: Steps between checkpoints.
    progress: Show progress on standard error.

  Raises:
    ValueError: If a number is out of range.
  """

  data_dir: str | None = None
  resume: bool = False
  smoke: bool = False
  log_every: int = 50
  eval_every: int | None = None
  checkpoint_every: int = 500
  progress: bool = True

  def __post_init__(self):
    if self.data_dir is not None:
      object.__setattr__(self, 'data_dir', str(self.data_dir))  # of a path
    checks.types(self)
    for name in ('log_every', 'checkpoint_every'):
      checks.positive_integer(name, getattr(self, name))
    if self.eval_every is not None:
      checks.not_negative('eval_every', self.eval_every)
