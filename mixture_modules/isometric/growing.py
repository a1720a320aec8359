"""Growing and shrinking the bank of a trained model (section 3.2).

`add_templates`, `drop_templates` and `duplicate_template` are methods of
`IsometricModel`. Each is made of a change of the bank and one of every
signature over it, `*_in_bank`, which also serve drop-in layers: pass all
signatures over the bank, `[layer.signature for layer in ...]`, each once.

The variables are new ones: an optimiser, an average or a traced function of
before does not know them. Source: our choice.
"""

import contextlib

from keras import ops
import numpy as np

from mixture_modules import checks
from mixture_modules import signatures as signatures_lib
from mixture_modules import tracking
from mixture_modules.isometric import task_lifecycle

LEAN = 0.01  # a layer leans on a template whose |xi| is larger
_IDLE = 1e-8  # xi of a new template in a softmax, which has no exact 0


def add_templates(model, n, init='random', seed=None):
  """Adds templates to the bank; all outputs stay what they were.

  No layer uses the new templates yet: xi is 0, or 1e-8 in a softmax, where
  it hardly learns. They are there for tasks that are added after, or for
  signatures that are assigned. Fixed signatures become explicit sequences.

  Args:
    model: `IsometricModel`.
    n: How many.
    init: 'random', as for a new bank, or 'copy:K', copies of template K,
      from 1.
    seed: Of random templates. Default: drawn, under Keras' global seed.

  Raises:
    ValueError: If n is not positive, or there is no such init or template.
  """
  with _changing(model) as every:
    add_in_bank(model.bank, every, n, init, seed)


def drop_templates(model, numbers, force=False):
  """Removes templates from the bank, and renumbers the rest.

  A task leans on a template if |xi| is above 0.01 in some layer. Without
  `force` nothing is dropped that a task leans on. A softmax' remaining xi
  are divided by their sum; those of tanh and linear signatures stay.

  Args:
    model: `IsometricModel`.
    numbers: Of templates, from 1.
    force: Whether to drop what tasks lean on, too. Their outputs change.

  Raises:
    ValueError: If a number is not a template's, none would be left, a task
      leans on one and `force` is false, or a fixed signature uses one, which
      leaves a layer without any.
  """
  numbers = _check_dropped(numbers, model.bank)
  leaning = {
      name: layers for name, task in model.tasks.items()
      if (layers := _leaning_layers(task.signature, numbers))}
  if leaning and not force:
    where = '; '.join(f'task {name!r} in the layers {layers}'
                      for name, layers in leaning.items())
    raise ValueError(
        f'Expected templates that no task leans on (no |xi| above {LEAN}), '
        f'received {numbers}, on which lean: {where}. Choose others, '
        'or drop them with force=True and train again.')
  with _changing(model) as every:
    drop_in_bank(model.bank, every, numbers)


def duplicate_template(model, number, spread=0.0, seed=None):
  """Adds a copy of a template, which takes over half of its weight.

  Outputs stay what they were, and gradients reach both. In a fixed signature,
  the copy takes over the later half of the template's layers.

  Args:
    model: `IsometricModel`.
    number: Of the template, from 1; the copy becomes the last.
    spread: Of the weight's logits. At 0, both have half of the weight
      everywhere, and if a task has no other layers, the same gradients: such
      twins never part. Above 0, each layer splits the weight differently, by
      `sigmoid(normal(0, spread))`; outputs stay all the same.
    seed: Of the splits.

  Raises:
    ValueError: If there is no such template, or the spread is negative.
  """
  with _changing(model) as every:
    duplicate_in_bank(model.bank, every, number, spread, seed)


def add_in_bank(bank, signatures, n, init='random', seed=None):
  """`add_templates` for a bank and all signatures over it."""
  n = checks.positive_integer('n, the number of new templates,', n)
  kind, _, number = str(init).partition(':')
  if kind == 'copy' and number.isdecimal():
    _check_numbers([int(number)], bank)
    new = {slot: np.repeat(rows[[int(number) - 1]], n, 0)
           for slot, rows in _templates(bank).items()}
  elif init == 'random':
    new = bank.draw(n, seed)
  else:
    raise ValueError(f"init must be 'random' or 'copy:K', received {init!r}.")
  _append(bank, new)
  _resize(signatures, bank.num_templates, lambda s: _with_idle(s, n))


def drop_in_bank(bank, signatures, numbers):
  """`drop_templates`, with force, for a bank and all signatures over it."""
  numbers = _check_dropped(numbers, bank)
  for signature in signatures:
    if signature.sequence is not None and (
        layers := _leaning_layers(signature, numbers)):
      raise ValueError(
          f'Expected templates that the fixed signature {signature.notation()}'
          f' does not use, received {numbers}, which are all that the '
          f'layers {layers} have. Choose others.')
  keep = [k for k in range(bank.num_templates) if k + 1 not in numbers]
  bank.resize({slot: rows[keep] for slot, rows in _templates(bank).items()})
  _resize(signatures, len(keep), lambda s: _without(s, keep))


def duplicate_in_bank(bank, signatures, number, spread=0.0, seed=None):
  """`duplicate_template` for a bank and all signatures over it."""
  _check_numbers([number], bank)
  spread = checks.not_negative('spread', spread)
  rng = np.random.default_rng(seed)
  _append(bank, {slot: rows[[number - 1]]
                 for slot, rows in _templates(bank).items()})
  _resize(signatures, bank.num_templates,
          lambda s: _with_twin(s, number - 1, spread, rng))


@contextlib.contextmanager
def _changing(model):
  """Lends all signatures of a model; its configuration follows afterwards."""
  config = model.config
  every = [task.signature for task in model.tasks.values()]
  if model.shared_signature is not None:
    every.append(model.shared_signature)
  # What tasks that are added later will have, also if there are none yet.
  fixed = None
  if config.signature not in signatures_lib.TRAINED:
    fixed = task_lifecycle.make_signature(model)
    every.append(fixed)
  with tracking.changing(model):
    yield every
  count = model.bank.num_templates
  model.block.expand.signature.resize(count, [0])  # idle, but of every K
  changes = {'num_templates': count}
  if fixed is not None:
    changes['signature'] = fixed.kind
  if config.signature_init == 'diagonal' and count < config.num_layers:
    changes['signature_init'] = 'random'  # a diagonal would no longer fit
  model.config = config.replace(**changes)


def _check_numbers(numbers, bank):
  """Refuses numbers of templates that are not there."""
  if not numbers or any(
      k not in range(1, bank.num_templates + 1) for k in numbers):
    raise ValueError('Expected numbers of templates from 1 to '
                     f'{bank.num_templates}, received {list(numbers)}.')


def _check_dropped(numbers, bank):
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


def _leaning_layers(signature, numbers):
  """Numbers of the layers, from 1, that lean on one of the templates."""
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
