"""Keras' own tests of the layers that we replace, run against ours.

They come out of the installed Keras. The backend is Keras' setting:

    KERAS_BACKEND=jax python -m mixture_modules.conformance_test

Under pytest, TensorFlow is imported first, and PyTorch may crash after it.
"""

import collections
import contextlib
import fnmatch
import importlib
import io
import sys
import unittest
from unittest import mock
import warnings

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np

import mixture_modules as mm

_LORA = {'*lora*': 'LoRA is missing.'}
_QUANTISED = {
    **dict.fromkeys(
        ('test_int4*', '*gptq*', '*awq*', 'test_*dense_int*',
         'test_*dense_quantize*', 'test_quantize_[!o]*',
         'test_quantize_on_subclass*'), 'Quantisation is missing.'),
    'test_legacy_load_own_variables':
        'Kernel and bias are the own variables of slots, not of the layer.'}
_BY_KERNEL = {}
if keras.backend.backend() == 'tensorflow':
  _BY_KERNEL['test_dense_sparse'] = (
      'It differentiates by the kernel, which is no variable.')

# Tests of layers that we do not replace; they would only take time.
_OTHERS = ('*conv3d*', '*conv1d_transpose*', '*depthwise_conv1d*')

# Module of Keras' tests: (layers in it, {tests: why they cannot pass}).
_MODULES = {
    'convolutional.conv_test': (
        {'Conv1D': mm.MixtureConv1D, 'Conv2D': mm.MixtureConv2D}, _LORA),
    'convolutional.conv_transpose_test': (
        {'Conv2DTranspose': mm.MixtureConv2DTranspose}, {}),
    'convolutional.depthwise_conv_test': (
        {'DepthwiseConv2D': mm.MixtureDepthwise}, {}),
    'core.dense_test': (
        {'Dense': mm.MixtureDense}, {**_LORA, **_QUANTISED, **_BY_KERNEL}),
    'core.einsum_dense_test': (
        {'EinsumDense': mm.MixtureEinsumDense}, {**_LORA, **_QUANTISED}),
    'normalization.batch_normalization_test': (
        {'BatchNormalization': mm.MixtureBatchNormalization}, {
            '*renorm*': 'Renormalisation is missing.',
            'test_serialization': 'It sets renorm.',
            'test_correctness* (axis=1,*':
                'The channels of a norm are the last axis.'}),
    'normalization.layer_normalization_test': (
        {'LayerNormalization': mm.MixtureLayerNormalization}, {}),
}


class _Parameter:
  """The one template of a parameter, where Keras' tests use a variable."""

  def __init__(self, slot):
    self._slot = slot
    self.constraint = slot.constraint
    self.shape = slot.shape

  @property
  def value(self):
    return keras.ops.convert_to_tensor(self._slot.templates)[0]

  def assign(self, value):
    self._slot.templates.assign(keras.ops.expand_dims(value, 0))

  def __array__(self, dtype=None, copy=None):
    del copy
    return np.asarray(keras.ops.convert_to_numpy(self.value), dtype)


def _parameter(name):

  def read(self):
    if not self.built:
      raise AttributeError(f'{name} of a layer that is not built.')
    return _Parameter(self._slots[name]) if name in self._slots else None

  return property(read, lambda self, value: None)


def _adapt(name, layer_class, made):
  """A class like `layer_class` whose layers have a bank of one template."""

  class Adapted(layer_class):

    kernel, bias, gamma, beta = map(
        _parameter, ('kernel', 'bias', 'gamma', 'beta'))

    def __init__(self, *args, **kwargs):
      made.append(self)
      dtype = kwargs.get('dtype')
      bank = mm.TemplateBank(1, dtype='float64' if dtype == 'float64' else None)
      super().__init__(
          *args, bank=bank, signature=mm.Signature(1, 1, '1'), **kwargs)

    def set_weights(self, weights):
      super().set_weights([
          value[None] if len(value.shape) < len(own.shape) else value
          for value, own in zip(weights, self.weights)])

    def get_config(self):
      config = super().get_config()
      for key in ('bank', 'slot', 'signature'):
        config.pop(key)
      return config

  Adapted.__name__ = Adapted.__qualname__ = name
  return keras.saving.register_keras_serializable('conformance')(Adapted)


def _run(module, layers):
  """{name of a test that makes our layers: what went wrong, or ''}."""
  made, faults = [], {}
  stock = importlib.import_module('keras.src.layers')
  adapted = {name: _adapt(name, layer_class, made)
             for name, layer_class in layers.items()}
  path = f'keras.src.layers.{module}'
  with (mock.patch.multiple(stock, **adapted), warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO())):
    warnings.simplefilter('ignore')
    sys.modules.pop(path, None)  # its decorators name layers, too
    tests = unittest.defaultTestLoader.loadTestsFromModule(
        importlib.import_module(path))
    for test in _flatten(tests):
      if _is_skipped(test):
        continue
      made.clear()
      result = unittest.TestResult()
      test.run(result)
      if made and not result.skipped:
        wrong = [text for _, text in result.errors + result.failures]
        faults[_name(test)] = '\n'.join(wrong)
  return faults


def _name(test):
  """Name of the method, with its arguments where they have no name."""
  return test.id().split(f'.{type(test).__name__}.')[-1]


def _is_skipped(test):
  """Whether it is of other layers, or pytest's marks of Keras leave it out."""
  if any(fnmatch.fnmatch(_name(test), pattern) for pattern in _OTHERS):
    return True
  method = getattr(test, _name(test).split(' ')[0])
  return any(mark.name == 'skipif' and mark.args[0]
             for mark in getattr(method, 'pytestmark', ()))


def _flatten(tests):
  for test in tests:
    if isinstance(test, unittest.TestSuite):
      yield from _flatten(test)
    else:
      yield test


class ConformanceTest(parameterized.TestCase):

  @parameterized.named_parameters((name, name) for name in _MODULES)
  def test_passes_the_tests_of_keras(self, module):
    layers, exceptions = _MODULES[module]
    found = _run(module, layers)
    unexpected, used = {}, collections.defaultdict(list)
    for test, fault in found.items():
      patterns = [p for p in exceptions if fnmatch.fnmatch(test, p)]
      for pattern in patterns:
        used[pattern].append(test)
      if bool(fault) != bool(patterns):
        unexpected[test] = fault or 'passes, but is listed as an exception'
    self.assertEmpty(unexpected)
    self.assertCountEqual(exceptions, used, 'exceptions that match no test')
    self.assertNotEmpty(found)


if __name__ == '__main__':
  absltest.main()
