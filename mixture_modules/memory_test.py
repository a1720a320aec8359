"""Tests of `memory`."""

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from mixture_modules import memory


class MemoryTest(absltest.TestCase):

  def test_total_is_that_of_the_container_where_it_has_less(self):
    machine = memory.total()
    self.assertBetween(machine, 2 ** 28, 2 ** 50)
    with tempfile.TemporaryDirectory() as directory:
      path = pathlib.Path(directory, 'memory.max')
      with mock.patch.object(memory, '_LIMITS', (path, f'{path}.none')):
        for text, expected in (('max\n', machine), ('5000\n', 5000)):
          path.write_text(text)
          self.assertLessEqual(memory.total(), machine)
          if expected == 5000:
            self.assertEqual(memory.total(), 5000)

  def test_refuses_what_cannot_fit(self):
    with mock.patch.object(memory, 'total', return_value=3 * 2 ** 30):
      memory.check({'a': 2 ** 31, 'b': 2 ** 30}, 'none')
      with self.assertRaisesRegex(
          ValueError, r'fits into the 3.0 GiB .* at least 3.5 GiB \(2.0 GiB '
          r'for a, 1.5 GiB for b\): take fewer\.$'):
        memory.check({'a': 2 ** 31, 'b': 3 * 2 ** 29, 'c': 0}, 'take fewer')

  def test_refuses_nothing_where_the_system_does_not_tell(self):
    with (mock.patch.object(os, 'sysconf', side_effect=ValueError),
          mock.patch.object(memory, '_LIMITS', ())):
      self.assertIsNone(memory.total())
      memory.check({'a': 10 ** 99}, 'none')


if __name__ == '__main__':
  absltest.main()
