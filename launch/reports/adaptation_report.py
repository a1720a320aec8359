"""What a report says of an adaptation, from its records (sections 4.4, D)."""

import functools
import statistics

from launch.reports import feature_plots
from launch.reports import results_text
from launch.reports import run_plots
from trainers.adaptation import target_scores

# What is drawn together: title, unit, scale, {label: key of metrics.jsonl}.
# T stands for the target's name.
_PICTURES = (
    ('Accuracy over the adaptation', 'accuracy, %', 100, {
        'target, validation': 'validation/T/top1',
        'sources by the two heads, batches': 'sources/top1',
        'discriminator, batches': 'discriminator/top1',
        'linear discriminator': 'validation/T/domain_accuracy'}),
    ('Label-free scores over the adaptation', 'nats', 1, {
        'entropy, validation': 'validation/T/entropy',
        'entropy, batches': 'T/entropy',
        'information, validation': 'validation/T/information',
        'information, batches': 'T/information'}),
    ('Losses over the adaptation', 'loss', 1, {
        'target': 'loss', 'discriminator': 'discriminator/loss',
        'heads on sources': 'sources/loss', 'discrepancy': 'discrepancy',
        'moments, target': 'moments/target',
        'moments, sources': 'moments/sources'}))
_SCORES = ('entropy', 'information', 'density', 'domain_accuracy')
SCORES = ('Scores without labels, on at most '
          f'{target_scores.MOST_IMAGES:,} of the same images, evenly chosen. '
          'Entropy: mean entropy of the predictions, nats. Information: '
          'entropy of the mean prediction minus that. Density: soft '
          'neighbourhood density, nats. Domain accuracy: of a linear '
          'discriminator of embeddings, 0.5 is chance.')
_UNCHANGED = 'sources, test: they do not change'


def is_adaptation(run):
  """Whether a `run_reader.Run` is an adaptation."""
  return 'adaptation' in run.run['config']


def show(page, run):
  """Adds what was adapted, how it began, and how it went.

  Args:
    page: `html_page.Page`.
    run: `run_reader.Run` of an adaptation.
  """
  asked = run.run['config']['adaptation']
  if run.results:
    facts = run.results.adaptation
    for remark in _remarks(facts):
      page.paragraph(remark, notice=True)
    page.table(state_rows(run.results), SCORES)
    if facts.start.candidates:
      page.table(
          candidate_rows(facts.start),
          'Sources whose copy the target could begin with; '
          f'{facts.start.init} was chosen by {facts.start.chosen_by}.')
  for number, (title, unit, scale, keys) in enumerate(_PICTURES, 1):
    curves = {label: run.curve(key.replace('T/', f'{asked["target"]}/'), scale)
              for label, key in keys.items()}
    curves = {label: curve for label, curve in curves.items() if curve[0]}
    if curves and number == 1 and run.results:
      curves.update(_line_of_sources(run.results, curves))
    if curves:
      page.picture(
          f'adaptation{number}.png', functools.partial(
              run_plots.save_curves, [(unit, 'linear', curves, {})], title),
          f'{title}, {unit}: {"; ".join(curves)}. Of validation images with '
          'inference statistics, or of training batches; the first steps are '
          'those of pretraining.')
  features = run.features()
  if features:
    _show_features(page, features)


def _line_of_sources(results, curves):
  """{label: their mean accuracy, in percent, at the first and last step}."""
  target = results.adaptation.target
  top1 = [task.top1 for name, task in results.tasks.items() if name != target]
  steps = [step for steps, _ in curves.values() for step in steps]
  if not top1:  # none was read
    return {}
  return {_UNCHANGED: ((min(steps), max(steps)),
                       (100 * statistics.mean(top1),) * 2)}


def _show_features(page, features):
  count, target = len(features.before[0]), features.target
  what, images = f'Embeddings of {target}', f'{count:,} {features.split} images'
  explained = f'{images} of it; no image of a source was read.'
  if features.sources:
    what += ' and of its sources'
    explained = (
        f'{images} of it, and of each source as many, if there are so many. A '
        'target that has come closer lies on the points of the sources, which '
        'do not change, in the class that is theirs.')
  page.picture(
      'features.png',
      functools.partial(feature_plots.save_features, features),
      f'{what}. {explained} All panels are of one t-SNE of all their points: '
      'it keeps neighbours together; large distances in it mean little. '
      'Classes are predicted ones, by the domain\'s own head or, after moment '
      'matching, by the mean of both heads; no label was read.')
  page.picture(
      'features_linear.png',
      functools.partial(feature_plots.save_components, features),
      f'{what}, on their first two principal components. This map is linear: '
      'what is far apart in it is far apart; what differs in other directions '
      'is not seen.')


def _remarks(facts):
  """What must not be overlooked, as texts."""
  remarks, guard = [], facts.guard
  if facts.labels:
    remarks.append(f'Oracle: labels of the target were used ({facts.labels}).')
  if guard and guard.alarm_step is not None:
    remarks.append(
        f'The adaptation collapsed at step {guard.alarm_step:,} and went back '
        f'to step {guard.best_step:,}, the best by {guard.score}.')
  return remarks


def candidate_rows(start):
  """Rows of a table of the sources that a target could begin as.

  Args:
    start: `results.TargetStart`.
  """
  names = list(next(iter(start.candidates.values())))
  rows = [('start', *(name.replace('_', ' ') for name in names))]
  for source, scores in start.candidates.items():
    rows.append((source, *(f'{scores[name]:.4f}' for name in names)))
  return rows


def state_rows(found):
  """Rows of a table of the target's states, and of the sources, which stay.

  Args:
    found: `results.RunResults` of an adaptation.
  """
  facts = found.adaptation
  target, scores = facts.target, _SCORES
  if 'domain_accuracy' not in found.tasks[target].label_free:
    scores = scores[:-1]
  rows = [('task', 'state', 'top-1', 'loss', 'examples',
           *(name.replace('_', ' ') for name in scores))]
  states = {'initial': found.initial[target], **facts.states}
  for state, result in states.items():
    is_result = facts.tune and state == facts.result
    rows.append((target, state + ' (result)' * bool(is_result),
                 *results_text.score_cells(result),
                 *(f'{result.label_free[name]:.4f}' for name in scores)))
  for name, result in found.tasks.items():
    if name != target:
      rows.append((name, 'source', *results_text.score_cells(result),
                   *([''] * len(scores))))
  return rows


def format_start(start):
  """How the target begins, with the scores of those it could begin as.

  Args:
    start: `results.TargetStart`.
  """
  lines = []
  if start.candidates:
    lines.append(results_text.align(candidate_rows(start)))
  by = {'given': 'as given', 'oracle': 'chosen by the target\'s labels'}.get(
      start.chosen_by, f'chosen by {start.chosen_by}, without labels')
  return '\n'.join([*lines, f'Begins with {start.init}, {by}.'])


def format_results(found):
  """The table of `state_rows`, and what else there is to say."""
  facts = found.adaptation
  lines = [results_text.align(state_rows(found)), SCORES, (
      f'{facts.method}, {found.split} split, after {found.steps:,} '
      f'steps; {facts.tuned_parameters:,} parameters were tuned; '
      + ('nothing else has changed' if facts.sources_unchanged else
         'SOURCES HAVE CHANGED'))]
  return '\n'.join([*lines, *_remarks(facts)])
