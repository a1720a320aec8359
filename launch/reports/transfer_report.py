"""What is shown of a transfer: as text, and in a report (sections 4.3, C)."""

from launch.reports import results_text


def is_transfer(run):
  """Whether a `run_records.Run` is a finished one of `launch.transfer`."""
  return bool(run.results and 'transfer' in run.results)


def show(page, run):
  """Adds how the task began, what was tuned, and how sources scored.

  Args:
    page: `html_page.Page`.
    run: `run_records.Run` of a transfer. Those of older versions do not say
      all; what they do not say is left out.
  """
  facts = run.results['transfer']
  head = facts.get('head') or ''
  if facts.get('head_shared_with'):
    head += f', shared with {", ".join(facts["head_shared_with"])}'
  if facts.get('initial_head'):
    head += f'; at first {facts["initial_head"]}'
  images = facts.get('train_examples')
  shown = {
      'model': facts.get('from'), 'task': facts.get('task'),
      'first signature': facts.get('init'), 'copied from': facts.get('copied'),
      'first statistics': facts.get('statistics'), 'head': head,
      'tuned': ', '.join(facts.get('tune') or ()) or 'nothing',
      'tuned parameters': f'{facts.get("tuned_parameters", 0):,}',
      'training images': None if images is None else f'{images:,}',
      'images of each class': facts.get('examples_per_class')}
  page.facts({name: str(text) for name, text in shown.items()
              if text not in (None, '')})
  scores, coefficients = (
      facts.get(kind) or {} for kind in ('scores', 'coefficients'))
  if scores or coefficients:
    page.table(
        [('source', 'score, %', 'coefficient'),
         *((name, _format(scores.get(name), 100, '.2f'),
            _format(coefficients.get(name), 1, '.4f'))
           for name in dict.fromkeys((*scores, *coefficients)))],
        'Sources of the first signature.'
        + (' Score: accuracy on validation images of the new task, by '
           f'{facts.get("scored_by")}.' if scores else '')
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
          f'{facts.own_parameters:,} parameters of its own; '
          f'{facts.tuned_parameters:,} were tuned')
