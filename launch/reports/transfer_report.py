"""What a report says of a transfer, from its records (section 4.3, C)."""


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
