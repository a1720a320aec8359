"""The banks of Tables 2, 9 and 10, and what their transfers need (4.3, C.1)."""

import dataclasses
import pathlib

from launch.tables import table_lines
from launch.tables import table_options
from launch.tables import trained_rows
from launch.tables import transfer_rows
from mixture_modules import signatures
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import saved_models

# What makes a bank another one than the paper's.
_COMPARED = ('num_templates', 'num_layers', 'depth_multiplier', 'norm',
             'signature')


@dataclasses.dataclass(frozen=True)
class Bank:
  """A bank, trained or to be trained.

  Args:
    label: What it is called in the table, and in directories.
    key: The bank of `transfer_rows.BANKS` whose place it takes.
    path: Work directory of the model.
    tasks: Names of the tasks it knows.
    config: `RunConfig` of its run.
    is_given: Whether it is trained already, elsewhere.
  """

  label: str
  key: str
  path: pathlib.Path
  tasks: tuple
  config: run_config.RunConfig
  is_given: bool = False


def find_banks(table, options):
  """The banks of a table.

  Args:
    table: `transfer_rows.TransferTable`.
    options: `table_options.TableOptions`.

  Returns:
    List of `Bank`: those that rows name, or else models, or else all.

  Raises:
    ValueError: If there is no such bank, or no finished run in a directory.
  """
  own = options.parse_models(table.tasks, table.main)
  names = table_options.choose(table.tasks, options.rows)
  if own and options.rows is None:
    names = list(own)
  banks = [_given_bank(name, own[name]) if name in own else
           _trained_bank(name, options.workdir) for name in names]
  labels = [bank.label for bank in banks]
  if len(set(labels)) < len(labels):
    raise ValueError('--from must name directories whose names differ, '
                     f'received {",".join(options.models)}.')
  return banks


def check_finished(path):
  """The content of run.json of a finished run.

  Raises:
    ValueError: If there is none in that directory.
  """
  run = records.read_run(path)
  path = pathlib.Path(path)
  # `launch.tasks` has no training to finish.
  if (not (path / records.RESULTS).exists()
      and 'tasks_command' not in run['config']):
    raise ValueError(
        f'Expected a finished run in {path}, received one that has no '
        f'{records.RESULTS}: go on with it with --resume, or name another.')
  return run


def _given_bank(key, path):
  run = check_finished(path)
  config = saved_models.parse_config(run['config'])
  tasks = tuple(run.get('data') or config.tasks)
  paper = trained_rows.make_config(transfer_rows.BANKS[key])
  is_paper = set(tasks) == set(paper.tasks) and (
      _identity(config.model) == _identity(paper.model))
  label = key if is_paper else f'from_{path.resolve().name}'
  return Bank(label, key, path, tasks, config, is_given=True)


def _trained_bank(key, workdir):
  config = trained_rows.make_config(transfer_rows.BANKS[key])
  return Bank(key, key, table_lines.directory(workdir, key, 'bank'),
              config.tasks, config)


def _identity(model):
  values = [getattr(model, name) for name in _COMPARED]
  if model.signature in signatures.TRAINED:
    values.append(model.signature_init)
  return values


def check(table, banks, options):
  """Checks that the new tasks of a table can be learnt on its banks.

  Args:
    table: `transfer_rows.TransferTable`.
    banks: List of `Bank`.
    options: `table_options.TableOptions`.

  Raises:
    ValueError: If a data set does not exist, a bank knows a new task already
      or was trained on made-up images, or there is no head to share where the
      table's methods tune none.
  """
  for bank in banks:
    run = records.read_run(bank.path) if bank.is_given else {}
    if run.get('kind') == 'smoke' and not options.smoke:
      raise ValueError(f'{bank.path} was trained on made-up images: add '
                       '--smoke, or name another bank.')
    methods = [method for method in table.methods if method.bank == bank.key]
    headless = [method for method in methods if 'head' not in method.tune]
    for name in options.new_tasks or table.tasks[bank.key]:
      if name in bank.tasks:
        raise ValueError(
            f'Bank {bank.label} knows {name} already, which cannot be a new '
            f'task: name others with --task, or another bank.')
      data, = pipeline.load_tasks(
          [name], bank.config.model.image_size, options.data_dir).values()
      if headless and not _has_head(
          bank, run, data, headless[0].changes.get('head') == 'shared',
          options.data_dir):
        raise ValueError(
            f'{table.title.partition(":")[0]} tunes no head: expected a bank '
            f'whose tasks share one head, of the classes of {name}; received '
            f'{bank.label} ({bank.path}) without. Name a bank that was trained '
            'with --shared_head, or other new tasks with --task; Table 2 '
            'tunes heads.')


def _has_head(bank, run, data, is_named, data_dir):
  """Whether a new task gets the one head of the bank's tasks."""
  heads = _heads(bank)
  if len(set(heads)) != 1:
    return False
  if is_named and 'shared' in heads:
    return True  # names of classes need not be known
  if bank.is_given:
    classes = [facts.get('class_names') for facts in run.get(
        'data', {}).values()]
  else:
    classes = [known.class_names for known in pipeline.load_tasks(
        bank.tasks, bank.config.model.image_size, data_dir).values()]
  return bool(data.class_names) and list(data.class_names) in [
      list(names) for names in classes if names]


def _heads(bank):
  """Name of the head of each task."""
  store = checkpoints.Checkpoints(bank.path / records.CHECKPOINTS)
  model = store.load()[2].get('model') if store.latest() else None
  if bank.is_given and model:
    return [task['head'] for task in model['tasks']]
  return ['shared' if bank.config.shared_head else name for name in bank.tasks]
