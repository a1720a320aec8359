"""What defines an adaptation (section D)."""

import dataclasses
import typing
from typing import Literal

from mixture_modules import checks
from mixture_modules import signatures
from trainers.adaptation import label_free_scores
from trainers.adaptation import methods
from trainers.adaptation import target_network
from trainers.data import catalog
from trainers.runs import strict_json

INITS = ('copy:TASK', 'best', 'oracle', 'random', 'uniform')
TARGET_STATISTICS = ('copy', 'reestimate')
CHOICES = ('last', 'best')
# Fields of a `RunConfig` that no adaptation reads: it has Adam, no averages.
UNUSED = ('rho', 'momentum', 'epsilon', 'initial_mean_square', 'clipnorm',
          'entropy', 'clustering', 'clustering_distance', 'ema_decay',
          'ema_statistics')
# Fields that a method has no use for which trains nothing, reads no source.
_OF_TRAINING = ('tune', 'move_statistics', 'choose', 'watch_every',
                'collapse_drop', 'collapse_patience', 'collapse_classes')
_OF_SOURCES = ('source_batch_size',)


@dataclasses.dataclass(frozen=True)
class AdaptationConfig(strict_json.Json):
  """Everything that decides an adaptation, besides its `RunConfig`.

  Fields that are None depend on others: `resolve` fills them in.

  Args:
    source: Work directory of the trained model. It is only read.
    target: Data set of the target, new to the model; images:PATH, a folder of
      images without labels.
    method: Name of the method.
    sources: Tasks of the model to adapt from; all share a head. Default: all
      whose images have labels; where the model was adapted, its sources.
    tune: What is trained of the target: mixture, norm, input_adapter,
      output_adapter. Default: mixture; input_adapter, if signatures are fixed.
    init: Where the target starts. copy:TASK copies a source; best, the one
      whose copy has the best label-free score on the target's training
      images; oracle, the one that is best by the target's validation labels.
      random and uniform copy none.
    target_statistics: First moving statistics of the target. copy takes those
      of the source that is copied; reestimate measures them in a pass over
      unlabelled images.
    move_statistics: Whether the target is normalised in training by its
      batches, which move its statistics, or by its statistics, which stay.
    source_batch_size: Images of each source in a step, in a pool of each of
      its data sets. Default: by the method, such as their share of
      batch_size.
    source_free: Read no image of a source, for the records neither.
    score: The label-free score that choices go by. information is the entropy
      of the mean prediction minus the mean entropy.
    choose: Which state of the target is the result: the last, or the best by
      the label-free score.
    watch_every: Steps between measurements of the label-free score; 0: never.
      Default: 50; of the upper bound 0.
    collapse_drop: By how much the score may be worse than its best before the
      adaptation ends and goes back.
    collapse_patience: For so many measurements in a row; 0: the score never
      ends it.
    collapse_classes: Share of the number of classes predicted at first, below
      which the adaptation ends and goes back.
    options: `Options` of the method, or a dictionary of some of them. Default:
      the method's.

  Raises:
    ValueError: If a value is out of range or values contradict each other.
  """

  source: str
  target: str
  method: str
  sources: tuple[str, ...] | None = None
  tune: tuple[str, ...] | None = None
  init: str = 'best'
  target_statistics: Literal[*TARGET_STATISTICS] = 'copy'
  move_statistics: bool = True
  source_batch_size: int | None = None
  source_free: bool = False
  score: Literal[*label_free_scores.SCORES] = 'information'
  choose: Literal[*CHOICES] = 'last'
  watch_every: int | None = None
  collapse_drop: float = 0.1
  collapse_patience: int = 3
  collapse_classes: float = 0.5
  options: typing.Any = None

  def __post_init__(self):
    self._set('source', str(self.source))  # of a path, too
    checks.types(self)
    checks.one_of('method', self.method, methods.METHODS)
    self._set_options()
    self._check_use()
    if self.tune is not None:
      target_network.check_tune(self.tune)
    if self.method_class.features_only and 'output_adapter' in (
        self.tune or ()):
      raise ValueError(
          f'Expected tune without output_adapter, which {self.method} cannot '
          "train, since it sees the body's features alone: leave it out, or "
          'use another method.')
    self._check_sources()
    self._check_numbers()

  def _set(self, name, value):
    object.__setattr__(self, name, value)

  @property
  def method_class(self):
    """The `method.Method` of that name."""
    return methods.METHODS[self.method]

  def _set_options(self):
    kind, options = self.method_class.Options, self.options or {}
    if isinstance(options, kind):
      return
    if not isinstance(options, dict):
      raise ValueError(f'Expected {kind.__qualname__} of {self.method}, '
                       f'received {options!r}.')
    known = {field.name for field in dataclasses.fields(kind)}
    for name in sorted(set(options) - known):
      owners = [other for other, each in methods.METHODS.items()
                if hasattr(each.Options, name)]  # all have defaults
      raise ValueError(
          f'Expected options of {self.method}, received {name}, which is of '
          f'{", ".join(owners) or "no method"}: leave it out.')
    self._set('options', kind(**options))

  def _check_use(self):
    useless = _OF_TRAINING * (not self.method_class.trains) + (
        _OF_SOURCES * (not self.method_class.reads_sources))
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name in useless and value != field.default:
        raise ValueError(
            f'Expected no {field.name}, of which method={self.method} has no '
            f'use, received {value!r}: leave it out.')

  def _check_sources(self):
    if self.sources is not None:
      if self.target in self.sources:
        raise ValueError(f'Expected a target that is no source, received '
                         f'{self.target!r} as both: name another target.')
      if not self.sources:
        raise ValueError('Expected at least one source, received none.')
    copied = self.init.removeprefix('copy:')
    if self.init not in INITS[1:] and copied in ('', self.init):
      raise ValueError(f'Expected init of {", ".join(INITS)}, received '
                       f'{self.init!r}.')
    if copied != self.init and copied not in (self.sources or (copied,)):
      raise ValueError(
          f'Expected init to copy one of the sources {list(self.sources)}, '
          f'received {self.init!r}.')
    if (self.init in ('random', 'uniform')
        and self.target_statistics != 'reestimate'):
      raise ValueError(
          f'init={self.init} copies no task, and so no statistics: use '
          'target_statistics=reestimate.')
    if self.source_free and self.method_class.reads_sources:
      free = [name for name, method in methods.METHODS.items()
              if not method.reads_sources]
      raise ValueError(f'{self.method} needs images of the sources, received '
                       f'source_free: use one of {", ".join(free)}.')
    if self.source_free and self.score == 'domain_accuracy':
      raise ValueError('The score domain_accuracy needs images of the sources, '
                       'received source_free: use another score.')

  def _check_numbers(self):
    if self.source_batch_size is not None:
      checks.positive_integer('source_batch_size', self.source_batch_size)
    if self.watch_every is not None:
      checks.at_least('watch_every', self.watch_every, 0)
    checks.in_range('collapse_classes', self.collapse_classes, 0, 1)
    checks.not_negative('collapse_drop', self.collapse_drop)
    checks.at_least('collapse_patience', self.collapse_patience, 0)
    if self.choose == 'best' and self.watch_every == 0:
      raise ValueError('choose=best needs measurements of the score: give '
                       'watch_every a number of steps.')

  @property
  def uses_labels(self):
    """Which of the target's labels were used, as text; '' if none."""
    used = []
    if self.method_class.reads_labels:
      used.append('trained on labels')
    if self.init == 'oracle':
      used.append('start chosen by labels')
    return ', '.join(used)

  @classmethod
  def from_json(cls, values, where='run.json'):
    """As of `strict_json.Json`; the types of the options are checked, too."""
    config = super().from_json(values, where)
    strict_json.decode(
        config.method_class.Options, config.to_json()['options'], where)
    return config


def resolve(config, model, batch_size, datasets=None, sources=None):
  """A configuration with every field that depends on others.

  No model is loaded: what a row of a table would run can be computed.

  Args:
    config: `AdaptationConfig`.
    model: `RunConfig` of the trained model.
    batch_size: Images of the target in a step.
    datasets: {task of the model: its data set}. Default: the tasks are called
      as their data sets.
    sources: Tasks that are the sources by default. Default: all whose images
      have labels.

  Returns:
    `AdaptationConfig`; None is left where the method has no use for a field.

  Raises:
    ValueError: If a data set does not exist, or values contradict each other.
  """
  method = config.method_class
  datasets = datasets or {name: name for name in model.tasks}
  filled = {'sources': config.sources}
  if config.sources is None:
    filled['sources'] = tuple(
        name for name in sources or filter(
            lambda name: catalog.is_labelled(datasets[name]), datasets)
        if name != config.target)
  if method.trains and config.tune is None:
    is_trained = model.model.signature in signatures.TRAINED
    filled['tune'] = ('mixture',) if is_trained else ('input_adapter',)
  if method.trains and config.watch_every is None:
    filled['watch_every'] = method.watch_every
  if method.reads_sources and config.source_batch_size is None:
    # Members of a pool are domains of their own.
    domains = catalog.data_sets(
        [datasets.get(name, name) for name in filled['sources']])
    filled['source_batch_size'] = method.source_batch_size(
        batch_size, len(domains))
  return dataclasses.replace(config, **filled)
