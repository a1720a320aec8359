"""Where a new task of a family starts: Eq. 1 on data (section C).

    start = family.find_start((images, labels), 'learned')
    family.add_task('flowers', 5, init=start)
"""

import keras
from keras import ops
import numpy as np

from mixture_modules import checks
from mixture_modules import optimizers
from mixture_modules import rebuilding
from mixture_modules import signatures
from mixture_modules import tracking

KINDS = ('best', 'accuracy', 'learned')
_RIDGE = 0.1  # of a probe, on features of variance 1


def find_start(family, data, kind='learned', sources=None, epochs=5,
               learning_rate=0.1, loss=None, seed=0):
  """Coefficients of older tasks that suit new labelled data.

    'best': 1 for the task whose features serve best.
    'accuracy': in proportion to how well features serve.
    'learned': learnt by gradient, together with a new head.

  Features serve as well as a linear classifier on them does, which is fitted
  to one half of the data and is measured on the other.

  Args:
    family: `families.TaskFamily`.
    data: (images, labels), labels integers from 0, or a finite
      `tf.data.Dataset` of batches of them.
    kind: One of `KINDS`.
    sources: Names of the tasks to start from. Default: all.
    epochs: Of 'learned'.
    learning_rate: Of 'learned': Adam's, on the logits of the coefficients; the
      head's is a tenth.
    loss: Of 'learned': Keras' loss. Default: the cross-entropy, of logits
      where the head has no activation.
    seed: Of the halves.

  Returns:
    {task: coefficient}, `init` of `add_task`; they sum to 1.

  Raises:
    ValueError: If an argument is out of range, there are no images, or the
      head stands inside of a nested model.

  Source: section C; probes of any label set and the simplex are our choice.
  """
  checks.one_of('kind', kind, KINDS)
  if isinstance(sources, str):
    sources = [sources]
  sources = list(family) if sources is None else list(sources)
  checks.require(bool(sources), 'sources', 'names of tasks', sources,
                 'leave them out for all')
  for name in sources:
    family.task(name)
  images, labels = _arrays(data)
  if len(sources) == 1:
    return {sources[0]: 1.0}
  if kind == 'learned':
    return _learn(family, sources, images, labels, epochs, learning_rate, loss)
  scores = {name: _probe(_features(family, name, images), labels, seed)
            for name in sources}
  if kind == 'best':
    return {max(scores, key=scores.get): 1.0}
  total = sum(scores.values())
  return {name: score / total if total else 1 / len(scores)
          for name, score in scores.items()}


def _arrays(data):
  """(images, labels) of arrays or batches, as arrays."""
  if not isinstance(data, (tuple, list)):
    data = [np.concatenate([ops.convert_to_numpy(part) for part in parts])
            for parts in zip(*data)] or [[], []]
  images, labels = (ops.convert_to_numpy(part) for part in data)
  labels = labels.reshape(-1)
  checks.require(
      len(images) == len(labels) > 1, 'data',
      'two images or more with as many labels', [len(images), len(labels)],
      'give (images, labels)')
  checks.require(
      labels.dtype.kind in 'iu' and labels.min() >= 0, 'labels',
      'integers from 0 on', labels[:5].tolist(), 'number the classes')
  return images, labels.astype('int64')


def _features(family, name, images):
  """What the head of a task sees, `[n, features]`."""
  model, head = family[name], family.head(name)
  checks.require(
      any(layer is head for layer in model.layers), 'the head',
      'a layer of the model itself', head.name, "take the kind 'learned'")
  features = keras.Model(
      rebuilding.input_of(model), head.input).predict(images, verbose=0)
  return features.reshape(len(features), -1)


def _probe(features, labels, seed):
  """Accuracy on one half of a ridge classifier fitted to the other."""
  order = np.random.default_rng(seed).permutation(len(labels))
  fit, test = order[::2], order[1::2]
  mean, deviation = features[fit].mean(0), features[fit].std(0) + 1e-6
  x = (features - mean) / deviation
  x = np.concatenate([x, np.ones((len(x), 1))], 1)
  y = np.eye(labels.max() + 1)[labels]
  gram = x[fit].T @ x[fit] + _RIDGE * len(fit) * np.eye(x.shape[1])
  weights = np.linalg.solve(gram, x[fit].T @ y[fit])
  return float(np.mean((x[test] @ weights).argmax(1) == labels[test]))


class _Coefficients(keras.layers.Layer):
  """c, `[V]`, on the simplex."""

  def __init__(self, count):
    super().__init__()
    self.logits = self.add_weight(
        name='logits', shape=(count,), initializer='zeros')

  def values(self):
    return ops.softmax(ops.convert_to_tensor(self.logits))


class _MeanSignature(signatures.Signature):
  """The mean of other tasks' signatures, by coefficients that train."""

  def __init__(self, coefficients, sources):
    first = sources[0]
    super().__init__(first.num_layers, first.num_templates, '1')
    self.sequence = None  # It is no template, but what follows.
    with tracking.unlocked(self):
      self.coefficients = coefficients
    self._mixtures = np.stack([
        ops.convert_to_numpy(each.mixture_weights()) for each in sources])

  def mixture_weights(self):
    """`sum_v c_v Xi_v`, `[1, K]`."""
    return ops.tensordot(
        self.coefficients.values(), ops.convert_to_tensor(self._mixtures), 1)


def _learn(family, sources, images, labels, epochs, learning_rate, loss):
  checks.positive_integer('epochs', epochs)
  checks.positive('learning_rate', learning_rate)
  coefficients = _Coefficients(len(sources))
  with family.only_own():
    task = family.draft(
        'start', int(labels.max()) + 1, dict.fromkeys(
            sources, 1 / len(sources)),
        lambda place: _MeanSignature(coefficients, [
            family.task(name).layers[place].signature for name in sources]))
    for variable in family.variables(task, 'norm'):
      variable.trainable = False
    if loss is None:
      head = task.layers[family.head_place]
      loss = keras.losses.SparseCategoricalCrossentropy(
          from_logits=head.activation is keras.activations.linear)
    task.model.compile(keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.Adam(learning_rate / 10),
            {optimizers.MIXTURES: keras.optimizers.Adam(learning_rate)})), loss)
    task.model.fit(images, labels, epochs=epochs, verbose=0)
    family.discard(task)
  return dict(zip(sources, map(float, ops.convert_to_numpy(
      coefficients.values()))))
