"""Fixed signatures, against sequences written by hand (section 4.2)."""

import collections

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules import fixed_sequences
from mixture_modules import signatures

Signature = signatures.Signature


def _counts(signature):
  """How many layers use each template."""
  counts = collections.Counter(signature.sequence)
  return [counts[k] for k in range(signature.num_templates)]


class FixedSequencesTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('sequential', 5, 2, '1-1-1-2-2'), ('sequential', 4, 4, '1-2-3-4'),
      ('cyclic', 5, 2, '1-2-1-2-1'), ('progressive', 4, 2, '1-2-2-2'),
      ('progressive', 12, 4, '1-2-2-3-3-3-3-4-4-4-4-4'),
      ('progressive', 3, 1, '1-1-1'), ('diagonal', 3, 3, '1-2-3'),
      ('1-2-2-3', 4, 3, '1-2-2-3'), ('3', 1, 3, '3'),
      ('10-1', 2, 10, '10-1'))
  def test_fixed_kinds(self, kind, num_layers, num_templates, expected):
    signature = Signature(num_layers, num_templates, kind)
    self.assertEqual(expected, signature.notation())
    sequence = [int(k) - 1 for k in expected.split('-')]
    self.assertEqual(tuple(sequence), signature.sequence)
    self.assertAllEqual(
        np.eye(num_templates)[sequence], signature.mixture_weights())

  @parameterized.parameters(
      (12, 4, [1, 2, 4, 5]), (32, 8, [1, 2, 3, 4, 4, 5, 6, 7]),
      (4, 4, [1, 1, 1, 1]), (5, 4, [1, 1, 1, 2]), (7, 1, [7]))
  def test_progressive_counts(self, num_layers, num_templates, expected):
    signature = Signature(num_layers, num_templates, 'progressive')
    self.assertEqual(expected, _counts(signature))

  def test_progressive_uses_all_templates_and_grows(self):
    for num_templates in range(1, 17):
      for num_layers in range(num_templates, 49):
        counts = _counts(Signature(num_layers, num_templates, 'progressive'))
        self.assertEqual(num_layers, sum(counts))
        self.assertEqual(sorted(counts), counts)
        self.assertEqual(1, counts[0] if num_templates > 1 else 1)

  def test_random_sequence_is_seeded(self):
    sequences = [Signature(12, 4, 'random', seed=seed).sequence
                 for seed in (None, 0, 1, 1)]
    self.assertEqual(sequences[0], sequences[1])
    self.assertNotEqual(sequences[1], sequences[2])
    self.assertEqual(sequences[2], sequences[3])
    for sequence in sequences:
      self.assertEqual(sorted([0, 1, 2, 3] * 3), sorted(sequence))

  def test_unknown_kind(self):
    with self.assertRaisesRegex(ValueError, "'softmax'.*'diagonal'.*1-2-2-3"):
      fixed_sequences.make_sequence('spiral', 4, 3)


if __name__ == '__main__':
  tf.test.main()
