"""Tune scopes: which variables are trained for one task (section 4.3)."""

from mixture_modules.isometric import detaching
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_norms

SCOPES = ('templates', 'mixture', 'norm', 'head', 'input_adapter',
          'output_adapter', 'all')
MOVES_OTHERS = ('templates', 'all')  # the rest leaves other tasks alone
_DETACHED = ('norm', 'head', 'input_adapter', 'output_adapter')


def tuned_variables(model, task_name, scopes):
  """The variables to train for one task, detached where others share them.

    'templates': the templates of the bank that the task computes with, under
      mixed norms gamma and beta among them. Moves other tasks. Not gamma and
      beta that a model with shared norms owns: these are not templates.
    'mixture': the logits of the task's own rows. A shared half stays as it
      is, unless `model.detach(task, 'mixture')` was called before.
    'norm': gamma and beta of all norms, the adapters' too; detached.
    'head': the head; detached if shared.
    'input_adapter': its convolution, gamma and beta; detached.
    'output_adapter': its convolutions, gammas and betas; detached.
    'all': everything that the task computes with, as it is: nothing is
      detached for it. Moves other tasks.

  Only the other scopes named beside 'all' detach. Moving statistics are in no
  scope: they follow the task's batches in training, and are always its own.

  Args:
    model: `IsometricModel`; `tuned_variables` changes it where it detaches,
      which leaves all outputs as they are.
    task_name: Name of the task.
    scopes: Name of a scope, or several, of `SCOPES`.

  Returns:
    {name: variable}, names and order those of `model.named_variables()`. Make
    the optimiser of these, afterwards.

  Raises:
    ValueError: If there is no such task or scope, none is named, or
      'mixture' is to be tuned of a fixed signature. Nothing is changed then.

  Source: section 4.3 tunes mixtures, norms and heads; which scopes there are
    and what they hold is our choice.
  """
  scopes = [scopes] if isinstance(scopes, str) else list(scopes)
  wrong = [scope for scope in scopes if scope not in SCOPES]
  if wrong or not scopes:
    raise ValueError(f'Expected scopes to tune, of {", ".join(SCOPES)}, '
                     f'received {wrong or "none"}.')
  task = model.task(task_name)
  if 'mixture' in scopes and task.signature.logits is None:
    raise ValueError(
        f'Expected a trained signature to tune the mixture of, received the '
        f'fixed {task.signature.kind!r}: leave the scope "mixture" out.')
  for scope in scopes:
    if scope in _DETACHED:
      detaching.detach(model, task_name, scope)
  chosen = {id(variable) for scope in scopes
            for variable in _variables(model, task_name, scope)}
  return {name: variable for name, variable
          in parameters.named_variables(model).items()
          if id(variable) in chosen}


def _variables(model, task_name, scope):
  """The variables of one scope, after detaching."""
  task = model.task(task_name)
  own = parameters.task_variables(model, task_name)
  if scope == 'templates':
    return _computed_with(model, task, 'bank/')
  if scope == 'all':
    trained = [variable for name, variable in own.items()
               if not name.startswith(('statistics/', 'num_updates'))]
    return trained + _computed_with(model, task, '')
  if scope == 'mixture':
    return [own['signature/logits']]
  sites = {'norm': task_norms.SITES, 'head': (),
           'input_adapter': detaching.INPUT_SITES,
           'output_adapter': detaching.OUTPUT_SITES}[scope]
  variables = [variable for name, variable in own.items()
               if name.startswith(f'{scope}/')]
  return variables + [variable for site in sites
                      for variable in task.affine.values()[site]]


def _computed_with(model, task, prefix):
  """Shared variables, named so, that no part of the task's own replaces."""
  used = parameters.used_variable_ids(model, task)
  return [variable for name, variable
          in parameters.shared_variables(model).items()
          if name.startswith(prefix) and id(variable) in used]
