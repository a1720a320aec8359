"""Image tasks by the names that users type: `mnist`, `kmnist+boundary`."""

import difflib

from trainers.data import digits
from trainers.data import natural
from trainers.data import transforms

_TASKS = {task.name: task for task in (*digits.TASKS, *natural.TASKS)}
_GROUPS = {**digits.GROUPS, **natural.GROUPS}


def task_names():
  """Returns the names of all declared tasks, without transforms, sorted."""
  return sorted(_TASKS)


def group_names():
  """Returns the names of all groups of tasks, sorted."""
  return sorted(_GROUPS)


def get_task(name):
  """Returns the `ImageTask` called `name`.

  Args:
    name: `<data set>`, or `<data set>+<transform>+...`: transforms are applied
      from left to right.

  Raises:
    ValueError: If the data set or a transform does not exist.

  Source: our choice; the transforms are those of Figure 2b.
  """
  base, *transform_names = name.split('+')
  if base not in _TASKS:
    raise ValueError(_unknown_message(base))
  transforms.check_names(transform_names)
  task = _TASKS[base]
  return task.with_transforms(transform_names) if transform_names else task


def expand_names(names):
  """Returns `names` with every group replaced by its members.

  `digits+blur` becomes every task of the group, blurred. Other names are left
  as they are, known or not.
  """
  expanded = []
  for name in names:
    base, *suffixes = name.split('+')
    for member in _GROUPS.get(base, (base,)):
      expanded.append('+'.join((member, *suffixes)))
  return expanded


def _unknown_message(base):
  if base in _GROUPS:
    return (
        f'Expected one task, received the group {base!r} of '
        f'{", ".join(_GROUPS[base])}: name one of them, or use the group '
        f'where several tasks are taken.')
  near = difflib.get_close_matches(base, _TASKS, n=3)
  hint = f'did you mean {" or ".join(near)}?' if near else 'use one of these.'
  families = sorted({known.split('/')[0] + ('/*' if '/' in known else '')
                     for known in _TASKS})
  return (
      f'Expected a data set of {", ".join(families)}, optionally followed by '
      f'+{" or +".join(sorted(transforms.TRANSFORMS))}, received {base!r}: '
      f'{hint}')
