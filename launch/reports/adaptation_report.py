"""What a report says of an adaptation, from its records (sections 4.4, D)."""

import functools
import statistics

from launch.reports import adaptation_results
from launch.reports import feature_plots
from launch.reports import run_plots

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
_UNCHANGED = 'sources, test: they do not change'


def is_adaptation(run):
  """Whether a `run_reader.Run` is one of `launch.adapt`."""
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
    if facts.labels:
      page.paragraph('Oracle: labels of the target were used '
                     f'({facts.labels}).', notice=True)
    guard = facts.guard
    if guard and guard.alarm_step is not None:
      page.paragraph(
          f'The adaptation collapsed at step {guard.alarm_step:,} and went '
          f'back to step {guard.best_step:,}, the best by {guard.score}.',
          notice=True)
    page.table(adaptation_results.state_rows(run.results),
               adaptation_results.SCORES)
    if facts.start.candidates:
      page.table(
          adaptation_results.candidate_rows(facts.start),
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
