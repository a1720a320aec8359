"""Image tasks by the names that users type: `mnist`, `kmnist+boundary`.

Besides the declared data sets, `folder:PATH` is a user's own images,
`images:PATH` such without labels and `tfds:NAME` any other TFDS data set;
`pool:mnist|usps` is several tasks taken as one data set.
"""

import difflib

from trainers.data import folders
from trainers.data import prepared
from trainers.data import transforms
from trainers.data.datasets import digits
from trainers.data.datasets import domains
from trainers.data.datasets import groups
from trainers.data.datasets import natural

_FOLDER, _IMAGES, _TFDS, _POOL = 'folder:', 'images:', 'tfds:', 'pool:'
_TASKS = {task.name: task
          for task in (*digits.TASKS, *natural.TASKS, *domains.TASKS)}


def task_names():
  """Returns the names of all declared tasks, without transforms, sorted."""
  return sorted(_TASKS)


def group_names():
  """Returns the names of all groups of tasks, sorted."""
  return sorted(groups.GROUPS)


def get_task(name, data_dir=None):
  """Returns the `ImageTask` called `name`.

  Args:
    name: `<data set>`, or `<data set>+<transform>+...`: transforms are applied
      from left to right. The data set is one of `task_names()`;
      `folder:PATH` or, without labels, `images:PATH`, images as `folders`
      describes them, where only names of transforms at the end are transforms
      and every other '+' belongs to the path; or `tfds:NAME` or
      `tfds:NAME:CONFIGURATION`, prepared data as `prepared` describes it,
      both with `@SPLIT` behind them where that is to be the test split.
    data_dir: TFDS's data directory, where `tfds:` looks. Default None: TFDS's
      own default.

  Raises:
    ValueError: If the data set or a transform does not exist.

  Source: our choice; the transforms are those of Figure 2b.
  """
  base, transform_names = _split_name(name)
  if base.startswith(_FOLDER):
    task = folders.make_task(base, base.removeprefix(_FOLDER))
  elif base.startswith(_IMAGES):
    task = folders.make_unlabelled_task(base, base.removeprefix(_IMAGES))
  elif base.startswith(_TFDS):
    reference = base.removeprefix(_TFDS).replace(':', '/')
    task = prepared.make_task(base, reference, data_dir)
  elif base in _TASKS:
    task = _TASKS[base]
  else:
    raise ValueError(_unknown_message(base))
  transforms.check_names(transform_names)
  return task.with_transforms(transform_names) if transform_names else task


def expand_names(names):
  """Returns `names` with every group replaced by its sources.

  `digits+blur` becomes every source of the group, blurred. Other names are
  left as they are, known or not.
  """
  expanded = []
  for name in names:
    base, *suffixes = name.split('+')
    group = groups.GROUPS.get(base)
    for member in group.sources if group else (base,):
      expanded.append('+'.join((member, *suffixes)))
  return expanded


def group_target(name):
  """Returns the name of the task that a group adapts to.

  Args:
    name: A group. The target of `digits+blur` is blurred, too.

  Returns:
    The task's name, or None for a group without a target.

  Raises:
    ValueError: If there is no such group.

  Source: section 4.4.
  """
  base, *suffixes = name.split('+')
  if base not in groups.GROUPS:
    raise ValueError(
        f'Expected a group of {", ".join(group_names())}, received {base!r}: '
        f'use one of these.')
  target = groups.GROUPS[base].target
  return target and '+'.join((target, *suffixes))


def data_sets(names):
  """Returns the names of all data sets of tasks, those of pools one by one."""
  return [member for name in names for member in pool_members(name) or (name,)]


def pool_members(name):
  """Returns the names of the tasks that a pool consists of.

  Args:
    name: `pool:A|B|...`; members are tasks or groups, each with transforms.

  Returns:
    Names of tasks, known or not, groups replaced by their sources; None if
    `name` does not begin with `pool:`.

  Raises:
    ValueError: If a member has no name or occurs twice.

  Source: section 4.4: the baselines see all sources as one data set.
  """
  if not name.startswith(_POOL):
    return None
  members = tuple(expand_names(name.removeprefix(_POOL).split('|')))
  if not all(members) or len(set(members)) < len(members):
    raise ValueError(
        f'Expected different tasks or groups, as in `pool:mnist|usps`, '
        f'received {name!r}, which is {", ".join(map(repr, members))}: name '
        f'each once.')
  return members


def is_labelled(name):
  """Whether the task or pool of that name has labels."""
  return not any(member.startswith(_IMAGES) for member in data_sets([name]))


def _split_name(name):
  """Returns the data set and the transforms that a name consists of."""
  base, *names = name.split('+')
  if base.startswith((_FOLDER, _IMAGES)):
    while names and not all(part in transforms.TRANSFORMS for part in names):
      base = f'{base}+{names.pop(0)}'
  return base, names


def _unknown_message(base):
  if base.startswith(_POOL):
    return (
        f'Expected one task, received the pool {base!r} of several: use it '
        f'where tasks are trained, or name one of its members.')
  if base in groups.GROUPS:
    return (
        f'Expected one task, received the group {base!r} of '
        f'{", ".join(groups.GROUPS[base].sources)}: name one of them, or use '
        f'the group where several tasks are taken.')
  near = difflib.get_close_matches(base, [*_TASKS, *groups.GROUPS], n=3)
  hint = f'did you mean {" or ".join(near)}?' if near else 'use one of these.'
  families = sorted({known.split('/')[0] + ('/*' if '/' in known else '')
                     for known in _TASKS})
  return (
      f'Expected a data set of {", ".join(families)}, {_FOLDER}PATH (your own '
      f'images), {_IMAGES}PATH (without labels) or {_TFDS}NAME (any other of '
      f'TFDS), optionally followed by +{" or +".join(transforms.TRANSFORMS)}, '
      f'received {base!r}: {hint}')
