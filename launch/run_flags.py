"""The flags that decide a run, and the `RunConfig` they make.

Every flag's default comes from the preset; what is not given stays as it is
there, or, with --resume, as it was when the run was started.
"""

import pathlib

from absl import flags

from mixture_modules import regularizers
from mixture_modules import signatures
from mixture_modules.isometric import isometric_config
from trainers import schedules
from trainers.data import image_task
from trainers.runs import records
from trainers.runs import run_config

_PRESET = flags.DEFINE_enum(
    'preset', None, sorted(isometric_config.PRESETS),
    'Experiment whose values all other flags default to.')


def _define_run_flags():
  """{field of RunConfig: flag holder}, but for batch sizes and weights."""
  flag = {}
  flag['epochs'] = flags.DEFINE_float(
      'epochs', None, 'Passes over the largest task. Not with --steps.')
  flag['steps'] = flags.DEFINE_integer(
      'steps', None, 'Training steps. Not with --epochs.')
  flag['eval_batch_size'] = flags.DEFINE_integer(
      'eval_batch_size', None, 'Images in a batch of evaluation.')
  flag['shared_head'] = flags.DEFINE_bool(
      'shared_head', None, 'All tasks, of one label set, share a head.')
  flag['entropy'] = flags.DEFINE_float(
      'entropy', None, 'Weight of the entropy regulariser (section 3.2).')
  flag['clustering'] = flags.DEFINE_float(
      'clustering', None, 'Weight of the clustering regulariser, alpha in '
      'section 3.2, which states no value.')
  flag['clustering_distance'] = flags.DEFINE_enum(
      'clustering_distance', None, sorted(regularizers.DISTANCES),
      'The function g of the clustering regulariser: of a distance d between '
      'templates d, d^2, or d^2 / (d^2 + s^2) with the mean square s^2 of all.')
  flag['ema_decay'] = flags.DEFINE_float(
      'ema_decay', None, 'Decay of the averaged weights, which are the ones '
      'evaluated; 0 averages nothing.')
  flag['ema_statistics'] = flags.DEFINE_bool(
      'ema_statistics', None, 'Average the batch norms\' moving statistics '
      'too.')
  flag['augmentation'] = flags.DEFINE_enum(
      'augmentation', None, image_task.AUGMENTATIONS, 'How all tasks\' images '
      'are varied in training. Default: as each data set declares.')
  flag['precision'] = flags.DEFINE_enum(
      'precision', None, run_config.PRECISIONS, 'Of activations.')
  flag['seed'] = flags.DEFINE_integer(
      'seed', None, 'Of initialisation, order, augmentation and dropout.')
  flag['deterministic'] = flags.DEFINE_bool(
      'deterministic', None, 'Run operations in a fixed order: the same '
      'weights, bit for bit, in every run and after resuming.')
  return flag


def _define_model_flags():
  """{field of IsometricConfig: flag holder}."""
  flag = {}
  flag['depth_multiplier'] = flags.DEFINE_float(
      'depth_multiplier', None, 'rho; the body has 40 * rho channels.')
  flag['num_layers'] = flags.DEFINE_integer(
      'num_layers', None, 'L, layers of the body.')
  flag['num_templates'] = flags.DEFINE_integer(
      'num_templates', None, 'K, templates in the bank.')
  flag['image_size'] = flags.DEFINE_integer(
      'image_size', None, 'Side of the images, in pixels.')
  flag['patch_size'] = flags.DEFINE_integer(
      'patch_size', None, 'Side of the input adapter\'s patches, in pixels.')
  flag['use_se'] = flags.DEFINE_bool(
      'use_se', None, 'Squeeze-and-excite in every block.')
  flag['norm'] = flags.DEFINE_enum(
      'norm', None, isometric_config.NORMS, 'Who owns batch norm\'s gamma and '
      'beta: the bank (mixed), each task (private), the model (shared).')
  flag['signature'] = flags.DEFINE_string(
      'signature', None, f'Trained: {", ".join(signatures.TRAINED)}; fixed: '
      f'{", ".join(signatures.FIXED)}, or template numbers such as 1-2-2-3.')
  flag['signature_init'] = flags.DEFINE_enum(
      'signature_init', None, signatures.INITIALIZERS,
      'Start of trained signatures.')
  flag['signature_spread'] = flags.DEFINE_float(
      'signature_spread', None, 'Standard deviation of random logits.')
  flag['temperature'] = flags.DEFINE_float(
      'temperature', None, 'Divides the logits of a softmax signature.')
  flag['shared_half'] = flags.DEFINE_enum(
      'shared_half', None, ['first', 'second'],
      'Half of the signature\'s rows that all tasks share (Table 12).')
  flag['original_input'] = flags.DEFINE_bool(
      'original_input', None, 'Every block also gets the input adapter\'s '
      'output (Table 6).')
  flag['dropout'] = flags.DEFINE_float(
      'dropout', None, 'Rate before the logits.')
  flag['norm_momentum'] = flags.DEFINE_float(
      'norm_momentum', None, 'Of batch norm\'s moving statistics, after the '
      'first thousand steps; before, less.')
  flag['weight_decay'] = flags.DEFINE_float(
      'weight_decay', None, 'Convolution kernels add this times half their '
      'sum of squares to the loss.')
  return flag


def _define_optimizer_flags():
  """{field of OptimizerConfig: flag holder}."""
  flag = {}
  flag['learning_rate'] = flags.DEFINE_float(
      'learning_rate', None, 'Peak of the schedule.')
  flag['final_learning_rate'] = flags.DEFINE_float(
      'final_learning_rate', None, 'End of the schedule.')
  flag['schedule'] = flags.DEFINE_enum(
      'schedule', None, schedules.KINDS, 'Of the learning rate.')
  flag['warmup_steps'] = flags.DEFINE_integer(
      'warmup_steps', None, 'Steps in which the learning rate rises.')
  flag['power'] = flags.DEFINE_float(
      'power', None, 'Of the polynomial schedule.')
  flag['mixture_lr_multiplier'] = flags.DEFINE_float(
      'mixture_lr_multiplier', None, 'Learning rate of the mixture logits, in '
      'units of the others\'. Not with --mixture_learning_rate.')
  flag['mixture_learning_rate'] = flags.DEFINE_float(
      'mixture_learning_rate', None, 'Peak learning rate of the mixture '
      'logits, absolute; the schedule\'s shape stays.')
  flag['momentum'] = flags.DEFINE_float('momentum', None, 'Of RMSProp.')
  flag['rho'] = flags.DEFINE_float(
      'rho', None, 'Decay of RMSProp\'s mean square.')
  flag['epsilon'] = flags.DEFINE_float(
      'epsilon', None, 'Of RMSProp, inside the root.')
  flag['initial_mean_square'] = flags.DEFINE_float(
      'initial_mean_square', None, 'Start of RMSProp\'s mean square: 1 as in '
      'TensorFlow 1, 0 as in Keras.')
  flag['clipnorm'] = flags.DEFINE_float(
      'clipnorm', None, 'Largest norm of one variable\'s gradient.')
  return flag


_RUN = _define_run_flags()
_MODEL = _define_model_flags()
_OPTIMIZER = _define_optimizer_flags()
_TASKS = flags.DEFINE_list(
    'tasks', None, 'Names of data sets, each with optional transforms '
    '(mnist+blur), or of groups (digits); folder:PATH, one\'s own images; '
    'tfds:NAME, any other of TFDS. launch.data lists them.')
_POOL = flags.DEFINE_bool(
    'pool', False, 'Make all of --tasks, which must have the same classes, one '
    'task: their images are shuffled together.')
_BATCH_SIZE = flags.DEFINE_list(
    'batch_size', None, 'Images of each task in a step: one number, or one '
    'for each task.')
_LOSS_WEIGHTS = flags.DEFINE_list(
    'loss_weights', None, 'Weight of each task\'s loss: one number, or one for '
    'each task.')


def run_config_from_flags(expand_names, resumed=None, preset='default'):
  """The run that the flags ask for.

  Args:
    expand_names: Function from task and group names to task names.
    resumed: Work directory of a run that is resumed: flags that were not
      given are taken from it rather than from the preset.
    preset: Preset if none is given.

  Returns:
    `RunConfig`.

  Raises:
    ValueError: If flags contradict each other or a value is out of range.
  """
  changes = {name: holder.value
             for group in (_RUN, _MODEL, _OPTIMIZER)
             for name, holder in group.items() if holder.value is not None}
  if _POOL.value and _TASKS.value is None and not resumed:
    raise ValueError('--pool needs --tasks: name the data sets to be pooled.')
  if _POOL.value and _TASKS.value is not None:
    if any('|' in name for name in _TASKS.value):
      raise ValueError("--pool joins names with '|', received one that has it: "
                       f'{_TASKS.value}. Rename the folder.')
    changes['tasks'] = ('pool:' + '|'.join(_TASKS.value),)
  elif _TASKS.value is not None:
    changes['tasks'] = tuple(expand_names(_TASKS.value))
  if _BATCH_SIZE.value is not None:
    changes['batch_size'] = _numbers(_BATCH_SIZE, int)
  if _LOSS_WEIGHTS.value is not None:
    changes['loss_weights'] = _numbers(_LOSS_WEIGHTS, float)
  path = pathlib.Path(resumed or '') / records.RUN
  if resumed and path.exists():
    run = records.read_run(resumed)
    base = run_config.RunConfig.from_json(run['config'])
    if _PRESET.value:
      changes['preset'] = _PRESET.value
  else:
    base = run_config.recipe(_PRESET.value or preset)
  _check_combinations(changes, changes.get('signature', base.model.signature))
  return base.replace(**changes)


def training_from_flags(base, unused=()):
  """The training of one task, on a model that is there already.

  Args:
    base: `RunConfig` that flags which were not given default to.
    unused: Names of flags that such a training does not read.

  Returns:
    `RunConfig`.

  Raises:
    ValueError: If a flag is given that decides the model, or flags contradict
      each other, or a value is out of range.
  """
  decided = [*_MODEL.values(), _RUN['shared_head'], _RUN['precision'],
             _PRESET, _TASKS, _POOL, _LOSS_WEIGHTS]
  wrong = [holder.name for holder in decided if holder.present]
  if wrong:
    remedy = 'Leave it out'
    if wrong[0] == _TASKS.name:
      remedy += '; a new task\'s data set is --task'
    raise ValueError(
        f'--{wrong[0]} cannot be given: the model that is there decides it, or '
        f'its new task does. {remedy}.')
  wrong = [name for name in unused if flags.FLAGS[name].present]
  if wrong:
    raise ValueError(f'--{wrong[0]} is of no use here: leave it out.')
  changes = {name: holder.value for group in (_RUN, _OPTIMIZER)
             for name, holder in group.items() if holder.value is not None}
  if _BATCH_SIZE.value is not None:
    changes['batch_size'] = _numbers(_BATCH_SIZE, int)
  _check_combinations(changes, base.model.signature)
  return base.replace(**changes)


def given():
  """The flags of a run that were given, as arguments for another command."""
  own = flags.FLAGS.flags_by_module_dict()[__name__]
  return [flag.serialize() for flag in own if flag.present]


def useless_for(signature):
  """Names of the flags that a kind of signature has no use for."""
  if signature not in signatures.TRAINED:
    return {'signature_init', 'signature_spread', 'temperature',
            'mixture_lr_multiplier', 'mixture_learning_rate', 'shared_half',
            'entropy', 'clustering', 'clustering_distance'}
  return {'temperature'} if signature != 'softmax' else set()


def _numbers(holder, kind):
  try:
    values = tuple(kind(value) for value in holder.value)
  except ValueError:
    raise ValueError(
        f'--{holder.name} must be one number or a list of numbers, received '
        f'{",".join(holder.value)}.') from None
  return values[0] if len(values) == 1 else values


def _check_combinations(changes, signature):
  for one, other in (('steps', 'epochs'),
                     ('mixture_lr_multiplier', 'mixture_learning_rate')):
    if one in changes and other in changes:
      raise ValueError(
          f'--{one} and --{other} contradict each other: give one of them.')
  useless = useless_for(signature) & set(changes)
  if useless:
    raise ValueError(
        f'--signature={signature} has no use for --{sorted(useless)[0]}: leave '
        'it out, or choose another signature.')
