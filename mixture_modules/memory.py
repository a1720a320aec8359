"""Whether what is asked for can fit into this machine, before it is made."""

import contextlib
import os
import pathlib

# What a container may use, of cgroups 2 and 1.
_LIMITS = ('/sys/fs/cgroup/memory.max',
           '/sys/fs/cgroup/memory/memory.limit_in_bytes')


def total():
  """Bytes of memory that this machine or container has; None if unknown."""
  found = []
  with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows
    found.append(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'))
  for path in _LIMITS:
    with contextlib.suppress(OSError, ValueError):  # 'max' is no number
      found.append(int(pathlib.Path(path).read_text()))
  return min(found, default=None)


def check(needs, remedy):
  """Refuses what cannot fit into memory, whatever else is in it.

  Args:
    needs: {what: bytes that it takes at least}.
    remedy: What to do, without a full stop.

  Raises:
    ValueError: If all of it needs more than there is.
  """
  there, needed = total(), sum(needs.values())
  if there is not None and needed > there:
    listed = ', '.join(f'{_text(size)} for {what}'
                       for what, size in needs.items() if size)
    raise ValueError(
        f'Expected what fits into the {_text(there)} of memory of this '
        f'machine, received what needs at least {_text(needed)} ({listed}): '
        f'{remedy}.')


def _text(num_bytes):
  return f'{num_bytes / 2 ** 30:,.1f} GiB'
