"""Edits of a trained network's sequence of layers, as text (section B).

Section B asks how a network fares whose blocks run in another order than the
one they were trained in. `swap:3:7+reverse` says such an order.
"""

from typing import NamedTuple

import numpy as np

from mixture_modules import signatures


class _Row(NamedTuple):
  """A layer of the edited network."""

  layer: int  # which one it was in the trained network, from 0
  mixture: np.ndarray  # [K]


def apply(edit, mixtures):
  """Edits the layers of a network.

  Args:
    edit: Edits joined by '+', applied in order. Layers and templates count
      from 1, layers as the edit before left them:
      'swap:3:7' swaps two layers; 'reverse' reverses all; 'shuffle:0' orders
      all at random, by a seed; 'drop:5' leaves a layer out; 'repeat:5' runs
      one twice; 'replace:5:2' computes layer 5 with template 2 alone;
      'copy:5:2' with layer 2's mixture, its norms stay; 'harden' computes
      every layer with its strongest template alone; 'none' changes nothing.
    mixtures: `[L, K]`, the trained signature.

  Returns:
    (layers, mixtures): of each layer of the edited network, which one of the
    trained network it was, from 0; and its mixtures, `[L', K]`.

  Raises:
    ValueError: If there is no such edit, layer or template.

  Source: section B ("perturb the sequence of modules"); the edits are our
  choice.
  """
  mixtures = np.asarray(mixtures)
  rows = [_Row(layer, xi) for layer, xi in enumerate(mixtures)]
  for step in edit.split('+'):
    word, *arguments = step.split(':')
    if word not in _EDITS:
      raise ValueError(f'Unknown edit {step!r}. Expected one of '
                       f'{", ".join(map(_usage, _EDITS))}.')
    change, kinds = _EDITS[word]
    if len(arguments) != len(kinds):
      raise ValueError(f'Expected the edit {_usage(word)}, received {step!r}.')
    limits = {'LAYER': len(rows), 'TEMPLATE': mixtures.shape[1]}
    rows = change(rows, *(
        _number(step, kind, argument, limits.get(kind))
        for kind, argument in zip(kinds, arguments)))
  return [row.layer for row in rows], np.stack([row.mixture for row in rows])


def _usage(word):
  return ':'.join((word, *_EDITS[word][1]))


def _number(step, kind, text, limit):
  """An argument of an edit; layers and templates from 0."""
  if not text.isdecimal():
    raise ValueError(f'Expected a whole number as {kind} of the edit {step!r}, '
                     f'received {text!r}.')
  number = int(text)
  if limit is None:
    return number
  if not 1 <= number <= limit:
    raise ValueError(
        f'Expected a {kind} from 1 to {limit} in the edit {step!r}, received '
        f'{number}: there are {limit} where it is applied.')
  return number - 1


def _swap(rows, one, other):
  rows = list(rows)
  rows[one], rows[other] = rows[other], rows[one]
  return rows


def _shuffle(rows, seed):
  order = np.random.default_rng(seed).permutation(len(rows))
  return [rows[i] for i in order]


def _drop(rows, layer):
  if len(rows) == 1:
    raise ValueError('Expected a network of two or more layers to drop one '
                     'from, received one of a single layer.')
  return rows[:layer] + rows[layer + 1:]


def _repeat(rows, layer):
  return rows[:layer + 1] + rows[layer:]


def _replace(rows, layer, template):
  old = rows[layer].mixture
  new = np.eye(len(old), dtype=old.dtype)[template]
  return [*rows[:layer], rows[layer]._replace(mixture=new), *rows[layer + 1:]]


def _copy(rows, layer, source):
  new = rows[layer]._replace(mixture=rows[source].mixture)
  return [*rows[:layer], new, *rows[layer + 1:]]


def _harden(rows):
  # Together: all rows show whether it is a softmax, a single one does not.
  hard = signatures.harden(np.stack([row.mixture for row in rows]))
  return [row._replace(mixture=xi) for row, xi in zip(rows, hard)]


# Of each edit: the function (rows, *numbers) -> rows, and what numbers mean.
_EDITS = {
    'swap': (_swap, ('LAYER', 'LAYER')),
    'reverse': (lambda rows: rows[::-1], ()),
    'shuffle': (_shuffle, ('SEED',)),
    'drop': (_drop, ('LAYER',)),
    'repeat': (_repeat, ('LAYER',)),
    'replace': (_replace, ('LAYER', 'TEMPLATE')),
    'copy': (_copy, ('LAYER', 'LAYER')),
    'harden': (_harden, ()),
    'none': (lambda rows: rows, ()),
}
