"""Fixed signatures: which template each layer computes with (section 4.2).

Sequences of template numbers such as 1-2-2-3, each an exact one-hot
signature: a template is looked up, nothing is mixed.
"""

import numpy as np

from mixture_modules import checks

KINDS = ('sequential', 'cyclic', 'random', 'progressive', 'diagonal')


def make_sequence(kind, num_layers, num_templates, seed=None):
  """Template of each layer, from 0, of a fixed signature.

  'sequential' is 1-1-2-2, 'cyclic' 1-2-1-2, 'random' a seeded shuffle of the
  sequential one, 'diagonal' 1-2-3-4 (K = L, the conventional network);
  'progressive' uses each template once and hands the other L - K repeats out
  in proportion to k - 1, by largest remainder (K=4, L=12: 1, 2, 4, 5 times).

  Raises:
    ValueError: If the kind is unknown or does not fit L and K.

  Source: sections 4.2 and B.1; the progressive formula is our choice, and it
  gives the paper's example.
  """
  num_layers, num_templates = check_counts(num_layers, num_templates)
  if kind not in KINDS:
    return _parse_sequence(kind, num_layers, num_templates)
  if kind == 'diagonal' and num_templates != num_layers:
    raise ValueError(
        'The diagonal signature gives each layer a template of its own and '
        f'needs K = L, received K = {num_templates}, L = {num_layers}.')
  if num_templates > num_layers:
    raise ValueError(
        f'A {kind} signature uses every template and needs K <= L, received '
        f'K = {num_templates}, L = {num_layers}.')
  if kind == 'cyclic':
    return tuple(i % num_templates for i in range(num_layers))
  if kind == 'progressive':
    counts = _progressive_counts(num_layers, num_templates)
    return tuple(np.repeat(np.arange(num_templates), counts).tolist())
  sequence = [i * num_templates // num_layers for i in range(num_layers)]
  if kind == 'random':
    np.random.default_rng(seed or 0).shuffle(sequence)
  return tuple(sequence)


def _progressive_counts(num_layers, num_templates):
  if num_templates == 1:
    return [num_layers]
  shares = np.arange(num_templates) * (num_layers - num_templates)
  total = num_templates * (num_templates - 1) // 2
  counts, remainders = shares // total, shares % total
  missing = num_layers - num_templates - counts.sum()
  # Ties go to the later template: repeats grow towards the tail.
  order = sorted(range(num_templates), key=lambda k: (-remainders[k], -k))
  counts[order[:missing]] += 1
  return (counts + 1).tolist()


def _parse_sequence(text, num_layers, num_templates):
  parts = str(text).split('-')
  if not all(part.isdecimal() for part in parts):
    raise ValueError(
        f"Unknown signature {text!r}. Expected 'softmax', 'tanh', 'linear', "
        f"one of {KINDS}, or template numbers from 1 joined by '-', such as "
        "'1-2-2-3'.")
  sequence = [int(part) for part in parts]
  if len(sequence) != num_layers:
    raise ValueError(f'Signature {text} names {len(sequence)} layers, the '
                     f'model has {num_layers}.')
  wrong = sorted({k for k in sequence if not 1 <= k <= num_templates})
  if wrong:
    raise ValueError(
        f'Signature {text} names the templates {wrong}, which are not there: '
        f'the bank has {num_templates}, counted from 1.')
  return tuple(k - 1 for k in sequence)


def check_counts(num_layers, num_templates):
  """(L, K) as Python integers; refuses what is not a positive integer."""
  return (checks.positive_integer('num_layers (L)', num_layers),
          checks.positive_integer('num_templates (K)', num_templates))
