"""Tests of what every method of adaptation must have."""

import dataclasses
import typing

from absl.testing import absltest
from absl.testing import parameterized

from trainers import optimizers
from trainers.adaptation import methods


class MethodsTest(parameterized.TestCase):

  @parameterized.parameters(*methods.METHODS.values())
  def test_is_whole(self, method):
    self.assertIs(methods.METHODS[method.name], method)
    self.assertRegex(method.help, '^[a-z].*[^.]$')
    self.assertIsInstance(method.optimizer, optimizers.OptimizerConfig)
    self.assertIn('', method.epochs)
    self.assertEqual(method.Options(), method.Options())
    self.assertTrue(method.Options.__dataclass_params__.frozen)
    has_pretraining = method.pretrain is not methods.METHODS['im'].pretrain
    self.assertEqual(
        hasattr(method.Options, 'pretraining_steps'), has_pretraining)

  def test_options_of_one_name_have_one_type(self):
    found = {}
    for method in methods.METHODS.values():
      hints = typing.get_type_hints(method.Options)
      for field in dataclasses.fields(method.Options):
        hint = found.setdefault(field.name, hints[field.name])
        self.assertEqual(hints[field.name], hint, field.name)

  def test_only_the_upper_bound_reads_labels(self):
    self.assertEqual([name for name, method in methods.METHODS.items()
                      if method.reads_labels], ['supervised'])


if __name__ == '__main__':
  absltest.main()
