"""Times training and inference of ours and of others, and says what bounds it.

    python -m launch.benchmark
    python -m launch.benchmark --output=speed.json --rounds=9 --processes=5
    python -m launch.benchmark --parts=training --num_templates=32
    python -m launch.benchmark --parts= --vary=num_templates:4,8,16,32 \\
        --vary=num_tasks:1,2,3 --vary=precision:float32,mixed_bfloat16

The flags of a run make the network, by default the preset 'small', with one
task of 100 classes; images are made up. All of a part live in one process and
take turns, so that a machine whose speed drifts treats them alike: look at the
ratios, which are taken turn by turn. Three figures are minimum / median /
maximum over turns or processes. "A against B: 1.4" says that A is 1.4 times as
fast. docs/commands.md lists the parts.
"""

import os
import pathlib
import sys
import time

from absl import flags
import tensorflow as tf

from launch import dataclass_flags
from launch import entry
from launch.benchmarks import growth
from launch.benchmarks import operations
from launch.benchmarks import parts
from launch.benchmarks import pytorch
from launch.benchmarks import timed_networks
from launch.benchmarks import timing
from launch.reports import results_text
from mixture_modules.isometric import isometric_config
from trainers.runs import records
from trainers.runs import run_config

_NEW = 'runs/benchmark-%Y%m%d-%H%M%S.json'
_PARTS = {part.__name__: part for part in (
    parts.training, parts.inference,
    growth.first_step, parts.pipeline,
    parts.evaluation, parts.sizes, parts.limit,
    operations.profile)}
FLAGS = flags.FlagValues()
_PART_NAMES = flags.DEFINE_list(
    'parts', list(_PARTS), 'What is measured.', flag_values=FLAGS)
_VARY = flags.DEFINE_multi_string(
    'vary', [], 'FIELD:VALUE,VALUE of num_templates, num_layers, num_tasks, '
    'batch_size or precision; can be given several times.', flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string(
    'output', None, 'New JSON file for all numbers. Default: '
    'runs/benchmark-TIME.json.', flag_values=FLAGS)
_TURNS = dataclass_flags.DataclassFlags(
    timing.Turns, FLAGS, names={'seconds': 'turn_seconds'})
_PRESET = flags.DEFINE_enum(
    'preset', 'small', sorted(isometric_config.PRESETS),
    'Experiment whose values the flags below default to.', flag_values=FLAGS)
_CONFIG = dataclass_flags.DataclassFlags(
    run_config.RunConfig, FLAGS,
    without=('tasks', 'steps', 'epochs', 'preset', 'loss_weights',
             'augmentation', 'view'),
    defaults=run_config.recipe('small'), source="the preset's")


def main():
  """Measures part after part, and prints and writes each."""
  turns = timing.Turns(**_TURNS.given())
  config = run_config.recipe(_PRESET.value).replace(
      **_CONFIG.given(), tasks=('task',), steps=10_000)
  timed_networks.check(config.model)
  measures = _measures(config)
  output = _claim()
  tf.get_logger().setLevel('ERROR')  # each network is traced, which it minds
  process = _describe_process()
  report = {**process, 'config': config.to_json(), 'turns': vars(turns),
            'parts': {}}
  print(_format_process(process))
  if not pytorch.is_compared():
    print(pytorch.MISSING)
  for name, (measure, subject) in measures.items():
    print(f'{name} ...', file=sys.stderr, flush=True)
    part = measure(subject, turns)
    print('', results_text.align(part.rows), *part.lines, sep='\n', flush=True)
    report['parts'][name] = part.numbers
    records.write_json(output, report)  # at each part: a later one may fail
  if measures:
    print(f'\nAll numbers: {output}')


def _measures(config):
  """{name: (function that measures, its first argument)}."""
  unknown = [name for name in _PART_NAMES.value if name not in _PARTS]
  if unknown:
    raise ValueError(f'Expected --parts of {list(_PARTS)}, received '
                     f'{unknown[0]!r}.')
  measures = {name: (_PARTS[name], config) for name in _PART_NAMES.value}
  for text in _VARY.value:
    measures[text] = (growth.variation,
                      growth.Variation.parse(text, config))
  return measures


def _claim():
  """The new file for all numbers."""
  path = pathlib.Path(_OUTPUT.value or time.strftime(_NEW))
  if not _OUTPUT.value:
    path.parent.mkdir(parents=True, exist_ok=True)
  if os.path.lexists(path) or not path.absolute().parent.is_dir():
    raise ValueError('Expected --output, the name of a new file in a directory '
                     f'that is there; received {path}: choose another.')
  return path


def _describe_process():
  process = records.describe_process()
  if hasattr(os, 'getloadavg'):
    process['machine'] += f', load {os.getloadavg()[0]:.1f}'
  if pytorch.is_compared():
    process['torch'] = pytorch.describe()
  return process


def _format_process(process):
  versions = ', '.join(f'{name} {version}' for name, version
                       in process['versions'].items())
  if 'torch' in process:
    versions += ', PyTorch {version} on {threads} threads'.format(
        **process['torch'])
  commit = (process['commit'] or 'unknown')[:12]
  changed = ', changed' if process['dirty'] else ''
  return (f'{process["machine"]}, {process["device"]}, oneDNN '
          f'{process["onednn"]}; {versions}; '
          f'commit {commit}{changed}')


if __name__ == '__main__':
  entry.run(main, FLAGS)
