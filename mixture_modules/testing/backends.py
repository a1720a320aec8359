"""Running a program under one of Keras' backends, for tests."""

import importlib.util
import os
import subprocess
import sys
import tempfile


def run(test, backend, program):
  """Runs a program in a process and a directory of its own.

  Keras takes its backend when it is first imported: hence the process. The
  test is skipped where the backend is not installed, and fails as the program
  does.

  Args:
    test: The test case.
    backend: 'jax', 'torch' or 'tensorflow'.
    program: Python code.
  """
  if not importlib.util.find_spec(backend):
    test.skipTest(f'needs {backend}')
  path = os.pathsep.join(filter(None, sys.path))
  process = subprocess.run(
      [sys.executable, '-c', program],
      cwd=test.enterContext(tempfile.TemporaryDirectory()),
      env={**os.environ, 'KERAS_BACKEND': backend, 'PYTHONPATH': path},
      capture_output=True, text=True, check=False)
  test.assertEqual(process.returncode, 0, process.stderr)
