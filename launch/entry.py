"""How every command starts and ends; it needs no TensorFlow."""

import contextlib
import os
import re
import signal
import sys
import traceback
import warnings

from absl import app
from absl import flags
from absl import logging

_TRACEBACK = flags.DEFINE_bool(
    'traceback', False, 'Show where in the code an error came from.')


def run(main, command_flags):
  """Runs a command; bad input ends it with one clear line.

  Each command brings its own flags, so that it has those that it uses and no
  other, and modules of several commands can be imported together.

  Exit status: 0; 1 after an error; 128 + n after signal n, in training once a
  checkpoint is saved.

  Args:
    main: Function of nothing.
    command_flags: `flags.FlagValues` of the command.
  """
  def guarded(argv):
    command_flags.mark_as_parsed()
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    _show_warnings(warnings.showwarning)
    try:
      if len(argv) > 1:
        raise ValueError(f'Expected flags only, received {argv[1:]}: begin '
                         'each with --.')
      main()
    except KeyboardInterrupt as stop:  # or `loop.Interrupted`
      print(str(stop) or 'Stopped by SIGINT; what is not in a checkpoint is '
            'lost.', file=sys.stderr)
      sys.exit(128 + getattr(stop, 'signal_number', signal.SIGINT))
    except (ValueError, OSError) as error:
      if _TRACEBACK.value:
        traceback.print_exc()
      print(f'error: {error}', file=sys.stderr)
      for missing in getattr(error, 'missing', ()):
        print(_how_to_make(missing), file=sys.stderr)
      sys.exit(1)

  flags.FLAGS.append_flag_values(command_flags)
  for name in command_flags:  # those that --help shows
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], command_flags[name])
  for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, 'reconfigure'):  # others print what they are given
      stream.reconfigure(errors='backslashreplace')
  with (contextlib.redirect_stdout(_Shown(sys.stdout)),
        contextlib.redirect_stderr(_Shown(sys.stderr))):
    logging.get_absl_handler().python_handler.setStream(sys.stderr)
    app.run(guarded, [sys.argv[0], *map(_expand_home, sys.argv[1:])])


class _Shown:
  """A stream on which names of classes, folders and tasks only show.

  Of a terminal's controls it passes on those of lines and of bars of progress:
  a return that begins a text, and a text that only moves up. Others, and marks
  that turn the direction of text, are shown as Python writes them.

  Args:
    stream: Text stream.
  """

  _UNSHOWN = re.compile(
      '(?!^\r)[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f'
      '\u2028-\u202e\u2066-\u2069]')

  def __init__(self, stream):
    self._stream = stream

  def write(self, text):
    """Writes a text; as of any stream."""
    if not re.fullmatch('(\x1b\\[A)*', text):
      text = self._UNSHOWN.sub(
          lambda found: found[0].encode('unicode_escape').decode(), text)
    return self._stream.write(text)

  def __getattr__(self, name):
    return getattr(self._stream, name)


def _expand_home(argument):
  """`~` where a path begins, which shells leave alone within an argument."""
  home = os.path.expanduser('~')
  return re.sub(r'(?<=[=:,])~(?=/|$)', lambda _: home, argument)


def _how_to_make(missing):
  """The commands for a `missing_data.Missing`, of which any will do."""
  commands = []
  if missing.task:
    commands.append(f'python -m launch.data --tasks={missing.task} --prepare')
  if missing.tfds_name:
    commands.append(f'tfds build {missing.tfds_name}')
  if missing.class_list:
    commands.append(
        f'python -m launch.data --write_class_list={missing.class_list}')
  commands = ' or '.join(
      f'`{command} --data_dir={missing.data_dir}`' for command in commands)
  return f'To make what is missing: {commands}.'


def _show_warnings(show_others):
  """Shows warnings of our own as a line for people, others as they are."""
  def show(message, category, *args, **kwargs):
    if category is UserWarning:
      print(f'warning: {message}', file=sys.stderr, flush=True)
    else:
      show_others(message, category, *args, **kwargs)

  warnings.showwarning = show
