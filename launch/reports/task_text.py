"""The tasks of a model, and what a task file holds, as text."""

import json

from launch.reports import results_text
from mixture_modules.isometric import task_files
from mixture_modules.isometric import task_fit
from trainers.runs import records
from trainers.runs import results
from trainers.runs import task_metadata

_SHOWN = 60  # characters of a value in a table


def format_tasks(saved):
  """A table of the tasks of a model.

  Args:
    saved: `SavedModel`.
  """
  model, top1 = saved.model, _top1(saved.workdir)
  rows = [('task', 'data set', 'classes', 'head', 'own parameters',
           'file, bytes', 'test top-1', 'signature')]
  for name, task in model.list_tasks().items():
    size = len(task_files.encode_task(
        model, name, task_metadata.describe(saved, name)))
    rows.append((
        name, saved.tasks[name].get('dataset', name) or 'unknown',
        str(task['classes']), task['head'], f'{task["own_parameters"]:,}',
        f'{size:,}', f'{top1[name]:.2%}' if name in top1 else '-',
        task['signature']))
  return (f'{results_text.align(rows)}\n{model.config.num_templates} '
          f'templates, {model.config.num_layers} layers; '
          f'{model.parameter_report()["total"]:,} trained parameters in all. '
          'Signature: the strongest template of each layer.\n'
          f'Fingerprint: {task_fit.fingerprint(model)}')


def _top1(workdir):
  """{task: accuracy} as last evaluated with averaged weights, from 0 to 1."""
  found = {}
  for name in (records.RESULTS, 'evaluation-test-ema.json'):
    if (workdir / name).exists():
      found.update(results.read(workdir / name).tasks)
  return {name: result.top1 for name, result in found.items()
          if result.top1 is not None}


def format_file(file):
  """A table of what a task file says of itself.

  Args:
    file: `TaskFile`.
  """
  header = {**file.header, **file.header['model'],
            **{f'signature {key}': value
               for key, value in file.header['signature'].items()},
            **file.header['metadata']}
  for key in ('model', 'signature', 'metadata', 'shared'):
    header.pop(key)
  rows = [('entry', 'value')]
  rows += [(shorten(key), shorten(value)) for key, value in header.items()]
  rows += [(shorten(name), f'{array.dtype}{list(array.shape)}')
           for name, array in file.tensors.items()]
  rows += [('numbers', f'{sum(a.size for a in file.tensors.values()):,}'),
           ('fingerprint of its model', file.fingerprint)]
  width = max(len(value) for _, value in rows)
  return results_text.align([(key, value.ljust(width)) for key, value in rows])


def shorten(value):
  """A value of a file for a terminal: no control characters, and short."""
  text = value if isinstance(value, str) else json.dumps(value)
  text = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'
