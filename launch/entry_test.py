"""Tests of how commands start and end, and of the flags of each."""

import ast
import contextlib
import importlib
import io
import os
import pathlib
import signal
import sys
from unittest import mock
import warnings

from absl import app
from absl import flags
from absl import logging
from absl.testing import absltest
from absl.testing import flagsaver
from absl.testing import parameterized

from launch import entry
from trainers import loop
from trainers.data.datasets import missing_data

_LAUNCH = pathlib.Path(entry.__file__).parent
COMMANDS = sorted(
    path.stem for path in _LAUNCH.glob('*.py')
    if "\nif __name__ == '__main__':" in path.read_text('utf-8')
    and not path.stem.endswith('_test'))


def _import(name):
  return importlib.import_module(f'launch.{name}')


class CommandsTest(parameterized.TestCase):

  def test_are_all_seen(self):
    self.assertContainsSubset(
        ['adapt', 'benchmark', 'benchmark_backend', 'data', 'evaluate', 'fold',
         'report', 'reproduce', 'tasks', 'train', 'transfer'], COMMANDS)

  @parameterized.parameters(COMMANDS)
  def test_has_flags_of_its_own_with_help(self, name):
    command = _import(name)
    self.assertNotEmpty(list(command.FLAGS))
    for flag in map(command.FLAGS.__getitem__, command.FLAGS):
      self.assertGreater(len(flag.help), 10, flag.name)
      self.assertNotIn(flag.name, flags.FLAGS)

  @parameterized.parameters(COMMANDS)
  def test_uses_each_of_its_flags(self, name):
    tree = ast.parse((_LAUNCH / f'{name}.py').read_text('utf-8'))
    defined = {target.id for node in tree.body if isinstance(node, ast.Assign)
               for target in node.targets if isinstance(target, ast.Name)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)}
    self.assertEmpty(defined - used)

  @parameterized.parameters(COMMANDS)
  def test_starts_as_others_do(self, name):
    self.assertEndsWith((_LAUNCH / f'{name}.py').read_text('utf-8'),
                        "\n\n\nif __name__ == '__main__':\n"
                        '  entry.run(main, FLAGS)\n')

  @parameterized.parameters(COMMANDS)
  def test_refuses_flags_of_others(self, name):
    command = _import(name)
    command.FLAGS.unparse_flags()
    with self.assertRaises(flags.UnrecognizedFlagError):
      command.FLAGS([name, '--not_a_flag_of_any=1'])
    command.FLAGS.unparse_flags()


class RunTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.enterContext(warnings.catch_warnings())
    warnings.simplefilter('always')
    self.enterContext(flagsaver.flagsaver())
    self.addCleanup(logging.set_verbosity, logging.get_verbosity())

  def run_main(self, main, *arguments, argv=('command',)):
    """(exit status, standard error) of a command with a flag --size."""
    own = flags.FlagValues()
    flags.DEFINE_integer('entry_test_size', 1, 'How large.', flag_values=own)
    self.addCleanup(flags.FLAGS.remove_flag_values, own)

    def run_app(guarded, argv):
      guarded(flags.FLAGS(argv))

    with (mock.patch.object(app, 'run', run_app),
          mock.patch.object(sys, 'argv', [*argv, *arguments]),
          contextlib.redirect_stderr(io.StringIO()) as error):
      try:
        entry.run(lambda: main(own), own)
      except SystemExit as stop:
        return stop.code, error.getvalue()
    return 0, error.getvalue()

  def test_reads_the_command_s_flags(self):
    sizes = []
    self.assertEqual(
        self.run_main(lambda own: sizes.append(own.entry_test_size),
                      '--entry_test_size=3'), (0, ''))
    self.assertEqual(sizes, [3])

  @parameterized.parameters(
      ('--entry_test_path=~/runs/a', '--entry_test_path={home}/runs/a'),
      ('--entry_test_path=~', '--entry_test_path={home}'),
      ('--entry_test_path=folder:~/a,folder:~/b',
       '--entry_test_path=folder:{home}/a,folder:{home}/b'),
      ('--entry_test_path=a~/b', '--entry_test_path=a~/b'),
      ('--entry_test_path=~a/b', '--entry_test_path=~a/b'))
  def test_expands_the_home_directory(self, given, expected):
    flags.DEFINE_string('entry_test_path', None, 'Where.')
    self.addCleanup(flags.FLAGS.__delattr__, 'entry_test_path')
    seen = []
    self.assertEqual((0, ''), self.run_main(
        lambda own: seen.append(flags.FLAGS.entry_test_path), given))
    home = os.path.expanduser('~')
    self.assertEqual([expected.format(home=home).split('=', 1)[1]], seen)

  def test_prints_on_a_terminal_of_few_letters(self):
    terminal = io.TextIOWrapper(io.BytesIO(), 'ascii')
    with contextlib.redirect_stdout(terminal):
      self.assertEqual((0, ''), self.run_main(lambda own: print('97 ± 1')))
    terminal.flush()
    self.assertEqual(b'97 \\xb1 1\n', terminal.buffer.getvalue())

  @parameterized.parameters(
      ('\x1b[31mcat', r'\x1b[31mcat'), ('\x9b2Jcat', r'\x9b2Jcat'),
      ('a\rcat', r'a\rcat'), ('\x07\x08\x7f', r'\x07\x08\x7f'),
      ('cat\u202etac', r'cat\u202etac'),
      ('\u2066cat\u2069', r'\u2066cat\u2069'), ('a\u2028b', r'a\u2028b'),
      ('Katze \u732b \U0001f408', None), ('a\tb\nc', None),
      ('\r 97%|###', None), ('\x1b[A\x1b[A', None))
  def test_names_only_show(self, name, shown):
    def say(own):
      del own
      print(name)
      print(name, file=sys.stderr)
      warnings.warn(name, stacklevel=1)
      self.assertIs(
          logging.get_absl_handler().python_handler.stream, sys.stderr)
      raise ValueError(name)

    with contextlib.redirect_stdout(io.StringIO()) as output:
      _, error = self.run_main(say)
    shown = name if shown is None else shown
    self.assertEqual(output.getvalue(), f'{shown}\n')
    shown = shown.replace('\x1b', r'\x1b').replace('\r', r'\r')
    for text in (f'warning: {shown}\n', f'error: {shown}\n'):
      self.assertIn(text, error)

  def test_streams_are_as_before_once_it_ends(self):
    before = sys.stdout, sys.stderr
    self.run_main(lambda own: None)
    self.assertEqual((sys.stdout, sys.stderr), before)

  def test_refuses_words(self):
    ran = []
    status, error = self.run_main(ran.append, argv=('command', 'mnist'))
    self.assertEqual((status, ran), (1, []))
    self.assertRegex(error, r"^error: Expected flags only.*\['mnist'\].*\n$")

  def test_warning_is_one_line(self):
    self.assertEqual(
        self.run_main(lambda own: warnings.warn('Beware.', stacklevel=1)),
        (0, 'warning: Beware.\n'))

  def test_warning_of_another_kind_stays_as_it_is(self):
    others = []
    warnings.showwarning = lambda _, kind, *__: others.append(kind)
    self.assertEqual(
        self.run_main(
            lambda own: warnings.warn('Old.', FutureWarning, stacklevel=1)),
        (0, ''))
    self.assertEqual(others, [FutureWarning])

  @parameterized.parameters(
      (ValueError('Bad.'), 1, 'error: Bad.\n'),
      (FileNotFoundError(2, 'No such file', 'x'), 1,
       "error: [Errno 2] No such file: 'x'\n"),
      (missing_data.MissingDataError('No b.', [
          missing_data.Missing('/d', task='b+blur', tfds_name='b'),
          missing_data.Missing('/d', class_list='most')]), 1,
       'error: No b.\nTo make what is missing: `python -m launch.data '
       '--tasks=b+blur --prepare --data_dir=/d` or `tfds build b '
       '--data_dir=/d`.\nTo make what is missing: `python -m launch.data '
       '--write_class_list=most --data_dir=/d`.\n'),
      (KeyboardInterrupt(), 128 + signal.SIGINT,
       'Stopped by SIGINT; what is not in a checkpoint is lost.\n'),
      (loop.Interrupted('Stopped at 3.', signal.SIGTERM),
       128 + signal.SIGTERM, 'Stopped at 3.\n'))
  def test_ends(self, raised, status, text):
    def fail(own):
      del own
      raise raised

    self.assertEqual(self.run_main(fail), (status, text))

  def test_shows_a_traceback_if_asked(self):
    def fail(own):
      raise ValueError(f'Bad {own.entry_test_size}.')

    _, error = self.run_main(fail, '--traceback')
    self.assertRegex(error, r'(?s)^Traceback .*in fail.*\nerror: Bad 1\.\n$')

  def test_hides_no_fault_of_the_code(self):
    with self.assertRaises(ZeroDivisionError):
      self.run_main(lambda own: 1 / 0)


if __name__ == '__main__':
  absltest.main()
