"""A run's results: the dictionary that is written and the tables shown."""

import numpy as np

from mixture_modules import self_organization
from mixture_modules import signatures

SHARES = ('Weights of tanh and linear signatures have no sum: this is of '
          'shares of them, p = xi / sum |xi|.')
DISTANCES = ('Mean total-variation distance between signatures, 0 shared, 1 '
             'disjoint: first quarter of the layers below the diagonal, last '
             'quarter above.')
EDITS = ('Change: points of top-1 against the trained network. Layers: which '
         'of the trained ones. Signature: the strongest template of each.')
BETWEEN = ('Both tasks compute with (1 - t) times the signature of the first '
           'and t times that of the second, each with its own statistics and '
           'head (and gamma and beta where they are private).')


def collect(network, split, weights, steps, seconds):
  """Evaluates all tasks whose data there is.

  Args:
    network: `evaluation.TaskEvaluator`, with the weights to be evaluated.
    split: 'train', 'validation' or 'test'.
    weights: 'ema' or 'raw', which these are; for the records.
    steps: Steps trained so far.
    seconds: Seconds of training.

  Returns:
    What `results.json` holds: {'tasks': {name: {'top1': 0 to 1, 'loss': nats
    (both None of images without labels), 'examples': number,
    'own_parameters': number, 'max_xi': mean over layers of the largest mixture
    weight, 'signature': notation, 'classes', 'mixtures': `[L, K]`, and, of a
    pool, 'members': {data set: {'top1', 'loss', 'examples'}}, and, where
    another than its own head predicts, 'own_head': the same of that}},
    'distances': [{'tasks': pair, 'total_variation': one for each layer}],
    'parameters': {part: number}, 'steps', 'seconds', 'split', 'weights'}.
  """
  tasks = network.evaluate(split)
  mixtures = network.mixtures()
  for name, result in tasks.items():
    result['own_parameters'] = network.model.own_parameters(name)
    result['max_xi'] = float(
        self_organization.max_weights(mixtures[name]).mean())
    result['signature'] = signatures.notation(mixtures[name])
    result['classes'] = network.model.task(name).num_classes
    result['mixtures'] = mixtures[name].round(6).tolist()
  distances = _distances({name: mixtures[name] for name in tasks})
  return {'tasks': tasks, 'distances': distances,
          'parameters': network.model.parameter_report(), 'steps': steps,
          'seconds': round(seconds, 1), 'split': split, 'weights': weights}


def _distances(mixtures):
  distances = self_organization.distances(
      {name: np.asarray(xi, 'float64') for name, xi in mixtures.items()})
  return [{'tasks': list(pair), 'total_variation': values.round(4).tolist()}
          for pair, values in distances.items()]


def merge(former, results):
  """Results of some tasks, and of others that were evaluated before.

  Args:
    former: As from `collect`, of the same checkpoint; empty if there are none.
    results: As from `collect`; of tasks that are in both, these stay.
  """
  tasks = {**former.get('tasks', {}), **results['tasks']}
  return {**results, 'tasks': tasks, 'distances': _distances(
      {name: task['mixtures'] for name, task in tasks.items()})}


def format_table(results):
  """A plain-text table of results, one line for each task, and pool member."""
  rows = [('task', 'top-1', 'loss', 'examples', 'own parameters',
           'mean max xi')]
  for name, result in results['tasks'].items():
    rows.append((name, *score_cells(result), f'{result["own_parameters"]:,}',
                 f'{result["max_xi"]:.3f}'))
    parts = dict(result.get('members', {}))
    if 'own_head' in result:
      parts['own head'] = result['own_head']
    for member, part in parts.items():
      rows.append((f'  {member}', *score_cells(part), '', ''))
  total = results['parameters']['total']
  caption = (f'{results["split"]} split, {results["weights"]} weights, after '
             f'{results["steps"]:,} steps; {total:,} trained parameters in '
             'all')
  return f'{align(rows)}\n{caption}'


def score_cells(result):
  """Top-1, loss and examples of a result, as text; `-` without labels."""
  known = (('-', '-') if result['top1'] is None else
           (f'{result["top1"]:.2%}', f'{result["loss"]:.4f}'))
  return *known, f'{result["examples"]:,}'


def format_distances(results):
  """A matrix of how far apart tasks' signatures are, as `distance_rows`."""
  between = {tuple(pair['tasks']): pair['total_variation']
             for pair in results['distances']}
  caption = with_shares(DISTANCES, {
      name: task['mixtures'] for name, task in results['tasks'].items()})
  return f'{align(distance_rows(results["tasks"], between))}\n{caption}'


def with_shares(caption, mixtures):
  """A caption that says where `self_organization.as_shares` was needed.

  Args:
    caption: What it says of a softmax.
    mixtures: {task: `[L, K]` mixture weights}.
  """
  is_all = all(map(signatures.is_softmax, mixtures.values()))
  return caption if is_all else f'{caption} {SHARES}'


def distance_rows(names, between):
  """Rows of a matrix of distances between tasks, early and late.

  Above the diagonal the mean over the last quarter of the layers, below it
  over the first.

  Args:
    names: Names of the tasks.
    between: {(one, other): distance in each layer}, pairs in order.
  """
  cells = {(name, name): '' for name in names}
  for (one, other), values in between.items():
    early, late = self_organization.early_late(values)
    cells[other, one], cells[one, other] = f'{early:.2f}', f'{late:.2f}'
  numbers = [str(i) for i in range(1, len(names) + 1)]
  return [('distance', *numbers),
          *((f'{number} {name}', *(cells[name, other] for other in names))
            for number, name in zip(numbers, names))]


def describe_edits(results, edits, statistics):
  """What is written of edited networks.

  Args:
    results: As from `collect`, of the trained network.
    edits: As from `perturbation.evaluate`.
    statistics: Its argument.

  Returns:
    {'trained': {'layers', 'tasks': {name: {'top1', 'loss', 'signature'}}},
    'edits': the same of each, 'statistics', 'split', 'weights', 'steps'}.
  """
  tasks = {name: {key: task[key] for key in ('top1', 'loss', 'signature')}
           for name, task in results['tasks'].items()}
  num_layers = len(next(iter(results['tasks'].values()))['mixtures'])
  return {
      'trained': {'layers': list(range(1, num_layers + 1)), 'tasks': tasks},
      'edits': edits, 'statistics': statistics,
      **{key: results[key] for key in ('split', 'weights', 'steps')}}


def merge_edits(former, described):
  """Edited networks, with those and those tasks that were evaluated before.

  Args:
    former: As from `describe_edits`, of the same checkpoint; empty if there
      are none.
    described: As from `describe_edits`; what is in both is as it is here.
  """
  def merge_network(former_network, network):
    return {**network, 'tasks': {
        **former_network.get('tasks', {}), **network['tasks']}}

  edits = former.get('edits', {})
  return {
      **described,
      'trained': merge_network(
          former.get('trained', {}), described['trained']),
      'edits': {**edits, **{
          edit: merge_network(edits.get(edit, {}), network)
          for edit, network in described['edits'].items()}}}


def edit_rows(described):
  """Rows of a table of edited networks, one for each edit and task.

  Args:
    described: As from `describe_edits`.
  """
  rows = [('edit', 'task', 'top-1', 'change', 'layers', 'signature')]
  trained = described['trained']
  for edit, network in {'trained': trained, **described['edits']}.items():
    layers = '-'.join(map(str, network['layers']))
    for name, task in network['tasks'].items():
      change = 100 * (task['top1'] - trained['tasks'][name]['top1'])
      rows.append((edit, name, f'{task["top1"]:.2%}', f'{change:+.2f}',
                   layers, task['signature']))
  return rows


def describe_between(results, pair, points, statistics):
  """What is written of the line between two signatures.

  Args:
    results: As from `collect`, of the trained network.
    pair: Names of the two tasks.
    points: As from `perturbation.evaluate_between`.
    statistics: Its argument.

  Returns:
    {'lines': {'A to B': {'between': pair, 'points': points}}, 'statistics',
    'split', 'weights', 'steps'}.
  """
  line = {'between': list(pair), 'points': points}
  return {'lines': {' to '.join(pair): line},
          'statistics': statistics,
          **{key: results[key] for key in ('split', 'weights', 'steps')}}


def merge_between(former, described):
  """Lines between signatures, with those that were evaluated before.

  Args:
    former: As from `describe_between`, of the same checkpoint; empty if there
      are none.
    described: As from `describe_between`.
  """
  return {**described,
          'lines': {**former.get('lines', {}), **described['lines']}}


def between_rows(line):
  """Rows of a table of the line between two signatures, one for each t.

  Args:
    line: One of those of `describe_between`.
  """
  rows = [('t', *(f'{name}: {measure}' for name in line['between']
                  for measure in ('top-1', 'loss')), 'signature')]
  for point in line['points']:
    tasks = [point['tasks'][name] for name in line['between']]
    scores = [text for task in tasks
              for text in (f'{task["top1"]:.2%}', f'{task["loss"]:.4f}')]
    rows.append((f'{point["t"]:.2f}', *scores, tasks[0]['signature']))
  return rows


def align(rows):
  """Rows of strings as columns; the first row is underlined."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = ['  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths)))
           for row in rows]
  return '\n'.join([lines[0], '-' * len(lines[0]), *lines[1:]])
