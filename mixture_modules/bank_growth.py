"""Growing and shrinking a bank, and all signatures over it (section 3.2).

For drop-in layers: pass every signature over the bank, `[layer.signature for
layer in ...]`, each once. `IsometricModel` has methods of its own (`growing`).

    signatures = [layer.signature for layer in layers]
    bank_growth.add_in_bank(bank, signatures, 2)

The variables are new: compile and trace again afterwards.
"""

from keras import ops
import numpy as np

from mixture_modules import checks

LEAN = 0.01  # a layer leans on a template whose |xi| is larger
_IDLE = 1e-8  # xi of a new template in a softmax, which has no exact 0


def add_in_bank(bank, signatures, n, init='random', seed=None):
  """Adds templates that no layer uses yet; outputs stay what they were.

  Args:
    bank: `TemplateBank`.
    signatures: All `Signature`s over it, each once.
    n: How many templates.
    init: 'random', as for a new bank, or 'copy:K', copies of template K,
      from 1.
    seed: Of random templates. Default: drawn, under Keras' global seed.

  Raises:
    ValueError: If n is not positive, or there is no such init or template.
  """
  n = checks.positive_integer('the number of new templates', n)
  kind, _, number = str(init).partition(':')
  if kind == 'copy' and number.isdecimal():
    _check_numbers([int(number)], bank)
    new = {slot: np.repeat(rows[[int(number) - 1]], n, 0)
           for slot, rows in _templates(bank).items()}
  elif init == 'random':
    new = bank.draw(n, seed)
  else:
    raise ValueError("Expected init to be 'random' or 'copy:K', received "
                     f'{init!r}: use one of these.')
  _append(bank, new)
  _resize(signatures, bank.num_templates, lambda s: _with_idle(s, n))


def drop_in_bank(bank, signatures, numbers):
  """Removes templates, whoever leans on them, and renumbers the rest.

  Args:
    bank: `TemplateBank`.
    signatures: All `Signature`s over it, each once.
    numbers: Of templates, from 1.

  Raises:
    ValueError: If a number is not a template's, none would be left, or a fixed
      signature uses one.
  """
  numbers = check_dropped(numbers, bank)
  for signature in signatures:
    if signature.sequence is not None and (
        layers := leaning_layers(signature, numbers)):
      raise ValueError(
          f'Expected templates that the fixed signature {signature.notation()}'
          f' does not use, received {numbers}, which are all that the '
          f'layers {layers} have. Choose others.')
  keep = [k for k in range(bank.num_templates) if k + 1 not in numbers]
  bank.resize({slot: rows[keep] for slot, rows in _templates(bank).items()})
  _resize(signatures, len(keep), lambda s: _without(s, keep))


def duplicate_in_bank(bank, signatures, number, spread=0.0, seed=None):
  """Adds a copy of a template, which takes over half of its weight.

  Args:
    bank: `TemplateBank`.
    signatures: All `Signature`s over it, each once.
    number: Of the template, from 1; the copy becomes the last.
    spread: Of the weight's logits, as for `growing.duplicate_template`.
    seed: Of the splits.

  Raises:
    ValueError: If there is no such template, or the spread is negative.
  """
  _check_numbers([number], bank)
  spread = checks.not_negative('spread', spread)
  rng = np.random.default_rng(seed)
  _append(bank, {slot: rows[[number - 1]]
                 for slot, rows in _templates(bank).items()})
  _resize(signatures, bank.num_templates,
          lambda s: _with_twin(s, number - 1, spread, rng))


def _check_numbers(numbers, bank):
  """Refuses numbers of templates that are not there."""
  if not numbers or any(
      k not in range(1, bank.num_templates + 1) for k in numbers):
    raise ValueError('Expected numbers of templates from 1 to '
                     f'{bank.num_templates}, received {list(numbers)}.')


def check_dropped(numbers, bank):
  """Numbers of templates to drop, as a list; some must be left."""
  try:
    numbers = list(numbers)
  except TypeError as error:
    raise ValueError('Expected a list of numbers of templates, received '
                     f'{numbers!r}.') from error
  _check_numbers(numbers, bank)
  if len(set(numbers)) == bank.num_templates:
    raise ValueError('Expected to keep one template or more, received all '
                     f'{bank.num_templates} to drop.')
  return numbers


def leaning_layers(signature, numbers):
  """Numbers of a signature's layers, from 1, that lean on one of `numbers`."""
  xi = np.abs(ops.convert_to_numpy(signature.mixture_weights()))
  strongest = xi[:, [k - 1 for k in numbers]].max(1)
  return [layer + 1 for layer in np.flatnonzero(strongest > LEAN).tolist()]


def _templates(bank):
  return {slot: bank.templates(slot).numpy() for slot in bank.slots}


def _append(bank, new):
  bank.resize({slot: np.concatenate([rows, new[slot]])
               for slot, rows in _templates(bank).items()})


def _resize(signatures, num_templates, change):
  for signature in signatures:
    signature.resize(num_templates, change(signature))


# New rows of a signature: logits `[rows, K]`, or a fixed one's sequence.


def _with_idle(signature, n):
  if signature.sequence is not None:
    return signature.sequence
  logits = signature.logits.numpy()
  new = np.zeros((len(logits), n))
  if signature.kind == 'softmax':
    scaled = logits.astype('float64') / signature.temperature
    # Its exponential is to the sum of the others as the idle xi to 1.
    level = np.logaddexp.reduce(scaled, axis=-1) + np.log(_IDLE)
    new += signature.temperature * level[:, None]
  return np.concatenate([logits, new.astype('float32')], -1)


def _without(signature, keep):
  if signature.sequence is not None:
    return [keep.index(k) for k in signature.sequence]
  return signature.logits.numpy()[:, keep]  # a softmax renormalises


def _with_twin(signature, k, spread, rng):
  if signature.sequence is not None:
    layers = [i for i, other in enumerate(signature.sequence) if other == k]
    later = layers[(len(layers) + 1) // 2:]
    return [signature.num_templates if i in later else other
            for i, other in enumerate(signature.sequence)]
  logits = signature.logits.numpy()
  split = rng.normal(scale=spread, size=len(logits)) if spread else np.zeros(
      len(logits))
  log_shares = [-np.logaddexp(0, -split), -np.logaddexp(0, split)]
  old = logits[:, k].astype('float64')
  if signature.kind == 'softmax':
    halves = [old + signature.temperature * share for share in log_shares]
  elif signature.kind == 'tanh':
    halves = [np.arctanh(np.exp(share) * np.tanh(old))
              for share in log_shares]
  else:
    halves = [np.exp(share) * old for share in log_shares]
  logits[:, k] = halves[0]
  return np.concatenate([logits, halves[1][:, None].astype('float32')], -1)
