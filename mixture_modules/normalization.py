"""Batch normalisation whose gamma and beta may be mixed (section 4.1).

gamma and beta come from a bank (mixed by xi), from a task, or from the model;
moving statistics are never mixed. In the isometric model they are stacked
along the layer axis, so that a task brings few variables.
"""

import keras
from keras import ops

from mixture_modules import mixture_layer


def batch_norm(inputs, gamma, beta, mean, variance, epsilon, training,
               mask=None):
  """Normalises over all axes but the last.

      y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

  Args:
    inputs: `[batch, ..., channels]`.
    gamma: `[channels]`, float32.
    beta: `[channels]`, float32.
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
  """`batch_norm` in float32, for what the fused kernel does not compute."""
  x = ops.cast(inputs, 'float32')
  if training:
    mean, variance = ops.moments(x, tuple(range(len(x.shape) - 1)))
  y = (x - mean) * (gamma * ops.rsqrt(variance + epsilon)) + beta
  return ops.cast(y, inputs.dtype), mean, variance


def _masked_batch_norm(inputs, gamma, beta, mean, variance, epsilon, mask):
  """`batch_norm` in training, by the positions that a mask leaves."""
  axes = tuple(range(len(inputs.shape) - 1))
  mask = ops.cast(mask, 'bool')[..., None]
  x = ops.where(mask, ops.cast(inputs, 'float32'), 0)  # also what is NaN there
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


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureBatchNormalization(mixture_layer.MixtureLayer):
  """Batch normalisation with mixed gamma and beta and its own statistics.

      y = gamma(xi) * (x - mean) / sqrt(variance + epsilon) + beta(xi)

  Args:
    axis: The channels' axis; only the last is supported.
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
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the channels.
    signature: Optional one-row `Signature`. Default: the layer's own.
    **kwargs: As for any Keras layer.

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
    ValueError: If `axis` is not the last, `slot` holds another shape, or a
      mask has not one axis less than the inputs.

  Source: section 4.1 ("mixed batch normalization parameters").
  """

  def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True,
               scale=True, beta_initializer='zeros', gamma_initializer='ones',
               moving_mean_initializer='zeros',
               moving_variance_initializer='ones', beta_regularizer=None,
               gamma_regularizer=None, *, bank, slot=None, signature=None,
               **kwargs):
    super().__init__(bank=bank, slot=slot, signature=signature, **kwargs)
    if axis != -1:
      raise ValueError(
          'MixtureBatchNormalization normalises the last axis (axis=-1, '
          f'channels_last), received axis={axis}.')
    self.supports_masking = True
    self.axis = axis
    self.momentum = momentum
    self.epsilon = epsilon
    self.center = center
    self.scale = scale
    self.beta_initializer = keras.initializers.get(beta_initializer)
    self.gamma_initializer = keras.initializers.get(gamma_initializer)
    self.moving_mean_initializer = keras.initializers.get(
        moving_mean_initializer)
    self.moving_variance_initializer = keras.initializers.get(
        moving_variance_initializer)
    self.beta_regularizer = keras.regularizers.get(beta_regularizer)
    self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)

  def build(self, input_shape):
    """Asks the bank for gamma and beta, and makes the moving statistics."""
    channels = input_shape[-1]
    if channels is None:
      raise ValueError('The number of channels must be known, received inputs '
                       f'of shape {input_shape}.')
    self.input_spec = keras.InputSpec(axes={-1: channels})
    self._channels = channels
    if self.scale:
      self._add_parameter('gamma', (channels,), self.gamma_initializer,
                          self.gamma_regularizer)
    if self.center:
      self._add_parameter('beta', (channels,), self.beta_initializer,
                          self.beta_regularizer)
    self.moving_mean = self.add_weight(
        name='moving_mean', shape=(channels,), dtype='float32',
        trainable=False, initializer=self.moving_mean_initializer,
        autocast=False, aggregation='mean')
    self.moving_variance = self.add_weight(
        name='moving_variance', shape=(channels,), dtype='float32',
        trainable=False, initializer=self.moving_variance_initializer,
        autocast=False, aggregation='mean')

  def _default_slot(self):
    return f'norm_{self._channels}'

  def compute_output_shape(self, input_shape):
    """The inputs' shape."""
    return input_shape

  def call(self, inputs, mixture=None, row=None, training=False, mask=None,
           inputs_mask=None):
    """Normalises, and moves the statistics in training."""
    mask = inputs_mask if mask is None else mask
    if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
      raise ValueError(
          f'Expected a mask of shape {list(inputs.shape[:-1])}, that of the '
          f'inputs but channels, received {list(mask.shape)}.')
    row = self._row(mixture, row)
    gamma = (self._parameter('gamma', row, 'float32') if self.scale
             else ops.ones((self._channels,), 'float32'))
    beta = (self._parameter('beta', row, 'float32') if self.center
            else ops.zeros((self._channels,), 'float32'))
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

  def get_config(self):
    """Constructor arguments."""
    return {**super().get_config(), **mixture_layer.serialize(self, (
        'axis', 'momentum', 'epsilon', 'center', 'scale', 'beta_initializer',
        'gamma_initializer', 'moving_mean_initializer',
        'moving_variance_initializer', 'beta_regularizer',
        'gamma_regularizer'))}
