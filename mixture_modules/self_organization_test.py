"""Tests of the measures of self-organisation."""

import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from mixture_modules import fixed_sequences
from mixture_modules import self_organization

_ROWS = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])  # [L, K]


class SelfOrganizationTest(parameterized.TestCase):

  def test_layers(self):
    np.testing.assert_allclose(
        self_organization.max_weights(_ROWS), [1, 0.25, 0.5])
    np.testing.assert_allclose(
        self_organization.entropies(_ROWS), [0, math.log(4), math.log(2)],
        atol=1e-9)
    np.testing.assert_array_equal(
        self_organization.strongest([[0.2, 0.8], [0.6, 0.4]]), [1, 0])

  def test_shares(self):
    xi = np.array([[-3.0, 1.0], [0.0, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(
        self_organization.as_shares(xi), [[-0.75, 0.25], [0, 0], [0.5, 0.5]])
    np.testing.assert_allclose(
        self_organization.max_shares(xi), [0.75, 0, 0.5])
    np.testing.assert_allclose(
        self_organization.max_shares([xi, 7 * xi]), [[0.75, 0, 0.5]] * 2)
    # Those of a softmax are not touched.
    np.testing.assert_array_equal(self_organization.as_shares(_ROWS), _ROWS)

  def test_last_change(self):
    one, other = [[0.6, 0.4], [0.7, 0.3]], [[0.6, 0.4], [0.2, 0.8]]
    for path, expected in (
        ([one, one, one], None), ([one, other, other], 10),
        ([one, other, one], 30), ([-1 * np.array(one), one, one], None)):
      self.assertEqual(
          self_organization.last_change([0, 10, 30], path), expected)

  def test_distances_of_tanh_and_linear(self):
    between = self_organization.distances({
        'a': [[-3.0, 1.0], [2.0, 0.0]], 'b': [[-6.0, 2.0], [-5.0, 0.0]]})
    np.testing.assert_allclose(between['a', 'b'], [0, 1])

  def test_entropies_of_tanh_and_linear(self):
    found = self_organization.entropies([[-3.0, 3.0], [0.0, 0.0]])
    np.testing.assert_allclose(found, [math.log(2), 0], atol=1e-9)

  @parameterized.parameters(
      # The paper's example.
      ('1-2-2-3-3-3-3-4-4-4-4-4', 1, 1, True),
      ('1-2-2-2-3-3-3', 1, math.sqrt(3) / 2, True),  # a tie shares its rank
      ('4-2-2-1-1-1', 1, 1, True),  # templates need no order
      ('1-1-2-2', 1, None, False),
      ('1-2-1-2', 2, None, False),
      ('1-1-1-1', 1, None, False),
      ('1-2-2-1-1-1', 1.5, 1, False),  # grows, but a template comes back
      ('1-2-2-2-3-3', 1, 0.5, False),
      ('1-1-1-2-2-3', 1, -1, False))
  def test_sequences(self, notation, per_template, growth, progressive):
    sequence = [int(k) - 1 for k in notation.split('-')]
    found = self_organization.runs(sequence)
    self.assertEqual(
        [template for template, length in found for _ in range(length)],
        sequence)
    self.assertEqual(
        self_organization.runs_per_template(sequence), per_template)
    if growth is None:
      self.assertTrue(math.isnan(self_organization.growth(sequence)))
    else:
      self.assertAlmostEqual(self_organization.growth(sequence), growth)
    self.assertEqual(self_organization.is_progressive(sequence), progressive)

  @parameterized.parameters((4, 12), (8, 32), (2, 5))
  def test_progressive_signatures_are_progressive(self, templates, layers):
    sequence = fixed_sequences.make_sequence('progressive', layers, templates)
    self.assertTrue(self_organization.is_progressive(sequence))

  def test_sharing(self):
    mixtures = {
        'a': [[1, 0], [0.5, 0.5], [0.50, 0.50]],
        'b': [[0, 1], [0.5, 0.5], [0.42, 0.58]],
        'c': [[1, 0], [0.5, 0.5], [0.34, 0.66]]}
    between = self_organization.distances(mixtures)
    self.assertEqual(list(between), [('a', 'b'), ('a', 'c'), ('b', 'c')])
    np.testing.assert_allclose(between['a', 'c'], [0, 0, 0.16])
    # In the last layer a and b are close, b and c too, a and c are not.
    self.assertEqual(self_organization.sharing(mixtures), [
        [('a', 'c'), ('b',)], [('a', 'b', 'c')], [('a', 'b'), ('c',)]])
    self.assertEqual(
        self_organization.sharing(mixtures, threshold=0.2)[2],
        [('a', 'b', 'c')])
    self.assertEqual(
        self_organization.sharing({'a': mixtures['a']}), [[('a',)]] * 3)

  def test_kinds_of_pairs(self):
    labels = {f'{data}+{change}': (data, change) for data in ('mnist', 'kmnist')
              for change in ('plain', 'blur')}
    self.assertEqual(self_organization.pairs_by_kind(labels), {
        'same augmentation': [('mnist+plain', 'kmnist+plain'),
                              ('mnist+blur', 'kmnist+blur')],
        'same data set': [('mnist+plain', 'mnist+blur'),
                          ('kmnist+plain', 'kmnist+blur')],
        'neither': [('mnist+plain', 'kmnist+blur'),
                    ('mnist+blur', 'kmnist+plain')]})
    self.assertEqual(
        self_organization.pairs_by_kind(
            {'svhn': ('svhn', ''), 'mnist': ('mnist', '')}),
        {'same augmentation': [('svhn', 'mnist')]})

  @parameterized.parameters(
      ([1, 2, 3, 4, 5, 6, 7, 8], 1.5, 7.5), ([1, 2, 3], 1, 3), ([4], 4, 4))
  def test_early_and_late(self, values, early, late):
    self.assertEqual(self_organization.early_late(values), (early, late))


if __name__ == '__main__':
  absltest.main()
