"""What defines an adaptation, and the defaults of each method (section D)."""

import dataclasses

from mixture_modules import checks
from trainers import optimizers
from trainers.adaptation import label_free_scores
from trainers.adaptation import target_network

METHODS = ('source_only', 'adda', 'm3sda', 'im', 'supervised')
SOURCE_FREE = ('source_only', 'im', 'supervised')
TARGET_STATISTICS = ('copy', 'reestimate')
MOMENT_FEATURES = ('embedding', 'body')
CHOICES = ('last', 'best')
# Fields of a `RunConfig` that no adaptation reads: it has Adam, no averages.
UNUSED = ('rho', 'momentum', 'epsilon', 'initial_mean_square', 'clipnorm',
          'entropy', 'clustering', 'clustering_distance', 'ema_decay',
          'ema_statistics')


@dataclasses.dataclass(frozen=True)
class AdaptationConfig:
  """Everything that decides an adaptation, besides its `RunConfig`.

  Args:
    target: Name of the target's task, new to the model.
    method: 'source_only' (nothing is trained), 'adda', 'm3sda', 'im'
      (information maximisation) or 'supervised' (the upper bound: the only
      one that sees the target's labels).
    sources: Names of the sources' tasks; all share a head.
    tune: Which parts of the target are trained, of `target_network.PARTS`.
    init: Where the target starts: 'copy:TASK', 'best' (the source whose
      copy has the best label-free score on the target's training images),
      'oracle' (the best by the target's validation labels), 'random' or
      'uniform'.
    target_statistics: The target's first moving statistics: 'copy', those of
      the source that `init` copies, or 'reestimate', by one unlabelled pass.
    statistics: Whether they are 'moved' by the target's batches in training,
      or 'kept'.
    source_batch_size: Images of each domain of the sources in a step; the
      members of a pool are domains of their own.
    source_free: Whether no image of a source is read, for the records
      neither.
    network_learning_rate: First learning rate of the discriminator or the
      heads.
    network_final_learning_rate: Its last.
    label_smoothing: Of the discriminator's labels.
    pretraining_steps: In which only the discriminator, or only the second
      head, learns.
    moment_weight: Lambda, weight of the moment distance.
    moment_features: What moments are taken of: the 'embedding', which the
      heads see, or the mean over positions of the 'body''s last features.
    score: The label-free score that choices go by.
    choose: Which state of the target is the result: the 'last', or the 'best'
      by that score.
    watch_every: Steps between its measurements; 0: never.
    collapse_drop: By how much the score may be worse than the best before.
    collapse_patience: How often in a row it may be, before that is an alarm.
    collapse_classes: The share of the classes predicted at the start that
      predictions may not fall below.

  Raises:
    ValueError: If a value is out of range or values contradict each other.
  """

  target: str
  method: str
  sources: tuple
  tune: tuple = ('mixture',)
  init: str = 'best'
  target_statistics: str = 'copy'
  statistics: str = 'moved'
  source_batch_size: int = 64
  source_free: bool = False
  network_learning_rate: float = 2e-4
  network_final_learning_rate: float = 1e-5
  label_smoothing: float = 0.1
  pretraining_steps: int = 0
  moment_weight: float = 0.01
  moment_features: str = 'embedding'
  score: str = 'information'
  choose: str = 'last'
  watch_every: int = 50
  collapse_drop: float = 0.1
  collapse_patience: int = 3
  collapse_classes: float = 0.5

  def __post_init__(self):
    for name in ('sources', 'tune'):
      object.__setattr__(self, name, tuple(getattr(self, name)))
    for name, values in (
        ('method', METHODS), ('target_statistics', TARGET_STATISTICS),
        ('statistics', target_network.STATISTICS),
        ('moment_features', MOMENT_FEATURES),
        ('score', tuple(label_free_scores.SCORES)), ('choose', CHOICES)):
      if getattr(self, name) not in values:
        raise ValueError(f'{name} must be one of {values}, received '
                         f'{getattr(self, name)!r}.')
    target_network.check_tune(self.tune)
    if self.method == 'adda' and 'output_adapter' in self.tune:
      raise ValueError(
          'The discriminator of adda sees the features before the output '
          'adapter, which it cannot train: leave output_adapter out of tune, '
          'or use another method.')
    self._check_sources()
    self._check_numbers()

  def _check_sources(self):
    if self.target in self.sources:
      raise ValueError(f'Expected a target that is no source, received '
                       f'{self.target!r} as both: name another target.')
    if not self.sources:
      raise ValueError('Expected at least one source, received none.')
    starts = ('best', 'oracle', 'random', 'uniform')
    copied = self.init.removeprefix('copy:')
    if self.init not in starts and copied == self.init:
      raise ValueError(f'init must be copy:TASK or one of {starts}, received '
                       f'{self.init!r}.')
    if copied != self.init and copied not in self.sources:
      raise ValueError(
          f'Expected init to copy one of the sources {list(self.sources)}, '
          f'received {self.init!r}.')
    if (self.init in ('random', 'uniform')
        and self.target_statistics != 'reestimate'):
      raise ValueError(
          f'init={self.init} copies no task, and so no statistics: use '
          'target_statistics=reestimate.')
    if self.source_free and self.method not in SOURCE_FREE:
      raise ValueError(f'{self.method} needs images of the sources, received '
                       f'source_free: use one of {SOURCE_FREE}.')
    if self.source_free and self.score == 'domain_accuracy':
      raise ValueError('The score domain_accuracy needs images of the sources, '
                       'received source_free: use another score.')

  def _check_numbers(self):
    if self.source_batch_size < 1:
      raise ValueError('source_batch_size must be positive, received '
                       f'{self.source_batch_size}.')
    if not 0 <= self.label_smoothing < 0.5:
      raise ValueError('label_smoothing must be in [0, 0.5), received '
                       f'{self.label_smoothing}.')
    if not 0 <= self.collapse_classes < 1:
      raise ValueError('collapse_classes must be in [0, 1), received '
                       f'{self.collapse_classes}.')
    for name in ('pretraining_steps', 'moment_weight', 'watch_every',
                 'collapse_drop', 'collapse_patience'):
      checks.not_negative(name, getattr(self, name))
    if self.pretraining_steps and self.method in SOURCE_FREE:
      raise ValueError(
          f'{self.method} has nothing to be pretrained, received '
          f'pretraining_steps={self.pretraining_steps}: leave it out.')
    checks.positive('network_learning_rate', self.network_learning_rate)
    if self.choose == 'best' and not self.watch_every:
      raise ValueError('choose=best needs measurements of the score: give '
                       'watch_every a number of steps.')

  @property
  def uses_labels(self):
    """Which of the target's labels were used, as text; '' if none."""
    used = []
    if self.method == 'supervised':
      used.append('trained on labels')
    if self.init == 'oracle':
      used.append('start chosen by labels')
    return ', '.join(used)

  def network_optimizer(self, optimizer):
    """The `OptimizerConfig` of the discriminator, or of the heads.

    Args:
      optimizer: That of the target, whose schedule it has, too.

    Raises:
      ValueError: If the last learning rate is not from 0 to the first.
    """
    constant = optimizer.schedule == 'constant'
    first, last = self.network_learning_rate, self.network_final_learning_rate
    if not (constant or 0 <= last <= first):
      raise ValueError('network_final_learning_rate must be from 0 to '
                       f'network_learning_rate, received {last} and {first}: '
                       'give both.')
    return dataclasses.replace(
        optimizer, learning_rate=self.network_learning_rate,
        final_learning_rate=(
            None if constant else self.network_final_learning_rate))

  def to_json(self):
    """A dictionary that JSON can hold; `from_json` takes it back."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, values):
    """The configuration of a dictionary made by `to_json`.

    Raises:
      ValueError: If it was made by another version, or damaged.
    """
    try:
      return cls(**{name: tuple(value) if isinstance(value, list) else value
                    for name, value in values.items()})
    except TypeError as error:
      raise ValueError(
          'Expected the configuration of an adaptation, received one that is '
          f'damaged or of another version ({error}): use the version of the '
          'package that run.json names.') from error


# Learning rates of weights, and of mixture logits, which differ by far more;
# schedules. Of ADDA the paper has the discriminator's (D.3), of M3SDA one for
# all (D.4), here that of heads and weights; the rest is ours.
_METHOD_OPTIMIZERS = {
    'source_only': {},
    'adda': {'learning_rate': 2e-5, 'final_learning_rate': 1e-6,
             'mixture_learning_rate': 2e-3, 'schedule': 'polynomial'},
    'm3sda': {'learning_rate': 1e-4, 'final_learning_rate': 1e-5,
              'mixture_learning_rate': 1e-2, 'schedule': 'linear'},
    'im': {'learning_rate': 1e-3, 'final_learning_rate': 5e-5,
           'mixture_learning_rate': 5e-2, 'schedule': 'linear'},
    'supervised': {'learning_rate': 1e-3, 'final_learning_rate': 5e-5,
                   'mixture_learning_rate': 5e-2, 'schedule': 'linear'},
}
_METHOD_OPTIONS = {
    'adda': {'pretraining_steps': 100},
    'm3sda': {'pretraining_steps': 100, 'network_learning_rate': 1e-4},
    'supervised': {'watch_every': 0},  # an upper bound is not to be ended
}
# Options that are of some methods alone.
_DOMAINS = tuple(name for name in METHODS if name not in SOURCE_FREE)
_TRAINED = METHODS[1:]
OPTIONS_OF = {
    **dict.fromkeys((
        'tune', 'statistics', 'choose', 'watch_every', 'collapse_drop',
        'collapse_patience', 'collapse_classes'), _TRAINED),
    'source_batch_size': _DOMAINS, 'pretraining_steps': _DOMAINS,
    'network_learning_rate': _DOMAINS,
    'network_final_learning_rate': _DOMAINS, 'label_smoothing': ('adda',),
    'moment_weight': ('m3sda',), 'moment_features': ('m3sda',)}
# Passes over the target: 10 for digits, 20 for DomainNet and 15 there by
# moments are the paper's (D.2, D.4). Webcam has 300 images.
_EPOCHS = {'domainnet': 20, 'office': 50}
_DEFAULT_EPOCHS = 10


def default_run(base, method, target):
  """The `RunConfig` of an adaptation of a trained model.

  Args:
    base: `RunConfig` of the trained model.
    method: One of `METHODS`.
    target: Name of the target's data.
  """
  experiment = base.preset.removesuffix('_baseline')
  epochs = _EPOCHS.get(experiment, _DEFAULT_EPOCHS)
  if (experiment, method) == ('domainnet', 'm3sda'):
    epochs = 15
  return dataclasses.replace(
      base, tasks=(target,), batch_size=64, loss_weights=1.0, epochs=epochs,
      steps=None, entropy=0.0, clustering=0.0, ema_decay=0.0, seed=0,
      optimizer=optimizers.OptimizerConfig(**_METHOD_OPTIMIZERS[method]))


def default_options(method, batch_size, num_domains, trained_signature):
  """Those fields of `AdaptationConfig` whose default depends on others.

  Args:
    method: One of `METHODS`.
    batch_size: Images of the target in a step.
    num_domains: Number of domains of the sources.
    trained_signature: Whether the model's signatures are trained.

  Returns:
    {field: value}. For ADDA the sources' domains share a batch as large as
    the target's; for M3SDA each has one.
  """
  size = batch_size if method == 'm3sda' else -(-batch_size // num_domains)
  return {'tune': ('mixture',) if trained_signature else ('input_adapter',),
          'source_batch_size': size, **_METHOD_OPTIONS.get(method, {})}
