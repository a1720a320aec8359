"""The isometric model with tasks (sections 3.1, 4.1 and 4.3).

One block instance serves all layers and all tasks: layer l of a task computes
with the templates of the bank, mixed by row l of the task's signature.
"""

import contextlib
import dataclasses

import keras
from keras import ops
import numpy as np

from mixture_modules import isometric_block
from mixture_modules import isometric_config
from mixture_modules import parameters
from mixture_modules import signatures
from mixture_modules import task_norms
from mixture_modules import tasks as tasks_lib
from mixture_modules import template_bank
from mixture_modules import tracking


@keras.saving.register_keras_serializable(package='mixture_modules')
class IsometricModel(keras.Model):
  """Isometric network for one or many tasks on one template bank.

      model = IsometricModel(IsometricConfig(), tasks={'mnist': 10})
      logits = model(images, task='mnist')

  Bank, input adapter and output adapter are shared by all tasks. A task has
  its own signature, norm statistics (and gamma and beta, with
  `norm='private'`) and, unless it shares one, its head.

  Args:
    config: `IsometricConfig`.
    tasks: {name: number of classes}.
    shared_head: Whether all of `tasks`, which then have one number of
      classes, share one head (named 'shared').
    seed: Of random fixed signatures, random initial ones and dropout; kernels
      follow Keras' global seed. Default: Keras' global seed, and 0 for random
      fixed signatures.
    **kwargs: As for any Keras model.

  Call arguments:
    images: `[batch, height, width, 3]` floats, usually in [-1, 1].
    task: Name of the task. Default: the only one there is.
    training: Whether to use batch statistics and dropout.
    dropout_seed: Optional `[2]` integers. With them dropout is a pure
      function of the seed; without, it draws from a seed generator.

  Returns:
    `[batch, classes]` float32 logits.

  Raises:
    ValueError: For a task that is not there, or none named where there are
      several.

  Source: sections 3.1, 4.1, 4.3 and A.1.
  """

  def __init__(self, config, tasks, shared_head=False, seed=None, **kwargs):
    super().__init__(**kwargs)
    if keras.config.image_data_format() != 'channels_last':
      raise ValueError('IsometricModel works on channels_last, received the '
                       f'Keras setting {keras.config.image_data_format()!r}.')
    self.config = config
    self.seed = seed
    self.bank = template_bank.TemplateBank(config.num_templates, name='bank')
    self.block = isometric_block.IsometricBlock(
        config, self.bank, name='block', dtype=self.dtype_policy)
    self.activation = keras.activations.get(config.activation)
    c, (c1, c2) = config.channels, config.adapter_filters
    convolutions = [
        isometric_block.adapter_conv(config, *arguments, self.dtype_policy)
        for arguments in (('input_adapter', 3, c, config.patch_size),
                          ('output_adapter_1', c, c1, 1),
                          ('output_adapter_2', c1, c2, 1))]
    self.input_adapter, *self.output_adapter = convolutions
    self.affine = None  # gamma and beta that the model owns
    if config.norm == 'mixed':
      for site in task_norms.BODY_SITES:
        shape = task_norms.shapes(config)[site][1:]
        self.bank.add_slot(f'{site}/gamma', shape, 'ones')
        self.bank.add_slot(f'{site}/beta', shape, 'zeros')
    if config.norm != 'private':
      sites = task_norms.ADAPTER_SITES
      if config.norm == 'shared':
        sites += task_norms.BODY_SITES
      self.affine = task_norms.NormAffine(
          task_norms.shapes(config, sites), name='affine')
    self.shared_signature = None
    if config.shared_half:
      rows = config.num_layers // 2
      if config.shared_half == 'first':
        rows = config.num_layers - rows  # own rows are the smaller half
      self.shared_signature = self._signature(
          'shared_signature', num_layers=rows)
      if (config.shared_half, config.signature_init) == ('second', 'diagonal'):
        # The last rows: their templates count from the model's first layer.
        whole = self._signature('whole').mixture_weights()
        self.shared_signature.assign(whole[-rows:])
    self.dropout_seeds = keras.random.SeedGenerator(seed)
    self._heads = {}
    self._tasks = {}
    self.built = True
    side = config.image_size  # what Keras would export; any size is taken
    self._build_shapes_dict = {'images': (None, side, side, 3)}
    self._lock_state()
    for name, classes in tasks.items():
      self.add_task(name, classes, head='shared' if shared_head else None)

  # Construction

  def _signature(self, name, **changes):
    config = self.config
    options = {
        'num_layers': config.num_layers, 'kind': config.signature,
        'initializer': config.signature_init, 'seed': self.seed,
        'spread': config.signature_spread, 'temperature': config.temperature}
    return signatures.Signature(
        num_templates=config.num_templates, name=name,
        **{**options, **changes})

  # Tasks

  @property
  def tasks(self):
    """{name: Task}, in the order in which they were added."""
    return dict(self._tasks)

  @property
  def heads(self):
    """{name: layer from embedding to logits}."""
    return dict(self._heads)

  def task(self, name=None):
    """The task of this name, or the only one."""
    if name is None and len(self._tasks) == 1:
      return next(iter(self._tasks.values()))
    if name not in self._tasks:
      received = 'no task' if name is None else f'task={name!r}'
      raise ValueError(f'Expected one of the tasks {list(self._tasks)}, '
                       f'received {received}: name one with task=...')
    return self._tasks[name]

  def add_task(self, name, num_classes, init=None, head=None):
    """Adds a task; all older tasks' outputs stay bit-identical.

    An optimiser built before does not know the new variables: make a new one.

    Args:
      name: Any text that is not yet a task's name.
      num_classes: Number of logits.
      init: Initial signature: None (the configuration's), 'random',
        'uniform', 'diagonal', 'copy:TASK' (copies the task's norm parameters
        and statistics too), or {task: coefficient}, the weighted mean of
        tasks' mixtures (Eq. 1).
      head: Name of a head to share; made if there is none of that name.
        Default: a head of its own.

    Returns:
      The new `Task`.

    Raises:
      ValueError: If the name is taken, a task named by `init` is not there,
        or the head has another number of classes.
    """
    if not isinstance(name, str) or not name:
      raise ValueError('A task needs a name, some text, received '
                       f'{name!r}.')
    if init is not None and not isinstance(init, (str, dict)):
      raise ValueError("init must be None, 'random', 'uniform', 'diagonal', "
                       f"'copy:TASK' or {{task: number}}, received {init!r}.")
    if name in self._tasks:
      raise ValueError(f'There is a task {name!r} already. Tasks: '
                       f'{list(self._tasks)}; choose another name.')
    if not isinstance(num_classes, int) or num_classes < 1:
      raise ValueError('num_classes must be a positive integer, received '
                       f'{num_classes!r} for task {name!r}.')
    with self._scope():
      task, source = self._make_task(name, num_classes, init, head)
    with tracking.unlocked(self):
      self._heads[task.head_name] = task.head
      self._tasks[name] = task
    if source is not None:
      tasks_lib.copy_variables(task.statistics, source.statistics)
      if task.affine is not None:
        tasks_lib.copy_variables(task.affine, source.affine)
    return task

  def _scope(self):
    """The `tf.distribute` scope that the model was built in, if any."""
    strategy = getattr(self, 'distribute_strategy', None)  # TensorFlow's alone
    return contextlib.nullcontext() if strategy is None else strategy.scope()

  def _make_task(self, name, num_classes, init, head):
    """(task, task whose norms it copies or None); nothing is added yet."""
    signature, source = self._initial_signature(init)
    head_layer = self._head(head or name, num_classes, shared=bool(head))
    shapes = task_norms.shapes(self.config)
    affine = None
    if self.config.norm == 'private':
      affine = task_norms.NormAffine(shapes, name='affine')
    task = tasks_lib.Task(
        name, head or name, head_layer, signature,
        task_norms.NormStatistics(shapes, name='statistics'), affine)
    return task, source

  def _initial_signature(self, init):
    """(signature, task whose norms are copied or None) for `add_task`."""
    options = {'shared': self.shared_signature,
               'shared_half': self.config.shared_half or 'first'}
    if self.seed is not None:
      options['seed'] = self.seed + 1 + len(self._tasks)
    if self.config.signature not in signatures.TRAINED:
      if init is not None and not str(init).startswith('copy:'):
        raise ValueError(
            f'The signature is fixed ({self.config.signature}), the same for '
            f'all tasks, and cannot start from init={init!r}: leave it out.')
      options = {}  # fixed signatures are the same for all, random ones too
    if isinstance(init, dict):
      means = signatures.mean_mixture(
          [self.task(name).signature for name in init], list(init.values()))
      signature = self._signature('signature', **options)
      signature.assign(means)
      return signature, None
    if init is not None and init.startswith('copy:'):
      source = self.task(init.removeprefix('copy:'))
      signature = self._signature('signature', **options)
      if signature.sequence is None:
        signature.copy_from(source.signature)
      return signature, source
    if init is not None:
      options['initializer'] = init
    return self._signature('signature', **options), None

  def _head(self, name, num_classes, shared):
    if name in self._heads:
      head = self._heads[name]
      if not shared:
        raise ValueError(f'There is a head {name!r} already; share it with '
                         f'head={name!r}, or choose another task name.')
      if head.units != num_classes:
        raise ValueError(
            f'Head {name!r} has {head.units} classes, received a task of '
            f'{num_classes}: tasks that share a head have one label set.')
      return head
    # Logits are float32 also in mixed precision: the softmax needs it.
    head = keras.layers.Dense(
        num_classes, dtype='float32', name=tasks_lib.layer_name(name))
    head.build((None, self.config.adapter_filters[1]))
    return head

  # Computation

  def call(self, images, task=None, training=False, dropout_seed=None):
    """Logits of one task."""
    self.config.check_images(images.shape)
    task = self.task(task)
    # theta(xi) of every layer: the whole idea in one line.
    mixed = self.bank.resolve(task.signature)  # L x {slot: parameter}
    norms = task_norms.Norms(self, task, mixed, training)
    features = self._body(self._adapt_input(images, norms), mixed, norms)
    embedding = self._adapt_output(features, norms)
    norms.commit()
    if training and self.config.dropout:
      embedding = self._drop(embedding, dropout_seed)
    return task.head(embedding)

  def _adapt_input(self, images, norms):
    x = self.input_adapter(ops.cast(images, self.compute_dtype))
    return self.activation(norms(x, 'input'))

  def _body(self, x, mixed, norms):
    original = x if self.config.original_input else None
    for layer, mixture in enumerate(mixed):
      norm = norms.of_layer(layer)
      x = self.block(x, mixture=mixture, norm=norm, original=original)
    return x

  def _adapt_output(self, x, norms):
    first, second = self.output_adapter
    x = self.activation(norms(first(x), 'hidden'))
    x = ops.mean(x, axis=(1, 2), keepdims=True)
    x = self.activation(norms(second(x), 'embedding'))
    return ops.squeeze(x, axis=(1, 2))  # [batch, c2]

  def _drop(self, x, seed):
    rate = self.config.dropout
    if seed is None:
      return keras.random.dropout(x, rate, seed=self.dropout_seeds)
    import tensorflow as tf  # Keras' own dropout takes no seed tensor

    return tf.nn.experimental.stateless_dropout(x, rate, seed)

  # Reports

  @property
  def mixture_logits(self):
    """The trained signatures' variables, shared rows included."""
    shared = [self.shared_signature] if self.shared_signature else []
    owners = shared + [task.signature for task in self._tasks.values()]
    return [s.logits for s in owners if s.logits is not None]

  def named_variables(self):
    """{name: variable} of everything the model holds.

    Names follow the structure (`bank/expand/kernel`,
    `tasks/mnist/signature/logits`), not Keras' generated layer names, and are
    the same in every process that builds the same model.
    """
    return parameters.named_variables(self)

  def parameter_report(self):
    """{part: number of parameters}; the parts add up to 'total'.

    Frozen ones count. A block has `templates / K` of them (with shared norms
    only if K = L). Moving statistics are never trained and stand apart, as
    'statistics' (per task).

    Source: Table 7.
    """
    return parameters.report(self)

  def own_parameters(self, task=None):
    """Number of trained parameters that only this task has."""
    return parameters.count_own(self, self.task(task))

  # Saving

  def get_config(self):
    """Configuration, tasks and heads; `from_config` takes it back."""
    return {
        'name': self.name, 'dtype': self.dtype_policy, 'seed': self.seed,
        'config': dataclasses.asdict(self.config),
        'tasks': [{'name': name, 'num_classes': task.num_classes,
                   'head': task.head_name}
                  for name, task in self._tasks.items()],
        'frozen': [name for name, layer in parameters.parts(self).items()
                   if not layer.trainable]}

  def save_own_variables(self, store):
    """Saves which tasks there are; layers save themselves, by order."""
    store['tasks'] = np.frombuffer(self._task_order().encode(), 'uint8')

  def load_own_variables(self, store):
    """Refuses weights of other tasks, or of the same in another order."""
    saved = bytes(np.asarray(store['tasks'])).decode()
    if saved != self._task_order():
      raise ValueError(
          f'Expected weights of the tasks {self._task_order()} (task: head), '
          f'received those of {saved}: add the same tasks in the same order.')

  def _task_order(self):
    return str({n: task.head_name for n, task in self._tasks.items()})

  @classmethod
  def from_config(cls, config):
    """Makes the model of `get_config` again, with fresh weights."""
    config = dict(config)
    tasks, frozen = config.pop('tasks'), config.pop('frozen')
    model = cls(isometric_config.IsometricConfig(**config.pop('config')), {},
                **config)
    for task in tasks:
      model.add_task(task['name'], task['num_classes'], head=task['head'])
    parts = parameters.parts(model)
    for name in frozen:
      parts[name].trainable = False
    return model
