"""A run's results: the dictionary that is written and the tables shown."""

import itertools

import numpy as np

from mixture_modules import signatures


def collect(trainer, split, weights, steps, seconds):
  """Evaluates all tasks.

  Args:
    trainer: `SupervisedTrainer`.
    split: 'validation' or 'test'.
    weights: 'ema' or 'raw'.
    steps: Steps trained so far.
    seconds: Seconds of training.

  Returns:
    What `results.json` holds: {'tasks': {name: {'top1': 0 to 1, 'loss': nats,
    'examples': number, 'own_parameters': number, 'max_xi': mean over layers
    of the largest mixture weight, 'signature': notation, 'classes',
    'mixtures': `[L, K]`, and, of a pool, 'members': {data set: {'top1',
    'loss', 'examples'}}}},
    'distances': [{'tasks': pair, 'total_variation': one for each layer}],
    'parameters': {part: number}, 'steps', 'seconds', 'split', 'weights'}.
  """
  tasks = trainer.evaluate(split, weights=weights)
  mixtures = trainer.mixtures(weights)
  for name, result in tasks.items():
    result['own_parameters'] = trainer.model.own_parameters(name)
    result['max_xi'] = float(mixtures[name].max(-1).mean())
    result['signature'] = signatures.notation(mixtures[name])
    result['classes'] = trainer.model.task(name).num_classes
    result['mixtures'] = mixtures[name].round(6).tolist()
  distances = [
      {'tasks': [one, other], 'total_variation': signatures.total_variation(
          mixtures[one], mixtures[other]).round(4).tolist()}
      for one, other in itertools.combinations(mixtures, 2)]
  return {'tasks': tasks, 'distances': distances,
          'parameters': trainer.model.parameter_report(), 'steps': steps,
          'seconds': round(seconds, 1), 'split': split, 'weights': weights}


def format_table(results):
  """A plain-text table of results, one line for each task, and pool member."""
  rows = [('task', 'top-1', 'loss', 'examples', 'own parameters',
           'mean max xi')]
  for name, result in results['tasks'].items():
    rows.append((name, f'{result["top1"]:.2%}', f'{result["loss"]:.4f}',
                 f'{result["examples"]:,}', f'{result["own_parameters"]:,}',
                 f'{result["max_xi"]:.3f}'))
    for member, part in result.get('members', {}).items():
      rows.append((f'  {member}', f'{part["top1"]:.2%}', f'{part["loss"]:.4f}',
                   f'{part["examples"]:,}', '', ''))
  total = results['parameters']['total']
  caption = (f'{results["split"]} split, {results["weights"]} weights, after '
             f'{results["steps"]:,} steps; {total:,} trained parameters in '
             'all')
  return f'{align(rows)}\n{caption}'


def format_distances(results):
  """A matrix of how far apart tasks' signatures are, early and late.

  Above the diagonal the mean over the last quarter of the layers, below it
  over the first; 0 means shared, 1 that no template is.
  """
  names = list(results['tasks'])
  cells = {(name, name): '' for name in names}
  for pair in results['distances']:
    one, other = pair['tasks']
    distances = pair['total_variation']
    quarter = max(1, len(distances) // 4)
    cells[other, one] = f'{np.mean(distances[:quarter]):.2f}'
    cells[one, other] = f'{np.mean(distances[-quarter:]):.2f}'
  numbers = [str(i) for i in range(1, len(names) + 1)]
  rows = [('distance', *numbers)]
  rows += [(f'{number} {name}', *(cells[name, other] for other in names))
           for number, name in zip(numbers, names)]
  caption = ('mean total-variation distance between signatures: first quarter '
             'of the layers below the diagonal, last quarter above')
  return f'{align(rows)}\n{caption}'


def format_edits(results, edits):
  """A table of edited networks, one line for each edit and task.

  Args:
    results: As from `collect`, of the trained network.
    edits: As from `perturbation.evaluate`.
  """
  rows = [('edit', 'task', 'top-1', 'change', 'signature')]
  for edit, result in {'trained': results, **edits}.items():
    for name, task in result['tasks'].items():
      change = 100 * (task['top1'] - results['tasks'][name]['top1'])
      rows.append((edit, name, f'{task["top1"]:.2%}', f'{change:+.2f}',
                   task['signature']))
  caption = ('change: points of top-1 against the trained network; signature: '
             'the strongest template of each layer')
  return f'{align(rows)}\n{caption}'


def align(rows):
  """Rows of strings as columns; the first row is underlined."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = ['  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths)))
           for row in rows]
  return '\n'.join([lines[0], '-' * len(lines[0]), *lines[1:]])
