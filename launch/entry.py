"""How every command starts and ends."""

import signal
import sys
import traceback

from absl import app
from absl import flags
from absl import logging

from trainers import loop

_TRACEBACK = flags.DEFINE_bool(
    'traceback', False, 'Show where in the code an error came from.')


def run(main):
  """Runs a command; bad input ends it with one clear line.

  Exit status: 0; 1 after an error; 128 + n after signal n, in training once a
  checkpoint is saved.

  Args:
    main: Function of argv.
  """
  def guarded(argv):
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    try:
      main(argv)
    except loop.Interrupted as stop:
      print(stop, file=sys.stderr)
      sys.exit(128 + stop.signal_number)
    except KeyboardInterrupt:
      print('Stopped by SIGINT; what is not in a checkpoint is lost.',
            file=sys.stderr)
      sys.exit(128 + signal.SIGINT)
    except (ValueError, OSError) as error:
      if _TRACEBACK.value:
        traceback.print_exc()
      print(f'error: {error}', file=sys.stderr)
      sys.exit(1)

  app.run(guarded)
