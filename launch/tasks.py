"""Lists, saves, loads, renames and removes tasks of a model (section 4.3).

    python -m launch.tasks --from=runs/digits
    python -m launch.tasks --from=runs/digits --export=usps --output=usps.task
    python -m launch.tasks --show=usps.task
    python -m launch.tasks --from=runs/copy --import=usps.task \\
        --workdir=runs/with_usps
    python -m launch.tasks --from=runs/digits --rename=mnist \\
        --name=mnist_plain --workdir=runs/renamed
    python -m launch.tasks --from=runs/digits --remove=mnist --workdir=runs/less

With --from alone it prints a table. A task file holds what is a task's own,
and fits the bank that it was trained on and copies of it. --from is only read,
and is the --workdir of any command that leaves a model; --workdir becomes such
a directory itself, for launch.evaluate, launch.transfer and this command.
launch.transfer adds tasks.
"""

import json
import pathlib
import sys
import warnings

from absl import app
from absl import flags

from launch import entry
from launch import shared_flags
from launch.reports import results_text
from mixture_modules import tensor_files
from mixture_modules.isometric import task_files
from mixture_modules.isometric import task_fit
from trainers.data import catalog
from trainers.data import pipeline
from trainers.data import transforms
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import saved_models

_EXPORT = flags.DEFINE_string(
    'export', None, 'Task to write to --output.')
_IMPORT = flags.DEFINE_string(
    'import', None, 'Task file to add to the model: as --name, and with the '
    'data of --task where the file does not name the data set.')
_FORCE = flags.DEFINE_bool(
    'force', False, 'Import a task that was trained on other weights of a '
    'bank of the same kind.')
_RENAME = flags.DEFINE_string(
    'rename', None, 'Task to call --name from now on.')
_REMOVE = flags.DEFINE_string('remove', None, 'Task to remove.')
_SHOW = flags.DEFINE_string('show', None, 'Task file to describe.')
for _name in ('from', 'name', 'task', 'workdir', 'weights', 'output'):
  flags.declare_key_flag(_name)

# What each command needs besides, and what it may have.
_COMMANDS = {
    'show': ((), ()),
    'export': (('from', 'output'), ('weights',)),
    'import': (('from', 'workdir'), ('name', 'task', 'force', 'weights')),
    'rename': (('from', 'name', 'workdir'), ('weights',)),
    'remove': (('from', 'workdir'), ('weights',))}
_VALUE_RANGE = (-1, 1)  # of all images that networks see
_SHOWN = 60  # characters of a value in a table


def main(argv):
  """Does what the flags ask for."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  command = _command()
  if command == 'show':
    return show(_SHOW.value)
  source = shared_flags.FROM.value
  if command in ('import', 'rename', 'remove'):
    records.check(shared_flags.WORKDIR.value, {}, 'tasks', resume=False)
  saved = origins.load(source, shared_flags.WEIGHTS.value)
  if command == 'list':
    return list_tasks(saved)
  if command == 'export':
    return export_task(saved, _EXPORT.value, shared_flags.OUTPUT.value)
  change = {'import': _import, 'rename': _rename, 'remove': _remove}[command]
  config, facts = saved.config.to_json(), change(saved)
  return write(saved, facts, {
      **config, 'tasks_command': {
          'from': source, command: flags.FLAGS[command].value,
          'name': shared_flags.NAME.value}})


def _command():
  """The command that the flags name; an error if they do not fit together."""
  asked = [name for name in _COMMANDS if flags.FLAGS[name].value is not None]
  if len(asked) > 1:
    raise ValueError(f'Expected one of --{" --".join(_COMMANDS)}, received '
                     f'--{" --".join(asked)}: give them one after another.')
  command = asked[0] if asked else 'list'
  needed, allowed = _COMMANDS.get(command, (('from',), ('weights',)))
  for name in needed:
    if not flags.FLAGS[name].value:
      raise ValueError(
          f'--{name} is needed'
          + (f' by --{command}: see --help.' if asked else
             ': the work directory of a model, to list its tasks, or --show '
             'and a task file.'))
  for name in ('from', 'output', 'workdir', 'name', 'task', 'force', 'weights'):
    if flags.FLAGS[name].present and name not in (*needed, *allowed):
      raise ValueError(f'There is no use for --{name} here: leave it out.')
  return command


def list_tasks(saved):
  """Prints a table of the tasks of a model.

  Args:
    saved: `SavedModel`.
  """
  model, top1 = saved.model, _top1(saved.workdir)
  rows = [('task', 'data set', 'classes', 'head', 'own parameters',
           'file, bytes', 'test top-1', 'signature')]
  for name, task in model.list_tasks().items():
    size = len(task_files.encode_task(model, name, _metadata(saved, name)))
    rows.append((
        name, saved.tasks[name].get('dataset', name) or 'unknown',
        str(task['classes']), task['head'], f'{task["own_parameters"]:,}',
        f'{size:,}', f'{top1[name]:.2%}' if name in top1 else '-',
        task['signature']))
  print(results_text.align(rows))
  print(f'{model.config.num_templates} templates, {model.config.num_layers} '
        f'layers; {model.parameter_report()["total"]:,} trained parameters in '
        f'all. Signature: the strongest template of each layer.\n'
        f'Fingerprint: {task_fit.fingerprint(model)}')


def _top1(workdir):
  """{task: accuracy} as last evaluated with averaged weights, from 0 to 1."""
  found = {}
  for name in (records.RESULTS, 'evaluation-test-ema.json'):
    if (workdir / name).exists():
      found.update(records.read_json(workdir / name)['tasks'])
  return {name: task['top1'] for name, task in found.items()
          if task['top1'] is not None}


def export_task(saved, name, path):
  """Writes a task file and says what is in it.

  Args:
    saved: `SavedModel`.
    name: The task.
    path: New file.
  """
  size = task_files.save_task(
      saved.model, saved.model.task(name).task_name, path,
      _metadata(saved, name))
  print(f'Task file: {path}, {size:,} bytes; '
        f'{saved.model.own_parameters(name):,} of the parameters are the '
        'task\'s own.')


def show(path):
  """Prints what a task file says of itself.

  Args:
    path: The file.
  """
  file = task_files.read_task_file(path)
  header = {**file.header, **file.header['model'],
            **{f'signature {key}': value
               for key, value in file.header['signature'].items()},
            **file.header['metadata']}
  for key in ('model', 'signature', 'metadata', 'shared'):
    header.pop(key)
  rows = [('entry', 'value')]
  rows += [(_text(key), _text(value)) for key, value in header.items()]
  rows += [(_text(name), f'{array.dtype}{list(array.shape)}')
           for name, array in file.tensors.items()]
  rows += [('numbers', f'{sum(a.size for a in file.tensors.values()):,}'),
           ('fingerprint of its model', file.fingerprint)]
  width = max(len(value) for _, value in rows)
  print(results_text.align([(key, value.ljust(width)) for key, value in rows]))


def _text(value):
  """A value of a file for a terminal: no control characters, and short."""
  text = value if isinstance(value, str) else json.dumps(value)
  text = ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def write(saved, facts, config):
  """Makes the work directory of a model that was changed.

  Args:
    saved: `SavedModel`, whose model was changed.
    facts: {task: facts of its data} of all tasks that there are now.
    config: What made it, as JSON.
  """
  workdir = shared_flags.WORKDIR.value
  saved_models.save(
      workdir, saved.model, 'smoke' if saved.is_smoke else 'tasks', config,
      facts, saved.step, saved.seconds)
  print(f'Work directory: {workdir}, with the tasks '
        f'{", ".join(saved.model.tasks)}')


def _import(saved):
  path = pathlib.Path(_IMPORT.value)
  file = task_files.read_task_file(path)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    task = task_files.load_task(
        saved.model, path, shared_flags.NAME.value, _FORCE.value)
  metadata = file.header['metadata']
  facts = _facts(metadata, path)
  if shared_flags.TASK.value:
    facts = {key: facts[key] for key in facts if key == 'class_names'}
    facts['dataset'] = shared_flags.TASK.value
  notes = [str(warning.message) for warning in caught
           if issubclass(warning.category, UserWarning)]  # not Keras' own
  if facts['dataset'] is None:
    notes.append('The file names no data set that is known here: to evaluate '
                 'the task, import it with --task=DATASET.')
  size = saved.model.config.image_size
  if metadata.get('image_size', size) != size:
    notes.append(f'The task saw images of side {_text(metadata["image_size"])}'
                 f', and here it will see {size}.')
  for note in notes:
    print(f'warning: {note}', file=sys.stderr)
  return {**saved.tasks, task.task_name: facts}


def _rename(saved):
  old, new = _RENAME.value, shared_flags.NAME.value
  saved.model.rename_task(old, new)
  return {(new if name == old else name):
          {'dataset': old, **facts} if name == old else facts
          for name, facts in saved.tasks.items()}


def _remove(saved):
  if list(saved.model.tasks) == [_REMOVE.value]:
    raise ValueError(f'{_REMOVE.value!r} is the only task of the model: add '
                     'another before it is removed.')
  saved.model.remove_task(_REMOVE.value)
  return {name: facts for name, facts in saved.tasks.items()
          if name != _REMOVE.value}


def _metadata(saved, name):
  """What a task file says of a task's data and training; no paths."""
  facts = saved.tasks[name]
  dataset = facts.get('dataset', name)
  return {**facts, 'dataset': dataset if _is_declared(dataset) else None,
          'image_size': saved.model.config.image_size,
          'value_range': list(_VALUE_RANGE), 'steps': saved.step,
          'weights': shared_flags.WEIGHTS.value}


def _facts(metadata, path):
  """Facts of a task's data, as run.json has them, of a file from anywhere."""
  dataset = metadata.get('dataset')
  facts = {'class_names': metadata.get('class_names'),
           'dataset': dataset if _is_declared(dataset) else None}
  checks = {'splits': _are_splits, 'examples_per_class': _is_count,
            'examples_seed': _is_count}
  for key, is_valid in checks.items():
    if metadata.get(key) is not None:
      if not is_valid(metadata[key]):
        raise ValueError(
            f'Expected facts of data in {path}, received {key}='
            f'{tensor_files.shorten(metadata[key])}: export the task again.')
      facts[key] = metadata[key]
  return facts


def _is_declared(dataset):
  """Whether a name stands for declared data, and not for a path or a pattern.

  What a file from anywhere names is looked up, and never opened.
  """
  if not isinstance(dataset, str):
    return False
  try:
    members = catalog.data_sets([dataset])
  except ValueError:
    return False
  return all(
      name.split('+')[0] in catalog.task_names()
      and set(name.split('+')[1:]) <= set(transforms.TRANSFORMS)
      for name in members)


def _is_count(value):
  return type(value) is int and 0 <= value < 2 ** 31


def _are_splits(splits):
  return isinstance(splits, dict) and all(
      split in pipeline.SPLITS and isinstance(facts, dict)
      and set(facts) in ({'examples', 'labels'}, {'examples', 'files'})
      and _is_count(facts['examples'])
      and isinstance(facts.get('labels', facts.get('files')), str)
      for split, facts in splits.items())


if __name__ == '__main__':
  entry.run(main)
