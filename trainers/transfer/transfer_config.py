"""What decides how a new task starts on a trained bank (sections 4.3, C)."""

import dataclasses
import json

from mixture_modules import checks
from mixture_modules.isometric import tune_scopes

INITS = ('copy:TASK', 'best', 'accuracy', 'learned', 'random', 'uniform',
         'diagonal', 'none')
STATISTICS = ('auto', 'copy', 'reestimate')
SCORES = ('auto', 'path', 'probe')


@dataclasses.dataclass(frozen=True)
class TransferConfig:
  """What decides how a new task starts on a trained model.

  Args:
    source: Work directory of the model.
    dataset: Name of the new task's data set.
    name: What the task is called in the model.
    init: Its first signature: 'copy:TASK', an older task's, with all else
      that is its own but the head; 'best', that of the task that scores best;
      'accuracy' and 'learned', the mean of the sources' (Eq. 1) with
      coefficients by score, or learnt (a new head along with them, which is
      set back); 'random', 'uniform', 'diagonal'; or 'none', as the model's own
      tasks began.
    tune: Names of `tune_scopes.SCOPES`, with the head where that is new;
      empty: nothing is trained. None: head, norm and mixture, without the head
      where it is shared, and without the mixture where signatures are fixed.
    head: 'own', a new one; 'shared', that of the older tasks of the same
      classes; 'auto', shared where there is one, see `choose_head`; or the
      name of a head.
    statistics: 'copy' (with 'copy:TASK' and 'best'), 'reestimate' from
      training images without labels, or 'auto': copied where a task is.
    score: 'path', an older task as it is, head included, on the new data;
      'probe', a linear head on its features; 'auto': by path if all sources
      have the classes of the new task.
    sources: Names of the older tasks that are scored or mixed; None: all.
    score_examples: (training images a linear head is fitted to, validation
      images that scores are measured on), at most; a seeded choice of equally
      many of each class.
    init_steps: Steps that coefficients are learnt for.
    init_learning_rate: Of Adam on their logits.
    examples_per_class: Training images of each class, and validation images
      of each class that scores are measured on, at most; None: all.

  Raises:
    ValueError: If a value is not one of these, or values contradict each
      other.

  Source: section C; defaults are our choice.
  """

  source: str
  dataset: str
  name: str
  init: str = 'best'
  tune: tuple | None = None
  head: str = 'auto'
  statistics: str = 'auto'
  score: str = 'auto'
  sources: tuple | None = None
  score_examples: tuple = (2000, 1000)
  init_steps: int = 200
  init_learning_rate: float = 0.1
  examples_per_class: int | None = None

  def __post_init__(self):
    for field in ('tune', 'sources', 'score_examples'):
      if getattr(self, field) is not None:
        object.__setattr__(self, field, tuple(getattr(self, field)))
    if self.init not in INITS[1:] and self.copied is None:
      raise ValueError(f'init must be one of {", ".join(INITS)}, received '
                       f'{self.init!r}.')
    wrong = set(self.tune or ()) - set(tune_scopes.SCOPES)
    if wrong:
      raise ValueError(f'tune must be of {", ".join(tune_scopes.SCOPES)}, or '
                       f'none, received {sorted(wrong)[0]!r}.')
    for field, known in (('statistics', STATISTICS), ('score', SCORES)):
      if getattr(self, field) not in known:
        raise ValueError(f'{field} must be one of {known}, received '
                         f'{getattr(self, field)!r}.')
    if (self.statistics == 'copy' and self.init != 'best'
        and self.copied is None):
      raise ValueError(
          "statistics='copy' needs a task to copy from, received "
          f'init={self.init!r}: use reestimate, or start from copy:TASK.')
    for field in ('init_steps', 'init_learning_rate', 'examples_per_class'):
      if getattr(self, field) is not None:
        checks.positive(field, getattr(self, field))
    if len(self.score_examples) != 2 or min(self.score_examples) < 1:
      raise ValueError(
          'score_examples must be two positive numbers, of training and of '
          f'validation images, received {self.score_examples}.')

  @property
  def copied(self):
    """The task of 'copy:TASK', or None."""
    if not self.init.startswith('copy:'):
      return None
    return self.init.removeprefix('copy:') or None

  def to_json(self):
    """A dictionary that JSON can hold; `from_json` takes it back."""
    return json.loads(json.dumps(dataclasses.asdict(self)))

  @classmethod
  def from_json(cls, values):
    """The configuration of a dictionary made by `to_json`.

    Raises:
      ValueError: If it is damaged, or of another version.
    """
    try:
      return cls(**values)
    except TypeError as error:
      raise ValueError(
          'Expected the configuration of a transfer, received one that is '
          f'damaged or of another version ({error}): use the version of the '
          'package that run.json names.') from error
