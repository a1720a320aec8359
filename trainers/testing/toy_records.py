"""For tests: what made-up runs leave, without their training."""

import json
import pathlib

import numpy as np

from mixture_modules import signatures
from mixture_modules.isometric import isometric_model
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.testing import toy

_STEPS = (0, 50, 100, 120)


def write_run(workdir, mixtures, finished=True, arguments=(), top1=0.5,
              kind='train', config=None, **changes):
  """Writes run.json, metrics.jsonl, signatures.jsonl and results.json.

  Args:
    workdir: Directory to make.
    mixtures: {task: `[L, K]` mixture weights at the end}.
    finished: Whether there are results; if not, records end at step 100.
    arguments: Flags of the command.
    top1: Accuracy at the end, from 0 to 1.
    kind: Kind of run.
    config: 'config' of run.json. Default: that of a small run.
    **changes: Of the small run, as for `RunConfig.replace`.
  """
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True)
  layers, templates = np.shape(next(iter(mixtures.values())))
  config = config or toy.make_config(
      list(mixtures), num_layers=layers, num_templates=templates,
      **changes).to_json()
  records.write_json(workdir / records.RUN, {
      'kind': kind, 'config': config,
      'argv': ['/somewhere/launch/train.py', *arguments],
      'time': '2021-10-20T12:34:56', 'commit': 'c0ffee' * 6, 'dirty': True,
      'versions': {'python': '3.11.7', 'keras': '3.15.1'},
      'device': '1 x CPU', 'machine': 'x86_64, 2 cores'})
  steps = _STEPS if finished else _STEPS[:-1]
  _write_lines(workdir / records.SIGNATURES, [
      {'step': step, 'mixtures': {
          name: (share * np.asarray(xi) + (1 - share) / templates).tolist()
          for name, xi in mixtures.items()}}
      for step in steps for share in [step / _STEPS[-1]]])
  _write_lines(workdir / records.METRICS, [
      line for step in steps[1:] for line in (
          {'step': step, 'loss': 50 / step, 'seconds': step / 2,
           **{f'{name}/{key}': value for name in mixtures for key, value in (
               ('loss', 49 / step), ('top1', top1 * step / _STEPS[-1]))}},
          {'step': step, **{
              f'validation/{name}/{key}': value for name in mixtures
              for key, value in (('loss', 48 / step), ('top1', top1),
                                 ('examples', 4))}})])
  if finished:
    tasks = {
        name: results.TaskResult(
            top1=top1, loss=0.4, examples=1234, own_parameters=77,
            max_xi=float(np.max(xi, -1).mean()), classes=toy.CLASSES,
            signature=signatures.notation(xi), mixtures=np.asarray(xi).tolist())
        for name, xi in mixtures.items()}
    results.write(workdir / records.RESULTS, results.RunResults(
        tasks=tasks, distances=(),
        parameters={'templates': 4000, 'total': 5678}, steps=steps[-1],
        seconds=61.0, split='test', weights='ema'))


def write_model(workdir, tasks, **changes):
  """Makes a work directory with a small model that has not been trained.

  Its data is made up, as with --smoke; results.json is not there.

  Args:
    workdir: Directory to make.
    tasks: Names of its tasks.
    **changes: Of the configuration, as for `RunConfig.replace`.
  """
  # A batch for each split: another size would be traced again.
  config = toy.make_config(
      tasks, **{'deterministic': True, 'eval_batch_size': 100, **changes})
  data = pipeline.load_tasks(
      config.tasks, config.model.image_size, made_up=True)
  facts = {name: task_data.describe() for name, task_data in data.items()}
  model = isometric_model.IsometricModel(
      config.model,
      {name: task_data.num_classes for name, task_data in data.items()},
      config.shared_head, seed=config.seed)
  saved_models.save(workdir, model, 'smoke', config.to_json(), facts)


def _write_lines(path, values):
  path.write_text(''.join(json.dumps(value) + '\n' for value in values))
