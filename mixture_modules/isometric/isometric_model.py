"""The isometric model with tasks (sections 3.1, 4.1 and 4.3).

One block instance serves all layers and all tasks: layer l of a task computes
with the templates of the bank, mixed by row l of the task's signature.
"""

import dataclasses
import functools

import keras
from keras import ops
import numpy as np

from mixture_modules import memory
from mixture_modules import mixed_batches
from mixture_modules import normalization
from mixture_modules import template_bank
from mixture_modules import tracing
from mixture_modules.isometric import adapters
from mixture_modules.isometric import detaching
from mixture_modules.isometric import growing
from mixture_modules.isometric import isometric_block
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import parameters
from mixture_modules.isometric import several_tasks
from mixture_modules.isometric import task_lifecycle
from mixture_modules.isometric import task_norms
from mixture_modules.isometric import task_view


@keras.saving.register_keras_serializable(package='mixture_modules')
class IsometricModel(several_tasks.SeveralTasksModel):
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
    images: `[batch, height, width, 3]` floats, usually in [-1, 1], or
      {task: images}.
    task: Name of the task. Default: the only one there is, or those that
      `images` names.
    training: Whether to use batch statistics and dropout.
    dropout_seed: Optional `[2]` integers. With them dropout is a pure
      function of the seed; without, it draws from a seed generator.
      TensorFlow's backend alone takes it.

  Returns:
    `[batch, classes]` float32 logits, or {task: logits}.

  Raises:
    ValueError: For a task that is not there, none named where there are
      several, one named beside a dictionary, or a `dropout_seed` under
      another backend than TensorFlow.

  Source: sections 3.1, 4.1, 4.3 and A.1.
  """

  def __init__(self, config, tasks, shared_head=False, seed=None, **kwargs):
    super().__init__(**kwargs)
    if not isinstance(config, isometric_config.IsometricConfig):
      raise ValueError('config must be an IsometricConfig, for example '
                       'IsometricConfig(num_templates=4), received '
                       f'{config!r}.')
    if not isinstance(tasks, dict):
      raise ValueError("tasks must be {name: number of classes}, for example "
                       f"{{'mnist': 10}}, received {tasks!r}.")
    if keras.config.image_data_format() != 'channels_last':
      raise ValueError('IsometricModel works on channels_last, received the '
                       f'Keras setting {keras.config.image_data_format()!r}.')
    memory.check(
        {'the weights': 4 * parameters.count_at_least(config)},
        'choose a smaller depth_multiplier, or fewer num_templates')
    self.config = config
    self.seed = seed
    self.bank = template_bank.TemplateBank(config.num_templates)
    self.block = isometric_block.IsometricBlock(
        config, self.bank, name='block', dtype=self.dtype_policy)
    self._traced_layer = tracing.TracedOnce(self._layer)
    self.activation = keras.activations.get(config.activation)
    self.input_adapter = adapters.input_adapter(config, self.dtype_policy)
    self.output_adapter = adapters.output_adapter(config, self.dtype_policy)
    self.affine = None  # gamma and beta that the model owns
    self._norm_slots = []  # gamma and beta that the bank owns
    if config.norm == 'mixed':
      for site in task_norms.BODY_SITES:
        shape = task_norms.shapes(config)[site][1:]
        self._norm_slots += [
            self.bank.add_slot(
                f'{site}/{kind}', shape, start, layer=self.block)
            for kind, start in (('gamma', 'ones'), ('beta', 'zeros'))]
    if config.norm != 'private':
      sites = task_norms.ADAPTER_SITES
      if config.norm == 'shared':
        sites += task_norms.BODY_SITES
      self.affine = task_norms.NormAffine(
          task_norms.shapes(config, sites))
    self.shared_signature = None
    if config.shared_half:
      self.shared_signature = task_lifecycle.make_shared_signature(self)
    self.dropout_seeds = keras.random.SeedGenerator(seed)
    self._tasks = {}
    self.built = True
    side = config.image_size  # what Keras would export; any size is taken
    self._build_shapes_dict = {'images': (None, side, side, 3)}
    self._lock_state()
    for name, classes in tasks.items():
      self.add_task(name, classes, head='shared' if shared_head else None)

  @property
  def trainable(self):
    """Whether the model trains, its bank included."""
    return self._trainable

  @trainable.setter
  def trainable(self, value):
    keras.Model.trainable.fset(self, value)
    self.bank.trainable = value

  # Tasks

  @property
  def tasks(self):
    """{name: Task}, in the order in which they were added."""
    return dict(self._tasks)

  @property
  def heads(self):
    """{name: layer from embedding to logits}."""
    return {task.head_name: task.head for task in self._tasks.values()}

  def task(self, name=None):
    """The task of this name, or the only one."""
    if name is None and len(self._tasks) == 1:
      return next(iter(self._tasks.values()))
    if name not in self._tasks:
      received = 'no task' if name is None else f'task={name!r}'
      raise ValueError(f'Expected one of the tasks {list(self._tasks)}, '
                       f'received {received}: name one with task=..., or '
                       'give fit a dictionary, {task: images}.')
    return self._tasks[name]

  def view(self, task=None):
    """One task as a Keras model of its own: see `task_view.TaskView`."""
    return task_view.TaskView(self, task)

  add_task = task_lifecycle.add_task
  remove_task = task_lifecycle.remove_task
  rename_task = task_lifecycle.rename_task
  detach = detaching.detach

  # Templates

  add_templates = growing.add_templates
  drop_templates = growing.drop_templates
  duplicate_template = growing.duplicate_template

  # Computation

  def call(self, images, task=None, training=False, dropout_seed=None):
    """Logits of one task, or of those that a dictionary names."""
    if isinstance(images, dict):
      if task is not None:
        raise ValueError('Expected images of one task or no task beside a '
                         f'dictionary, received task={task!r} beside one of '
                         f'{list(images)}: leave it out.')
      return {name: self.call(each, name, training, dropout_seed)
              for name, each in images.items()}
    backend = keras.backend.backend()
    if dropout_seed is not None and backend != 'tensorflow':
      raise ValueError('dropout_seed is of the TensorFlow backend, received it '
                       f'under {backend!r}: leave it out.')
    _, embedding = self.encode(images, task, training)
    if training and self.config.dropout:
      embedding = self._drop(embedding, dropout_seed)
    return self.task(task).head(embedding)

  def encode(self, images, task=None, training=False, move_statistics=True):
    """What the head of one task sees, and what the body gives before.

    Args:
      images: As for a call.
      task: As for a call.
      training: Whether to use batch statistics.
      move_statistics: Whether the task's moving statistics follow those of
        the batch, in training.

    Returns:
      (features `[batch, h, w, c]`, the body's last; embedding `[batch, c2]`,
      the output adapter's, without dropout).

    Raises:
      ValueError: As for a call.
    """
    self.config.check_images(images.shape)
    task = self.task(task)
    training = training and self.trainable  # frozen norms do not move
    # theta(xi) of every layer: the whole idea in one line.
    rows = self.bank.resolve(task.signature)  # L x {slot: parameter}
    norms = task_norms.Norms(self, task, rows, training)
    x = self._adapt_input(images, task, norms)
    features = self._body(x, rows, norms, training)
    embedding = self._adapt_output(features, task, norms)
    if move_statistics:
      norms.commit()
    return features, embedding

  @property
  def _default_save_signature(self):
    """None with several tasks: no one call stands for a part of a SavedModel.

    Keras would trace the call without a task, though it is a model around
    this one, or a view, that is exported.
    """
    return super()._default_save_signature if len(self._tasks) == 1 else None

  def predict_mixed(self, images, task_ids):
    """Logits of a batch of images, each by a task of its own.

    Args:
      images: `[batch, H, W, 3]` floats.
      task_ids: Name of one task for all images, or a sequence of `batch` names.

    Returns:
      List of `batch` float32 arrays, the logits `[classes of its task]`.

    Raises:
      ValueError: If a task is not there, or names are not as many as images.
    """
    self.config.check_images(np.shape(images))
    return mixed_batches.predict_mixed(
        {name: functools.partial(self, task=name) for name in self.tasks},
        images, task_ids)

  def _adapt_input(self, images, task, norms):
    adapter = task.input_adapter or self.input_adapter
    x = adapter(ops.cast(images, self.compute_dtype))
    return self.activation(norms(x, 'input'))

  def _body(self, x, rows, norms, training):
    original = x if self.config.original_input else None
    for layer, row in enumerate(rows):
      x, statistics = self._traced_layer(
          x, row, norms.of_layer(layer), original, bool(training),
          self.block.trainable)
      norms.collect(statistics)
    return x

  def _layer(self, x, row, norms, original, training, trainable):
    """One layer of the body, whose parameters all come as arguments.

    Args:
      x: `[batch, h, w, c]`.
      row: `template_bank.ResolvedRow`.
      norms: {site: (gamma, beta, mean, variance)}, each `[channels]`.
      original: The input adapter's output, or None.
      training: Whether to use batch statistics.
      trainable: Whether the block is, which tells traces apart.

    Returns:
      (outputs, {site: [mean, variance]} that were used).
    """
    del trainable
    statistics = {}

    def norm(x, site):
      y, *statistics[site] = normalization.batch_norm(
          x, *norms[site], self.config.norm_epsilon, training)
      return y

    x = self.block(x, row=row, norm=norm, original=original,
                   training=training)
    return x, statistics

  def _adapt_output(self, x, task, norms):
    first, second = task.output_adapter or self.output_adapter
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

  named_variables = parameters.named_variables
  parameter_report = parameters.report
  own_parameters = parameters.count_own
  list_tasks = parameters.list_tasks

  # Saving

  def get_config(self):
    """Configuration, tasks and heads; `from_config` takes it back."""
    return {
        'name': self.name, 'trainable': self.trainable,
        'dtype': self.dtype_policy, 'seed': self.seed,
        'config': dataclasses.asdict(self.config),
        'tasks': [{'name': name, 'num_classes': task.num_classes,
                   'head': task.head_name,
                   'detached': detaching.detached_parts(self, task),
                   **self._own_kind(task)}
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
          f'Expected weights of the tasks {self._task_order()} (task: head, '
          'parts of its own, kind of signature if it was changed), received '
          f'those of {saved}: add the same tasks in the same order, detach the '
          'same parts, relax and harden the same signatures.')

  def _task_order(self):
    return str({name: ', '.join([task.head_name,
                                 *detaching.detached_parts(self, task),
                                 *self._own_kind(task).values()])
                for name, task in self._tasks.items()})

  def _own_kind(self, task):
    """{'signature': kind} of one that was relaxed or hardened, else empty."""
    kind = task.signature.kind
    return {} if kind == self.config.signature else {'signature': kind}

  @classmethod
  def from_config(cls, config):
    """Makes the model of `get_config` again, with fresh weights."""
    config = dict(config)
    tasks, frozen = config.pop('tasks'), config.pop('frozen')
    model = cls(isometric_config.IsometricConfig(**config.pop('config')), {},
                **config)
    model.add_from_config(tasks, frozen)
    return model

  def add_from_config(self, tasks, frozen):
    """Adds the tasks of a `get_config` that are not there, and freezes parts.

    Args:
      tasks: As `get_config` has them.
      frozen: Names of parts, those of the tasks among them.
    """
    for task in tasks:
      if task['name'] in self._tasks:
        continue
      self.add_task(task['name'], task['num_classes'], head=task['head'])
      for part in task['detached']:
        self.detach(task['name'], part)
      if 'signature' in task:
        self.task(task['name']).signature.become(task['signature'])
    parts = parameters.parts(self)
    for name in frozen:
      parts[name].trainable = False
