"""The isometric model with tasks (sections 3.1, 4.1 and 4.3).

One block instance serves all layers and all tasks: layer l of a task computes
with the templates of the bank, mixed by row l of the task's signature.
"""

import contextlib
import dataclasses
import math

import keras
from keras import ops

from mixture_modules import isometric_config
from mixture_modules import mixture_conv
from mixture_modules import mixture_depthwise
from mixture_modules import mixture_se
from mixture_modules import normalization
from mixture_modules import signatures
from mixture_modules import tasks as tasks_lib
from mixture_modules import template_bank
from mixture_modules import tracking

_BODY_SITES = ('expand', 'depthwise', 'project')
_ADAPTER_SITES = ('input', 'hidden', 'embedding')


class IsometricBlock(keras.layers.Layer):
  """Inverted residual block whose parameters are mixtures.

      expand 1x1 - norm - act - depthwise 3x3 - norm - act - (SE) -
      project 1x1 - norm - add

  Args:
    config: `IsometricConfig`.
    bank: `TemplateBank` that gets the block's slots.
    **kwargs: As for any Keras layer.

  Call arguments:
    inputs: `[batch, height, width, c]`.
    mixture: One layer's mixture: a row of `bank.resolve`, or anything else
      that a mixture layer accepts.
    norm: Function `(tensor, site) -> tensor`; sites are 'expand',
      'depthwise' and 'project'.
    original: Optional `[batch, height, width, c]`, the input adapter's
      output (Table 6).

  Returns:
    `[batch, height, width, c]`.

  Source: sections 4.1 and A.1 (MobileNetV3's block, expansion factor 6).
  """

  def __init__(self, config, bank, **kwargs):
    # As in mixture layers: a mixture is not cast before it is used.
    super().__init__(autocast=False, **kwargs)
    c, e = config.channels, config.expanded_channels
    self.activation = keras.activations.get(config.activation)
    # Calls bring their mixture, so the layers need no logits of their own.
    fixed = signatures.Signature(1, config.num_templates, kind='1')
    shared = {'bank': bank, 'signature': fixed, 'dtype': self.dtype_policy}
    options = {**shared, 'use_bias': False}
    kernel = {'kernel_initializer': _kernel_initializer(),
              'kernel_regularizer': _weight_decay(config)}
    self.expand = mixture_conv.MixtureConv2D(
        e, 1, slot='expand', **options, **kernel)
    self.depthwise = mixture_depthwise.MixtureDepthwise(
        3, padding='same', slot='depthwise',
        depthwise_initializer=_kernel_initializer(), **options)
    self.se = None
    if config.use_se:
      self.se = mixture_se.MixtureSE(slot='se', **shared, **kernel)
    self.project = mixture_conv.MixtureConv2D(
        c, 1, slot='project', **options, **kernel)
    self.expand.build((None, None, None, c * (1 + config.original_input)))
    for layer in (self.depthwise, self.se, self.project):
      if layer is not None:
        layer.build((None, None, None, e))

  def call(self, inputs, mixture, norm, original=None):
    """Runs one residual block."""
    x = inputs = ops.cast(inputs, self.compute_dtype)
    if original is not None:
      original = ops.cast(original, self.compute_dtype)
      x = ops.concatenate([inputs, original], -1)
    x = self.activation(norm(self.expand(x, mixture=mixture), 'expand'))
    x = self.activation(norm(self.depthwise(x, mixture=mixture), 'depthwise'))
    if self.se is not None:
      x = self.se(x, mixture=mixture)
    return inputs + norm(self.project(x, mixture=mixture), 'project')


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
    seed: Of random fixed signatures and random initial ones. Default: Keras'
      global seed for the latter, 0 for the former.
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
    self.config = config
    self.seed = seed
    self.bank = template_bank.TemplateBank(config.num_templates, name='bank')
    self.block = IsometricBlock(
        config, self.bank, name='block', dtype=self.dtype_policy)
    self.activation = keras.activations.get(config.activation)
    self.input_adapter = self._conv(
        config.channels, config.patch_size, 3, 'input_adapter')
    c1, c2 = config.adapter_filters
    self.output_adapter = [
        self._conv(c1, 1, config.channels, 'output_adapter_1'),
        self._conv(c2, 1, c1, 'output_adapter_2')]
    self.affine = None  # gamma and beta that the model owns
    if config.norm == 'mixed':
      for site in _BODY_SITES:
        shape = self._norm_shapes(_BODY_SITES)[site][1:]
        self.bank.add_slot(f'{site}/gamma', shape, 'ones')
        self.bank.add_slot(f'{site}/beta', shape, 'zeros')
    if config.norm != 'private':
      sites = _ADAPTER_SITES + _BODY_SITES * (config.norm == 'shared')
      self.affine = tasks_lib.NormAffine(
          self._norm_shapes(sites), name='affine')
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
    self._lock_state()
    for name, classes in tasks.items():
      self.add_task(name, classes, head='shared' if shared_head else None)

  # Construction

  def _conv(self, filters, size, channels, name):
    layer = keras.layers.Conv2D(
        filters, size, strides=size, use_bias=False, name=name,
        kernel_initializer=_kernel_initializer(), dtype=self.dtype_policy,
        kernel_regularizer=_weight_decay(self.config))
    layer.build((None, None, None, channels))
    return layer

  def _signature(self, name, **changes):
    config = self.config
    options = {
        'num_layers': config.num_layers, 'kind': config.signature,
        'initializer': config.signature_init, 'seed': self.seed,
        'spread': config.signature_spread, 'temperature': config.temperature}
    return signatures.Signature(
        num_templates=config.num_templates, name=name,
        **{**options, **changes})

  def _norm_shapes(self, sites):
    """{site: shape} of gamma, beta, mean and variance."""
    config = self.config
    c, e, layers = (config.channels, config.expanded_channels,
                    config.num_layers)
    c1, c2 = config.adapter_filters
    shapes = {'input': (c,), 'expand': (layers, e), 'depthwise': (layers, e),
              'project': (layers, c), 'hidden': (c1,), 'embedding': (c2,)}
    return {site: shapes[site] for site in sites}

  # Tasks

  @property
  def tasks(self):
    """{name: Task}, in the order in which they were added."""
    return dict(self._tasks)

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
    all_sites = self._norm_shapes(_BODY_SITES + _ADAPTER_SITES)
    affine = None
    if self.config.norm == 'private':
      affine = tasks_lib.NormAffine(all_sites, name='affine')
    task = tasks_lib.Task(
        name, head or name, head_layer, signature,
        tasks_lib.NormStatistics(all_sites, name='statistics'), affine)
    return task, source

  def _initial_signature(self, init):
    """(signature, task whose norms are copied or None) for `add_task`."""
    options = {'shared': self.shared_signature,
               'shared_half': self.config.shared_half or 'first'}
    if self.seed is not None:
      options['seed'] = self.seed + 1 + len(self._tasks)
    if self.config.signature not in signatures.TRAINED:
      # Fixed signatures are the same for all tasks, random ones too.
      options = {}
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
    head = keras.layers.Dense(num_classes, dtype='float32', name='head')
    head.build((None, self.config.adapter_filters[1]))
    return head

  # Computation

  def call(self, images, task=None, training=False, dropout_seed=None):
    """Logits of one task."""
    task = self.task(task)
    norms = _Norms(self, task, training)
    features = self._body(self._adapt_input(images, norms), norms)
    embedding = self._adapt_output(features, norms)
    norms.commit()
    if training and self.config.dropout:
      embedding = self._drop(embedding, dropout_seed)
    return task.head(embedding)

  def _adapt_input(self, images, norms):
    x = self.input_adapter(ops.cast(images, self.compute_dtype))
    return self.activation(norms(x, 'input'))

  def _body(self, x, norms):
    original = x if self.config.original_input else None
    for layer, mixture in enumerate(norms.mixtures):
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
    named = {f'bank/{s}': self.bank.templates(s) for s in self.bank.slots}
    layers = {'input_adapter': self.input_adapter,
              'output_adapter/1': self.output_adapter[0],
              'output_adapter/2': self.output_adapter[1]}
    layers.update({f'heads/{n}': head for n, head in self._heads.items()})
    for name, layer in layers.items():
      named.update({f'{name}/{v.name}': v for v in layer.variables})
    named.update(_norm_variables('affine', self.affine, ('gamma', 'beta')))
    if self.shared_signature is not None:
      named['shared_signature/logits'] = self.shared_signature.logits
    for name, task in self._tasks.items():
      prefix = f'tasks/{name}'
      if task.signature.logits is not None:
        named[f'{prefix}/signature/logits'] = task.signature.logits
      named.update(_norm_variables(
          f'{prefix}/affine', task.affine, ('gamma', 'beta')))
      named.update(_norm_variables(
          f'{prefix}/statistics', task.statistics, ('mean', 'variance')))
    named['dropout_seeds'] = self.dropout_seeds.state
    return named

  def parameter_report(self):
    """{part: number of trained parameters}; the parts add up to 'total'.

    A block's share of the bank is `templates / K`. Moving statistics are not
    trained and stand apart, as 'statistics' (per task).

    Source: Table 7.
    """
    report = {'input_adapter': 0, 'templates': 0, 'output_adapter': 0,
              'signatures': 0, 'private_norms': 0, 'heads': 0}
    moving = [v for t in self._tasks.values() for v in t.statistics.variables]
    untrained = {id(v) for v in (*moving, self.dropout_seeds.state)}
    for name, variable in self.named_variables().items():
      if id(variable) in untrained:
        continue
      report[_part(name)] += int(ops.size(variable))
    report['total'] = sum(report.values())
    shapes = self._norm_shapes(_BODY_SITES + _ADAPTER_SITES).values()
    report['statistics'] = 2 * sum(math.prod(shape) for shape in shapes)
    return report

  def own_parameters(self, task=None):
    """Number of trained parameters that only this task has."""
    task = self.task(task)
    heads = [t.head_name for t in self._tasks.values()]
    own = [task.signature.logits]
    own += task.affine.variables if task.affine else []
    own += task.head.variables if heads.count(task.head_name) == 1 else []
    return sum(int(ops.size(v)) for v in own if v is not None)

  # Saving

  def get_config(self):
    """Configuration, tasks and heads; `from_config` takes it back."""
    return {
        'name': self.name, 'dtype': self.dtype_policy, 'seed': self.seed,
        'config': dataclasses.asdict(self.config),
        'tasks': [{'name': name, 'num_classes': task.num_classes,
                   'head': task.head_name}
                  for name, task in self._tasks.items()]}

  @classmethod
  def from_config(cls, config):
    """Makes the model of `get_config` again, with fresh weights."""
    config = dict(config)
    tasks = config.pop('tasks')
    model = cls(isometric_config.IsometricConfig(**config.pop('config')), {},
                **config)
    for task in tasks:
      model.add_task(task['name'], task['num_classes'], head=task['head'])
    return model


class _Norms:
  """The norms of one forward pass of one task.

  Finds gamma and beta where they live (task, model, or the mixed templates),
  normalises, and keeps the batch's statistics until `commit` moves the
  task's. It lives as long as the call: nothing traced stays on the model.
  """

  def __init__(self, model, task, training):
    self.mixtures = model.bank.resolve(task.signature)  # L x {slot: tensor}
    self._config = model.config
    self._task = task
    self._training = bool(training)
    self._affine = {site: self._find_affine(model, site)
                    for site in _BODY_SITES + _ADAPTER_SITES}
    self._moving = {site: self._find_statistics(site)
                    for site in _BODY_SITES + _ADAPTER_SITES}
    self._batch = {site: [] for site in self._affine}

  def _find_affine(self, model, site):
    """List of (gamma, beta), one for each layer; adapters have one."""
    for owner in (self._task.affine, model.affine):
      if owner is not None and site in owner:
        return list(zip(self._rows(site, owner.gamma[site]),
                        self._rows(site, owner.beta[site])))
    return [(m[f'{site}/gamma'], m[f'{site}/beta']) for m in self.mixtures]

  def _find_statistics(self, site):
    statistics = self._task.statistics
    return list(zip(self._rows(site, statistics.mean[site]),
                    self._rows(site, statistics.variance[site])))

  def _rows(self, site, variable):
    value = ops.convert_to_tensor(variable)
    if site in _ADAPTER_SITES:
      return [value]
    return ops.unstack(value, self._config.num_layers)

  def __call__(self, x, site, layer=0):
    gamma, beta = self._affine[site][layer]
    mean, variance = self._moving[site][layer]
    y, *statistics = normalization.batch_norm(
        x, gamma, beta, mean, variance, self._config.norm_epsilon,
        self._training)
    self._batch[site].append(statistics)
    return y

  def of_layer(self, layer):
    """The function `(tensor, site) -> tensor` that a block is called with."""
    return lambda x, site: self(x, site, layer)

  def commit(self):
    """Moves the task's statistics towards the batch's, in training."""
    if not self._training:
      return
    batch = {}
    for site, collected in self._batch.items():
      if site in _ADAPTER_SITES:
        batch[site] = collected[0]
      else:
        batch[site] = [ops.stack(values) for values in zip(*collected)]
    self._task.statistics.move(batch, self._config.norm_momentum)


def _kernel_initializer():
  return keras.initializers.VarianceScaling(2.0, 'fan_out')


def _weight_decay(config):
  if not config.weight_decay:
    return None
  return keras.regularizers.L2(config.weight_decay / 2)


def _norm_variables(prefix, layer, kinds):
  if layer is None:
    return {}
  return {f'{prefix}/{kind}/{site}': variable for kind in kinds
          for site, variable in getattr(layer, kind).items()}


def _part(name):
  """The part of the report that a named variable counts for."""
  if name.endswith('/logits'):
    return 'signatures'
  parts = {'bank': 'templates', 'input_adapter': 'input_adapter',
           'output_adapter': 'output_adapter', 'heads': 'heads'}
  if name.startswith('affine/'):
    site = name.rsplit('/', 1)[-1]
    return {'input': 'input_adapter', 'hidden': 'output_adapter',
            'embedding': 'output_adapter'}.get(site, 'templates')
  return parts.get(name.split('/')[0], 'private_norms')
