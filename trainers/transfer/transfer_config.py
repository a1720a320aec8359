"""What decides how a new task starts on a trained bank (sections 4.3, C)."""

import dataclasses
from typing import Literal

from mixture_modules import checks
from mixture_modules.isometric import tune_scopes
from trainers.runs import strict_json

INITS = ('copy:TASK', 'best', 'accuracy', 'learned', 'random', 'uniform',
         'diagonal', 'none')  # TASK stands for the name of a task
STATISTICS = ('auto', 'copy', 'reestimate')
SCORES = ('auto', 'path', 'probe')


@dataclasses.dataclass(frozen=True)
class TransferConfig(strict_json.Json):
  """What decides how a new task starts on a trained model.

  Args:
    source: Work directory of the trained model. It is only read.
    dataset: Data set of the new task, such as usps or folder:PATH.
    name: What the task is called in the model. Default: as its data set.
    init: First signature of the new task. copy:TASK takes over an older
      task's, with its norms and statistics; best, those of the task that
      scores best. accuracy and learned take the mean of the sources' (Eq. 1),
      by scores or by weights learnt on the new training images. random,
      uniform and diagonal use no task; none begins as the model's own tasks
      did.
    tune: What is trained of the new task: head, norm, mixture, input_adapter,
      output_adapter; templates or all, which move other tasks, too; or none.
      Default: head, norm, mixture; without the head where it is shared, and
      without the mixture where signatures are fixed.
    head: own, a new head; shared, that of the older tasks with the same
      classes; the name of a head; or auto, shared where the names of the
      classes agree and such tasks have one head.
    statistics: First moving statistics. copy takes those of the copied task;
      reestimate measures them on training images, without labels; auto copies
      where a task is copied.
    score: How sources are scored on validation images. path takes each older
      task as it is, head included; probe fits a linear head to its features;
      auto is path where all sources have the new task's classes.
    sources: Older tasks that are scored or mixed. Default: all.
    score_examples: Most training images that a linear head is fitted to, and
      most validation images that scores are measured on; the seed chooses
      them, equally many of each class.
    init_steps: Steps that init=learned learns weights for. A new head is
      trained along, and set back afterwards.
    init_learning_rate: Learning rate of Adam in the init_steps.
    examples_per_class: Learn from so many training images of each class,
      chosen by the seed; scores use at most so many validation images of each
      class, too. Default: all.

  Raises:
    ValueError: If a value is not one of these, or values contradict each
      other.

  Source: section C; defaults are our choice.
  """

  source: str
  dataset: str
  name: str | None = None
  init: str = 'best'
  tune: tuple[str, ...] | None = None
  head: str = 'auto'
  statistics: Literal[*STATISTICS] = 'auto'
  score: Literal[*SCORES] = 'auto'
  sources: tuple[str, ...] | None = None
  score_examples: tuple[int, int] = (2000, 1000)
  init_steps: int = 200
  init_learning_rate: float = 0.1
  examples_per_class: int | None = None

  def __post_init__(self):
    self._set('source', str(self.source))  # of a path, too
    self._set('name', self.name or self.dataset)
    checks.types(self)
    if self.tune == ('none',):
      self._set('tune', ())
    if self.copied is None:
      checks.one_of('init', self.init, INITS)
      checks.require(
          self.statistics != 'copy' or self.init == 'best', 'init',
          'copy:TASK or best with statistics=copy', self.init,
          'use one of these, or statistics=reestimate')
    for scope in self.tune or ():
      checks.one_of('tune', scope, tune_scopes.SCOPES,
                    'use some of these, or none alone')
    for field in ('init_steps', 'init_learning_rate', 'examples_per_class'):
      if getattr(self, field) is not None:
        checks.positive(field, getattr(self, field))
    checks.require(
        min(self.score_examples) >= 1, 'score_examples', 'two positive numbers',
        self.score_examples,
        'give how many training and how many validation images')

  def _set(self, field, value):
    object.__setattr__(self, field, value)

  @property
  def copied(self):
    """The task of 'copy:TASK', or None."""
    if not self.init.startswith('copy:'):
      return None
    return self.init.removeprefix('copy:') or None
