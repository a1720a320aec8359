"""What a person sees of a run while it trains."""

import math
import sys
import time

import tqdm


def show(start, steps, is_shown):
  """A bar on a terminal, else plain lines; a context manager.

  Args:
    start: Number of steps done before.
    steps: Number of all steps.
    is_shown: False for workers that show nothing.

  Returns:
    `Bar` or `Lines`.
  """
  is_bar = is_shown and sys.stderr.isatty()
  return (Bar if is_bar else Lines)(start, steps, is_shown)


class Lines:
  """Progress as plain lines, for logs."""

  def __init__(self, start, steps, is_shown):
    self._start, self._steps, self._is_shown = start, steps, is_shown
    self._began = time.monotonic()

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    pass

  def update(self):
    """A step was done."""

  def note(self, done, text):
    """Shows a line about a step."""
    if self._is_shown:
      elapsed = time.monotonic() - self._began
      left = elapsed / (done - self._start) * (self._steps - done)
      print(f'step {done}/{self._steps}: {text}, '
            f'{math.ceil(left)} s left', file=sys.stderr, flush=True)


class Bar(Lines):
  """Progress as a bar, for terminals."""

  def __enter__(self):
    self._bar = tqdm.tqdm(total=self._steps, initial=self._start,
                          unit='step', dynamic_ncols=True)
    return self

  def __exit__(self, *unused):
    self._bar.close()

  def update(self):
    """A step was done."""
    self._bar.update()

  def note(self, done, text):
    """Shows a text beside the bar; validation stays above it."""
    if text.startswith('validation'):
      self._bar.write(f'step {done}: {text}', file=sys.stderr)
    else:
      self._bar.set_postfix_str(text)
