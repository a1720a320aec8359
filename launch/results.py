"""A run's results: the dictionary that is written and the table shown."""


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
    of the largest mixture weight, 'signature': notation}}, 'parameters':
    {part: number}, 'steps', 'seconds', 'split', 'weights'}.
  """
  tasks = trainer.evaluate(split, weights=weights)
  mixtures = trainer.mixtures(weights)
  for name, result in tasks.items():
    task = trainer.model.tasks[name]
    strongest = mixtures[name].argmax(-1) + 1
    result['own_parameters'] = trainer.model.own_parameters(name)
    result['max_xi'] = float(mixtures[name].max(-1).mean())
    result['signature'] = '-'.join(map(str, strongest))
    result['classes'] = task.num_classes
  return {'tasks': tasks, 'parameters': trainer.model.parameter_report(),
          'steps': steps, 'seconds': round(seconds, 1), 'split': split,
          'weights': weights}


def format_table(results):
  """A plain-text table of results, one line for each task."""
  rows = [('task', 'top-1', 'loss', 'examples', 'own parameters',
           'mean max xi')]
  for name, result in results['tasks'].items():
    rows.append((name, f'{result["top1"]:.2%}', f'{result["loss"]:.4f}',
                 f'{result["examples"]:,}', f'{result["own_parameters"]:,}',
                 f'{result["max_xi"]:.3f}'))
  total = results['parameters']['total']
  caption = (f'{results["split"]} split, {results["weights"]} weights, after '
             f'{results["steps"]:,} steps; {total:,} trained parameters in '
             'all')
  return f'{align(rows)}\n{caption}'


def align(rows):
  """Rows of strings as columns; the first row is underlined."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = ['  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths)))
           for row in rows]
  return '\n'.join([lines[0], '-' * len(lines[0]), *lines[1:]])
