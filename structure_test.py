"""Checks by reading the code that the repository keeps its own rules."""

import ast
import contextlib
import pathlib
import re
import sys

from absl.testing import absltest
from absl.testing import parameterized
import setuptools

_ROOT = pathlib.Path(__file__).parent
_PACKAGES = ('launch', 'trainers', 'mixture_modules')
_PLOTS = (
    'launch/reports/signature_plots.py', 'launch/reports/run_plots.py',
    'launch/reports/feature_plots.py')
_FORBIDDEN_NAMES = ('utils', 'common', 'misc', 'helpers', 'base')


def read_sources():
  """Returns the text of every Python file, by its path in the repository."""
  paths = list(_ROOT.glob('*.py'))
  for folder in (*_PACKAGES, 'testdata'):
    paths += (_ROOT / folder).rglob('*.py')
  return {p.relative_to(_ROOT).as_posix(): p.read_text('utf-8') for p in paths}


def read_build():
  """Runs BUILD with rules that note what they are given; a list of targets."""
  targets, sources = [], read_sources()

  def note(**target):
    targets.append(target)

  def glob(include, exclude=()):
    paths = [path.relative_to(_ROOT).as_posix() for pattern in include
             for path in _ROOT.glob(pattern)]
    return [path for path in dict.fromkeys(paths)
            if (path in sources or not path.endswith('.py'))
            and not any(_matches(path, pattern) for pattern in exclude)]

  def ignore(*args, **kwargs):
    del args, kwargs

  # Bazel's language is a part of Python's.
  exec((_ROOT / 'BUILD').read_text('utf-8'), {  # pylint: disable=exec-used
      'py_library': note, 'py_binary': note, 'py_test': note, 'glob': glob,
      'load': ignore, 'licenses': ignore, 'package': ignore})
  return targets


def _matches(path, pattern):
  """Whether Bazel's pattern, of which ** is a part, stands for a path."""
  return bool(re.fullmatch(
      re.escape(pattern).replace(r'\*\*/', '(.*/)?').replace(
          r'\*\*', '.*').replace(r'\*', '[^/]*'), path))


def imports(path, source):
  """Returns the dotted names that a file imports, wherever it does so."""
  names = set()
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      module = node.module or ''
      if node.level:
        package = path.split('/')[: -node.level]
        module = '.'.join([*package, module] if module else package)
      names |= {f'{module}.{alias.name}' for alias in node.names}
  return names


def imports_any(names, *modules):
  """Returns those names that are one of the modules or lie within one."""
  prefixes = tuple(f'{module}.' for module in modules)
  return {name for name in names if f'{name}.'.startswith(prefixes)}


def is_test(path):
  return path.endswith('_test.py') or path == 'conftest.py'


def check_direction(path, names):
  """launch -> trainers -> mixture_modules; trainers/data is on its own."""
  if path.startswith('mixture_modules/'):
    return imports_any(names, 'trainers', 'launch')
  if path.startswith('trainers/data/'):
    inside = imports_any(names, 'trainers.data')
    if is_test(path):
      inside |= imports_any(names, 'trainers.testing')
    return imports_any(names, 'mixture_modules', 'launch', 'trainers') - inside
  if path.startswith('trainers/'):
    return imports_any(names, 'launch')
  return set()


def check_datasets(path, names):
  """tensorflow_datasets only in trainers/data and what makes its tests."""
  if path.startswith(('trainers/data/', 'trainers/testing/')):
    return set()
  return imports_any(names, 'tensorflow_datasets')


def check_plots(path, names):
  """matplotlib only in launch's files of plots; tests are free."""
  if path in _PLOTS or is_test(path):
    return set()
  return imports_any(names, 'matplotlib')


def check_flags(path, names):
  """absl's flags only in launch."""
  if path.startswith('launch/'):
    return set()
  return imports_any(names, 'absl.flags')


def check_dependencies(path, names):
  """mixture_modules needs Keras, TensorFlow, NumPy and safetensors only."""
  if not path.startswith('mixture_modules/'):
    return set()
  allowed = {'mixture_modules', 'keras', 'tensorflow', 'numpy', 'safetensors'}
  if is_test(path):
    allowed |= {'absl'}
  return names - imports_any(names, *allowed, *sys.stdlib_module_names)


def check_names(path, names):
  """No drawer for everything; launch hides no module of Python's own."""
  del names
  stem = pathlib.PurePath(path).stem
  if stem in _FORBIDDEN_NAMES:
    return {stem}
  if path.startswith('launch/') and stem in sys.stdlib_module_names:
    return {stem}
  return set()


class StructureTest(parameterized.TestCase):

  @parameterized.named_parameters(
      ('direction', check_direction),
      ('datasets', check_datasets),
      ('plots', check_plots),
      ('flags', check_flags),
      ('dependencies', check_dependencies),
      ('names', check_names),
  )
  def test_rule(self, check):
    faults = {}
    for path, source in read_sources().items():
      found = check(path, imports(path, source))
      if found:
        faults[path] = found
    self.assertEmpty(faults, check.__doc__)

  def test_docstring_on_line_1(self):
    faults = []
    for path, source in read_sources().items():
      docstring = ast.get_docstring(ast.parse(source))
      if not docstring or not source.startswith(('"""', 'r"""')):
        faults.append(path)
    self.assertEmpty(faults)

  def test_build_holds_every_file_once(self):
    files = [path for target in read_build() for path in target['srcs']]
    self.assertCountEqual(files, read_sources())

  def test_build_allows_every_import(self):
    targets = {target['name']: target for target in read_build()}
    owner = {path: name for name, target in targets.items()
             for path in target['srcs']}
    sources = read_sources()
    modules = {path.removesuffix('.py').replace('/', '.'): path
               for path in sources}
    faults = []
    for path, source in sources.items():
      deps = targets[owner[path]].get('deps', ())
      allowed = {owner[path], *(dep.removeprefix(':') for dep in deps)}
      faults += [
          f'{path} imports {modules[name]}, which is not of {sorted(allowed)}'
          for name in imports(path, source) & set(modules)
          if owner[modules[name]] not in allowed]
    self.assertEmpty(faults)

  def test_build_deps_exist(self):
    targets = {target['name'] for target in read_build()}
    for target in read_build():
      for dep in target.get('deps', ()):
        self.assertIn(dep.removeprefix(':'), targets)

  def test_wheel_holds_the_package_without_its_tests(self):
    with contextlib.chdir(_ROOT):
      build = setuptools.distutils.core.run_setup(
          'setup.py', stop_after='init').get_command_obj('build_py')
      build.ensure_finalized()
      files = [path for _, _, path in build.find_all_modules()]
    files += [path for *_, paths in build.data_files for path in paths]
    self.assertCountEqual(files, [
        path for path in read_sources() if path.startswith('mixture_modules/')
        and not is_test(path) and '/testing/' not in path])

  def test_sees_the_whole_repository(self):
    sources = read_sources()
    self.assertIn('structure_test.py', sources)
    for package in _PACKAGES:
      self.assertIn(f'{package}/__init__.py', sources)
    self.assertIn('trainers/data/__init__.py', sources)

  @parameterized.named_parameters(
      ('down', check_direction, 'trainers/x.py', 'import mixture_modules', 0),
      ('up', check_direction, 'mixture_modules/x.py', 'import trainers.y', 1),
      ('up_2', check_direction, 'trainers/x.py', 'from launch import y', 1),
      ('across', check_direction, 'trainers/data/x.py',
       'from trainers import loop', 1),
      ('within', check_direction, 'trainers/data/x.py',
       'from trainers.data import y', 0),
      ('dots', check_direction, 'trainers/data/x.py', 'from .. import loop', 1),
      ('dot', check_direction, 'trainers/data/x.py', 'from . import y', 0),
      ('nested', check_datasets, 'trainers/x.py',
       'def f():\n  import tensorflow_datasets as tfds', 1),
      ('data', check_datasets, 'trainers/data/x.py',
       'import tensorflow_datasets as tfds', 0),
      ('plot', check_plots, 'launch/train.py',
       'from matplotlib import pyplot', 1),
      ('plots', check_plots, 'launch/reports/run_plots.py',
       'import matplotlib.pyplot', 0),
      ('flags', check_flags, 'trainers/x.py', 'from absl import flags', 1),
      ('logging', check_flags, 'trainers/x.py', 'from absl import logging', 0),
      ('extra', check_dependencies, 'mixture_modules/x.py',
       'import numpy, keras.layers, os.path, scipy.stats', 1),
      ('prefix', check_dependencies, 'mixture_modules/x.py',
       'import tensorflow_datasets', 1),
      ('drawer', check_names, 'trainers/utils.py', '', 1),
      ('shadow', check_names, 'launch/inspect.py', '', 1),
      ('no_shadow', check_names, 'trainers/inspect.py', '', 0),
  )
  def test_rules_notice(self, check, path, source, count):
    self.assertLen(check(path, imports(path, source)), count)


if __name__ == '__main__':
  absltest.main()
