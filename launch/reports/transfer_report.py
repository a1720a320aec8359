"""What a report says of a transfer, from its records (section 4.3, C)."""


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
