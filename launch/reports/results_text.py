"""A run's results as text: the tables that commands show."""

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


def format_table(results):
  """A plain-text table of results, one line for each task, and pool member.

  Args:
    results: `results.RunResults`.
  """
  rows = [('task', 'top-1', 'loss', 'examples', 'own parameters',
           'mean max xi')]
  for name, result in results.tasks.items():
    rows.append((name, *score_cells(result), f'{result.own_parameters:,}',
                 f'{result.max_xi:.3f}'))
    parts = dict(result.members)
    if result.own_head:
      parts['own head'] = result.own_head
    for member, part in parts.items():
      rows.append((f'  {member}', *score_cells(part), '', ''))
  return (f'{align(rows)}\n{describe(results)}; '
          f'{results.parameters["total"]:,} trained parameters in all')


def describe(results):
  """What results, edits or lines are of, as text."""
  return (f'{results.split} split, {results.weights} weights, after '
          f'{results.steps:,} steps')


def score_cells(score):
  """Top-1, loss and examples of a `Score`, as text; `-` without labels."""
  known = (('-', '-') if score.top1 is None else
           (f'{score.top1:.2%}', f'{score.loss:.4f}'))
  return *known, f'{score.examples:,}'


def format_distances(results):
  """A matrix of how far apart tasks' signatures are, as `distance_rows`."""
  between = {distance.tasks: distance.total_variation
             for distance in results.distances}
  caption = with_shares(DISTANCES, {
      name: task.mixtures for name, task in results.tasks.items()})
  return f'{align(distance_rows(results.tasks, between))}\n{caption}'


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


def edit_rows(edits):
  """Rows of a table of edited networks, one for each edit and task.

  Args:
    edits: `results.Edits`.
  """
  rows = [('edit', 'task', 'top-1', 'change', 'layers', 'signature')]
  for edit, network in {'trained': edits.trained, **edits.edits}.items():
    layers = '-'.join(map(str, network.layers))
    for name, task in network.tasks.items():
      change = 100 * (task.top1 - edits.trained.tasks[name].top1)
      rows.append((edit, name, f'{task.top1:.2%}', f'{change:+.2f}', layers,
                   task.signature))
  return rows


def between_rows(line):
  """Rows of a table of the line between two signatures, one for each t.

  Args:
    line: `results.Line`.
  """
  rows = [('t', *(f'{name}: {measure}' for name in line.between
                  for measure in ('top-1', 'loss')), 'signature')]
  for point in line.points:
    tasks = [point.tasks[name] for name in line.between]
    scores = [text for task in tasks
              for text in (f'{task.top1:.2%}', f'{task.loss:.4f}')]
    rows.append((f'{point.t:.2f}', *scores, tasks[0].signature))
  return rows


def align(rows):
  """Rows of strings as columns; the first row is underlined."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = ['  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                     for i, (cell, width) in enumerate(zip(row, widths)))
           for row in rows]
  return '\n'.join([lines[0], '-' * len(lines[0]), *lines[1:]])
