"""Evaluation of a trained network whose layers are edited (section B)."""

from mixture_modules import signatures
from mixture_modules.isometric import layer_edits
from mixture_modules.isometric import rearranging
from trainers import evaluation
from trainers import moving_statistics
from trainers.runs import results

STATISTICS = ('moved', 'reestimated')


def evaluate(network, config, edits, split, statistics='moved',
             num_batches=100):
  """Evaluates copies of a trained network, one for each edit.

  An edited network is the trained one but for the order and the mixtures of
  its layers. What its layers see has changed, though, and batch norm's moving
  statistics are those of before: accuracy falls for that reason, too.
  Statistics of the edited network tell the two apart; they are estimated from
  training images as training sees them, without labels.

  Args:
    network: `evaluation.TaskEvaluator` of the trained model and its data.
    config: Its `RunConfig`.
    edits: Texts as of `layer_edits.apply`; each edits the trained network.
    split: 'train', 'validation' or 'test'.
    statistics: 'moved': every layer takes its moving statistics along;
      'reestimated': then `num_batches` forward passes in training mode put new
      ones in their place.
    num_batches: Training batches of each task, the same for every edit.

  Returns:
    {edit: `results.EditedNetwork`}.

  Raises:
    ValueError: If there is no such edit.

  Source: section B ("perturb the sequence of modules"); statistics are our
  choice.
  """
  copies = _Copies(network, config, statistics, num_batches)
  edited = {}
  for edit in edits:
    mixtures = {}
    for name, xi in network.mixtures().items():
      layers, mixtures[name] = layer_edits.apply(edit, xi)
    edited[edit] = results.EditedNetwork(
        tuple(layer + 1 for layer in layers),
        copies.evaluate(layers, mixtures, network.data, split))
  return edited


def evaluate_between(network, config, pair, num_points, split,
                     statistics='moved', num_batches=100):
  """Evaluates copies along the line between two tasks' signatures.

      Xi(t) = (1 - t) Xi_first + t Xi_second,  t = 0, ..., 1

  Both tasks compute with Xi(t) on their own data, each with its own statistics
  and head (and gamma and beta where they are private: mixed ones come from
  Xi(t)).

  Args:
    network: `evaluation.TaskEvaluator` of the trained model and its data.
    config: Its `RunConfig`.
    pair: Names of two tasks.
    num_points: Number of values of t, 0 and 1 among them.
    split: As for `evaluate`, like all that follow.
    statistics: 'moved' (here: each task's own) or 'reestimated'.
    num_batches: Training batches of each task, the same for every t.

  Returns:
    `results.Line`.

  Raises:
    ValueError: If a task is not there, or both are the same.
  """
  check_between(network.data, pair, num_points)
  copies = _Copies(network, config, statistics, num_batches)
  layers = range(network.model.config.num_layers)
  ends = [network.model.task(name).signature for name in pair]
  points = []
  for number in range(num_points):
    t = number / (num_points - 1)
    xi = signatures.interpolate(*ends, t)
    mixtures = {**network.mixtures(), **dict.fromkeys(pair, xi)}
    points.append(results.Point(
        t, copies.evaluate(layers, mixtures, pair, split)))
  return results.Line(tuple(pair), tuple(points))


def check_between(names, pair, num_points):
  """Checks what `evaluate_between` is asked for.

  Args:
    names: Names of the tasks that there are.
    pair: Names of two of them.
    num_points: Number of values of t.

  Raises:
    ValueError: If there are no such tasks, or too few points.
  """
  if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(names):
    raise ValueError(
        f'Expected two of the tasks {list(names)} to evaluate between, '
        f'received {", ".join(pair)}.')
  if num_points < 2:
    raise ValueError('Expected two points or more, the ends among them, '
                     f'received {num_points}.')


class _Copies:
  """Copies of a trained network, evaluated one after another."""

  def __init__(self, network, config, statistics, num_batches):
    self._trained = network
    self._config = config
    self._num_batches = num_batches if statistics == 'reestimated' else 0
    # By number of layers: their graphs serve several copies.
    self._copies = {}

  def evaluate(self, layers, mixtures, tasks, split):
    """{task: `SignedScore`} of a copy with these layers and mixtures."""
    former = self._copies.get(len(layers))
    model = rearranging.rearrange(
        self._trained.model, layers, mixtures, into=former and former.model)
    copy = self._copies[len(layers)] = former or _Copy(
        model, self._trained.predictors)
    scores = {}
    for name in tasks:
      data = self._trained.data[name]
      if self._num_batches:
        batches = data.train_batches(
            self._config.task_batch_sizes()[name], self._config.seed)
        moving_statistics.reestimate(
            model, name, batches.take(self._num_batches), copy.observe)
      score = copy.evaluator.evaluate_split(
          name, data, split, self._config.eval_batch_size)
      scores[name] = results.SignedScore(
          **vars(score), signature=signatures.notation(mixtures[name]))
    return scores


class _Copy:
  """A copy of the trained network, and the functions traced of it."""

  def __init__(self, model, predictors):
    self.model = model
    self.evaluator = evaluation.Evaluator(model, predictors)
    self.observe = moving_statistics.make_observer(model)
