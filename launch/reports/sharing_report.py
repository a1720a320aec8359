"""What a report says of the layers that tasks share (section 4.3, Figure 2)."""

import functools

import numpy as np

from launch.reports import results_text
from launch.reports import run_plots
from mixture_modules import self_organization
from mixture_modules.isometric import isometric_config

_KINDS = (' The paper found, in Figure 2b, that tasks of the same augmentation '
          'share early layers, and tasks of the same data set late ones.')


def show(page, run):
  """Adds which layers tasks share, and how far apart their signatures are.

  Args:
    page: `html_page.Page`.
    run: `run_reader.Run` of a model with two tasks or more.
  """
  if not run.is_trained:
    page.paragraph(
        f'The signatures are fixed ({run.model.get("signature")}): what they '
        'share was given, not found.')
    return
  num_layers = len(next(iter(run.mixtures.values())))
  imposed = isometric_config.shared_rows(
      run.model.get('shared_half'), num_layers)
  own = np.setdiff1d(np.arange(num_layers), imposed)
  if len(imposed):
    page.paragraph(
        f'{_layers(imposed[0] + 1, len(imposed), "Layers ")} are shared by '
        f'construction (shared_half={run.model["shared_half"]}): all tasks '
        'have the same rows there, unless a task was tuned with a copy of its '
        'own. Distances and their means leave them out.')
  page.picture(
      'tasks.png', functools.partial(run_plots.save_tasks, run.mixtures),
      results_text.with_shares(
          'Tasks side by side (Figure 2). Numbers and colours are the '
          'strongest templates of each layer. Full colour: the layer is shared '
          'with another task of the same number and letter, that is, the total '
          'variation between any two of their mixtures is at most '
          f'{self_organization.SHARED}; pale: shared with none; dashed frame: '
          'shared by all tasks.', run.mixtures))
  page.table(_groups(run.mixtures, set(imposed)), (
      'Tasks in brackets share these layers; neighbouring layers that are '
      'shared alike stand in one line.'), summary='Who shares which layer',
             text=True)
  between = self_organization.distances(run.mixtures)
  of = ' Of the layers that are not shared by construction.' * bool(
      len(imposed))
  page.table(
      results_text.distance_rows(list(run.mixtures), {
          pair: values[own] for pair, values in between.items()}),
      results_text.with_shares(results_text.DISTANCES, run.mixtures) + of)
  kinds = _kinds(run) or {'all pairs': list(between)}
  means = {kind: np.mean([between[pair] for pair in pairs], 0)
           for kind, pairs in kinds.items()}
  page.picture(
      'distances.png', functools.partial(run_plots.save_distances, {
          kind: np.where(np.isin(np.arange(num_layers), own), values, np.nan)
          for kind, values in means.items()}),
      results_text.with_shares(
          'Distance between signatures over the layers. Mean total variation '
          'between the mixtures of two tasks, 0 if they are the same, 1 if '
          'they have no template in common.' + of
          + _KINDS * (len(kinds) > 1), run.mixtures))
  rows = [('pairs of tasks', 'number', 'first quarter', 'last quarter',
           'all layers')]
  for kind, values in means.items():
    early, late = self_organization.early_late(values[own])
    rows.append((kind, str(len(kinds[kind])), f'{early:.3f}', f'{late:.3f}',
                 f'{values[own].mean():.3f}'))
  page.table(rows, results_text.with_shares(
      'Mean total variation.', run.mixtures) + of)


def _kinds(run):
  """{kind: pairs of tasks}, where tasks have augmentations; else nothing."""
  datasets = {name: run.dataset(name) for name in run.mixtures}
  if not all(datasets.values()) or any(
      dataset.startswith('pool:') for dataset in datasets.values()):
    return {}
  if not any('+' in dataset for dataset in datasets.values()):
    return {}
  return self_organization.pairs_by_kind({
      name: (dataset.partition('+')[0], dataset.partition('+')[2])
      for name, dataset in datasets.items()})


def _groups(mixtures, imposed):
  sharing = [(layer in imposed, [group for group in groups if len(group) > 1])
             for layer, groups in enumerate(
                 self_organization.sharing(mixtures))]
  rows = [('layers', 'shared by')]
  first = 1
  for (is_imposed, groups), length in self_organization.runs(sharing):
    rows.append((
        _layers(first, length),
        ('all' if groups and len(groups[0]) == len(mixtures) else
         '  '.join(f'[{", ".join(group)}]' for group in groups) or 'none')
        + ', by construction' * is_imposed))
    first += length
  return rows


def _layers(first, length, word=''):
  return word + (
      str(first) if length == 1 else f'{first} to {first + length - 1}')
