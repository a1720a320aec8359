"""Batch normalisation whose gamma and beta may be mixed (section 4.1).

gamma and beta come from a bank (mixed by xi), from a task, or from the model;
moving statistics are never mixed. In the isometric model they are stacked
along the layer axis, so that a task brings few variables.
"""

import keras
from keras import ops

from mixture_modules import checks
from mixture_modules import mixture_layer
from mixture_modules import signatures


def batch_norm(inputs, gamma, beta, mean, variance, epsilon, training,
               mask=None):
  """Normalises over all axes but the last.

      y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

  Args:
    inputs: `[batch, ..., channels]`.
    gamma: `[channels]`, float32 or float64, as all of these.
    beta: `[channels]`.
    mean: `[channels]` moving mean, used if not training.
    variance: `[channels]` moving variance, used if not training.
    epsilon: Added to the variance.
    training: Whether to use (and return) the batch's statistics.
    mask: Optional `[batch, ...]` booleans, the inputs' shape but channels: the
      batch's statistics are those of positions where it is true.

  Returns:
    (y, mean, variance) with the statistics that were used. In training they
    are the batch's (the variance biased, as Keras' layer has it), or the
    moving ones again for a batch that is empty or masked as a whole.
  """
  if mask is not None and training:
    return _masked_batch_norm(
        inputs, gamma, beta, mean, variance, epsilon, mask)
  if keras.backend.backend() == 'tensorflow' and _is_fusable(inputs, epsilon):
    y, batch_mean, batch_variance = _fused_batch_norm(
        inputs, gamma, beta, mean, variance, epsilon, training)
  else:
    y, batch_mean, batch_variance = _plain_batch_norm(
        inputs, gamma, beta, mean, variance, epsilon, training)
  if not training:
    return y, mean, variance
  # Moments of nothing are not numbers.
  filled = ops.size(inputs) > 0
  return (y, ops.where(filled, batch_mean, mean),
          ops.where(filled, batch_variance, variance))


def _plain_batch_norm(inputs, gamma, beta, mean, variance, epsilon, training):
  """`batch_norm` in gamma's type, for what the fused kernel cannot compute."""
  x = ops.cast(inputs, gamma.dtype)
  used = (ops.moments(x, tuple(range(len(x.shape) - 1))) if training
          else [ops.cast(value, x.dtype) for value in (mean, variance)])
  y = (x - used[0]) * (gamma * ops.rsqrt(used[1] + epsilon)) + beta
  used = [ops.cast(value, mean.dtype) for value in used]
  return ops.cast(y, inputs.dtype), *used


def _masked_batch_norm(inputs, gamma, beta, mean, variance, epsilon, mask):
  """`batch_norm` in training, by the positions that a mask leaves."""
  axes = tuple(range(len(inputs.shape) - 1))
  mask = ops.cast(mask, 'bool')[..., None]
  x = ops.where(mask, ops.cast(inputs, mean.dtype), 0)  # also what is NaN there
  count = ops.sum(ops.cast(ops.broadcast_to(mask, ops.shape(x)), x.dtype), axes)
  share = 1 / ops.maximum(count, 1)
  batch_mean = ops.sum(x, axes) * share
  centred = ops.where(mask, x - batch_mean, 0)
  batch_variance = ops.sum(ops.square(centred), axes) * share
  mean = ops.where(count > 0, batch_mean, mean)
  variance = ops.where(count > 0, batch_variance, variance)
  return _plain_batch_norm(
      inputs, gamma, beta, mean, variance, epsilon, training=False)


def _is_fusable(inputs, epsilon):
  """Whether TensorFlow's kernel computes this; it raises small epsilons."""
  dtype = keras.backend.standardize_dtype(inputs.dtype)
  return epsilon > 1.001e-5 and dtype != 'float64'


def _fused_batch_norm(inputs, gamma, beta, mean, variance, epsilon, training):
  """`batch_norm` by TensorFlow's fused kernel, for gamma and beta tensors."""
  import tensorflow as tf  # only here: other backends do without

  shape = tf.shape(inputs)
  x = inputs
  if len(inputs.shape) != 4:
    x = tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
  statistics = {} if training else {'mean': mean, 'variance': variance}
  y, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
      x, gamma, beta, epsilon=epsilon, is_training=training, **statistics)
  if len(inputs.shape) != 4:
    y = tf.ensure_shape(tf.reshape(y, shape), inputs.shape)
  # In training the kernel returns the unbiased variance.
  count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
  biased = tf.maximum(count - 1, 1) / tf.maximum(count, 1)
  return y, batch_mean, batch_variance * biased


class MixedGammaAndBeta:
  """How norms ask for their mixed parameters, and show them."""

  def _add_gamma(self, shape):
    self._add_parameter('gamma', shape, self.gamma_initializer,
                        self.gamma_regularizer, self.gamma_constraint)

  def _add_beta(self, shape):
    self._add_parameter('beta', shape, self.beta_initializer,
                        self.beta_regularizer, self.beta_constraint)

  @property
  def gamma(self):
    """The mixed gamma, a tensor, or None."""
    return self._mixed('gamma')

  @gamma.setter
  def gamma(self, value):
    _refuse_assignment(value)

  @property
  def beta(self):
    """The mixed beta, a tensor, or None."""
    return self._mixed('beta')

  @beta.setter
  def beta(self, value):
    _refuse_assignment(value)


def _refuse_assignment(value):
  """Keras' constructor sets gamma and beta to None; nobody else sets them."""
  if value is not None:
    raise AttributeError(
        'Expected mixed gamma and beta to be left alone, received one: assign '
        'to bank.templates(slot).')


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureBatchNormalization(
    MixedGammaAndBeta, mixture_layer.MixtureLayer,
    keras.layers.BatchNormalization):
  """Batch normalisation with mixed gamma and beta and its own statistics.

      y = gamma(xi) * (x - mean) / sqrt(variance + epsilon) + beta(xi)

  It is a `keras.layers.BatchNormalization`, so that code that looks for norms
  finds it, and takes its arguments in the same order. Renormalisation,
  synchronised statistics and axes other than the last are missing.

  Args:
    axis: The channels' axis; the last, -1 or by its number.
    momentum: Of the moving statistics.
    epsilon: Added to the variance.
    center: Whether a mixed beta is added.
    scale: Whether a mixed gamma multiplies.
    beta_initializer: Of each template's beta.
    gamma_initializer: Of each template's gamma.
    moving_mean_initializer: Of the moving mean.
    moving_variance_initializer: Of the moving variance.
    beta_regularizer: On the templates' beta.
    gamma_regularizer: On the templates' gamma.
    beta_constraint: On each template's beta, after a step of the optimiser.
    gamma_constraint: On each template's gamma.
    renorm: False alone.
    renorm_clipping: None alone.
    renorm_momentum: 0.99 alone.
    synchronized: False alone.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the channels.
    signature: What mixes the templates: a kind, the number of a template,
      options of `Signature`, or a `Signature` of one row. Default: a trained
      softmax of the layer's own.
    **kwargs: As for any Keras layer, and `mixture_regularizer`, the weights
      of a `regularizers.MixtureRegularizer`.

  Call arguments:
    inputs: `[batch, ..., channels]`.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.
    training: Whether to normalise by the batch and move the statistics.
    mask: Optional `[batch, ...]` booleans, as Keras hands them on: other
      positions are no part of the batch's statistics.
    inputs_mask: What Keras calls the mask where the mixture is a tensor, too.

  Returns:
    Tensor of the inputs' shape.

  Raises:
    ValueError: If `axis` is not the last, something that is missing is asked
      for, `slot` holds another shape, or a mask has not one axis less than the
      inputs.

  Source: section 4.1 ("mixed batch normalization parameters").
  """

  stock = keras.layers.BatchNormalization

  def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True,
               scale=True, beta_initializer='zeros', gamma_initializer='ones',
               moving_mean_initializer='zeros',
               moving_variance_initializer='ones', beta_regularizer=None,
               gamma_regularizer=None, beta_constraint=None,
               gamma_constraint=None, renorm=False, renorm_clipping=None,
               renorm_momentum=0.99, synchronized=False, *, bank, slot=None,
               signature=None, **kwargs):
    for default, name, value in (
        (False, 'renorm', renorm), (None, 'renorm_clipping', renorm_clipping),
        (0.99, 'renorm_momentum', renorm_momentum),
        (False, 'synchronized', synchronized)):
      mixture_layer.refuse_all_but(default, name, value)
    checks.require(
        axis == -1 or isinstance(axis, int) and axis > 0, 'axis',
        'the last one, -1 or its number', axis, 'move the channels there')
    initializer = mixture_layer.initializer
    super().__init__(
        axis=axis, momentum=momentum, epsilon=epsilon, center=center,
        scale=scale, beta_initializer=initializer(beta_initializer, 'zeros'),
        gamma_initializer=initializer(gamma_initializer, 'ones'),
        moving_mean_initializer=initializer(moving_mean_initializer, 'zeros'),
        moving_variance_initializer=initializer(
            moving_variance_initializer, 'ones'),
        beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
        beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        bank=bank, slot=slot, signature=signature, **kwargs)

  def build(self, input_shape):
    """Asks the bank for gamma and beta, and makes the moving statistics."""
    channels = input_shape[-1]
    if channels is None:
      raise ValueError('The number of channels must be known, received inputs '
                       f'of shape {input_shape}.')
    if self.axis != -1:
      checks.require(
          self.axis == len(input_shape) - 1, f'axis of {self.name}',
          f'the last of {len(input_shape)} axes', self.axis,
          'give -1, or move the channels there')
    self.input_spec = keras.InputSpec(
        ndim=None if self.axis == -1 else len(input_shape), axes={-1: channels})
    self._channels = channels
    self._wide = signatures.wide(self.variable_dtype)
    if self.scale:
      self._add_gamma((channels,))
    if self.center:
      self._add_beta((channels,))
    self.moving_mean = self.add_weight(
        name='moving_mean', shape=(channels,), dtype=self._wide,
        trainable=False, initializer=self.moving_mean_initializer,
        autocast=False, aggregation='mean')
    self.moving_variance = self.add_weight(
        name='moving_variance', shape=(channels,), dtype=self._wide,
        trainable=False, initializer=self.moving_variance_initializer,
        autocast=False, aggregation='mean')

  def _default_slot(self):
    return f'norm_{self._channels}'

  def plain_weights(self):
    """Mixed gamma and beta, and the moving statistics."""
    return [*super().plain_weights(), self.moving_mean.numpy(),
            self.moving_variance.numpy()]

  def call(self, inputs, mixture=None, row=None, training=False, mask=None,
           inputs_mask=None):
    """Normalises, and moves the statistics in training."""
    mask = inputs_mask if mask is None else mask
    if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
      raise ValueError(
          f'Expected a mask of shape {list(inputs.shape[:-1])}, that of the '
          f'inputs but channels, received {list(mask.shape)}.')
    row = self._row(mixture, row)
    gamma = (self._parameter('gamma', row, self._wide) if self.scale
             else ops.ones((self._channels,), self._wide))
    beta = (self._parameter('beta', row, self._wide) if self.center
            else ops.zeros((self._channels,), self._wide))
    training = bool(training) and self.trainable
    outputs, mean, variance = batch_norm(
        ops.cast(inputs, self.compute_dtype), gamma, beta,
        ops.convert_to_tensor(self.moving_mean),
        ops.convert_to_tensor(self.moving_variance),
        self.epsilon, training, mask)
    if training:
      for moving, batch in ((self.moving_mean, mean),
                            (self.moving_variance, variance)):
        moving.assign(moving * self.momentum + batch * (1 - self.momentum))
    return outputs
