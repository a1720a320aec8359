"""Evaluates a run from its last checkpoint, as it is or with its layers edited.

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
    harden         every layer computes with its strongest template alone
    none           nothing changes

Moving statistics of the trained order are foreign to another one. With
--statistics=reestimated, those of the edited network are estimated anew from
unlabelled training images; 'none' then shows what that alone does.
"""

import contextlib
import pathlib

from absl import app
from absl import flags
import numpy as np

from launch import entry
from launch import results
from launch import run_records
from launch import shared_flags
from mixture_modules import signature_edits
from trainers import checkpoints
from trainers import loop
from trainers import perturbation
from trainers import records
from trainers import run_config
from trainers import strategies
from trainers import supervised
from trainers.data import mocking
from trainers.data import pipeline

_SPLIT = flags.DEFINE_enum(
    'split', 'test', pipeline.SPLITS, 'Split to evaluate on.')
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', ['ema', 'raw'], 'Averaged weights or the last ones.')
_HARDEN = flags.DEFINE_bool(
    'harden', False, 'Also evaluate with every row of the signature one-hot: '
    'its strongest template alone.')
_EDITS = flags.DEFINE_list(
    'signature_edit', [], 'Also evaluate copies whose layers are edited, such '
    'as swap:3:7,reverse,drop:5+repeat:1.')
_STATISTICS = flags.DEFINE_enum(
    'statistics', 'moved', perturbation.STATISTICS, 'Moving statistics of an '
    'edited copy: its layers\' own, or estimated anew from training images.')

flags.declare_key_flag('workdir')
flags.declare_key_flag('data_dir')


def main(argv):
  """Restores the last checkpoint, evaluates, prints tables."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  if not shared_flags.WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run of '
                     'launch.train; received none.')
  workdir = pathlib.Path(shared_flags.WORKDIR.value)
  run = records.read_run(workdir)
  config = run_config.RunConfig.from_json(run['config'])
  edits = _edits(config.model)
  # A smoke run was trained on made-up images.
  with (mocking.mock_data() if run['kind'] == 'smoke'
        else contextlib.nullcontext()):
    evaluate(workdir, config, edits)


def _edits(config):
  """The edits that the flags ask for; an error if a network has none such."""
  edits = ['harden'] * _HARDEN.value + _EDITS.value
  if _STATISTICS.present and not edits:
    raise ValueError('--statistics is of edited networks: give --harden or '
                     '--signature_edit, too.')
  if _STATISTICS.value == 'reestimated':
    edits = ['none', *edits]
  for edit in edits:
    signature_edits.apply(
        edit, np.zeros((config.num_layers, config.num_templates)))
  return list(dict.fromkeys(edits))


def evaluate(workdir, config, edits):
  """Evaluates the last checkpoint of a run; writes and prints."""
  store = checkpoints.Checkpoints(workdir / records.CHECKPOINTS)
  step, arrays, metadata = store.load()
  loop.check_same_run(store.latest(), metadata, config.to_json())
  data = pipeline.load_tasks(
      config.tasks, config.model.image_size, shared_flags.DATA_DIR.value,
      config.augmentation)
  records.check_data(workdir, {name: task_data.describe([_SPLIT.value])
                               for name, task_data in data.items()})
  trainer = supervised.make_trainer(
      config, data, strategies.make_strategy('default'),
      steps=max(step, config.optimizer.warmup_steps + 1))
  checkpoints.restore(trainer.state(), arrays)
  found = results.collect(trainer, _SPLIT.value, _WEIGHTS.value, step,
                          metadata['seconds'])
  name = f'{_SPLIT.value}-{_WEIGHTS.value}'
  records.write_json(workdir / f'evaluation-{name}.json', found)
  print(results.format_table(found))
  if len(config.tasks) > 1:
    print(results.format_distances(found))
  if edits:
    edited = results.describe_edits(found, perturbation.evaluate(
        trainer, config, edits, _SPLIT.value, _WEIGHTS.value,
        _STATISTICS.value), _STATISTICS.value)
    print(f'{results.align(results.edit_rows(edited))}\n{results.EDITS}')
    _write_edits(workdir / f'edits-{name}-{_STATISTICS.value}.json', edited)


def _write_edits(path, edited):
  """Writes edits' results, beside former ones of the same checkpoint."""
  former = run_records.read_edits(path) if path.exists() else {}
  if former.get('steps') == edited['steps']:
    edited['edits'] = {**former['edits'], **edited['edits']}
  records.write_json(path, {**edited, **records.describe_process()})


if __name__ == '__main__':
  entry.run(main)
