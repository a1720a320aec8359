"""The banks of Tables 2, 9 and 10, and what their transfers need (4.3, C.1)."""

import dataclasses
import pathlib

from launch.tables import transfer_rows
from mixture_modules import signatures
from trainers.data import pipeline
from trainers.data.datasets import builders
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
    flags: Of `launch.train`, if it is to be trained; else None.
  """

  label: str
  key: str
  path: pathlib.Path
  tasks: tuple
  config: run_config.RunConfig
  flags: tuple | None = None

  @property
  def training(self):
    """`RunConfig` of one new task, for flags of a transfer to be tried on."""
    return self.config.replace(
        tasks=('new',), shared_head=False, loss_weights=1.0,
        batch_size=max(self.config.task_batch_sizes().values()))


def find_banks(table, workdir, given=None, names=None):
  """The banks of a table.

  Args:
    table: `transfer_rows.TransferTable`.
    workdir: Directory of the table.
    given: Text of --from: work directories of trained models, `BANK=DIR` or,
      for the table's main bank, `DIR`, parted by commas. Default: all banks
      are trained.
    names: Names of banks. Default: all that are given, or else all.

  Returns:
    List of `Bank`.

  Raises:
    ValueError: If there is no such bank, or no finished run in a directory.
  """
  known = list(table.tasks)
  own = {}
  for text in given.split(',') if given else ():
    key, _, path = text.rpartition('=')
    key = key or table.main
    if key not in known:
      raise ValueError(f'--from must be BANK=DIR with a bank of {known}, '
                       f'received {text!r}.')
    own[key] = pathlib.Path(path)
  wanted = names if names is not None else list(own) or known
  wrong = [name for name in wanted if name not in known]
  if wrong:
    raise ValueError(f'--rows must be banks of {known}, received {wrong}.')
  banks = [_given_bank(key, own[key]) if key in own else
           _trained_bank(key, workdir) for key in dict.fromkeys(wanted)]
  labels = [bank.label for bank in banks]
  if len(set(labels)) < len(labels):
    raise ValueError('--from must name directories whose names differ, '
                     f'received {given!r}.')
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
  paper = _paper_config(key)
  is_paper = set(tasks) == set(paper.tasks) and (
      _identity(config.model) == _identity(paper.model))
  label = key if is_paper else f'from_{path.resolve().name}'
  return Bank(label, key, path, tasks, config)


def _trained_bank(key, workdir):
  config = _paper_config(key)
  return Bank(key, key, directory(workdir, key, 'bank'), config.tasks, config,
              transfer_rows.BANKS[key])


def _paper_config(key):
  """`RunConfig` of one of `transfer_rows.BANKS`."""
  values = dict(flag.removeprefix('--').split('=')
                for flag in transfer_rows.BANKS[key])
  config = run_config.recipe(values.pop('preset'))
  return config.replace(**{
      name: type(getattr(config.model, name))(value)
      for name, value in values.items()})


def _identity(model):
  values = [getattr(model, name) for name in _COMPARED]
  if model.signature in signatures.TRAINED:
    values.append(model.signature_init)
  return values


def directory(workdir, *names):
  """A directory under that of a table."""
  return pathlib.Path(workdir).joinpath(
      *(name.replace('/', '_').replace(':', '_') for name in names))


def check(table, banks, tasks=None, smoke=False, data_dir=None):
  """Checks that the new tasks of a table can be learnt on its banks.

  Args:
    table: `transfer_rows.TransferTable`.
    banks: List of `Bank`.
    tasks: Names of the new tasks. Default: the paper's.
    smoke: Whether the transfers see made-up images.
    data_dir: TFDS's data directory, or None for its own.

  Raises:
    ValueError: If a data set does not exist, a bank knows a new task already
      or was trained on made-up images, or there is no head to share where the
      table's methods tune none.
  """
  for bank in banks:
    run = {} if bank.flags is not None else records.read_run(bank.path)
    if run.get('kind') == 'smoke' and not smoke:
      raise ValueError(f'{bank.path} was trained on made-up images: add '
                       '--smoke, or name another bank.')
    methods = [method for method in table.methods if method.bank == bank.key]
    headless = [m for m in methods if 'head' not in m.tune.split(',')]
    for name in tasks or table.tasks[bank.key]:
      if name in bank.tasks:
        raise ValueError(
            f'Bank {bank.label} knows {name} already, which cannot be a new '
            f'task: name others with --task, or another bank.')
      data, = pipeline.load_tasks(
          [name], bank.config.model.image_size, data_dir).values()
      if headless and not _has_head(
          bank, run, data, '--head=shared' in headless[0].flags, data_dir):
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
  if bank.flags is not None:
    classes = [known.class_names for known in pipeline.load_tasks(
        bank.tasks, bank.config.model.image_size, data_dir).values()]
  else:
    classes = [facts.get('class_names') for facts in run.get(
        'data', {}).values()]
  return bool(data.class_names) and list(data.class_names) in [
      list(names) for names in classes if names]


def _heads(bank):
  """Name of the head of each task."""
  store = checkpoints.Checkpoints(bank.path / records.CHECKPOINTS)
  model = store.load()[2].get('model') if store.latest() else None
  if bank.flags is None and model:
    return [task['head'] for task in model['tasks']]
  return ['shared' if bank.config.shared_head else name for name in bank.tasks]


def check_data(jobs, part='rows'):
  """Checks that the data of what is left to run is prepared.

  Args:
    jobs: {part of the table, such as a bank: its `table_runs.Job`s}.
    part: The flag that chooses among these.

  Raises:
    ValueError: If it is not; the message says of which data sets, how to
      prepare them, and which parts need none of them.
  """
  needed = {
      key: {(name, job.data_dir) for job in own if not job.is_done()
            for name in job.datasets} for key, own in jobs.items()}
  faults = {}
  for name, data_dir in sorted(set().union(*needed.values())):
    try:
      for task in pipeline.load_tasks([name], 1, data_dir)[name].tasks:
        builders.check_prepared(task, data_dir)
    except ValueError as error:
      faults[name, data_dir] = str(error)
  if not faults:
    return
  ready = [key for key, names in needed.items() if not names & set(faults)]
  without = (f'--{part}={",".join(ready)}' if ready else
             'trained banks with --from, or other new tasks with --task'
             if part == 'rows' else 'another --column or --target')
  raise ValueError('\n'.join([
      'Expected the data of all that is to be run, of which some is missing; '
      'nothing was run.', *faults.values(),
      'Then call the same command again; or go on without that data: give '
      f'{without}.']))
