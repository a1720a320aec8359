"""What defines a run, and the recipes of the paper's experiments.

A run is a frozen `RunConfig`; it is written to `run.json` before step 1 and
read back to resume or evaluate. Section A.2 and D.2; design choices where the
paper gives no value are marked "ours".
"""

import dataclasses
import difflib
from typing import Literal

from mixture_modules import checks
from mixture_modules import regularizers
from mixture_modules import signatures
from mixture_modules.isometric import isometric_config
from trainers import optimizers
from trainers.data import image_task
from trainers.data.datasets import groups
from trainers.runs import strict_json

PRECISIONS = ('float32', 'mixed_bfloat16')
# Fields that a training on a model that is there, of its new task, cannot set.
DECIDED_BY_MODEL = ('model', 'tasks', 'shared_head', 'precision', 'preset',
                    'loss_weights')


@dataclasses.dataclass(frozen=True)
class RunConfig(strict_json.Json):
  """Everything that decides what a training run computes.

  Args:
    tasks: Names of data sets, each with optional transforms (mnist+blur);
      folder:PATH, images of your own; pool:A|B, several as one task;
      tfds:NAME, any other of TFDS.
    model: `IsometricConfig`.
    optimizer: `OptimizerConfig`.
    batch_size: Images of each task in a step, over all replicas; one number,
      or one for each task. Each replica needs 2.
    epochs: Passes over the largest task. Not with steps.
    steps: Number of training steps. Not with epochs.
    eval_batch_size: Images in a batch of evaluation.
    loss_weights: Weight of each task's cross-entropy; one number, or one for
      each task.
    shared_head: Share one head among all tasks, which have one label set.
    entropy: Weight of the entropy regulariser (section 3.2).
    clustering: Weight (alpha) of the clustering regulariser (section 3.2,
      which states no value).
    clustering_distance: The function g of the clustering regulariser. With a
      distance d between templates it is d, d^2, or d^2 / (d^2 + s^2) with the
      mean square s^2 of all.
    ema_decay: Decay of the averaged weights, which are the ones evaluated; 0
      averages nothing.
    ema_statistics: Average batch norm's moving statistics, too (ours).
    precision: Precision of activations.
    augmentation: How all tasks' images are varied in training. Default: as
      each data set declares.
    view: What is seen of an image. centre: the square in the middle, seven
      eighths of the shorter side; all of small images. whole: all of it, both
      sides resized. pad: all of it, in its own proportions, with black on two
      sides. In training random crops are of any place; under whole and pad they
      have about the image's proportions, and are resized or padded likewise.
      Default: as each data set declares.
    preset: Experiment whose recipe all other fields default to.
    seed: Seed of initialisation, order, augmentation and dropout.
    deterministic: Run operations in a fixed order: the same weights, bit for
      bit, in every run and after resuming.

  Raises:
    ValueError: If a value is out of range or values contradict each other.
  """

  tasks: tuple[str, ...]
  model: isometric_config.IsometricConfig
  optimizer: optimizers.OptimizerConfig
  batch_size: int | tuple[int, ...] = 64
  epochs: float | None = None
  steps: int | None = None
  eval_batch_size: int = 500
  loss_weights: float | tuple[float, ...] = 1.0
  shared_head: bool = False
  entropy: float = 0.0
  clustering: float = 0.0
  clustering_distance: Literal[*sorted(regularizers.DISTANCES)] = 'identity'
  ema_decay: float = 0.999
  ema_statistics: bool = True
  precision: Literal[*PRECISIONS] = 'float32'
  augmentation: Literal[*image_task.AUGMENTATIONS] | None = None
  view: Literal[*image_task.VIEWS] | None = None
  preset: str = 'default'
  seed: int = 0
  deterministic: bool = False

  def __post_init__(self):
    checks.types(self)
    if not self.tasks:
      raise ValueError('Expected at least one task, received none: name them '
                       'with tasks=..., for example mnist.')
    repeated = {name for name in self.tasks if self.tasks.count(name) > 1}
    if repeated:
      raise ValueError('Expected every task once, received '
                       f'{sorted(repeated)} more than once.')
    if (self.epochs is None) == (self.steps is None):
      raise ValueError(
          'Expected either epochs or steps, received '
          f'epochs={self.epochs}, steps={self.steps}: give one of them.')
    if self.epochs is None:
      checks.positive_integer('steps', self.steps)
    else:
      checks.at_most('epochs', checks.positive('epochs', self.epochs), 10 ** 6)
    checks.positive_integer('eval_batch_size', self.eval_batch_size)
    for name in ('entropy', 'clustering'):
      checks.not_negative(name, getattr(self, name))
    checks.in_range('ema_decay', self.ema_decay, 0, 1, 'try 0.999, or 0')
    checks.in_range('seed', self.seed, 0, 2 ** 31)
    for name in ('entropy', 'clustering'):
      if getattr(self, name) and self.model.signature in ('tanh', 'linear'):
        raise ValueError(
            f'{name} needs mixtures that sum to 1, received '
            f'signature={self.model.signature!r}: use softmax, or {name}=0.')
    checks.require(
        min(self.task_batch_sizes().values()) >= 1, 'batch_size', 'positive',
        self.batch_size, 'give one number of images, or one for each task')
    checks.at_most(
        'batch_size', max(self.task_batch_sizes().values()), checks.LARGEST)
    for weight in self.task_loss_weights().values():
      checks.not_negative('loss_weights', weight)

  def task_batch_sizes(self):
    """{task: images in a step}."""
    return self._per_task('batch_size')

  def check_batches(self, num_replicas=1):
    """Checks that the batches of a training can be shared, and can train.

    Args:
      num_replicas: Number of replicas that share every batch.

    Raises:
      ValueError: If a batch is no multiple of the replicas, or a replica would
        have one image. Of one image, what the embedding's norm subtracts is
        the embedding: the loss would have no gradient in the network.
    """
    least = 2 * num_replicas
    for name, size in self.task_batch_sizes().items():
      nearest = max(least, size // num_replicas * num_replicas)
      checks.require(
          size == nearest, f'batch_size of {name}',
          f'a multiple of the {num_replicas} replicas, and {least} or more'
          if num_replicas > 1 else
          '2 or more, as batch norm needs in training', size, f'try {nearest}')

  def task_loss_weights(self):
    """{task: weight of its cross-entropy}."""
    return self._per_task('loss_weights')

  def _per_task(self, name):
    values = getattr(self, name)
    if not isinstance(values, (tuple, list)):
      values = [values] * len(self.tasks)
    if len(values) != len(self.tasks):
      raise ValueError(
          f'{name} must be one number or one for each of the '
          f'{len(self.tasks)} tasks, received {len(values)}: {values}.')
    return dict(zip(self.tasks, values))

  def replace(self, **changes):
    """A copy with values changed, in whichever part a field belongs to.

    `steps` takes the place of `epochs`, and the other way round,
    `mixture_lr_multiplier` that of `mixture_learning_rate`, and another
    schedule ends where it does by default; all is validated again.

    Args:
      **changes: Fields of `RunConfig`, `IsometricConfig` or
        `OptimizerConfig`, whose names do not collide.

    Raises:
      ValueError: If changes contradict each other, the signature has no use
        for one, or a value is out of range.
    """
    self._check_changes(changes)
    parts = {part: changes.pop(part, getattr(self, part))
             for part in ('model', 'optimizer')}
    if len({'steps', 'epochs'} & set(changes)) == 1:
      changes = {'steps': None, 'epochs': None, **changes}
    if changes.get('schedule', self.optimizer.schedule) != (
        self.optimizer.schedule):
      changes = {'final_learning_rate': None, **changes}
    if 'mixture_lr_multiplier' in changes:
      changes = {'mixture_learning_rate': None, **changes}
    for part, config in parts.items():
      fields = {field.name for field in dataclasses.fields(config)}
      inner = {name: changes.pop(name) for name in fields & set(changes)}
      parts[part] = dataclasses.replace(config, **inner)
    return dataclasses.replace(self, **parts, **changes)

  def replace_training(self, **changes):
    """As `replace`, for the training of a new task on a model that is there.

    Args:
      **changes: Fields of `RunConfig`, but for `DECIDED_BY_MODEL`, or of
        `OptimizerConfig`.

    Raises:
      ValueError: If the model or its new task decides one, or as for `replace`.
    """
    decided = {*DECIDED_BY_MODEL,
               *(field.name for field in dataclasses.fields(self.model))}
    for name in sorted(decided & set(changes)):
      raise ValueError(
          f'Expected changes of the training alone, received {name}, which the '
          'model that is there or its new task decides: leave it out.')
    return self.replace(**changes)

  def _check_changes(self, changes):
    present = {**vars(self), **vars(self.model), **vars(self.optimizer)}
    for name in sorted(set(changes) - set(present)):
      near = difflib.get_close_matches(name, present, 1)
      raise ValueError(
          f'Expected fields of a run, received {name}: '
          + (f'did you mean {near[0]}?' if near else 'see RunConfig.'))
    for one, other in (('steps', 'epochs'),
                       ('mixture_lr_multiplier', 'mixture_learning_rate')):
      if changes.get(one) is not None and changes.get(other) is not None:
        raise ValueError(
            f'Expected {one} or {other}, received both: give one of them.')
    signature = changes.get('signature', self.model.signature)
    useless = useless_for(signature) & {
        name for name, value in changes.items()
        if value is not None and value != present.get(name)}
    if useless:
      name = sorted(useless)[0]
      raise ValueError(
          f'Expected no {name}, for which signature={signature} has no use, '
          f'received {changes[name]}: leave it out, or choose another '
          'signature.')

  def total_steps(self, examples):
    """Number of training steps.

    Args:
      examples: {task: number of training examples}.
    """
    if self.steps is not None:
      return self.steps
    sizes = self.task_batch_sizes()
    epoch = max(-(-count // sizes[name]) for name, count in examples.items())
    return max(1, round(self.epochs * epoch))


def useless_for(signature):
  """Names of the fields that a kind of signature has no use for."""
  if signature not in signatures.TRAINED:
    return {'signature_init', 'signature_spread', 'temperature',
            'mixture_lr_multiplier', 'mixture_learning_rate', 'shared_half',
            'entropy', 'clustering', 'clustering_distance'}
  return {'temperature'} if signature != 'softmax' else set()


# Of each preset of `IsometricConfig`: what its training needs besides. Values
# that the paper states: RMSProp everywhere; learning rate 0.02 or 0.04 for the
# smaller experiments; for the digits (and DomainNet) 2e-3 to 2e-5 linearly,
# and 2 (and 20) epochs. Epochs and batch sizes are ours elsewhere.
_SOURCES = {name: group.sources for name, group in groups.GROUPS.items()}
_ADAPTATION = {'learning_rate': 2e-3, 'final_learning_rate': 2e-5,
               'schedule': 'linear', 'mixture_lr_multiplier': 20.0}
_RECIPES = {
    'default': {
        'tasks': ('optdigits', 'optdigits+blur', 'optdigits+boundary'),
        'steps': 700, 'ema_decay': 0.99},
    'small': {'tasks': ('cifar100',), 'batch_size': 128, 'epochs': 60},
    'large': {'tasks': ('cifar100',), 'batch_size': 128, 'epochs': 90},
    'natural5': {'tasks': _SOURCES['natural5'], 'epochs': 90},
    'imagenet8': {'tasks': ('imagenet2012',), 'epochs': 90},
    'imagenet8_32': {'tasks': ('imagenet2012',), 'epochs': 90},
    'imagenet16': {'tasks': ('imagenet2012',), 'epochs': 90},
    'imagenet16_48': {'tasks': ('imagenet2012',), 'epochs': 90},
    'digits': {
        'tasks': _SOURCES['digits'], 'batch_size': 32, 'epochs': 2,
        'shared_head': True, 'optimizer': _ADAPTATION},
    'digits_baseline': {
        'tasks': ('pool:digits',), 'batch_size': 160, 'epochs': 2,
        'optimizer': _ADAPTATION},
    'office': {
        'tasks': _SOURCES['office_caltech10'], 'batch_size': 32, 'epochs': 20,
        'shared_head': True, 'optimizer': _ADAPTATION},
    'office_baseline': {
        'tasks': ('pool:office_caltech10',), 'batch_size': 96, 'epochs': 20,
        'optimizer': _ADAPTATION},
    'domainnet': {
        'tasks': _SOURCES['domainnet100'], 'batch_size': 32, 'epochs': 20,
        'shared_head': True, 'optimizer': _ADAPTATION},
    'domainnet_baseline': {
        'tasks': ('pool:domainnet100',), 'batch_size': 160, 'epochs': 20,
        'optimizer': _ADAPTATION},
    'figure2b': {
        'tasks': _SOURCES['figure2b'], 'batch_size': 32, 'epochs': 5},
}


def recipe(preset):
  """The run of one of the paper's experiments.

  Args:
    preset: One of `isometric_config.PRESETS`.

  Returns:
    `RunConfig`.

  Raises:
    ValueError: If there is no such preset.
  """
  model = isometric_config.IsometricConfig.preset(preset)
  values = dict(_RECIPES[preset])
  optimizer = optimizers.OptimizerConfig(**values.pop('optimizer', {}))
  return RunConfig(model=model, optimizer=optimizer, preset=preset, **values)
