"""The flags that decide an adaptation, and the `AdaptationConfig` they make."""

from absl import flags

from launch import shared_flags
from mixture_modules import signatures
from trainers.adaptation import adaptation_config
from trainers.adaptation import label_free_scores
from trainers.data import catalog

METHOD = flags.DEFINE_enum(
    'method', None, adaptation_config.METHODS, 'source_only trains nothing; '
    'adda is adversarial, m3sda matches moments, im maximises information and '
    'needs no source; supervised is the upper bound: the only one that sees '
    'the target\'s labels.')


def _define_flags():
  """{field of AdaptationConfig: flag holder} of the others."""
  flag = {'init': shared_flags.INIT, 'tune': shared_flags.TUNE,
          'sources': shared_flags.SOURCES}
  flag['target_statistics'] = flags.DEFINE_enum(
      'target_statistics', None, adaptation_config.TARGET_STATISTICS,
      'First moving statistics of the target: copy, with the task that is '
      'copied (default); reestimate, by a pass over unlabelled images.')
  flag['source_batch_size'] = flags.DEFINE_integer(
      'source_batch_size', None, 'Images of each source in a step, of a pool '
      'of each of its data sets. Default: of adda their share of '
      '--batch_size, of m3sda --batch_size.')
  flag['source_free'] = flags.DEFINE_bool(
      'source_free', None, 'Read no image of a source, for the records '
      'neither.')
  flag['network_learning_rate'] = flags.DEFINE_float(
      'network_learning_rate', None, 'First one of the discriminator, or of '
      'the two heads. Default: 2e-4 and 1e-4 (D.3, D.4).')
  flag['network_final_learning_rate'] = flags.DEFINE_float(
      'network_final_learning_rate', None, 'Last one of these. Default: 1e-5.')
  flag['label_smoothing'] = flags.DEFINE_float(
      'label_smoothing', None, 'How far the discriminator\'s labels are from 0 '
      'and 1. Default: 0.1.')
  flag['pretraining_steps'] = flags.DEFINE_integer(
      'pretraining_steps', None, 'Steps before all others, in which the '
      'discriminator, or the second head, learns alone. Default: 100.')
  flag['moment_weight'] = flags.DEFINE_float(
      'moment_weight', None, 'Lambda: of the moment distance beside the '
      'discrepancy. Default: 0.01.')
  flag['moment_features'] = flags.DEFINE_enum(
      'moment_features', None, adaptation_config.MOMENT_FEATURES, 'Moments are '
      'taken of the embedding, which the heads see (default), or of the mean '
      'over positions of the body\'s last features.')
  flag['score'] = flags.DEFINE_enum(
      'label_free_score', None, list(label_free_scores.SCORES), 'What choices '
      'go by. Default: information, the entropy of the mean prediction minus '
      'the mean entropy.')
  flag['choose'] = flags.DEFINE_enum(
      'choose', None, adaptation_config.CHOICES, 'Which state of the target is '
      'the result: the last (default), or the best by the label-free score.')
  flag['watch_every'] = flags.DEFINE_integer(
      'watch_every', None, 'Steps between measurements of the label-free '
      'score; 0: never. Default: 50, of supervised 0.')
  flag['collapse_drop'] = flags.DEFINE_float(
      'collapse_drop', None, 'By how much the score may be worse than its best '
      'before the adaptation ends and goes back. Default: 0.1.')
  flag['collapse_patience'] = flags.DEFINE_integer(
      'collapse_patience', None, 'For so many measurements in a row; 0: the '
      'score never ends it. Default: 3.')
  flag['collapse_classes'] = flags.DEFINE_float(
      'collapse_classes', None, 'Share of the number of classes predicted at '
      'first, below which the adaptation ends and goes back. Default: 0.5.')
  return flag


_OPTIONS = _define_flags()
_MOVE_STATISTICS = flags.DEFINE_bool(
    'move_statistics', None, 'In training the target is normalised by its '
    'batches, which move its statistics (default), or by its statistics, '
    'which stay.')


def options(former=None):
  """{field: value} of the flags that were given.

  Args:
    former: The same of a run that is resumed: what was not given is as there.

  Raises:
    ValueError: If target or method are missing.
  """
  given = {name: holder.value for name, holder in _OPTIONS.items()
           if holder.value is not None}
  if _MOVE_STATISTICS.value is not None:
    given['statistics'] = 'moved' if _MOVE_STATISTICS.value else 'kept'
  for name, holder in (('target', shared_flags.TARGET), ('method', METHOD)):
    if holder.value is not None:
      given[name] = holder.value
    if name not in {**(former or {}), **given}:
      raise ValueError(f'--{name} is needed: '
                       + ('the unlabelled data set to adapt to.'
                          if name == 'target' else
                          f'one of {", ".join(adaptation_config.METHODS)}.'))
  options = {**(former or {}), **given}
  holders = {**_OPTIONS, 'statistics': _MOVE_STATISTICS}
  for name, methods in adaptation_config.OPTIONS_OF.items():
    if name in given and options['method'] not in methods:
      raise ValueError(
          f'--{holders[name].name} is of {", ".join(methods)}, not of '
          f'{options["method"]}: leave it out.')
  return options


def adaptation_config_from(given, batch_size, saved):
  """The `AdaptationConfig` of options.

  Args:
    given: As from `options`.
    batch_size: Images of the target in a step.
    saved: `SavedModel`, with the sources. If it is an adaptation itself, its
      target is no source by default: its labels were not to be read.
  """
  former = saved.run['config'].get('adaptation', {})
  sources = given.get('sources') or [
      name for name in former.get('sources', saved.labelled_tasks())
      if name != given['target']]
  defaults = adaptation_config.default_options(
      given['method'], batch_size, _num_domains(saved, sources),
      saved.config.model.signature in signatures.TRAINED)
  return adaptation_config.AdaptationConfig.from_json(
      {**defaults, **given, 'sources': sources})


def _num_domains(saved, sources):
  """Number of data sets of the sources, those in pools included."""
  names = [saved.tasks.get(source, {}).get('dataset') or source
           for source in sources]
  return len(catalog.data_sets(names))
