"""Supervised training of one or many tasks (sections 4.2 and 4.3).

A step takes one batch of every task. The loss is the weighted sum of the
tasks' cross-entropies plus weight decay and the mixture regularisers.
"""

import keras
import tensorflow as tf

from mixture_modules import averaging
from mixture_modules import regularizers
from mixture_modules.isometric import isometric_model
from trainers import evaluation
from trainers import optimizers
from trainers.data import pipeline
from trainers.runs import checkpoints
from trainers.runs import saved_models


class SupervisedTrainer:
  """One update of all tasks, and their evaluation.

  Args:
    model: `IsometricModel`, made in the strategy's scope.
    data: {task name: `TaskData`}, in the model's order of tasks; of the tasks
      to be trained, all or some.
    config: `RunConfig`, whose tasks are those of `data`.
    steps: Number of training steps; the length of the schedule.
    strategy: `tf.distribute` strategy.
    variables: Variables to be trained; all others stay as they are, but for
      the moving statistics of the trained tasks. Default: all of the model.

  Attributes:
    is_finished: Whether the rest of the steps is left out; never.
    network: `evaluation.TaskEvaluator` of the model with its raw weights, or,
      in `ema.applied()`, the averaged ones.

  Raises:
    ValueError: If the replicas cannot share a batch, or one has one image.
  """

  is_finished = False

  def __init__(self, model, data, config, steps, strategy, variables=None):
    self.model = model
    self.data = data
    self.steps = steps
    self._config = config
    self._strategy = strategy
    self._weights = config.task_loss_weights()
    self._batch_sizes = config.task_batch_sizes()
    config.check_batches(strategy.num_replicas_in_sync)
    self._variables = variables
    if variables is None:
      self._variables = model.trainable_variables
    with strategy.scope():
      self.optimizer = optimizers.make_optimizer(config.optimizer, steps)
      self.optimizer.build(self._variables)
      self.ema = averaging.ExponentialMovingAverage(
          _averaged(model, self._variables,
                    data if config.ema_statistics else ()), config.ema_decay)
    self.network = evaluation.TaskEvaluator(model, data, config.eval_batch_size)

  @property
  def images_per_step(self):
    """Images of all tasks in one step, over all replicas."""
    return sum(self._batch_sizes.values())

  def state(self):
    """{key: variable} of all that a checkpoint must hold."""
    state = {f'model/{key}': variable for key, variable
             in self.model.named_variables().items()}
    state.update({f'optimizer/{key}': variable for key, variable
                  in checkpoints.optimizer_variables(self.optimizer).items()})
    state.update({f'ema/{key}': variable
                  for key, variable in self.ema.averages.items()})
    state['ema_counter'] = self.ema.counter
    return state

  def metadata(self):
    """What a checkpoint says besides, for JSON."""
    return {'model': saved_models.describe(self.model)}

  def batches(self, start_step):
    """The endless batches from `start_step` on, one dictionary a step."""
    seed = self._config.seed

    def make(context):
      return tf.data.Dataset.zip({
          name: data.train_batches(
              self._batch_sizes[name], seed, start_step,
              num_shards=context.num_replicas_in_sync,
              num_pipelines=context.num_input_pipelines,
              pipeline_id=context.input_pipeline_id)
          for name, data in self.data.items()})

    return iter(self._strategy.distribute_datasets_from_function(make))

  @tf.function(autograph=False, jit_compile=False)
  def train_step(self, step, batches):
    """One update.

    Args:
      step: Scalar integer tensor, the number of updates done before.
      batches: {task: (images, labels)}, as `batches` gives them.

    Returns:
      {name: scalar}: 'loss', and 'TASK/loss' and 'TASK/top1' of the batch.
    """
    scalars = self._strategy.run(self._replica_step, (step, batches))
    self.ema.update()
    return {name: self._strategy.reduce('MEAN', value, axis=None)
            for name, value in scalars.items()}

  def _replica_step(self, step, batches):
    with tf.GradientTape() as tape:
      scalars = {}
      loss = self._regularization()
      for index, name in enumerate(self.data):
        images, labels = batches[name]
        logits = self.model(images, task=name, training=True,
                            dropout_seed=self._dropout_seed(step, index))
        task_loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=logits))
        right = tf.equal(tf.argmax(logits, -1, labels.dtype), labels)
        scalars[f'{name}/loss'] = task_loss
        scalars[f'{name}/top1'] = tf.reduce_mean(tf.cast(right, tf.float32))
        loss += self._weights[name] * task_loss
      # The optimiser sums the replicas' gradients.
      scaled = loss / self._strategy.num_replicas_in_sync
    gradients = tape.gradient(scaled, self._variables)
    self.optimizer.apply_gradients(zip(gradients, self._variables))
    return {'loss': loss, **scalars}

  def _regularization(self):
    """Weight decay, entropy and clustering, summed over layers and tasks."""
    loss = tf.add_n(self.model.losses or [tf.zeros([])])
    trained = [self.model.task(name).signature.mixture_weights()
               for name in self.data
               if self.model.task(name).signature.logits is not None]
    if not trained:
      return loss
    xi = tf.concat(trained, axis=0)
    if self._config.entropy:
      loss += self._config.entropy * regularizers.entropy(xi)
    if self._config.clustering:
      loss += self._config.clustering * regularizers.clustering(
          xi, regularizers.squared_distances(self.model.bank),
          self._config.clustering_distance)
    return loss

  def _dropout_seed(self, step, index):
    """A seed for (run, step, task, replica)."""
    context = tf.distribute.get_replica_context()
    replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
    replicas = self._strategy.num_replicas_in_sync
    step = tf.cast(step, tf.int64)
    return tf.stack([
        tf.constant(self._config.seed, tf.int64) * 1000 + index,
        step * replicas + replica])

  def evaluate(self, split, tasks=None, weights='ema'):
    """{task: `results.TaskScore`} over a whole split.

    Args:
      split: 'train', 'validation' or 'test'.
      tasks: Names of tasks. Default: all.
      weights: 'ema' or 'raw'.
    """
    if weights == 'ema':
      with self.ema.applied():
        return self.network.evaluate(split, tasks)
    return self.network.evaluate(split, tasks)

  def mixtures(self, weights='raw'):
    """{task: mixture weights `[L, K]`} as arrays, of 'raw' or 'ema' weights."""
    if weights == 'ema':
      with self.ema.applied():
        return self.network.mixtures()
    return self.network.mixtures()


def _averaged(model, trained, tasks):
  """The variables of a model that inference takes the average of.

  Args:
    model: `IsometricModel`.
    trained: Its variables that are trained.
    tasks: Names of tasks whose moving statistics are averaged, too.
  """
  averaged = {id(v) for v in trained}
  for name in tasks:
    statistics = model.task(name).statistics
    for kind in (statistics.mean, statistics.variance):
      averaged |= {id(variable) for variable in kind.values()}
  return {key: variable for key, variable in model.named_variables().items()
          if id(variable) in averaged}


def make_reproducible(config):
  """Seeds what draws at random, and orders operations if asked for.

  TensorFlow cannot take the order of operations back: all later runs of the
  process have it, too.

  Args:
    config: `RunConfig`.
  """
  keras.utils.set_random_seed(config.seed)
  if config.deterministic:
    tf.config.experimental.enable_op_determinism()
  # Grappler rewrites sums in an order that differs between processes; seen
  # with several tasks, whose losses and gradients are summed.
  tf.config.optimizer.set_experimental_options(
      {'disable_meta_optimizer': config.deterministic})


def make_trainer(config, data, strategy, steps=None):
  """Makes the model of a run and its trainer, reproducibly.

  Args:
    config: `RunConfig`.
    data: {task name: `TaskData`}, in the order of `config.tasks`.
    strategy: `tf.distribute` strategy.
    steps: Number of training steps. Default: what the configuration says,
      which reads the training splits to know an epoch's length.

  Returns:
    `SupervisedTrainer`.
  """
  make_reproducible(config)
  if config.shared_head:
    pipeline.check_same_classes(list(data.values()))
  if steps is None:
    steps = config.total_steps({
        name: task_data.num_examples('train')
        for name, task_data in data.items()})
  with strategy.scope():
    model = isometric_model.IsometricModel(
        config.model,
        {name: task_data.num_classes for name, task_data in data.items()},
        shared_head=config.shared_head, seed=config.seed,
        dtype=config.precision)
  return SupervisedTrainer(model, data, config, steps, strategy)
