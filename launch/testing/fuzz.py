"""Damages every kind of file of a run, and counts what becomes of it.

    python -m launch.testing.fuzz --mutations=10000

A damaged file is refused by one clear error, a `ValueError`, or loads as what
it says. Anything else is a fault, and is listed.
"""

import argparse
import collections
import copy
import json
import math
import pathlib
import tempfile
import time
import traceback
import warnings

import numpy as np

from mixture_modules import tensor_files
from mixture_modules.isometric import task_files
from mixture_modules.testing import damage
from trainers import training
from trainers.runs import records
from trainers.runs import run_options
from trainers.runs import run_reader
from trainers.runs import saved_models
from trainers.testing import toy

_STRANGE = (
    None, True, -1, 0, 10 ** 30, 1e300, math.inf, math.nan, '', 'x', '\x1b[31m',
    '../../etc', [], {}, [[]], {'x': 1}, [None], ['x'] * 3)


def make_run(workdir):
  """A finished run of three steps on made-up images."""
  config = toy.make_config(('optdigits', 'optdigits+blur'), image_size=8)
  training.train(config, workdir, run_options.RunOptions(
      smoke=True, progress=False, log_every=1, eval_every=1))
  saved = saved_models.load(workdir)
  name = next(iter(saved.model.tasks))
  task_files.save_task(saved.model, name, pathlib.Path(workdir, 'x.task'))
  return saved.model


def files(workdir, model):
  """{file: function that reads it}."""
  def load_task():
    task_files.load_task(model, workdir / 'x.task', 'damaged', force=True)
    model.remove_task('damaged')

  def read_run():
    training.read_config(workdir)
    run_reader.Run(workdir)
    saved_models.load(workdir)

  def read_reports():
    reader = run_reader.Run(workdir)
    reader.validation()
    reader.curve('loss')

  checkpoint = next((workdir / records.CHECKPOINTS).glob('*.safetensors'))
  return {
      workdir / 'x.task': load_task,
      checkpoint: lambda: saved_models.load(workdir),
      workdir / records.RUN: read_run,
      workdir / records.RESULTS: read_reports,
      workdir / records.METRICS: read_reports,
      workdir / records.SIGNATURES: read_reports}


def mutate(path, data, rng):
  """Other bytes: at random, with a digest that fits, or other JSON."""
  kind = rng.integers(3)
  if path.suffix in ('.json', '.jsonl') and kind:
    return _mutate_json(path, data, rng)
  data = damage.mutate(data, rng)
  if kind and path.suffix not in ('.json', '.jsonl') and len(data) > 200:
    data = tensor_files.sign(data)
  return data


def _mutate_json(path, data, rng):
  lines = data.splitlines() if path.suffix == '.jsonl' else [data]
  number = int(rng.integers(len(lines)))
  value = json.loads(lines[number])
  for _ in range(1 + int(rng.integers(3))):
    places = list(_places(value))
    container, key = places[int(rng.integers(len(places)))]
    choice = int(rng.integers(len(_STRANGE) + 2))
    if choice == len(_STRANGE):
      del container[key]
    elif choice > len(_STRANGE):
      container[key] = json.loads(500 * '[' + 500 * ']')
    else:
      container[key] = copy.deepcopy(_STRANGE[choice])
  lines[number] = json.dumps(value).encode()
  return b'\n'.join(lines) + b'\n'


def _places(value):
  """Yields (container, key) of all values in a dictionary or list."""
  keys = value if isinstance(value, dict) else range(len(value))
  for key in list(keys):
    yield value, key
    if isinstance(value[key], (dict, list)) and value[key]:
      yield from _places(value[key])


def run(workdir, mutations, seed):
  """Damages files in turn.

  Args:
    workdir: An empty directory.
    mutations: How many.
    seed: Of the damage.

  Returns:
    ({name of a file: Counter of 'refused', 'loaded', 'fault'}, {text of a
    fault: how often}, seconds of the slowest).
  """
  workdir = pathlib.Path(workdir)
  model = make_run(workdir)
  readers, rng = files(workdir, model), np.random.default_rng(seed)
  whole = {path: path.read_bytes() for path in readers}
  counts = collections.defaultdict(collections.Counter)
  faults, slowest = collections.Counter(), 0.0
  for number in range(mutations):
    path = list(readers)[number % len(readers)]
    path.write_bytes(mutate(path, whole[path], rng))
    start = time.perf_counter()
    try:
      with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        readers[path]()
      found = 'loaded'
    except ValueError:
      found = 'refused'
    except Exception as error:  # pylint: disable=broad-exception-caught
      found = 'fault'
      place = traceback.extract_tb(error.__traceback__)[-1]
      faults[f'{path.name}: {type(error).__name__}: {str(error)[:80]} '
             f'({pathlib.Path(place.filename).name}:{place.lineno})'] += 1
    slowest = max(slowest, time.perf_counter() - start)
    counts[path.name][found] += 1
    path.write_bytes(whole[path])
  return counts, faults, slowest


def main():
  """Prints a row for each kind of file, and the faults."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('--mutations', type=int, default=10_000,
                      help='How many, over all kinds of files.')
  parser.add_argument('--seed', type=int, default=0, help='Of the damage.')
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    counts, faults, slowest = run(
        pathlib.Path(folder, 'run'), options.mutations, options.seed)
  for name, found in counts.items():
    print(f'{name:<32}' + '  '.join(
        f'{kind} {found[kind]:>6,}' for kind in ('refused', 'loaded', 'fault')))
  for text, count in faults.most_common():
    print(f'{count:>6}  {text}')
  print(f'The slowest took {slowest:.1f} s.')


if __name__ == '__main__':
  main()
