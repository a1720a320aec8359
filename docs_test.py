"""Runs the pages: their Python, their commands, their links."""

import contextlib
import importlib
import pathlib
import re
import shlex
import tempfile
import unittest
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from trainers.adaptation import methods
from trainers.data import transforms

_ROOT = pathlib.Path(__file__).parent
_PAGES = {path.relative_to(_ROOT).as_posix(): path for path in (
    _ROOT / 'README.md', *sorted((_ROOT / 'docs').glob('*.md')))}
_COMMAND = re.compile(r'python3? -m (launch\.[a-z_]+)(.*)')
_LINK = re.compile(r'\]\(([^)\s]+)\)')
_PATH = re.compile(r'`((?:docs|launch|mixture_modules|trainers)/[\w./]+)`')
# What a page tells its reader to write.
_NEW = {'trainers/adaptation/entropy_minimization.py',
        'trainers/adaptation/entropy_minimization_test.py',
        'trainers/data/datasets/stripes.py'}


def blocks(text, language):
  """(line where it begins, text) of each fenced block of a language."""
  found = re.finditer(
      rf'^```{language}\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
  return [(text.count('\n', 0, match.start(1)) + 1, match[1])
          for match in found]


def commands(text):
  """(module, arguments) of each command of ours, in blocks and inline."""
  lines = [line for _, block in blocks(text, 'bash')
           for line in block.replace('\\\n', ' ').split('\n')]
  prose = re.sub(r'^```.*?^```$', '', text, flags=re.MULTILINE | re.DOTALL)
  lines += [code.replace('\n', ' ')
            for code in re.findall(r'`([^`]+)`', prose)]
  found = []
  for line in lines:
    match = _COMMAND.search(line)
    if match:
      found.append((match[1], shlex.split(match[2], comments=True)))
  return found


def command_names():
  """Names of all commands."""
  return {path.stem for path in (_ROOT / 'launch').glob('*.py')
          if "__name__ == '__main__'" in path.read_text('utf-8')
          and not path.stem.endswith('_test')}


def parse(module, arguments):
  """Parses arguments by a command's own flags.

  Raises:
    ValueError: If there is an argument that is no flag.
    absl.flags.Error: If there is no such flag, or its value is wrong.
  """
  values = importlib.import_module(module).FLAGS
  values.unparse_flags()
  rest = values([module, *arguments])[1:]
  if rest:
    raise ValueError(f'Expected flags only, received {rest}.')


def mentioned_flags(text):
  """Names of the flags that stand alone in inline code, as `--seed=0`."""
  return {match for code in re.findall(r'`([^`\n]+)`', text)
          if not _COMMAND.search(code)
          for match in re.findall(r'(?<!\S)--([a-z_]\w*)', code)}


def anchors(text):
  """The anchors that a page's headings have on the web."""
  text = re.sub(r'^```.*?^```$', '', text, flags=re.MULTILINE | re.DOTALL)
  headings = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
          for heading in headings}


class DocsTest(parameterized.TestCase):

  @parameterized.named_parameters((name, name) for name in _PAGES)
  def test_python(self, name):
    self.enter_context(contextlib.chdir(
        self.enter_context(tempfile.TemporaryDirectory())))
    namespace = {'__name__': 'page'}
    # What a page adds to these tables goes with it.
    for table in (transforms.TRANSFORMS, methods.METHODS):
      self.enter_context(mock.patch.dict(table))
    for line, block in blocks(_PAGES[name].read_text('utf-8'), 'python'):
      # Lines of errors are those of the page.
      code = compile('\n' * (line - 1) + block, name, 'exec')
      exec(code, namespace)  # pylint: disable=exec-used
    for case in list(namespace.values()):
      if isinstance(case, type) and issubclass(case, unittest.TestCase):
        found = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(found)
        self.assertEmpty([text for _, text in found.errors + found.failures])
        self.assertNotEqual(found.testsRun, 0)

  @parameterized.named_parameters((name, name) for name in _PAGES)
  def test_commands(self, name):
    for module, arguments in commands(_PAGES[name].read_text('utf-8')):
      with self.subTest(' '.join([module, *arguments])):
        parse(module, arguments)

  @parameterized.named_parameters((name, name) for name in _PAGES)
  def test_links(self, name):
    path = _PAGES[name]
    for link in _LINK.findall(path.read_text('utf-8')):
      file, _, anchor = link.partition('#')
      if '://' in link:
        continue
      with self.subTest(link):
        target = (path.parent / file).resolve() if file else path
        self.assertTrue(target.exists())
        if anchor:
          self.assertIn(anchor, anchors(target.read_text('utf-8')))

  def test_paths(self):
    found = {path for page in _PAGES.values()
             for path in _PATH.findall(page.read_text('utf-8'))}
    self.assertContainsSubset(_NEW, found)
    self.assertEqual(
        {path for path in found if not (_ROOT / path).exists()}, _NEW)

  def test_flags_of_each_command(self):
    text = _PAGES['docs/commands.md'].read_text('utf-8')
    sections = dict(re.findall(
        r'^## (\w+)\n(.*?)(?=^## |\Z)', text, re.MULTILINE | re.DOTALL))
    self.assertEqual(set(sections), command_names())
    for name, section in sections.items():
      with self.subTest(name):
        known = importlib.import_module(f'launch.{name}').FLAGS
        self.assertContainsSubset(mentioned_flags(section), set(known))

  def test_flags_of_other_pages(self):
    known = {'help', 'traceback'}.union(*(
        importlib.import_module(f'launch.{name}').FLAGS
        for name in command_names()))
    for name, path in _PAGES.items():
      with self.subTest(name):
        self.assertContainsSubset(
            mentioned_flags(path.read_text('utf-8')), known)

  def test_readme_is_a_front_page(self):
    lines = _PAGES['README.md'].read_text('utf-8').splitlines()
    self.assertLessEqual(len(lines), 150)

  def test_finds_what_it_checks(self):
    text = '\n'.join([
        '# A page: 1', '', 'Give `python -m launch.train --seed=1 --resume`',
        'or `--steps=3`, see [this](there.md#a-page-1).', '```bash',
        "python -m launch.adapt --rows='*/a' \\", '    --seed=2  # so',
        '```', '```python', 'x = 1', '```', ''])
    self.assertCountEqual(commands(text), [
        ('launch.train', ['--seed=1', '--resume']),
        ('launch.adapt', ['--rows=*/a', '--seed=2'])])
    self.assertEqual(mentioned_flags(text), {'steps'})
    self.assertEqual(blocks(text, 'python'), [(10, 'x = 1\n')])
    self.assertEqual(_LINK.findall(text), ['there.md#a-page-1'])
    self.assertEqual(anchors(text), {'a-page-1'})
    with self.assertRaisesRegex(Exception, 'no_such_flag'):
      parse('launch.train', ['--no_such_flag=1'])
    with self.assertRaisesRegex(ValueError, 'flags only.*resume'):
      parse('launch.train', ['resume'])


if __name__ == '__main__':
  absltest.main()
