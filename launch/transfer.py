"""Adds a task to a trained model, and tunes what is its own (sections 4.3, C).

    python -m launch.transfer --from=runs/digits --task=usps --init=learned
    python -m launch.transfer --from=runs/digits --task=kmnist \\
        --init=copy:mnist --tune=head,norm --workdir=runs/kmnist
    python -m launch.transfer --from=runs/digits --task=usps --tune=none
    python -m launch.transfer --workdir=runs/kmnist --resume

--from is only read. --workdir gets the whole model, with the new task, and may
be --from again. Flags of training default to what the source was trained
with, but for --steps=500, --warmup_steps=0 and the largest of its batch sizes.

Training uses the statistics of its batches, and moves those of the new task,
whatever --tune says; 'none' trains nothing. Other tasks' outputs stay as they
are bit for bit, unless templates are tuned. Every first signature, with and
without tuning of the mixture: `launch.reproduce --table=2 --from=DIR`.
"""

import dataclasses
import sys

from absl import app
from absl import flags

from launch import entry
from launch import run_flags
from launch import shared_flags
from launch import training_flags
from launch.reports import results_text
from launch.reports import signature_plots
from mixture_modules.isometric import tune_scopes
from trainers import evaluation
from trainers import supervised
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.runs import strict_json
from trainers.transfer import transfer_config
from trainers.transfer import transfer_start

INITIAL = 'initial.json'  # how the task began, written before step 1
_STEPS = 500

_HEAD = flags.DEFINE_string(
    'head', None, 'own, a new one; shared, that of the tasks of the same '
    'classes; the name of a head; or auto (default), shared where the names '
    'of the classes agree and one head is theirs.')
_STATISTICS = flags.DEFINE_enum(
    'init_statistics', None, transfer_config.STATISTICS, 'First moving '
    'statistics: copy, with the task that is copied; reestimate, from training '
    'images without labels; auto (default): copy where a task is copied.')
_SCORE = flags.DEFINE_enum(
    'score', None, transfer_config.SCORES, 'How sources are scored on '
    'validation images: path, each as it is, head included; probe, by a linear '
    'head fitted to its features; auto (default): path where classes agree.')
_SCORE_EXAMPLES = flags.DEFINE_list(
    'score_examples', None, 'Most training images that a linear head is '
    'fitted to, and most validation images that scores are measured on; '
    'chosen by the seed, equally many of each class. Default: 2000,1000.')
_INIT_STEPS = flags.DEFINE_integer(
    'init_steps', None, 'Steps that --init=learned learns weights for; a new '
    'head is trained along, and set back afterwards. Default: 200.')
_INIT_LEARNING_RATE = flags.DEFINE_float(
    'init_learning_rate', None, 'Of --init=learned. Default: 0.1.')
_EXAMPLES_PER_CLASS = flags.DEFINE_integer(
    'examples_per_class', None, 'Learn from so many images of each class, '
    'chosen by the seed; and score sources on so many validation images of '
    'each class, at most. Default: all.')
for _name in ('from', 'task', 'name', 'init', 'tune', 'sources', 'workdir',
              'data_dir', 'smoke'):
  flags.declare_key_flag(_name)
flags.adopt_module_key_flags(training_flags)
flags.adopt_module_key_flags(run_flags)


def main(argv):
  """Reads flags, begins the task, tunes, evaluates, writes."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  resume = training_flags.RESUME.value
  workdir = training_flags.workdir()
  former = records.read_run(workdir) if resume else None
  asked = transfer_from_flags(former and former['config'])
  smoke = shared_flags.SMOKE.value or (resume and former['kind'] == 'smoke')
  saved = origins.begin(workdir, asked.source, former, smoke)
  config = _run_config(asked, saved, former)
  if smoke and not resume:
    config = config.replace(steps=3, batch_size=8)
    asked = dataclasses.replace(asked, init_steps=3)
  return run(asked, config, saved, workdir, former,
             'smoke' if smoke else 'transfer')


def transfer_from_flags(former=None):
  """The `TransferConfig` that the flags ask for.

  Args:
    former: Configuration of the run that is resumed, from its run.json.
  """
  values = {
      'source': shared_flags.FROM.value, 'dataset': shared_flags.TASK.value,
      'name': shared_flags.NAME.value, 'init': shared_flags.INIT.value,
      'head': _HEAD.value, 'statistics': _STATISTICS.value,
      'score': _SCORE.value, 'sources': shared_flags.SOURCES.value,
      'init_steps': _INIT_STEPS.value,
      'init_learning_rate': _INIT_LEARNING_RATE.value,
      'examples_per_class': _EXAMPLES_PER_CLASS.value}
  values = {name: value for name, value in values.items() if value is not None}
  tune = shared_flags.TUNE.value
  if tune is not None:
    values['tune'] = [] if tune == ['none'] else tune
  if _SCORE_EXAMPLES.value is not None:
    try:
      values['score_examples'] = [int(text) for text in _SCORE_EXAMPLES.value]
    except ValueError:
      raise ValueError('--score_examples must be two numbers, received '
                       f'{",".join(_SCORE_EXAMPLES.value)}.') from None
  if former is not None:
    if 'transfer' not in former:
      raise ValueError('Expected a run of launch.transfer to resume, received '
                       'one of another command: resume it with that.')
    values = {**former['transfer'], **values}
  for name, flag in (('source', 'from'), ('dataset', 'task')):
    if not values.get(name):
      raise ValueError(f'--{flag} is needed: '
                       + ('the work directory of a trained model.'
                          if flag == 'from' else 'the new task\'s data set.'))
  return transfer_config.TransferConfig.from_json({'name': values['dataset'],
                                            **values})


def _run_config(asked, saved, former):
  """The `RunConfig` that the flags ask for, of the new task alone."""
  if former:
    return run_flags.training_from_flags(
        saved_models.parse_config(former['config']))
  base = dataclasses.replace(
      saved.config, tasks=(asked.name,), shared_head=False,
      batch_size=max(saved.config.task_batch_sizes().values()),
      loss_weights=1.0)
  return run_flags.training_from_flags(
      base.replace(steps=_STEPS, warmup_steps=0))


def run(asked, config, saved, workdir, former, kind):
  """Makes a transfer; returns what it wrote.

  Args:
    asked: `TransferConfig`.
    config: `RunConfig`, of the new task alone.
    saved: `SavedModel` of the source or, where the task was begun before, of
      `workdir`.
    workdir: Directory of the run.
    former: run.json of the run that is resumed, or None.
    kind: Kind of run.
  """
  model, name = saved.model, asked.name
  is_begun = saved.workdir == workdir
  decides = {**config.to_json(), 'transfer': asked.to_json(),
             **origins.describe(saved, former)}
  origin = decides.get('origin')
  records.check(workdir, decides, kind, bool(former))
  origins.check(saved, workdir, asked.source, origin)
  data, facts = transfer_start.load_data(
      asked, config, shared_flags.DATA_DIR.value, kind == 'smoke')
  if former:
    records.check_data(workdir, {name: facts})
  if not is_begun:
    transfer_start.check(asked, model, saved.tasks, data, config)
  records.claim(
      workdir, decides, kind, bool(former), {**saved.tasks, name: facts})
  print(f'Work directory: {workdir}', file=sys.stderr, flush=True)
  supervised.make_reproducible(config)
  network = evaluation.TaskEvaluator(
      model, {name: data}, config.eval_batch_size)
  if not is_begun:
    start = transfer_start.begin(asked, model, saved.tasks, data, config)
    records.write_json(workdir / INITIAL, {
        'start': start, **{
            split: strict_json.encode(network.evaluate(split)[name])
            for split in ('validation', 'test')}})
  initial = records.read_json(workdir / INITIAL)
  print(format_start(initial['start']), flush=True)
  for text in warnings(initial['start']):
    print(f'warning: {text}', file=sys.stderr)
  tuning = transfer_start.Tuning(
      model, name, initial['start']['tune'], data, config)
  if not is_begun:
    tuning.save_start(workdir, decides)
  seconds = tuning.run(workdir, training_flags.cadence(), decides)
  with tuning.averaged():
    found = _collect(asked, network, initial, tuning, seconds, origin)
    pictures = network.mixtures()
  results.write(workdir / records.RESULTS, found)
  signature_plots.save_signatures(pictures, f'{workdir}/signatures.png')
  print(format_results(found))
  print(f'Picture of the signatures: {workdir}/signatures.png')
  return found


def _collect(asked, network, initial, tuning, seconds, origin):
  """`results.RunResults` of a transfer."""
  name, data = asked.name, network.data[asked.name]
  test, validation = (
      {name: strict_json.decode(results.TaskScore, initial[split], INITIAL)}
      for split in ('test', 'validation'))
  return dataclasses.replace(
      results.collect(network, 'test', 'ema', tuning.steps, seconds),
      initial=test, validation=results.Validation(
          validation, network.evaluate('validation')),
      transfer=results.TransferFacts(
          source=str(asked.source), origin=results.Origin(**origin),
          dataset=asked.dataset, name=name, start=strict_json.decode(
              results.TransferStart, initial['start'], INITIAL),
          tuned_parameters=tuning.num_parameters,
          own_parameters=network.model.own_parameters(name),
          train_examples=data.num_examples('train'),
          examples_per_class=asked.examples_per_class))


def warnings(start):
  """What is to be known of a beginning, as texts."""
  texts, tune = [], set(start['tune'])
  moving = sorted(tune & set(tune_scopes.MOVES_OTHERS))
  if moving:
    texts.append(f'--tune={",".join(moving)} moves what all tasks share: the '
                 'outputs of the older tasks will change.')
  # Runs of older versions do not say how the head began.
  if start.get('initial_head') == 'untrained' and not tune & {'head', 'all'}:
    texts.append('the task has a new head, which --tune=none leaves '
                 'untrained: its accuracy is by chance.')
  return texts


def format_start(start):
  """A table of scores and coefficients, and how the task begins."""
  names = list(start['scores'] or start['coefficients'] or {})
  lines = []
  if names:
    rows = [('source', 'score', 'coefficient')]
    for name in names:
      score, coefficient = ((start[kind] or {}).get(name)
                            for kind in ('scores', 'coefficients'))
      rows.append((name, '' if score is None else f'{score:.2%}',
                   '' if coefficient is None else f'{coefficient:.4f}'))
    lines.append(results_text.align(rows))
    if start['scored_by']:
      images = ', '.join(f'{count:,} of {split}' for split, count
                         in (start.get('score_images') or {}).items())
      lines.append('Scores: accuracy on new validation images, by '
                   f'{start["scored_by"]}. Labelled images read: {images}.')
  copied = f', copied from {start["copied"]}' if start['copied'] else ''
  head = 'its own' + {'untrained': ', untrained', 'shared': ', a copy'}.get(
      start.get('initial_head'), '')
  if start['head_shared_with']:
    head = (f'{start["head"]}, shared with '
            f'{", ".join(start["head_shared_with"])}')
  lines.append(f'Begins with init={start["init"]}{copied}; statistics: '
               f'{start["statistics"]}; head: {head}; tuned: '
               f'{", ".join(start["tune"]) or "nothing"}.')
  return '\n'.join(lines)


def format_results(found):
  """A table of the task before and after tuning, and what it costs."""
  facts = found.transfer
  name = facts.name
  rows = [('task', 'split', 'initial top-1', 'top-1', 'loss', 'examples')]
  for split, initial, final in (
      ('validation', found.validation.initial, found.validation.final),
      ('test', found.initial, found.tasks)):
    rows.append((name, split, f'{initial[name].top1:.2%}',
                 *results_text.score_cells(final[name])))
  return (f'{results_text.align(rows)}\nafter {found.steps:,} steps on '
          f'{facts.train_examples:,} images; the task added '
          f'{facts.own_parameters:,} parameters of its own; '
          f'{facts.tuned_parameters:,} were tuned')


if __name__ == '__main__':
  entry.run(main)
