"""Signatures: one mixture of templates per layer (sections 3.1, 3.2, 4.2).

A signature Xi `[L, K]` says which templates each of the L layers computes
with. It is either trained (softmax of logits; tanh and linear are the paper's
ablations) or fixed and one-hot, when it is just a sequence of template
numbers such as 1-2-2-3.
"""

import functools

import keras
from keras import ops
import numpy as np

from mixture_modules import bank_sharing
from mixture_modules import checks
from mixture_modules import fixed_sequences
from mixture_modules import shared_layer
from mixture_modules import tracking

TRAINED = ('softmax', 'tanh', 'linear')
FIXED = fixed_sequences.KINDS
INITIALIZERS = ('random', 'uniform', 'diagonal')
# What a mixture layer's `signature` may say of one of the layer's own.
OPTIONS = {'kind': 'softmax', 'initializer': 'random', 'spread': 0.5,
           'temperature': 1.0, 'diagonal_weight': 0.99, 'seed': None,
           'trainable': True}
_SOFTENED = 0.9  # share that a relaxed layer leaves its template
_FLOOR = 1e-8  # smallest xi whose logarithm is taken
_TANH_LIMIT = 1 - 1e-6  # largest |xi|; the next to 1 in float32 is 6e-8 away


@keras.saving.register_keras_serializable(package='mixture_modules')
class Signature(shared_layer.SharedLayer, bank_sharing.Shareable):
  """One mixture of K templates for each of L layers.

      xi[l] = softmax(logits[l] / temperature)

  Args:
    num_layers: L, the number of rows.
    num_templates: K, the number of columns.
    kind: 'softmax', 'tanh' or 'linear' (trained); 'sequential', 'cyclic',
      'random', 'progressive', 'diagonal', or an explicit sequence of template
      numbers, from 1, such as '1-2-2-3' (fixed, one-hot).
    initializer: Of a trained signature: 'random' (normal logits), 'uniform'
      (all templates alike) or 'diagonal' (nearly one-hot, layer l on template
      l; needs K >= L).
    spread: Standard deviation of the random logits. Default 0.5: enough for
      layers to differ from the start.
    temperature: Divides the logits of a softmax.
    diagonal_weight: xi[l, l] of the diagonal initialiser.
    seed: Of the random initialiser and of the random sequence.
    shared: Optional `Signature` whose rows stand for the first or second half
      of this one's, with other tasks that were handed the same object.
    shared_half: 'first' or 'second'; where the shared rows stand.
    **kwargs: As for any Keras layer.

  Raises:
    ValueError: For an unknown kind or initialiser, a sequence of another
      length than L, or one that names a template that is not there.

  Source: section 3.2 (softmax, ablations), 4.2 (fixed kinds); Tables 11 and
  12 (shared half); the near-one-hot start is Table 8's "diag".
  """

  def __init__(self, num_layers, num_templates, kind='softmax',
               initializer='random', spread=0.5, temperature=1.0,
               diagonal_weight=0.99, seed=None, shared=None,
               shared_half='first', **kwargs):
    super().__init__(**kwargs)
    self.num_layers, self.num_templates = fixed_sequences.check_counts(
        num_layers, num_templates)
    self.kind = kind
    self.initializer = initializer
    self.spread = checks.not_negative('spread', spread)
    self.temperature = checks.positive('temperature', temperature)
    self.diagonal_weight = checks.positive('diagonal_weight', diagonal_weight)
    self.seed = seed
    self.shared = deserialize(shared)
    self.shared_half = shared_half
    self._regularizer = None
    self._is_shared = False  # whether its rows stand in others' halves
    if self.shared is not None:
      self.shared._is_shared = True
    # Template of each layer, from 0; None if the signature is trained.
    self.sequence = None
    if kind not in TRAINED:
      self.sequence = fixed_sequences.make_sequence(
          kind, self.num_layers, self.num_templates, seed)
    self._check()
    self.build()

  def _check(self):
    checks.one_of('initializer', self.initializer, INITIALIZERS)
    checks.require(self.diagonal_weight <= 1, 'diagonal_weight', 'at most 1',
                   self.diagonal_weight, 'try 0.99')
    if self.shared is None:
      return
    checks.one_of('shared_half', self.shared_half, ('first', 'second'))
    if self.sequence is not None or self.shared.kind != self.kind:
      raise ValueError(
          'A shared half needs two trained signatures of one kind, received '
          f'{self.kind!r} with a shared {self.shared.kind!r}.')
    if (self.shared.num_templates != self.num_templates
        or self.shared.num_layers >= self.num_layers):
      raise ValueError(
          f'The shared rows must be fewer than {self.num_layers} and mix '
          f'{self.num_templates} templates, received '
          f'[{self.shared.num_layers}, {self.shared.num_templates}].')

  def build(self, input_shape=None):
    """Makes the logits of the rows that are not shared."""
    self.logits = None
    if self.sequence is None:
      self.logits = self.add_weight(
          name='logits', dtype=wide(self.variable_dtype),
          initializer=self._initial_logits,
          autocast=False,
          shape=(len(self.own_rows()), self.num_templates))
    self.built = True

  @property
  def shared_variable(self):
    """The logits, or None of a fixed signature."""
    return self.logits

  def regularize_by(self, regularizer):
    """Sets the one regulariser of the layers that compute with this.

    Args:
      regularizer: `regularizers.MixtureRegularizer` or None.

    Raises:
      ValueError: If another layer has set another one, or the mixtures do not
        sum to 1.
    """
    if regularizer is None:
      return
    _check_regularized(self.kind)
    others = self._regularizer
    if others not in (None, regularizer):
      raise ValueError(
          f'Expected one mixture_regularizer of a shared signature, received '
          f'{regularizer} after {others}: give its layers equal ones.')
    self._regularizer = regularizer

  def add_regularization(self):
    """Adds the regulariser's loss to the step, once however many layers ask."""
    if (self._regularizer is not None and self.logits is not None
        and self.logits.trainable and not self.losses):
      self.add_loss(self._regularizer(self.mixture_weights(), self._slots()))

  def _slots(self):
    """{bank: names of the slots} that this signature mixes."""
    slots = {}
    for layer in self.users():
      slots.setdefault(layer.bank, set()).update(layer.slots)
    return {bank: sorted(names) for bank, names in slots.items()}

  def own_rows(self):
    """Indices of the layers whose rows are this signature's own."""
    shared = self.shared.num_layers if self.shared else 0
    if shared and self.shared_half == 'first':
      return range(shared, self.num_layers)
    return range(self.num_layers - shared)

  def _initial_logits(self, shape, dtype=None):
    centre = np.full(shape, 1 / self.num_templates)
    if self.initializer == 'diagonal':
      return ops.cast(self.logits_of(self._diagonal()), dtype)
    logits = self.logits_of(centre)
    if self.initializer == 'random':
      noise = keras.random.normal(shape, stddev=self.spread, seed=self.seed)
      logits = logits + ops.cast(noise, logits.dtype)
    return ops.cast(logits, dtype)

  def initial_scale(self):
    """What random templates are multiplied by, so that their mixture is not.

        scale = 1 / sqrt(E sum_k xi[k] ** 2)

    A mixture of K independent templates of variance 1 has the variance
    `sum_k xi[k] ** 2`, 1 / K for equal shares: eight layers without norms
    would shrink what passes them K ** 4 times in variance. The expectation is
    over the random start of a signature; a fixed one and K = 1 give 1.

    Returns:
      Float; 1 where one template has all the weight.

    Source: our choice.
    """
    if self.sequence is not None or self.num_templates == 1:
      return 1.0
    if self.initializer == 'diagonal':
      return _scale_of(self._diagonal())
    spread = self.spread if self.initializer == 'random' else 0.0
    return _random_scale(
        self.kind, self.num_templates, spread, self.temperature)

  def _diagonal(self):
    if self.num_templates < self.num_layers:
      raise ValueError(
          'The diagonal initialiser gives layer l template l and needs K >= '
          f'L, received K = {self.num_templates}, L = {self.num_layers}.')
    rows = list(self.own_rows())
    if self.num_templates == 1:
      return np.ones((1, 1))
    rest = (1 - self.diagonal_weight) / (self.num_templates - 1)
    xi = np.full((len(rows), self.num_templates), rest)
    xi[np.arange(len(rows)), rows] = self.diagonal_weight
    return xi

  def logits_of(self, xi):
    """Logits whose mixtures are `xi`; the inverse of the activation.

    Args:
      xi: `[.., K]`, array or tensor; gradients pass through.
    """
    if self.kind == 'softmax':
      return self.temperature * ops.log(ops.maximum(xi, _FLOOR))
    if self.kind == 'tanh':
      return ops.arctanh(ops.clip(xi, -_TANH_LIMIT, _TANH_LIMIT))
    return xi

  def weights_of(self, logits):
    """Mixture weights of some logits, by this signature's activation."""
    if self.kind == 'softmax' and self.num_templates == 1:
      return logits * 0 + 1  # Keras warns of a softmax of one
    if self.kind == 'softmax':
      return ops.softmax(logits / self.temperature, axis=-1)
    return ops.tanh(logits) if self.kind == 'tanh' else logits

  def mixture_weights(self):
    """The signature Xi, `[L, K]`; its rows sum to 1 for a softmax.

    It is float32, or float64 if that is the type of the signature.
    """
    if self.sequence is not None:
      return ops.one_hot(np.array(self.sequence), self.num_templates,
                         dtype=wide(self.variable_dtype))
    own = self.weights_of(ops.convert_to_tensor(self.logits))
    if self.shared is None:
      return own
    halves = [self.shared.mixture_weights(), own]
    if self.shared_half == 'second':
      halves.reverse()
    return ops.concatenate(halves)

  def assign(self, xi):
    """Sets the rows that are not shared, so that the mixtures become `xi`.

    Args:
      xi: `[L, K]`; for a softmax, non-negative with rows that sum to 1.

    Raises:
      ValueError: If the signature is fixed, the shape differs, or a softmax
      cannot have such rows.
    """
    xi = ops.convert_to_numpy(xi)
    if self.sequence is not None:
      raise ValueError(f'The signature is fixed ({self.kind}): it cannot be '
                       'assigned. Make it a trained one first, by relax().')
    if xi.shape != (self.num_layers, self.num_templates):
      raise ValueError(
          f'Expected mixtures of shape {[self.num_layers, self.num_templates]}'
          f' [L, K], received {list(xi.shape)}.')
    if self.kind == 'softmax' and (
        (xi < 0).any() or np.abs(xi.sum(-1) - 1).max() > 1e-3):
      raise ValueError('Mixtures of a softmax signature are not negative and '
                       f'sum to 1 in every row, received {xi.tolist()}.')
    self.logits.assign(self.logits_of(
        np.float64(xi[list(self.own_rows())])))

  def copy_from(self, other):
    """Takes over the mixtures of `other`, exactly where the kinds agree."""
    same = (other.kind == self.kind and other.logits is not None
            and other.temperature == self.temperature
            and other.num_templates == self.num_templates
            and other.num_layers == self.num_layers
            and other.own_rows() == self.own_rows())
    if same:
      self.logits.assign(ops.convert_to_numpy(other.logits))
    else:
      self.assign(ops.convert_to_numpy(other.mixture_weights()))

  def resize(self, num_templates, rows):
    """Mixes another number of templates from now on.

    Args:
      num_templates: The new K.
      rows: Of a trained signature the new logits of its own rows,
        `[rows, K]`; of a fixed one its sequence, template numbers from 0. It
        becomes an explicit one, such as '1-2-2-3'.
    """
    self.num_templates = num_templates
    if self.initializer == 'diagonal' and num_templates < self.num_layers:
      self.initializer = 'random'  # a diagonal would no longer fit
    if self.sequence is None:
      self.become(self.kind, rows)
    else:
      self.become(_explicit(rows))

  def relax(self, kind='softmax', weight=None):
    """Makes a fixed signature a trained one, in place.

    The logits are a new variable: compile and trace again afterwards.

    Args:
      kind: 'softmax', 'tanh' or 'linear'.
      weight: xi of each layer's template at the start; the others share the
        rest alike. Default: 0.9, since a softmax near one-hot hardly learns;
        1 for 'linear', which does, so that outputs stay what they were.

    Raises:
      ValueError: If the signature is trained, there is no such kind, or the
        weight is not above 0 and, but for 'linear', below 1.
    """
    checks.one_of('kind', kind, TRAINED)
    if self.sequence is None:
      raise ValueError(f'Expected a fixed signature to relax, received one of '
                       f'the kind {self.kind!r}, which is trained: train it.')
    if weight is None:
      weight = 1 if kind == 'linear' else _SOFTENED
    checks.positive('weight', weight)
    checks.require(weight < 1 or kind == 'linear' and weight == 1, 'weight',
                   'below 1', weight, "try 0.9, or the kind 'linear' with 1")
    chosen = np.eye(self.num_templates)[list(self.sequence)]
    others = (1 - weight) / max(1, self.num_templates - 1)
    xi = np.where(chosen, weight if self.num_templates > 1 else 1, others)
    self.become(kind)
    self.assign(xi)

  def harden(self):
    """Makes a trained signature a fixed one, in place.

    Each layer computes with its strongest template alone, from now on. The
    variable is gone: compile and trace again afterwards.

    Raises:
      ValueError: If the signature is fixed, or shares rows with others.
    """
    if self.sequence is not None:
      raise ValueError('Expected a trained signature to harden, received the '
                       f'fixed {self.kind!r}: leave it as it is.')
    if self.shared is not None or self._is_shared:
      raise ValueError(
          'Expected a signature with rows of its own to harden, received one '
          "that shares a half: detach 'mixture' of its task first.")
    self.become(self.notation())

  def become(self, kind, logits=None):
    """Takes another kind, in place; `relax` and `harden` are made of it.

    Args:
      kind: As for the constructor.
      logits: Of a trained kind, those of the rows that are not shared.
        Default: zeros, to be assigned or loaded.
    """
    sequence = None
    if self._regularizer is not None:
      _check_regularized(kind)
    if kind not in TRAINED:
      sequence = fixed_sequences.make_sequence(
          kind, self.num_layers, self.num_templates, self.seed)
    self.kind, self.sequence = kind, sequence
    with tracking.replacing(self, self.logits):
      self.logits = None
      if sequence is None:
        self.logits = self.add_weight(
            name='logits', dtype=wide(self.variable_dtype), autocast=False,
            shape=(len(self.own_rows()), self.num_templates),
            initializer='zeros')
        if logits is not None:
          self.logits.assign(logits)
    self.follow()

  def notation(self):
    """The strongest template of each layer, as the paper writes: '1-2-2-3'."""
    return notation(ops.convert_to_numpy(self.mixture_weights()))

  def get_config(self):
    """Constructor arguments; a shared signature is passed as the object."""
    names = ('num_layers', 'num_templates', *OPTIONS, 'shared', 'shared_half')
    layers = len(self.users())
    return {**super().get_config(), **{n: getattr(self, n) for n in names},
            **(bank_sharing.describe(self, layers) if layers > 1 else {})}

  def another(self, **changes):
    """A signature of the same arguments, some changed, and of its own start."""
    config = bank_sharing.without(self.get_config())
    return Signature(**{**config, **changes})

  @classmethod
  def from_config(cls, config):
    """The signature of `get_config`: one for all layers that shared it."""
    return bank_sharing.restore(cls, config)

  def options(self):
    """{option: value} of `OPTIONS` that are not the default."""
    return {name: getattr(self, name) for name, default in OPTIONS.items()
            if getattr(self, name) != default}


@functools.cache  # every parameter of every layer asks
def _random_scale(kind, num_templates, spread, temperature):
  """`initial_scale` of random logits, in NumPy: layers build in traces."""
  noise = np.random.default_rng(0).normal(
      scale=spread, size=(10_000, num_templates))
  share = 1 / num_templates
  if kind == 'linear':
    return _scale_of(share + noise)
  if kind == 'tanh':
    return _scale_of(np.tanh(np.arctanh(share) + noise))
  weights = np.exp(noise / temperature)
  return _scale_of(weights / weights.sum(-1, keepdims=True))


def _scale_of(xi):
  return float(np.mean(np.sum(np.square(xi), axis=-1)) ** -.5)


def _check_regularized(kind):
  checks.require(
      kind not in ('tanh', 'linear'), 'a signature with mixture_regularizer',
      'one whose mixtures sum to 1', kind, 'take softmax, or no regularizer')


def make(options, num_templates, dtype):
  """The one-row signature that a mixture layer is asked to have.

  Args:
    options: Kind, number of a template from 1, {option: value} with names of
      `OPTIONS`, or None for their defaults.
    num_templates: K.
    dtype: As for any Keras layer.

  Raises:
    ValueError: If there is no such option or kind.
  """
  if options is None:
    options = {}
  if isinstance(options, (str, int)):
    options = {'kind': str(options)}
  for name in options:
    checks.one_of('an option of a signature', name, OPTIONS)
  return Signature(1, num_templates, dtype=dtype, **options)


def wide(dtype):
  """The type to mix in: 'float64' for that type, else 'float32'."""
  return 'float64' if dtype == 'float64' else 'float32'


def notation(mixtures):
  """The strongest template, by |xi|, of each row of `[L, K]`: '1-2-2-3'."""
  return _explicit(np.abs(mixtures).argmax(-1))


def _explicit(sequence):
  """The kind of a fixed signature: template numbers, here from 0."""
  return '-'.join(str(k + 1) for k in sequence)


def harden(mixtures):
  """Mixtures of the strongest template of each layer alone, `[L, K]`.

  Rows of a softmax become one-hot; those of tanh and linear signatures, which
  have no such scale, keep the strongest weight as it is.

  Args:
    mixtures: `[L, K]`.
  """
  mixtures = ops.convert_to_numpy(mixtures)
  alone = np.eye(mixtures.shape[-1], dtype=mixtures.dtype)[
      np.abs(mixtures).argmax(-1)]
  return alone if is_softmax(mixtures) else alone * mixtures


def is_softmax(mixtures):
  """Whether all rows of `[.., L, K]` are shares: not negative, of sum 1."""
  mixtures = ops.convert_to_numpy(mixtures)
  return bool((mixtures >= 0).all()
              and np.abs(mixtures.sum(-1) - 1).max() < 1e-3)


def mean_mixture(signatures, coefficients):
  """Weighted mean of mixtures, `sum_v c_v Xi_v`, as an array `[L, K]`.

  Args:
    signatures: List of `Signature` of one shape.
    coefficients: One number per signature; they are divided by their sum.

  Raises:
    ValueError: If shapes differ, or the coefficients do not fit.

  Source: Eq. 1. It averages the mixtures, not the logits.
  """
  shapes = [(s.num_layers, s.num_templates) for s in signatures]
  if len(set(shapes)) > 1:
    raise ValueError('Expected signatures of one shape [L, K], received '
                     f'{[list(shape) for shape in shapes]}.')
  coefficients = np.asarray(coefficients, 'float64')
  if (not signatures or len(signatures) != len(coefficients)
      or (coefficients < 0).any()
      or not 0 < coefficients.sum() < np.inf):
    raise ValueError(
        'Expected one signature or more and as many coefficients, none '
        f'negative and not all zero, received {len(signatures)} signatures '
        f'and the coefficients {coefficients.tolist()}.')
  coefficients = coefficients / coefficients.sum()
  return sum(c * ops.convert_to_numpy(s.mixture_weights())
             for c, s in zip(coefficients, signatures))


def interpolate(first, second, t):
  """A point of the line between two signatures, as an array `[L, K]`.

      (1 - t) Xi_first + t Xi_second

  Args:
    first: `Signature`, that of t = 0.
    second: `Signature` of the same shape, that of t = 1.
    t: Number from 0 to 1.

  Raises:
    ValueError: If shapes differ, or t is not from 0 to 1.

  Source: Eq. 1 of two signatures; it is mixtures, not logits, that are mixed.
  """
  if not 0 <= t <= 1:
    raise ValueError('Expected t from 0 (the first signature) to 1 (the '
                     f'second), received {t!r}.')
  return mean_mixture([first, second], [1 - t, t])


def total_variation(first, second):
  """Distance between two signatures, for each layer.

      d[l] = 1/2 sum_k |first[l, k] - second[l, k]|

  Args:
    first: `[L, K]` mixture weights.
    second: `[L, K]` mixture weights.

  Returns:
    `[L]` array; 0 where a layer is shared, 1 where templates are disjoint.

  Source: our choice, to measure what Figure 2 shows.
  """
  first, second = map(ops.convert_to_numpy, (first, second))
  return np.abs(first - second).sum(-1) / 2


def deserialize(layer):
  """A layer that a configuration holds, as the object or as Keras wrote it."""
  if isinstance(layer, dict):
    return keras.saving.deserialize_keras_object(layer)
  return layer
