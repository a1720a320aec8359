"""What is shown of a transfer: as text, and in a report (sections 4.3, C)."""

from launch.reports import results_text


def is_transfer(run):
  """Whether a `run_reader.Run` is a finished one of `launch.transfer`."""
  return bool(run.results and run.results.transfer)


def show(page, run):
  """Adds how the task began, what was tuned, and how sources scored.

  Args:
    page: `html_page.Page`.
    run: `run_reader.Run` of a transfer.
  """
  facts, start = run.results.transfer, run.results.transfer.start
  head = start.head
  if start.head_shared_with:
    head += f', shared with {", ".join(start.head_shared_with)}'
  shown = {
      'model': facts.source, 'task': facts.dataset,
      'first signature': start.init, 'copied from': start.copied,
      'first statistics': start.statistics,
      'head': f'{head}; at first {start.initial_head}',
      'tuned': ', '.join(start.tune) or 'nothing',
      'tuned parameters': f'{facts.tuned_parameters:,}',
      'training images': f'{facts.train_examples:,}',
      'images of each class': facts.examples_per_class}
  page.facts({name: str(text) for name, text in shown.items()
              if text is not None})
  scores, coefficients = start.scores or {}, start.coefficients or {}
  if scores or coefficients:
    page.table(
        [('source', 'score, %', 'coefficient'),
         *((name, _format(scores.get(name), 100, '.2f'),
            _format(coefficients.get(name), 1, '.4f'))
           for name in dict.fromkeys((*scores, *coefficients)))],
        'Sources of the first signature.'
        + (' Score: accuracy on validation images of the new task, by '
           f'{start.scored_by}.' if scores else '')
        + (' Coefficient: the source\'s share of the mean of their signatures '
           '(Eq. 1).' if coefficients else ''))


def _format(value, scale, form):
  return '–' if value is None else format(scale * value, form)


def format_start(start):
  """A table of scores and coefficients, and how the task begins.

  Args:
    start: `results.TransferStart`.
  """
  scores, coefficients = start.scores or {}, start.coefficients or {}
  lines = []
  if scores or coefficients:
    lines.append(results_text.align([
        ('source', 'score', 'coefficient'),
        *((name, f'{scores[name]:.2%}' if name in scores else '',
           f'{coefficients[name]:.4f}' if name in coefficients else '')
          for name in scores or coefficients)]))
  if start.scored_by:
    images = ', '.join(f'{count:,} of {split}' for split, count
                       in start.score_images.items())
    lines.append('Scores: accuracy on new validation images, by '
                 f'{start.scored_by}. Labelled images read: {images}.')
  copied = f', copied from {start.copied}' if start.copied else ''
  head = {'untrained': 'its own, untrained',
          'shared': 'its own, a copy'}[start.initial_head]
  if start.head_shared_with:
    head = f'{start.head}, shared with {", ".join(start.head_shared_with)}'
  lines.append(f'Begins with init={start.init}{copied}; statistics: '
               f'{start.statistics}; head: {head}; tuned: '
               f'{", ".join(start.tune) or "nothing"}.')
  return '\n'.join(lines)


def format_results(found):
  """A table of the task before and after tuning, and what it costs.

  Args:
    found: `results.RunResults` of a transfer.
  """
  facts = found.transfer
  rows = [('task', 'split', 'initial top-1', 'top-1', 'loss', 'examples')]
  for split, initial, final in (
      ('validation', found.validation.initial, found.validation.final),
      ('test', found.initial, found.tasks)):
    rows.append((facts.name, split, f'{initial[facts.name].top1:.2%}',
                 *results_text.score_cells(final[facts.name])))
  return (f'{results_text.align(rows)}\nafter {found.steps:,} steps on '
          f'{facts.train_examples:,} images; the task added '
          f'{found.tasks[facts.name].own_parameters:,} parameters of its own; '
          f'{facts.tuned_parameters:,} were tuned')
