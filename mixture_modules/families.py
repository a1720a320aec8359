"""Several tasks on one Keras model with mixture layers (section 4.3).

What adapters are to language models, signatures, norms and heads are here: a
task of a few thousand parameters on shared weights that stay as they are.
"""

import collections
import contextlib
import dataclasses
import zlib

import keras
import numpy as np

from mixture_modules import bank_sharing
from mixture_modules import checks
from mixture_modules import family_starts
from mixture_modules import layer_folding
from mixture_modules import mixed_batches
from mixture_modules import mixture_layer
from mixture_modules import rebuilding
from mixture_modules import signatures
from mixture_modules import task_names
from mixture_modules import tracking

SCOPES = ('mixture', 'norm', 'head', 'templates', 'layers')
MOVES_OTHERS = ('templates', 'layers')
_NORMS = tuple(
    getattr(keras.layers, name) for name in (
        'BatchNormalization', 'LayerNormalization', 'GroupNormalization',
        'RMSNormalization') if hasattr(keras.layers, name))
SIZES = {'units': keras.layers.Dense, 'filters': keras.layers.Conv2D}


@dataclasses.dataclass
class FamilyTask:
  """A task of a `TaskFamily`.

  Args:
    model: Its Keras model.
    layers: {name of a place: layer}, of all layers with weights, in the order
      of the model; the places are the same for all tasks.
  """

  model: keras.Model
  layers: dict


class TaskFamily:
  """Tasks that share the templates and plain layers of a Keras model.

      family = mm.TaskFamily(mm.convert(model), 'imagenet')
      flowers = family.add_task('flowers', classes=5)
      flowers.compile('adam', 'sparse_categorical_crossentropy')
      flowers.fit(images, labels)

  Every task is a Keras model of its own. It shares banks and layers that are
  no norms. Its mixtures, its norms and its head are its own. Norms whose gamma
  and beta are mixed share their templates, too.

  Tasks that are added train what is their own, so that the others keep their
  outputs bit for bit. `tune` changes that.

  Args:
    model: Built functional or Sequential model, nested ones included. It
      becomes the first task.
    name: Name of the first task.
    head: Name of the layer that gives the logits. Default: the last one with
      weights.

  Raises:
    ValueError: If the model is subclassed or not built, or has no such layer;
      if the head is neither a dense layer nor a convolution.

  Source: section 4.3, for other models than the paper's.
  """

  def __init__(self, model, name, head=None):
    rebuilding.check(model)
    layers = _places(model)
    for layer in layers.values():
      layer_folding.refuse_hidden(layer)
      if not is_norm(layer) and not hasattr(layer, 'adapt'):
        # Frozen or not, it would move what other tasks share.
        checks.require(
            not layer._non_trainable_variables, f'layer {layer.name!r}',
            'one whose state no call moves, or a norm',
            type(layer).__name__, 'leave it out of the model')
    named = {layer.name: place for place, layer in layers.items()}
    if head is None and named:
      head = next(reversed(named))
    self.head_place = named[checks.one_of('head', head, list(named))]
    checks.require(
        _size_of(layers[self.head_place]) is not None, f'the head {head!r}',
        'a Dense or Conv2D layer', layers[self.head_place], 'name another one')
    self._tasks = {task_names.check_new(name, ()): FamilyTask(model, layers)}

  def __getitem__(self, name):
    """The Keras model of a task."""
    return self.task(name).model

  def __contains__(self, name):
    return name in self._tasks

  def __iter__(self):
    return iter(self._tasks)

  def __len__(self):
    return len(self._tasks)

  def task(self, name):
    """The `FamilyTask` of this name."""
    checks.one_of('task', name, list(self._tasks))
    return self._tasks[name]

  @property
  def tasks(self):
    """{name: Keras model}, in the order in which they were added."""
    return {name: task.model for name, task in self._tasks.items()}

  def add_task(self, name, classes, init=None, tune=None, seed=None):
    """Adds a task; all others keep their outputs bit for bit.

    Args:
      name: Any text that is not yet a task's name.
      classes: Number of logits.
      init: Where mixtures and norms start: 'copy:TASK', or {task: coefficient},
        the weighted mean of tasks' (Eq. 1); 'uniform' or 'random' mixtures,
        with the norms of the first task. Default: a copy of the first task.
        `find_start` finds coefficients from data.
      tune: As of `tune`. Default: all that is the task's own.
      seed: Of the head and of random mixtures, from 1. Default: drawn.

    Returns:
      The Keras model, not compiled. Its head is drawn anew.

    Raises:
      ValueError: If the name is taken, a task named by `init` is not there, an
        argument is out of range, or fixed mixtures are to start otherwise than
        as a copy.
    """
    task_names.check_new(name, self._tasks)
    checks.positive_integer(f'classes of task {name!r}', classes)
    coefficients = self._coefficients(init)
    source = self.task(next(iter(coefficients)))
    drawn = init in ('uniform', 'random')
    if drawn or len(coefficients) > 1:
      checks.require(all(
          signature.sequence is None for each in coefficients
          for signature in _signatures(self.task(each))), 'init',
                     "'copy:TASK', since mixtures are fixed", init, 'use that')

    def make_signature(place):
      start = {'initializer': init, 'seed': None if seed is None else _seed_of(
          place, seed)}
      return source.layers[place].signature.another(**(start if drawn else {}))

    task = self.draft(name, classes, coefficients, make_signature, seed)
    if not drawn:
      _blend_mixtures(task, self._tasks, coefficients)
    self._tasks[name] = task
    try:
      self.tune(name, self._own_scopes(task) if tune is None else tune)
    except ValueError:
      self.discard(self._tasks.pop(name))
      raise
    return task.model

  def copy_task(self, name):
    """An independent model of a task, of which all weights train.

    Args:
      name: Name of the task.

    Returns:
      The Keras model, which is no task of the family.
    """
    model = bank_sharing.copy_model(self[name])
    task = FamilyTask(model, _places(model))
    for layer in task.layers.values():
      layer.trainable = True
    for scope in SCOPES:
      self._set_trainable(task, scope, True)
    return model

  def remove_task(self, name):
    """Removes a task; one must be left."""
    self.task(name)
    checks.require(len(self) > 1, 'remove_task', 'a task that is not the last',
                   name, 'keep it')
    self.discard(self._tasks.pop(name))

  def rename_task(self, old, new):
    """Gives a task another name; the order of the tasks stays."""
    self.task(old)
    if new != old:
      task_names.check_new(new, self._tasks)
      self._tasks = {new if name == old else name: task
                     for name, task in self._tasks.items()}

  def tune(self, name, scopes):
    """Says what training of a task moves, and returns it.

      'mixture': the task's mixtures.
      'norm': gamma and beta of its norms, where they are its own.
      'head': its head.
      'templates': all banks. Moves other tasks.
      'layers': the plain layers that tasks share. Moves other tasks.

    What is shared is one for all tasks: the last call says whether it trains.
    Moving statistics follow the task's batches in any case. Models of which
    something else trains than before are no longer compiled.

    Args:
      name: Name of the task.
      scopes: Name of a scope, or several.

    Returns:
      The variables that train.

    Raises:
      ValueError: If there is no such task or scope, none is named, or the task
        has nothing of a scope.
    """
    task = self.task(name)
    scopes = [scopes] if isinstance(scopes, str) else list(scopes)
    checks.require(bool(scopes), 'scopes', f'some of {SCOPES}', scopes,
                   'name what is to train')
    for scope in scopes:
      checks.one_of('scopes', scope, SCOPES)
      checks.require(bool(self.variables(task, scope)), 'scopes',
                     f'what task {name!r} has', scope, 'leave it out')
    before = {each: _trained(each) for each in self.tasks.values()}
    for scope in SCOPES:
      self._set_trainable(task, scope, scope in scopes)
    for model, trained in before.items():
      if _trained(model) != trained:
        with tracking.changing(model):  # forgets what fit has traced
          model.compiled = False
    return task.model.trainable_variables

  def count_own(self, name):
    """Number of trained parameters that only this task has."""
    task = self.task(name)
    return sum(int(keras.ops.size(v)) for scope in ('mixture', 'norm', 'head')
               for v in self.variables(task, scope))

  def list_tasks(self):
    """{task: {'classes', 'own_parameters'}}, a row of a table for each."""
    return {name: {'classes': self.num_classes(name),
                   'own_parameters': self.count_own(name)} for name in self}

  def num_classes(self, name):
    """Number of logits of a task."""
    head = self.head(name)
    return getattr(head, _size_of(head))

  def head(self, name):
    """The layer that gives the logits of a task."""
    return self.task(name).layers[self.head_place]

  def predict_mixed(self, images, task_ids):
    """Outputs of a batch of images, each by a task of its own.

    Args:
      images: `[batch, ...]`, as the models take them.
      task_ids: Name of one task for all images, or a sequence of names.

    Returns:
      List of `batch` arrays, outputs of inference.
    """
    return mixed_batches.predict_mixed(self.tasks, images, task_ids)

  find_start = family_starts.find_start

  def draft(self, name, classes, coefficients, make_signature, seed=None):
    """A `FamilyTask` that is not yet one of the family's.

    Args:
      name: Of its model.
      classes: Number of logits.
      coefficients: {task: number} of the tasks whose norms it has the mean of.
      make_signature: Function from the name of a place to its signature; asked
        once where places share one.
      seed: Of the head.
    """
    first = next(iter(self._tasks.values()))
    places = {id(layer): place for place, layer in first.layers.items()}
    made = {}  # id of a signature -> its counterpart

    def make(layer):
      own, place = {'trainable': True}, places.get(id(layer))
      if place == self.head_place:
        own |= {_size_of(layer): classes, **_seeded(layer, seed)}
      elif isinstance(layer, mixture_layer.MixtureLayer):
        signature = layer.signature
        if signature is not None and id(signature) not in made:
          made[id(signature)] = make_signature(place)
        own['signature'] = made.get(id(signature), False)
      elif not isinstance(layer, _NORMS):
        return layer if layer.weights else rebuilding.copy_layer(layer)
      return type(layer).from_config({**layer.get_config(), **own})

    with bank_sharing.apart():
      model, _ = rebuilding.rebuild(first.model, make)
    model.name = task_names.layer_name(name)
    task = FamilyTask(model, _places(model))
    _blend_norms(task, self._tasks, coefficients)
    return task

  def discard(self, task):
    """Lets what tasks share train without regard to a task."""
    for layer in _mixtures(task):
      layer.leave()

  @contextlib.contextmanager
  def only_own(self):
    """Freezes what tasks share, and lets it train again afterwards."""
    first = next(iter(self._tasks.values()))
    banks = [(bank, bank.trainable) for bank in _banks(first)]
    shared = [each for layer in self._layers(first, 'layers')
              for each in layer._flatten_layers()]
    layers = [(layer, layer._trainable) for layer in shared]
    variables = [(v, v.trainable) for layer in shared for v in layer.weights]
    for part, _ in (*banks, *layers):
      part.trainable = False
    try:
      yield
    finally:
      for bank, value in banks:
        bank.trainable = value
      for layer, value in layers:
        layer._trainable = value
      for variable, value in variables:
        variable.trainable = value

  def _coefficients(self, init):
    """{task: number} of the tasks that a new one starts as the mean of."""
    if init is None or init in ('uniform', 'random'):
      return {next(iter(self)): 1.0}
    if isinstance(init, str) and init.startswith('copy:'):
      init = {init.removeprefix('copy:'): 1.0}
    if not isinstance(init, dict) or not init:
      raise ValueError(
          "Expected init to be 'copy:TASK', {task: coefficient}, 'uniform' or "
          f"'random', received {init!r}: use one of these.")
    for name, number in init.items():
      self.task(name)
      checks.not_negative(f'coefficient of {name!r}', number)
    total = sum(init.values())
    checks.positive('the sum of the coefficients', total)
    return {name: number / total for name, number in init.items() if number}

  def _own_scopes(self, task):
    return [scope for scope in SCOPES if scope not in MOVES_OTHERS
            and self.variables(task, scope)]

  def variables(self, task, scope):
    """The variables of a scope of `tune`.

    Args:
      task: `FamilyTask`.
      scope: One of `SCOPES`.
    """
    if scope == 'mixture':
      return [each.logits for each in _signatures(task)
              if each.logits is not None]
    if scope == 'templates':
      return [v for bank in _banks(task) for v in bank.variables]
    return [v for layer in self._layers(task, scope)
            for v in rebuilding.parameters_of(layer)]

  def _layers(self, task, scope):
    """The layers of the scopes 'norm', 'head' and 'layers'."""
    def scope_of(place, layer):
      if place == self.head_place:
        return 'head'
      if isinstance(layer, mixture_layer.MixtureLayer):
        return 'mixture'
      return 'norm' if is_norm(layer) else 'layers'

    return [layer for place, layer in task.layers.items()
            if scope_of(place, layer) == scope]

  def _set_trainable(self, task, scope, value):
    # A frozen norm would not follow its statistics.
    parts = {'mixture': lambda: _signatures(task),
             'templates': lambda: _banks(task),
             'norm': lambda: self.variables(task, 'norm')}.get(
                 scope, lambda: self._layers(task, scope))
    for part in parts():
      part.trainable = value


def _places(model):
  """{name of a place: layer} of the layers with weights.

  Names are the same wherever the model is built: Keras counts all models.
  """
  places, counts = {}, collections.Counter()
  for layer in rebuilding.leaves(model):
    if layer.weights:
      kind = type(layer).__name__
      counts[kind] += 1
      places[f'{kind}_{counts[kind]}'] = layer
  return places


def _trained(model):
  return [id(variable) for variable in model.trainable_variables]


def _seeded(head, seed):
  """{argument: configuration} of a head's initialiser with a seed."""
  config = head.get_config()['kernel_initializer']
  if seed is None or not isinstance(config, dict) or (
      'seed' not in config['config']):
    return {}
  return {'kernel_initializer': {
      **config, 'config': {**config['config'], 'seed': seed}}}


def _size_of(head):
  """The argument of a head that says how many logits it gives, or None."""
  return next((argument for argument, kind in SIZES.items()
               if isinstance(head, kind)), None)


def _seed_of(place, seed):
  """A seed for each place: layers must not start alike."""
  entropy = [checks.positive_integer('seed', seed), zlib.crc32(place.encode())]
  return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def is_norm(layer):
  """Whether a layer is a norm, of which each task has its own."""
  return isinstance(layer, _NORMS)


def _mixtures(task):
  return [layer for layer in task.layers.values()
          if isinstance(layer, mixture_layer.MixtureLayer)]


def _signatures(task):
  """The signatures of a task, each once."""
  return list(dict.fromkeys(
      layer.signature for layer in _mixtures(task) if layer.signature))


def _banks(task):
  return list(dict.fromkeys(layer.bank for layer in _mixtures(task)))


def norm_variables(layer):
  """The variables of a norm that are a task's own, statistics among them."""
  if isinstance(layer, mixture_layer.MixtureLayer):
    return rebuilding.statistics_of(layer)
  return list(layer.weights)


def _blend_mixtures(task, tasks, coefficients):
  """Sets the mixtures of a task to the mean of other tasks' (Eq. 1)."""
  for place, layer in task.layers.items():
    signature = getattr(layer, 'signature', None)
    if signature is None or signature.sequence is not None:
      continue
    sources = [tasks[name].layers[place].signature for name in coefficients]
    if len(sources) == 1:
      signature.copy_from(sources[0])
    else:
      signature.assign(
          signatures.mean_mixture(sources, list(coefficients.values())))


def _blend_norms(task, tasks, coefficients):
  """Sets norms to the mean of other tasks', moving statistics, too."""
  for place, layer in task.layers.items():
    if isinstance(layer, _NORMS):
      sources = [norm_variables(tasks[name].layers[place])
                 for name in coefficients]
      for variable, *others in zip(norm_variables(layer), *sources):
        variable.assign(sum(
            c * keras.ops.convert_to_numpy(other)
            for c, other in zip(coefficients.values(), others)))
