"""Where a new task starts on a trained bank (section C, Eq. 1).

    Xi_new = sum_v c_v Xi_v

Coefficients c come from how well each older task's signature does on the new
data, or are learnt from it. Gamma and beta that are the task's own start from
the same mean of what the older tasks compute with.
"""

import warnings

import keras
import numpy as np
from sklearn import linear_model
import tensorflow as tf

from mixture_modules import signatures
from mixture_modules import task_norms
from trainers import evaluation


def path_scores(model, sources, batches):
  """Accuracy on new data of older tasks as they are, heads included.

  Args:
    model: `IsometricModel`.
    sources: Names of tasks, whose classes are those of the new data.
    batches: Finite dataset of (images `[b, S, S, 3]`, labels `[b]`).

  Returns:
    {task: share of right answers, 0 to 1}.

  Source: section C.
  """
  evaluator = evaluation.Evaluator(model)
  return {name: evaluator.evaluate(name, batches)['top1'] for name in sources}


def probe_scores(model, sources, train, validation):
  """Accuracy on new data of linear heads on older tasks' features.

  A head is fitted by logistic regression to the embeddings, each brought to
  mean 0 and variance 1.

  Args:
    model: `IsometricModel`.
    sources: Names of tasks.
    train: Finite dataset of (images, labels) to fit to.
    validation: The same, to be right on.

  Returns:
    {task: share of right answers, 0 to 1}.

  Source: section C extends the accuracies of a shared label set to any; the
  linear head is our choice.
  """
  scores = {}
  for name in sources:
    embed = tf.function(
        lambda images, name=name: model.encode(images, name)[1],
        autograph=False, jit_compile=False)
    (x, labels), (new, answers) = (
        _embeddings(embed, batches) for batches in (train, validation))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    predicted = _linear_head((x - mean) / deviation, labels)(
        (new - mean) / deviation)
    scores[name] = float(np.mean(predicted == answers))
  return scores


def _embeddings(embed, batches):
  """(embeddings `[n, c2]`, labels `[n]`) of all of the batches."""
  parts = [(embed(images).numpy(), labels.numpy())
           for images, labels in batches]
  return tuple(np.concatenate(part) for part in zip(*parts))


def _linear_head(x, labels):
  """The function from features to classes of a head fitted to them."""
  if len(set(labels.tolist())) == 1:
    return lambda new: np.full(len(new), labels[0])
  head = linear_model.LogisticRegression(max_iter=300)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # of more iterations: it need not be exact
    return head.fit(x, labels).predict


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
    self._mixtures = tf.stack(
        [_own_rows(task.signature, each.signature) for each in tasks])
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
    return [_logits(self._signature, mean(self._mixtures)),
            *(mean(stacked) for stacked in self._affine)]

  def assign(self, coefficients):
    """Sets the task to the mean with these {task: number}."""
    c = tf.constant([coefficients[name] for name in self.sources], tf.float32)
    for variable, value in zip(self.variables, self.values(c)):
      variable.assign(value)


def _own_rows(signature, other):
  """Mixtures of `other` in the rows that are not shared of `signature`."""
  xi = tf.convert_to_tensor(other.mixture_weights())
  own = signature.logits.shape[0]
  after = signature.shared is not None and signature.shared_half == 'first'
  return xi[-own:] if after else xi[:own]


def _logits(signature, xi):
  """As `Signature.assign` computes them, differentiable."""
  floor = 1e-8
  if signature.kind == 'softmax':
    return signature.temperature * tf.math.log(tf.maximum(xi, floor))
  if signature.kind == 'tanh':
    limit = 1 - 1e-6  # the next to 1 in float32 is 6e-8 away
    return tf.atanh(tf.clip_by_value(xi, -limit, limit))
  return xi


def learn_coefficients(blend, model, task_name, batches, learning_rate,
                       tune_head=False):
  """Coefficients learnt from labelled new data, on the simplex.

  Trains logits of c by the gradient of the cross-entropy through the mean,
  with the statistics of each batch; all else is frozen, but for the head,
  where asked for. The task is left at the mean.

  Args:
    blend: `Blend` of the task.
    model: `IsometricModel`.
    task_name: Name of the task.
    batches: Dataset of (images, labels), one for each step.
    learning_rate: Of Adam on the logits of c, which start at 0; the head's is
      a tenth.
    tune_head: Whether the head is trained along, as that of new classes is.

  Returns:
    {task: c_v}.

  Source: section C, "learned interpolation"; the simplex is our choice.
  """
  head = model.task(task_name).head
  logits = keras.Variable(np.zeros(len(blend.sources), 'float32'))
  trained = head.trainable_variables if tune_head else []
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
  c = tf.nn.softmax(logits.value).numpy()
  coefficients = {name: float(value)
                  for name, value in zip(blend.sources, c)}
  blend.assign(coefficients)
  return coefficients


def _adam(learning_rate, variables):
  optimizer = keras.optimizers.Adam(learning_rate)
  optimizer.build(variables)
  return optimizer


def draw(signature, seed):
  """Sets a signature to random mixtures, of a seed of their own.

  Args:
    signature: Trained `Signature` of a task.
    seed: Integer.
  """
  drawn = signatures.Signature(**{
      **signature.get_config(), 'initializer': 'random', 'seed': seed})
  signature.logits.assign(drawn.logits)


def reestimate_statistics(model, task_name, batches):
  """Estimates a task's moving statistics anew, from images without labels.

  Args:
    model: `IsometricModel`.
    task_name: Name of the task.
    batches: Dataset of (images, labels); labels are not looked at.

  Source: our choice.
  """
  observe = tf.function(
      lambda images: model.encode(images, task_name, training=True)[1],
      autograph=False, jit_compile=False)
  model.task(task_name).statistics.num_updates.assign(0)
  for images, _ in batches:
    observe(images)
