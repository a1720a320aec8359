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

import pathlib
import warnings

from absl import flags

from launch import entry
from launch.reports import task_text
from mixture_modules import task_format
from mixture_modules.isometric import task_files
from trainers.runs import origins
from trainers.runs import records
from trainers.runs import saved_models
from trainers.runs import task_metadata

FLAGS = flags.FlagValues()
_FROM = flags.DEFINE_string(
    'from', None, 'Work directory of the model; it is only read.',
    flag_values=FLAGS)
_EXPORT = flags.DEFINE_string(
    'export', None, 'Task to write to --output.', flag_values=FLAGS)
_IMPORT = flags.DEFINE_string(
    'import', None, 'Task file to add to the model: as --name, and with the '
    'data of --task where the file does not name the data set.',
    flag_values=FLAGS)
_RENAME = flags.DEFINE_string(
    'rename', None, 'Task to call --name from now on.', flag_values=FLAGS)
_REMOVE = flags.DEFINE_string(
    'remove', None, 'Task to remove.', flag_values=FLAGS)
_SHOW = flags.DEFINE_string(
    'show', None, 'Task file to describe.', flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string(
    'output', None, 'New task file for --export.', flag_values=FLAGS)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'New work directory for the changed model.',
    flag_values=FLAGS)
_NAME = flags.DEFINE_string(
    'name', None, 'New name of the task. Default of --import: as in its file.',
    flag_values=FLAGS)
_TASK = flags.DEFINE_string(
    'task', None, 'Data set of the task of --import.', flag_values=FLAGS)
_FORCE = flags.DEFINE_bool(
    'force', False, 'Import a task that was trained on other weights of a '
    'bank of the same kind.', flag_values=FLAGS)
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', saved_models.WEIGHTS, 'Averaged weights or the last '
    'ones.', flag_values=FLAGS)

# What each command needs besides, and what it may have.
_COMMANDS = {
    'show': ((), ()),
    'export': (('from', 'output'), ('weights',)),
    'import': (('from', 'workdir'), ('name', 'task', 'force', 'weights')),
    'rename': (('from', 'name', 'workdir'), ('weights',)),
    'remove': (('from', 'workdir'), ('weights',))}


def main():
  """Does what the flags ask for."""
  command = _command()
  if command == 'show':
    print(task_text.format_file(task_format.read_task_file(_SHOW.value)))
    return
  if command in ('import', 'rename', 'remove'):
    records.check(_WORKDIR.value, {}, 'tasks', resume=False)
  saved = origins.load(_FROM.value, _WEIGHTS.value)
  if command == 'list':
    print(task_text.format_tasks(saved))
  elif command == 'export':
    _export(saved, _EXPORT.value, _OUTPUT.value)
  else:
    change = {'import': _import, 'rename': _rename, 'remove': _remove}[command]
    _write(saved, command, change(saved))


def _command():
  """The command that the flags name; an error if they do not fit together."""
  asked = [name for name in _COMMANDS if FLAGS[name].value is not None]
  if len(asked) > 1:
    raise ValueError(f'Expected one of --{" --".join(_COMMANDS)}, received '
                     f'--{" --".join(asked)}: give them one after another.')
  command = asked[0] if asked else 'list'
  needed, allowed = _COMMANDS.get(command, (('from',), ('weights',)))
  for name in needed:
    if not FLAGS[name].value:
      raise ValueError(
          f'--{name} is needed'
          + (f' by --{command}: see --help.' if asked else
             ': the work directory of a model, to list its tasks, or --show '
             'and a task file.'))
  for name in FLAGS:
    if FLAGS[name].present and name not in (command, *needed, *allowed):
      raise ValueError(f'There is no use for --{name} here: leave it out.')
  return command


def _export(saved, name, path):
  """Writes a task file and says what is in it."""
  size = task_files.save_task(
      saved.model, saved.model.task(name).task_name, path,
      task_metadata.describe(saved, name))
  print(f'Task file: {path}, {size:,} bytes; '
        f'{saved.model.own_parameters(name):,} of the parameters are the '
        'task\'s own.')


def _write(saved, command, facts):
  """Makes the work directory of a model that was changed.

  Args:
    saved: `SavedModel`, whose model was changed.
    command: What changed it.
    facts: {task: facts of its data} of all tasks that there are now.
  """
  config = {**saved.config.to_json(), 'tasks_command': {
      'from': _FROM.value, command: FLAGS[command].value,
      'name': _NAME.value}}
  saved_models.save(
      _WORKDIR.value, saved.model, 'smoke' if saved.is_smoke else 'tasks',
      config, facts, saved.step, saved.seconds)
  print(f'Work directory: {_WORKDIR.value}, with the tasks '
        f'{", ".join(saved.model.tasks)}')


def _import(saved):
  path = pathlib.Path(_IMPORT.value)
  metadata = task_format.read_task_file(path).header['metadata']
  task = task_files.load_task(saved.model, path, _NAME.value, _FORCE.value)
  facts = task_metadata.read(metadata, path)
  if _TASK.value:
    facts = {'dataset': _TASK.value, **{
        key: facts[key] for key in ('class_names', 'view') if key in facts}}
  if facts['dataset'] is None:
    warnings.warn('The file names no data set that is known here: to evaluate '
                  'the task, import it with --task=DATASET.', stacklevel=2)
  size = saved.model.config.image_size
  if metadata.get('image_size', size) != size:
    warnings.warn(
        'The task saw images of side '
        f'{task_text.shorten(metadata["image_size"])}, and here it will see '
        f'{size}.', stacklevel=2)
  return {**saved.tasks, task.task_name: facts}


def _rename(saved):
  old, new = _RENAME.value, _NAME.value
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


if __name__ == '__main__':
  entry.run(main, FLAGS)
