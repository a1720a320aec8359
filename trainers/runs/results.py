"""What a run found: results.json, a frozen dataclass, written and read here."""

import dataclasses
import pathlib

import numpy as np

from mixture_modules import self_organization
from mixture_modules import signatures
from trainers.runs import records
from trainers.runs import strict_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
  """How well images are classified.

  Args:
    top1: Share of right answers, 0 to 1; None of images without labels.
    loss: Mean cross-entropy in nats; None of images without labels.
    examples: Number of images.
  """

  top1: float | None
  loss: strict_json.AnyFloat | None
  examples: int

  def numbers(self):
    """{name: number} of what is known."""
    numbers = {'top1': self.top1, 'loss': self.loss, 'examples': self.examples}
    return {name: number for name, number in numbers.items()
            if number is not None}

  def plain(self, kind=None):
    """What another kind of score has of this one; by default a `Score`."""
    kind = kind or Score
    return kind(**{field.name: getattr(self, field.name)
                   for field in dataclasses.fields(kind)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskScore(Score):
  """The score of a task on a split.

  Args:
    members: Of a pool, {data set: its score}.
    own_head: Score of the task's own head, where another one predicts.
    label_free: {score: value} of an adaptation's target.
  """

  members: dict[str, Score] = dataclasses.field(default_factory=dict)
  own_head: Score | None = None
  label_free: dict[str, float] = dataclasses.field(default_factory=dict)

  def numbers(self):
    """{name: number} of what is known, label-free scores among them."""
    return {**super().numbers(), **self.label_free}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult(TaskScore):
  """What a run found of a task.

  Args:
    own_parameters: Number of parameters that are the task's own.
    max_xi: Mean over layers of the largest mixture weight.
    signature: The strongest template of each layer, as '1-2-2-3'.
    classes: Number of classes.
    mixtures: Mixture weights, `[L, K]`.
  """

  own_parameters: int
  max_xi: float
  signature: str
  classes: int
  mixtures: tuple[tuple[float, ...], ...]

  def __post_init__(self):
    if len({len(row) for row in self.mixtures}) != 1:
      raise ValueError(
          'Expected mixtures [L, K] with rows of one length, received '
          f'{[len(row) for row in self.mixtures]}.')


@dataclasses.dataclass(frozen=True)
class Distance:
  """How far apart the signatures of two tasks are.

  Args:
    tasks: The two tasks.
    total_variation: Total-variation distance in each layer, 0 to 1.
  """

  tasks: tuple[str, str]
  total_variation: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Origin:
  """Which model a run began from.

  Args:
    step: Steps that it had been trained.
    weights: 'ema' or 'raw'.
    fingerprint: As of `task_fit.fingerprint`.
  """

  step: int
  weights: str
  fingerprint: str


@dataclasses.dataclass(frozen=True)
class Validation:
  """Scores on the validation split.

  Args:
    initial: {task: score} as the task began.
    final: {task: score} at the end.
  """

  initial: dict[str, TaskScore]
  final: dict[str, TaskScore]


@dataclasses.dataclass(frozen=True)
class TransferStart:
  """How a new task began on a trained bank.

  Args:
    init: What was asked for, as `TransferConfig.init`.
    scored_by: 'path', 'probe', or None without scores.
    scores: {older task: accuracy}, or None.
    score_images: {split: number of labelled images read}, or None.
    coefficients: {older task: coefficient of Eq. 1}, or None.
    copied: The task that was copied, or None.
    statistics: 'copy' or 'reestimate'.
    tune: Names of the scopes that are tuned.
    head: Name of the head.
    head_shared_with: Tasks that have the same head.
    initial_head: 'shared', also of what begins as a copy, or 'untrained'.
  """

  init: str
  scored_by: str | None
  scores: dict[str, float] | None
  score_images: dict[str, int] | None
  coefficients: dict[str, float] | None
  copied: str | None
  statistics: str
  tune: tuple[str, ...]
  head: str
  head_shared_with: tuple[str, ...]
  initial_head: str


@dataclasses.dataclass(frozen=True)
class TransferFacts:
  """What a transfer did.

  Args:
    source: Work directory of the model that it began from.
    origin: Which model that was.
    dataset: Name of the new task's data set.
    name: Name of the new task.
    start: How the task began.
    tuned_parameters: Number of parameters that were tuned.
    train_examples: Number of training images.
    examples_per_class: Of each class, where only so many were used.
  """

  source: str
  origin: Origin
  dataset: str
  name: str
  start: TransferStart
  tuned_parameters: int
  train_examples: int
  examples_per_class: int | None = None


@dataclasses.dataclass(frozen=True)
class TargetStart:
  """How a target began.

  Args:
    init: What was copied, such as 'copy:mnist'.
    chosen_by: 'given', 'oracle', or the name of a label-free score.
    candidates: {source: {score: value}} of those it could begin as.
  """

  init: str
  chosen_by: str
  candidates: dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Guard:
  """What the guard against collapse saw.

  Args:
    score: The label-free score it went by.
    best_step: Step of the best score, or None.
    best_score: That score, or None.
    alarm_step: Step at which it ended the adaptation, or None.
  """

  score: str
  best_step: int | None
  best_score: float | None
  alarm_step: int | None


@dataclasses.dataclass(frozen=True)
class AdaptationFacts:
  """What an adaptation did.

  Args:
    source: Work directory of the model that it began from.
    origin: Which model that was.
    target: Name of the target.
    method: Name of the method.
    sources: Names of the sources.
    tune: Names of the parts that were tuned; empty where nothing was.
    start: How the target began.
    statistics: Its first moving statistics: 'copy' or 'reestimate'.
    labels: How labels of the target were used; '' where they were not.
    tuned_parameters: Number of parameters that were tuned.
    moved: Names of the variables that were trained.
    sources_unchanged: Whether all other variables are as before, bit for bit.
    result: Which state the results are of: 'last' or 'best'.
    states: {'last', 'best': the target's test scores}.
    guard: What the guard saw; None where nothing was trained.
  """

  source: str
  origin: Origin
  target: str
  method: str
  sources: tuple[str, ...]
  tune: tuple[str, ...]
  start: TargetStart
  statistics: str
  labels: str
  tuned_parameters: int
  moved: tuple[str, ...]
  sources_unchanged: bool
  result: str
  states: dict[str, TaskScore]
  guard: Guard | None


@dataclasses.dataclass(frozen=True)
class RunResults:
  """What a run found.

  Args:
    tasks: {task: `TaskResult`}.
    distances: Of each pair of these tasks.
    parameters: {part of the model: number of trained parameters}, with
      'total'.
    steps: Steps trained.
    seconds: Seconds of training.
    split: The split that `tasks` are of.
    weights: 'ema' or 'raw'.
    initial: {task: score on `split`} as a new task or a target began.
    validation: Scores of a new task or a target on the validation split.
    transfer: What a transfer did; None of other runs.
    adaptation: What an adaptation did; None of other runs.

  Raises:
    ValueError: If the total of the parameters is missing, or signatures have
      several shapes.
  """

  tasks: dict[str, TaskResult]
  distances: tuple[Distance, ...]
  parameters: dict[str, int]
  steps: int
  seconds: float
  split: str
  weights: str
  initial: dict[str, TaskScore] = dataclasses.field(default_factory=dict)
  validation: Validation | None = None
  transfer: TransferFacts | None = None
  adaptation: AdaptationFacts | None = None

  def __post_init__(self):
    if 'total' not in self.parameters:
      raise ValueError('Expected the total of the parameters, received '
                       f'{sorted(self.parameters)}.')
    shapes = {np.shape(task.mixtures) for task in self.tasks.values()}
    if len(shapes) > 1:
      raise ValueError('Expected signatures of one shape, received '
                       f'{sorted(shapes)}.')

  def merge(self, former):
    """With the tasks of `former`, of the same checkpoint, that are not here."""
    tasks = {**former.tasks, **self.tasks}
    return dataclasses.replace(self, tasks=tasks, distances=measure_distances(
        {name: task.mixtures for name, task in tasks.items()}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignedScore(TaskScore):
  """The score of a task of an edited network.

  Args:
    signature: The strongest template of each layer, as '1-2-2-3'.
  """

  signature: str


@dataclasses.dataclass(frozen=True)
class EditedNetwork:
  """A copy of a trained network, with edited layers.

  Args:
    layers: Which layer of the trained network each layer is, from 1.
    tasks: {task: `SignedScore`}.
  """

  layers: tuple[int, ...]
  tasks: dict[str, SignedScore]

  def merge(self, former):
    """With the scores of `former` that are not here."""
    return dataclasses.replace(self, tasks={**former.tasks, **self.tasks})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Perturbed:
  """How copies of a trained network, with other layers, were evaluated.

  Args:
    statistics: Of `perturbation.STATISTICS`.
    split: The split that all scores are of.
    weights: 'ema' or 'raw'.
    steps: Steps that the network was trained.
    process: As of `records.describe_process`.
  """

  statistics: str
  split: str
  weights: str
  steps: int
  process: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Edits(Perturbed):
  """Edited copies of a trained network; edits-*.json.

  Args:
    trained: The network itself.
    edits: {edit: its copy}.
    **kwargs: As of `Perturbed`.

  Raises:
    ValueError: If the network itself lacks the score of a task.
  """

  trained: EditedNetwork
  edits: dict[str, EditedNetwork]

  def __post_init__(self):
    for edit, network in self.edits.items():
      missing = set(network.tasks) - set(self.trained.tasks)
      if missing:
        raise ValueError(
            f'Expected scores of the trained network for the tasks of {edit}, '
            f'received none for {", ".join(sorted(missing))}.')

  def merge(self, former):
    """With the copies and tasks of `former` that are not here."""
    edits = {edit: network.merge(former.edits.get(edit, network))
             for edit, network in self.edits.items()}
    return dataclasses.replace(self, trained=self.trained.merge(former.trained),
                               edits={**former.edits, **edits})


@dataclasses.dataclass(frozen=True)
class Point:
  """A point of the line between the signatures of two tasks.

  Args:
    t: Place on the line, 0 to 1.
    tasks: {task: `SignedScore`}.
  """

  t: float
  tasks: dict[str, SignedScore]


@dataclasses.dataclass(frozen=True)
class Line:
  """The line between the signatures of two tasks.

  Args:
    between: The two tasks.
    points: From the first task's signature to the second's.

  Raises:
    ValueError: If a point lacks the score of a task.
  """

  between: tuple[str, str]
  points: tuple[Point, ...]

  def __post_init__(self):
    for point in self.points:
      if set(point.tasks) != set(self.between):
        raise ValueError(
            f'Expected scores of {" and ".join(self.between)} at '
            f't={point.t}, received those of {sorted(point.tasks)}.')


@dataclasses.dataclass(frozen=True)
class Between(Perturbed):
  """Lines between signatures; between-*.json.

  Args:
    lines: {'A to B': `Line`}.
    **kwargs: As of `Perturbed`.
  """

  lines: dict[str, Line]

  def merge(self, former):
    """With the lines of `former` that are not here."""
    return dataclasses.replace(self, lines={**former.lines, **self.lines})


@dataclasses.dataclass(frozen=True)
class EvaluationResults:
  """What an evaluation found.

  Args:
    results: `RunResults` of the model as it is.
    edits: `Edits`, where networks were edited.
    between: `Between`, of the line that was asked for.
  """

  results: RunResults
  edits: Edits | None = None
  between: Between | None = None


def collect(network, split, weights, steps, seconds):
  """Evaluates all tasks whose data there is.

  Args:
    network: `evaluation.TaskEvaluator`, with the weights to be evaluated.
    split: 'train', 'validation' or 'test'.
    weights: 'ema' or 'raw', which these are; for the records.
    steps: Steps trained so far.
    seconds: Seconds of training.

  Returns:
    `RunResults`.
  """
  mixtures = network.mixtures()
  tasks = {
      name: TaskResult(
          **vars(score),
          own_parameters=network.model.own_parameters(name),
          max_xi=float(self_organization.max_weights(mixtures[name]).mean()),
          signature=signatures.notation(mixtures[name]),
          classes=network.model.task(name).num_classes,
          mixtures=tuple(map(tuple, mixtures[name].round(6).tolist())))
      for name, score in network.evaluate(split).items()}
  return RunResults(
      tasks=tasks, distances=measure_distances(
          {name: mixtures[name] for name in tasks}),
      parameters=network.model.parameter_report(), steps=steps,
      seconds=round(seconds, 1), split=split, weights=weights)


def measure_distances(mixtures):
  """`Distance`s of each pair of {task: mixture weights `[L, K]`}."""
  found = self_organization.distances(
      {name: np.asarray(xi, 'float64') for name, xi in mixtures.items()})
  return tuple(Distance(pair, tuple(values.round(4).tolist()))
               for pair, values in found.items())


def describe_edits(found, edits, statistics):
  """`Edits`, beside the network itself.

  Args:
    found: `RunResults` of the network.
    edits: As from `perturbation.evaluate`.
    statistics: Its argument.
  """
  tasks = {name: task.plain(SignedScore) for name, task in found.tasks.items()}
  num_layers = len(next(iter(found.tasks.values())).mixtures)
  return Edits(
      EditedNetwork(tuple(range(1, num_layers + 1)), tasks), edits,
      **_describe_perturbed(found, statistics))


def describe_between(found, line, statistics):
  """`Between` of one line.

  Args:
    found: `RunResults` of the network.
    line: As from `perturbation.evaluate_between`.
    statistics: Its argument.
  """
  return Between({' to '.join(line.between): line},
                 **_describe_perturbed(found, statistics))


def _describe_perturbed(found, statistics):
  return {'statistics': statistics, 'split': found.split,
          'weights': found.weights, 'steps': found.steps}


def write(path, results):
  """Writes results whole or not at all."""
  records.write_json(path, strict_json.encode(results))


def read(path, kind=RunResults):
  """Reads what `write` wrote.

  Args:
    path: The file.
    kind: The dataclass that it holds.

  Raises:
    ValueError: If the file is damaged.
  """
  return strict_json.decode(kind, records.read_json(pathlib.Path(path)), path)
