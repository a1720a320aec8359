"""Runs a command in the process of a test, its flags read anew."""

import contextlib
import io


def run(command, *arguments):
  """Calls a command's `main` with flags, as `entry.run` does.

  Args:
    command: Module of the command.
    *arguments: Its arguments, such as '--workdir=runs/a'.

  Returns:
    What it printed on standard output.

  Raises:
    ValueError: As the command does.
    flags.Error: If a flag does not exist, or a value is of another type.
  """
  command.FLAGS.unparse_flags()
  command.FLAGS([command.__name__, *arguments])
  output = io.StringIO()
  with contextlib.redirect_stdout(output):
    command.main()
  return output.getvalue()
