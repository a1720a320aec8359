"""Growing and shrinking the bank of a trained model (section 3.2).

`add_templates`, `drop_templates` and `duplicate_template` are methods of
`IsometricModel`. `bank_growth` does the same for a bank of drop-in layers.

The variables are new: compile and trace again afterwards.
"""

import contextlib

from mixture_modules import bank_growth
from mixture_modules import signatures as signatures_lib
from mixture_modules import tracking
from mixture_modules.isometric import task_lifecycle


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
    bank_growth.add_in_bank(model.bank, every, n, init, seed)


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
  numbers = bank_growth.check_dropped(numbers, model.bank)
  leaning = {
      name: layers for name, task in model.tasks.items()
      if (layers := bank_growth.leaning_layers(task.signature, numbers))}
  if leaning and not force:
    where = '; '.join(f'task {name!r} in the layers {layers}'
                      for name, layers in leaning.items())
    raise ValueError(
        'Expected templates that no task leans on (no |xi| above '
        f'{bank_growth.LEAN}), received {numbers}, on which lean: {where}. '
        'Choose others, or drop them with force=True and train again.')
  with _changing(model) as every:
    bank_growth.drop_in_bank(model.bank, every, numbers)


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
    bank_growth.duplicate_in_bank(model.bank, every, number, spread, seed)


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
  changes = {'num_templates': count}
  if fixed is not None:
    changes['signature'] = fixed.kind
  if config.signature_init == 'diagonal' and count < config.num_layers:
    changes['signature_init'] = 'random'  # a diagonal would no longer fit
  model.config = config.replace(**changes)
