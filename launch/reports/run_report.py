"""The report of one run, from its records: sections 4.2, 4.3, Figures 2, 3."""

import functools
import math

import numpy as np

from launch.reports import adaptation_report
from launch.reports import html_page
from launch.reports import results_text
from launch.reports import run_plots
from launch.reports import sharing_report
from launch.reports import signature_plots
from launch.reports import transfer_report
from mixture_modules import self_organization
from mixture_modules import signatures
from trainers.runs import records
from trainers.runs import run_reader

_PATH_POINTS = 400  # records of signatures that a picture shows, about


def make_page(run):
  """The page of a `run_reader.Run`."""
  page = html_page.Page(f'Run {run.name}')
  _introduce(page, run)
  page.heading('What was run')
  page.facts(run_reader.facts(run.run))
  page.table(
      [('setting', 'value'),
       *_flat({**run.run['config'], 'data': run.run.get('data', {})})],
      summary='All settings', text=True)
  page.heading('Results')
  _show_results(page, run)
  if transfer_report.is_transfer(run):
    transfer_report.show(page, run)
  if adaptation_report.is_adaptation(run):
    adaptation_report.show(page, run)
  else:
    _show_curves(page, run)
  if run.mixtures:
    page.heading('Signatures')
    _show_signatures(page, run)
  if len(run.mixtures) > 1:
    page.heading('What the tasks share')
    sharing_report.show(page, run)
  if run.edits:
    page.heading('Edited signatures')
    for edits in run.edits:
      page.table(results_text.edit_rows(edits), (
          f'{results_text.describe(edits)}; moving statistics '
          f'{edits.statistics}. {results_text.EDITS}'))
  if run.between:
    page.heading('Between two signatures')
    for number, found in enumerate(run.between, 1):
      _show_between(page, found, number)
  return page


def _show_between(page, found, number):
  for part, line in enumerate(found.lines.values(), 1):
    t = [point.t for point in line.points]
    panels = []
    for label, key, scale in (('top-1 accuracy, %', 'top1', 100),
                              ('cross-entropy, nats', 'loss', 1)):
      curves = {name: (t, [scale * getattr(point.tasks[name], key)
                           for point in line.points])
                for name in line.between}
      panels.append((label, 'linear', curves, curves))
    first, second = line.between
    page.picture(
        f'between{number}_{part}.png', functools.partial(
            run_plots.save_curves, panels,
            f'On the line between the signatures of {first} and {second}',
            xlabel=f't (0: {first}, 1: {second})'),
        f'{results_text.BETWEEN} {results_text.describe(found)}; moving '
        f'statistics {found.statistics}.')
    page.table(results_text.between_rows(line))


def _introduce(page, run):
  if run.run['kind'] == 'smoke':
    page.paragraph('A smoke run: three steps on made-up images, whose numbers '
                   'mean nothing.', notice=True)
  if not run.results:
    config = run.run['config']
    planned = (f'{config["steps"]:,} steps' if config.get('steps') else
               f'{config["epochs"]:g} epochs' if config.get('epochs') else
               'an unknown length')
    page.paragraph(
        f'Unfinished: there is no {records.RESULTS} yet. The last record is of '
        f'step {run.steps():,}, of {planned}; what follows is how it stands.',
        notice=True)
  if run.mixtures:
    layers, templates = next(iter(run.mixtures.values())).shape
    names = ', '.join(run.mixtures)
    if len(run.own) < len(run.mixtures):
      names += f'; of this run: {", ".join(run.own)}'
    page.paragraph(
        f'{len(run.mixtures)} {"tasks" if len(run.mixtures) > 1 else "task"} '
        f'({names}) on a bank of K = {templates} templates, '
        f'L = {layers} layers{_parameters(run)}; {run.steps():,} steps in '
        f'{run_reader.duration(run.seconds())}.')


def _parameters(run):
  if not run.results:
    return ''
  total = f', {run.results.parameters["total"]:,} parameters'
  facts = run.results.transfer or run.results.adaptation
  return total + (
      f', of which {facts.tuned_parameters:,} were tuned' if facts else '')


def _flat(config, prefix=''):
  """Settings as (name, text), inner ones with a dotted name."""
  for name, value in config.items():
    if isinstance(value, dict):
      yield from _flat(value, f'{prefix}{name}.')
    elif isinstance(value, list):
      yield f'{prefix}{name}', ', '.join(map(str, value))
    else:
      yield f'{prefix}{name}', str(value)


def _show_results(page, run):
  if run.results:
    tasks = run.results.tasks
    caption = f'{results_text.describe(run.results)}.'
  else:
    tasks = run.validation()
    caption = 'Last validation; the averaged weights.'
  if not tasks:
    page.paragraph('Nothing has been evaluated yet.')
    return
  # An adaptation has a table of its own for that.
  initial = run.results.initial if transfer_report.is_transfer(run) else {}
  rows = [('task', 'top-1, %', 'loss, nats', 'examples', 'own parameters')]
  for name, task in tasks.items():
    rows.append((*_scores(name, task),
                 f'{task.own_parameters:,}' if run.results else ''))
    for member, part in task.members.items():
      rows.append((*_scores(f'    {member}', part), ''))
    if name in initial:
      rows.append((*_scores('    initial', initial[name]), ''))
  rows += [(name, 'not evaluated here', '', '', '') for name in run.mixtures
           if name not in tasks]
  page.table(rows, caption)
  if run.results:
    page.table(
        [('part', 'parameters'),
         *((name.replace('_', ' '), f'{count:,}') for name, count
           in run.results.parameters.items())],
        'Statistics are moving means and variances, which are not trained.',
        summary='Parameters of each part')


def _scores(name, result):
  top1, *others = results_text.score_cells(result)
  return name, top1.removesuffix('%'), *others


def _show_curves(page, run):
  panels = []
  for key, label, scale, axis in (
      ('loss', 'cross-entropy, nats', 1, 'log'),
      ('top1', 'top-1 accuracy, %', 100, 'linear')):
    training, validation = (
        {name: run.curve(f'{prefix}{name}/{key}', scale)
         for name in run.own} for prefix in ('', 'validation/'))
    panels.append((label, axis, training, validation))
  if not any(steps for steps, _ in panels[0][2].values()):
    page.paragraph('There are no lines of metrics to draw yet.')
    return
  page.picture(
      'curves.png', functools.partial(
          run_plots.save_curves, panels, 'Loss and accuracy over training'),
      'Loss and accuracy of each task over training. Thin lines: training '
      'batches, augmented and with dropout, mean since the last record; marks: '
      'validation split, averaged weights. Loss without weight decay and '
      'regularisers, on a logarithmic scale.')


def _show_signatures(page, run):
  source = ('averaged weights' if run.results
            else f'raw weights of step {run.path[-1]["step"]:,}')
  page.picture(
      'signatures.png',
      functools.partial(signature_plots.save_signatures, run.mixtures),
      'Signature of each task (Figure 3). Columns are layers, lines are '
      'templates; the darker, the larger the mixture weight; dots mark the '
      f'strongest template of a layer. From the {source}.' + (
          ' Negative weights are orange.' if any(
              np.min(xi) < 0 for xi in run.mixtures.values()) else ''))
  page.table(measures(run.mixtures, run.path), results_text.with_shares(
      'max xi > 0.9: number of such layers. Entropy 0: one template a layer, '
      f'{math.log(len(next(iter(run.mixtures.values()))[0])):.2f}: all alike. '
      'The rest is of the sequence of strongest templates. Runs per template: '
      '1 if each stands in one uninterrupted run. Growth: rank correlation of '
      'a run\'s length with its place, 1 if they grow towards the tail; a '
      'dash if all are of one length. Progressive: one run each, none shorter '
      'than the one before, the last longer than the first. Last change: the '
      'step of the last record whose strongest templates are other than those '
      'of the record before; never: they are those of the start.',
      run.mixtures))
  page.table(_sequences(run.mixtures), text=True)
  page.table(_layers(run.mixtures), results_text.with_shares(
      'Largest mixture weight / entropy in nats.', run.mixtures),
             summary='Each layer')
  _show_path(page, run)


def measures(mixtures, path=()):
  """A table of measures of self-organisation, one line for each task.

  Args:
    mixtures: {task: `[L, K]` mixture weights}.
    path: Lines of signatures.jsonl, which have all of these tasks.
  """
  rows = [('signature', 'mean max xi', 'max xi > 0.9', 'mean entropy, nats',
           'templates used', 'runs per template', 'growth', 'progressive',
           'last change of strongest (step)')]
  for name, xi in mixtures.items():
    sequence = self_organization.strongest(xi).tolist()
    largest = self_organization.max_shares(xi)
    growth = self_organization.growth(sequence)
    rows.append((
        name, f'{largest.mean():.3f}',
        f'{(largest > 0.9).sum()} of {len(xi)}',
        f'{self_organization.entropies(xi).mean():.3f}',
        f'{len(set(sequence))} of {len(xi[0])}',
        f'{self_organization.runs_per_template(sequence):.2f}',
        '–' if math.isnan(growth) else f'{growth:+.2f}',
        'yes' if self_organization.is_progressive(sequence) else 'no',
        _last_change(path, name)))
  return rows


def _last_change(path, name):
  if len(path) < 2:
    return '–'
  step = self_organization.last_change(
      [line['step'] for line in path],
      [line['mixtures'][name] for line in path])
  return 'never' if step is None else f'{step:,}'


def _sequences(mixtures):
  rows = [('signature', 'strongest templates', 'lengths of their runs')]
  for name, xi in mixtures.items():
    lengths = [str(length) for _, length in
               self_organization.runs(self_organization.strongest(xi))]
    rows.append((name, signatures.notation(xi), ' '.join(lengths)))
  return rows


def _layers(mixtures):
  columns = [
      [f'{largest:.2f} / {entropy:.2f}' for largest, entropy in zip(
          self_organization.max_shares(xi), self_organization.entropies(xi))]
      for xi in mixtures.values()]
  return [('layer', *mixtures),
          *((str(layer), *cells) for layer, cells
            in enumerate(zip(*columns), 1))]


def _show_path(page, run):
  if not run.is_trained:
    page.paragraph(
        f'The signature is fixed ({run.model.get("signature")}): it has no '
        'path over training.')
    return
  if len(run.path) < 2:
    page.paragraph('There is no path of the signatures to draw yet.')
    return
  every = -(-len(run.path) // _PATH_POINTS)
  lines = run.path[::-every][::-1]
  steps = [line['step'] for line in lines]
  paths = {name: np.array([line['mixtures'][name] for line in lines])
           for name in run.own}
  page.picture(
      'path.png', functools.partial(run_plots.save_paths, steps, paths),
      results_text.with_shares(
          'Path of the signatures over training. Each line is a layer, the '
          'input above; the lighter, the closer it is to one template; dots '
          'mark where its strongest template changed. From the raw weights'
          + (f', one record in {every}.' if every > 1 else '.'), run.mixtures))
  page.picture(
      'organisation.png', functools.partial(
          run_plots.save_curves, [
              (label, 'linear', {name: (steps, measure(path).mean(-1))
                                 for name, path in paths.items()}, {})
              for label, measure in (
                  ('mean over layers of max xi', self_organization.max_shares),
                  ('mean entropy, nats', self_organization.entropies))],
          'Self-organisation over training'),
      results_text.with_shares(
          'Self-organisation over training. On the left the largest mixture '
          'weight, 1 for one template a layer; on the right the entropy, 0 '
          'then.', run.mixtures))
