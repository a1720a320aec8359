"""Where a new task starts on a trained bank (section C, Eq. 1).

    Xi_new = sum_v c_v Xi_v

Coefficients c come from how well each older task's signature does on the new
data, or are learnt from it. Gamma and beta that are the task's own start from
the same mean of what the older tasks compute with.
"""

import zlib

import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import task_norms


def accuracy_coefficients(scores):
  """Coefficients by accuracy, `c_v = a_v / sum a`.

  Args:
    scores: {task: a_v}; where all are zero, all coefficients are equal.

  Returns:
    {task: c_v}.

  Source: section C, "accuracy-based interpolation".
  """
  total = sum(scores.values())
  return {name: score / total if total else 1 / len(scores)
          for name, score in scores.items()}


class Blend:
  """A task's signature, and its own gamma and beta, as a mean of others'.

  Args:
    model: `IsometricModel`.
    task_name: Name of the task; its signature is trained. What is its own is
      set: the rows that are not shared, and gamma and beta, if private.
    sources: Names of the tasks to take the mean of.

  Raises:
    ValueError: If the signature is fixed, or there are no sources.

  Source: Eq. 1; that gamma and beta follow it is our choice.
  """

  def __init__(self, model, task_name, sources):
    self.sources = list(sources)
    task = model.task(task_name)
    self._signature = task.signature
    if task.signature.logits is None:
      raise ValueError(
          'Expected a trained signature to start from a mean of others, '
          f'received the fixed {task.signature.kind!r}: start from copy:TASK.')
    if not self.sources:
      raise ValueError('Expected tasks to take the mean of, received none.')
    tasks = [model.task(name) for name in self.sources]
    rows = task.signature.own_rows()
    self._mixtures = tf.stack([
        each.signature.mixture_weights()[rows.start:rows.stop]
        for each in tasks])
    self.variables = [task.signature.logits]
    self._affine = []  # one [V, *shape] for each further variable
    sites = [*task.affine.values()] if task.affine else []
    values = [task_norms.affine_values(model, each, sites) for each in tasks]
    for site in sites:
      for kind, variable in enumerate(task.affine.values()[site]):
        self.variables.append(variable)
        self._affine.append(tf.stack(
            [tf.convert_to_tensor(value[site][kind]) for value in values]))

  def values(self, coefficients):
    """Tensors for `variables`, differentiable.

    Args:
      coefficients: `[V]`, on the simplex.
    """
    def mean(stacked):
      return tf.tensordot(coefficients, stacked, 1)
    return [self._signature.logits_of(mean(self._mixtures)),
            *(mean(stacked) for stacked in self._affine)]

  def assign(self, coefficients):
    """Sets the task to the mean with these {task: number}."""
    c = tf.constant([coefficients[name] for name in self.sources], tf.float32)
    for variable, value in zip(self.variables, self.values(c)):
      variable.assign(value)


def learn_coefficients(blend, model, task_name, batches, learning_rate,
                       train_head=False):
  """Coefficients learnt from labelled new data, on the simplex.

  Trains logits of c by the gradient of the cross-entropy through the mean,
  with the statistics of each batch; all else is frozen. A head that is
  untrained can be trained along; it is set back afterwards. The task is left
  at the mean.

  Args:
    blend: `Blend` of the task.
    model: `IsometricModel`.
    task_name: Name of the task.
    batches: Dataset of (images, labels), one for each step.
    learning_rate: Of Adam on the logits of c, which start at 0; the head's is
      a tenth.
    train_head: Whether the head is trained along, for the gradient to mean
      something: that of new classes is.

  Returns:
    {task: c_v}.

  Source: section C, "learned interpolation"; the simplex is our choice.
  """
  head = model.task(task_name).head
  logits = keras.Variable(np.zeros(len(blend.sources), 'float32'))
  trained = head.trainable_variables if train_head else []
  begun = [variable.numpy() for variable in trained]
  optimizers = [_adam(learning_rate, [logits])]
  if trained:
    optimizers.append(_adam(learning_rate / 10, trained))

  @tf.function(autograph=False, jit_compile=False)
  def step(images, labels):
    with tf.GradientTape() as mean_tape:
      values = blend.values(tf.nn.softmax(logits.value))
    for variable, value in zip(blend.variables, values):
      variable.assign(value)
    with tf.GradientTape() as tape:
      _, embedding = model.encode(
          images, task_name, training=True, move_statistics=False)
      loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
          labels=labels, logits=head(embedding)))
    gradients = tape.gradient(loss, [*blend.variables, *trained])
    own = mean_tape.gradient(
        values, logits.value,
        output_gradients=gradients[:len(blend.variables)])
    optimizers[0].apply_gradients([(own, logits)])
    if trained:
      optimizers[1].apply_gradients(
          zip(gradients[len(blend.variables):], trained))

  for images, labels in batches:
    step(images, labels)
  for variable, value in zip(trained, begun):
    variable.assign(value)
  c = tf.nn.softmax(logits.value).numpy()
  coefficients = {name: float(value)
                  for name, value in zip(blend.sources, c)}
  blend.assign(coefficients)
  return coefficients


def _adam(learning_rate, variables):
  optimizer = keras.optimizers.Adam(learning_rate)
  optimizer.build(variables)
  return optimizer


def draw(signature, name, seed):
  """Sets a signature to random mixtures that no task has begun with.

  A model's own tasks begin with seeds counted from the model's, such as 1, 2,
  3; those are not drawn with here.

  Args:
    signature: Trained `Signature` of a task.
    name: Name of the task.
    seed: Integer, 0 or more, of the transfer.
  """
  purpose = zlib.crc32(f'transfer/{name}'.encode())
  seed, = np.random.SeedSequence([seed, purpose]).generate_state(1)
  drawn = signature.another(initializer='random', seed=int(seed))
  signature.logits.assign(drawn.logits)
