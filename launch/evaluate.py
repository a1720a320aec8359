"""Evaluates a saved model, as it is or with its layers edited.

--workdir is that of any command that leaves a model: train, transfer, tasks,
adapt. The target of --method=m3sda is evaluated as its run predicts it, by the
mean of the two heads that it trained; 'own head' is that of the sources.

    python -m launch.evaluate --workdir=runs/digits
    python -m launch.evaluate --workdir=runs/digits --split=validation
    python -m launch.evaluate --workdir=runs/digits --harden
    python -m launch.evaluate --workdir=runs/digits \\
        --signature_edit=swap:3:7,reverse,shuffle:0,drop:5,repeat:5,replace:5:2

Each edit by itself is made to a copy of the trained network (section B);
several joined by '+' are made one after another. Layers and templates count
from 1. An edit is a new order of layers: a layer's row of the signature goes
with it, and so do its moving statistics, and its gamma and beta unless those
are mixed. All tasks are edited alike.

    swap:3:7       layers 3 and 7 change places
    reverse        the last layer is the first
    shuffle:0      a random order, of seed 0
    drop:5         without layer 5
    repeat:5       layer 5 twice in a row
    replace:5:2    layer 5 computes with template 2 alone
    copy:5:2       layer 5 computes with the mixture of layer 2; its norms stay
    harden         every layer computes with its strongest template alone
    none           nothing changes

Moving statistics of the trained order are foreign to another one. With
--statistics=reestimated, those of the edited network are estimated anew from
unlabelled training images; 'none' then shows what that alone does.

    python -m launch.evaluate --workdir=runs/digits \\
        --between=mnist,svhn_cropped --points=11

Both tasks, each with its own statistics and head (and gamma and beta where they
are private), on the line between their signatures: (1 - t) of the first and t
of the second, t from 0 to 1.
"""

import sys

from absl import app
from absl import flags
import numpy as np

from launch import entry
from launch import shared_flags
from launch.reports import results_text
from mixture_modules.isometric import layer_edits
from trainers import evaluation
from trainers import perturbation
from trainers import supervised
from trainers.adaptation import m3sda
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import run_reader
from trainers.runs import saved_models

_SPLIT = flags.DEFINE_enum(
    'split', 'test', pipeline.SPLITS, 'Split to evaluate on.')
_ONLY = flags.DEFINE_list(
    'only', [], 'Tasks to evaluate, such as those whose data is here; written '
    'beside the others of the same checkpoint. Default: all of the model whose '
    'images have labels.')
_HARDEN = flags.DEFINE_bool(
    'harden', False, 'Also evaluate with every row of the signature one-hot: '
    'its strongest template alone.')
_EDITS = flags.DEFINE_list(
    'signature_edit', [], 'Also evaluate copies whose layers are edited, such '
    'as swap:3:7,reverse,drop:5+repeat:1.')
_BETWEEN = flags.DEFINE_list(
    'between', [], 'Two tasks: also evaluate both along the line between '
    'their signatures.')
_POINTS = flags.DEFINE_integer(
    'points', 11, 'Points of that line, its ends among them.')
_STATISTICS = flags.DEFINE_enum(
    'statistics', 'moved', perturbation.STATISTICS, 'Moving statistics of an '
    'edited copy, or one of --between: its layers\' own, or estimated anew '
    'from training images.')

flags.declare_key_flag('workdir')
flags.declare_key_flag('weights')
flags.declare_key_flag('data_dir')


def main(argv):
  """Restores the last checkpoint, evaluates, prints tables."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  if not shared_flags.WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run of '
                     'launch.train; received none.')
  saved = saved_models.load(
      shared_flags.WORKDIR.value, shared_flags.WEIGHTS.value)
  edits = _edits(saved.model.config)
  labelled = saved.labelled_tasks()
  tasks = [saved.model.task(name).task_name for name in _ONLY.value or labelled]
  left_out = set(saved.model.tasks) - set(labelled)
  if left_out and not _ONLY.value:
    print(f'Left out: {", ".join(sorted(left_out))}, whose images have no '
          'labels.', file=sys.stderr)
  if _BETWEEN.value:
    perturbation.check_between(tasks, _BETWEEN.value, _POINTS.value)
  evaluate(saved, tasks, edits)


def _edits(config):
  """The edits that the flags ask for; an error if a network has none such."""
  edits = ['harden'] * _HARDEN.value + _EDITS.value
  if _STATISTICS.present and not (edits or _BETWEEN.value):
    raise ValueError('--statistics is of edited networks: give --harden, '
                     '--signature_edit or --between, too.')
  if _STATISTICS.value == 'reestimated' and edits:
    edits = ['none', *edits]
  for edit in edits:
    layer_edits.apply(
        edit, np.zeros((config.num_layers, config.num_templates)))
  return list(dict.fromkeys(edits))


def evaluate(saved, tasks, edits):
  """Evaluates tasks of a saved model; writes and prints."""
  workdir, config = saved.workdir, saved.config
  supervised.make_reproducible(config)  # the numbers of the run, to the bit
  data = saved.load_data(
      shared_flags.DATA_DIR.value, tasks, [_SPLIT.value])
  network = evaluation.TaskEvaluator(
      saved.model, data, config.eval_batch_size,
      {name: m3sda.saved_predictor(arrays)
       for name, arrays in saved.heads.items()})
  weights, statistics = shared_flags.WEIGHTS.value, _STATISTICS.value
  name = f'{_SPLIT.value}-{weights}'
  path, edits_path, between_path = (
      workdir / f'{file}.json' for file in (
          f'evaluation-{name}', f'edits-{name}-{statistics}',
          f'between-{name}-{statistics}'))
  # Damaged ones show before time is spent.
  is_whole = set(tasks) == set(saved.labelled_tasks())
  former, former_edits, former_between = (
      _read(*file, saved.step) if is_needed else {} for is_needed, *file in (
          (not is_whole, path, run_reader.read_results),
          (edits, edits_path, run_reader.read_edits),
          (_BETWEEN.value, between_path, run_reader.read_between)))
  found = results_text.collect(
      network, _SPLIT.value, weights, saved.step, saved.seconds)
  records.write_json(
      path, results_text.merge(former, found) if former else found)
  print(results_text.format_table(found))
  if len(tasks) > 1:
    print(results_text.format_distances(found))
  if edits:
    edited = results_text.describe_edits(found, perturbation.evaluate(
        network, config, edits, _SPLIT.value, statistics), statistics)
    print(f'{results_text.align(results_text.edit_rows(edited))}\n{results_text.EDITS}')
    _write(edits_path, results_text.merge_edits(former_edits, edited))
  if _BETWEEN.value:
    between = results_text.describe_between(
        found, _BETWEEN.value, perturbation.evaluate_between(
            network, config, _BETWEEN.value, _POINTS.value, _SPLIT.value,
            statistics), statistics)
    for line in between['lines'].values():
      print(f'{results_text.align(results_text.between_rows(line))}\n{results_text.BETWEEN}')
    _write(between_path, results_text.merge_between(former_between, between))


def _read(path, read, steps):
  """What a file holds of the same checkpoint; empty if it has none."""
  former = read(path) if path.exists() else {}
  return former if former.get('steps') == steps else {}


def _write(path, found):
  """Writes results, and what made them."""
  records.write_json(path, {**found, **records.describe_process()})


if __name__ == '__main__':
  entry.run(main)
