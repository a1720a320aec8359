"""Times training and inference of ours and of others, and says what bounds it.

    python -m launch.benchmark
    python -m launch.benchmark --output=speed.json --rounds=9 --processes=5
    python -m launch.benchmark --parts=training --num_templates=32
    python -m launch.benchmark --parts= --vary=num_templates:4,8,16,32 \\
        --vary=num_tasks:1,2,3 --vary=precision:float32,mixed_bfloat16

The network is that of a run's flags, by default the preset 'small' with one
task of 100 classes; images are made up. Parts:

    training    our step, averages of the weights included: mixed, with a plain
                (fixed, one-hot) signature, and with the clustering regulariser
                of section 3.2; the same network in stock Keras layers and, with
                the extra `benchmark`, in PyTorch, eager
    inference   of a batch and of single images: our model, folded, folded by
                hand in plain TensorFlow, stock Keras layers, PyTorch
    first_step  from building the model to the end of step 1, of 1, 2, 3 tasks,
                and peak memory; each in a fresh process
    pipeline    the input pipeline, 50,000 images in memory
    evaluation  with averaged weights and with raw ones
    sizes       of a checkpoint and of a task file
    limit       multiply-adds and bytes of a step against the machine's rates
    profile     which operations a step spends its time in

--vary adds a part over values of a field, with straight lines through the
figures of three or more. All of a part live in one process and take turns, so
that a machine whose speed drifts treats them alike: look at the ratios, which
are taken turn by turn. Three figures are minimum / median / maximum over turns
or processes. "A against B: 1.4" says that A is 1.4 times as fast.
"""

import os
import pathlib
import sys
import time

from absl import app
from absl import flags
import tensorflow as tf

from launch import entry
from launch import run_flags
from launch import shared_flags
from launch.benchmarks import growth
from launch.benchmarks import operations
from launch.benchmarks import parts
from launch.benchmarks import pytorch
from launch.benchmarks import timed_networks
from launch.benchmarks import timing
from launch.reports import results_text
from trainers.runs import records

_OUTPUT = 'runs/benchmark-%Y%m%d-%H%M%S.json'
_PARTS = {part.__name__: part for part in (
    parts.training, parts.inference,
    growth.first_step, parts.pipeline,
    parts.evaluation, parts.sizes, parts.limit,
    operations.profile)}
_PART_NAMES = flags.DEFINE_list(
    'parts', list(_PARTS), 'What is measured.')
_VARY = flags.DEFINE_multi_string(
    'vary', [], 'FIELD:VALUE,VALUE of num_templates, num_layers, num_tasks, '
    'batch_size or precision; can be given several times.')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Turns of each.')
_TURN = flags.DEFINE_float('turn_seconds', 0.5, 'Least length of a turn.')
_PROCESSES = flags.DEFINE_integer(
    'processes', 1, 'Fresh processes for each first step and peak of memory.')
flags.adopt_module_key_flags(run_flags)
flags.declare_key_flag('output')


def main(argv):
  """Measures part after part, and prints and writes each."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  turns = timing.Turns(
      _ROUNDS.value, _TURN.value, _PROCESSES.value)
  config = run_flags.run_config_from_flags(list, preset='small').replace(
      tasks=('task',), steps=10_000)
  timed_networks.check(config.model)
  output = pathlib.Path(shared_flags.OUTPUT.value or time.strftime(_OUTPUT))
  _claim(output, is_given=bool(shared_flags.OUTPUT.value))
  measures = _measures(config)
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


def _claim(path, is_given):
  if not is_given:
    path.parent.mkdir(parents=True, exist_ok=True)
  if os.path.lexists(path) or not path.absolute().parent.is_dir():
    raise ValueError('Expected --output, the name of a new file in a directory '
                     f'that is there; received {path}: choose another.')


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
  entry.run(main)
