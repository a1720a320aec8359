"""Edits of a sequence of layers, against lists written by hand (section B)."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules import signatures
from mixture_modules.isometric import layer_edits

_XI = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype('float32')


class SignatureEditsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.named_parameters(
      ('none', 'none', [1, 2, 3, 4]),
      ('swap', 'swap:1:3', [3, 2, 1, 4]),
      ('swap_with_itself', 'swap:2:2', [1, 2, 3, 4]),
      ('swap_twice', 'swap:2:4+swap:2:4', [1, 2, 3, 4]),
      ('reverse', 'reverse', [4, 3, 2, 1]),
      ('drop_first', 'drop:1', [2, 3, 4]),
      ('drop_last', 'drop:4', [1, 2, 3]),
      ('repeat', 'repeat:2', [1, 2, 2, 3, 4]),
      ('repeat_last', 'repeat:4', [1, 2, 3, 4, 4]),
      ('in_order', 'drop:1+reverse+repeat:1', [4, 4, 3, 2]),
      ('later_layers', 'repeat:4+swap:5:1', [4, 2, 3, 4, 1]))
  def test_order(self, edit, expected):
    before = _XI.copy()
    layers, xi = layer_edits.apply(edit, _XI)
    self.assertEqual([layer + 1 for layer in layers], expected)
    self.assertAllEqual(xi, _XI[layers])
    self.assertEqual(xi.dtype, _XI.dtype)
    self.assertAllEqual(_XI, before)

  def test_shuffle_is_a_seeded_permutation(self):
    orders = [layer_edits.apply(f'shuffle:{seed}', _XI)[0]
              for seed in (0, 1, 0, 10**12)]
    for order in orders:
      self.assertCountEqual(order, range(4))
    self.assertEqual(orders[0], orders[2])
    self.assertNotEqual(orders[0], orders[1])

  def test_replace(self):
    layers, xi = layer_edits.apply('swap:1:2+replace:1:3', _XI)
    self.assertEqual(layers, [1, 0, 2, 3])
    self.assertAllEqual(xi, [[0, 0, 1], *_XI[[0, 2, 3]]])

  def test_copy_takes_the_mixture_and_leaves_the_layer(self):
    layers, xi = layer_edits.apply('swap:1:2+copy:4:1', _XI)
    self.assertEqual(layers, [1, 0, 2, 3])
    self.assertAllEqual(xi, _XI[[1, 0, 2, 1]])

  def test_harden(self):
    layers, xi = layer_edits.apply('harden+drop:2', _XI)
    self.assertEqual(layers, [0, 2, 3])
    self.assertAllEqual(xi, signatures.harden(_XI)[[0, 2, 3]])

  def test_harden_sees_all_rows(self):
    xi = np.array([[-0.9, 0.2], [0.25, 0.75]])  # tanh; the second by chance
    _, hard = layer_edits.apply('harden', xi)
    self.assertAllEqual(hard, [[-0.9, 0], [0, 0.75]])
    self.assertAllEqual(hard, signatures.harden(xi))

  @parameterized.named_parameters(
      ('unknown', 'rotate:1', "Unknown edit 'rotate:1'. Expected one of "
       'swap:LAYER:LAYER, reverse, shuffle:SEED, '),
      ('empty', '', "Unknown edit ''"),
      ('trailing', 'reverse+', "Unknown edit ''"),
      ('too_few', 'swap:1', "Expected the edit swap:LAYER:LAYER, .*'swap:1'"),
      ('too_many', 'reverse:1', "Expected the edit reverse, .*'reverse:1'"),
      ('no_number', 'drop:two', "whole number as LAYER .*received 'two'"),
      ('negative', 'drop:-1', "whole number as LAYER .*received '-1'"),
      ('layer_0', 'swap:0:1', 'LAYER from 1 to 4.*received 0'),
      ('layer_5', 'repeat:5', 'LAYER from 1 to 4.*received 5'),
      ('template', 'replace:1:4', 'TEMPLATE from 1 to 3.*received 4'),
      ('copied', 'copy:1:5', 'LAYER from 1 to 4.*received 5'),
      ('dropped', 'drop:1+swap:1:4', "1 to 3 in .*'swap:1:4'.*received 4"),
      ('only', 'drop:1+drop:1+drop:1+drop:1', 'two or more layers to drop'))
  def test_errors(self, edit, message):
    with self.assertRaisesRegex(ValueError, message):
      layer_edits.apply(edit, _XI)


if __name__ == '__main__':
  tf.test.main()
