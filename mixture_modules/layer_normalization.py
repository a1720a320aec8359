"""Layer normalisation with mixed gamma and beta (section 3.2)."""

import keras
from keras import ops

from mixture_modules import mixture_layer
from mixture_modules import normalization
from mixture_modules import signatures


@keras.saving.register_keras_serializable(package='mixture_modules')
class MixtureLayerNormalization(
    normalization.MixedGammaAndBeta, mixture_layer.MixtureLayer,
    keras.layers.LayerNormalization):
  """Layer normalisation with mixed gamma and beta.

      y = gamma(xi) * (x - mean) / sqrt(variance + epsilon) + beta(xi)

  with mean and variance of each example along `axis`. It is a
  `keras.layers.LayerNormalization`, so that code that looks for norms finds it,
  and takes its arguments in the same order.

  Args:
    axis: Int or ints, the axes that are normalised.
    epsilon: Added to the variance.
    center: Whether a mixed beta is added.
    scale: Whether a mixed gamma multiplies.
    beta_initializer: Of each template's beta.
    gamma_initializer: Of each template's gamma.
    beta_regularizer: On the templates' beta.
    gamma_regularizer: On the templates' gamma.
    beta_constraint: On each template's beta, after a step of the optimiser.
    gamma_constraint: On each template's gamma.
    bank: `TemplateBank` that owns the templates; shared, not copied.
    slot: Name of the template group. Default: derived from the axes' sizes.
    signature: What mixes the templates: a kind, the number of a template,
      options of `Signature`, or a `Signature` of one row. Default: a trained
      softmax of the layer's own.
    **kwargs: As for any Keras layer, and `mixture_regularizer`, the weights
      of a `regularizers.MixtureRegularizer`.

  Call arguments:
    inputs: Tensor with the axes, whose sizes are known.
    mixture: Optional `[K]`, or index. Default: the layer's own signature.
    row: Optional `template_bank.ResolvedRow`, in the place of `mixture`.

  Returns:
    Tensor of the inputs' shape.

  Raises:
    ValueError: If the inputs lack an axis, or `slot` holds another shape.

  Source: section 3.2, of another layer.
  """

  stock = keras.layers.LayerNormalization

  def __init__(self, axis=-1, epsilon=1e-3, center=True, scale=True,
               beta_initializer='zeros', gamma_initializer='ones',
               beta_regularizer=None, gamma_regularizer=None,
               beta_constraint=None, gamma_constraint=None, *, bank, slot=None,
               signature=None, **kwargs):
    initializer = mixture_layer.initializer
    super().__init__(
        axis=axis, epsilon=epsilon, center=center, scale=scale,
        beta_initializer=initializer(beta_initializer, 'zeros'),
        gamma_initializer=initializer(gamma_initializer, 'ones'),
        beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
        beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
        bank=bank, slot=slot, signature=signature, **kwargs)

  def build(self, input_shape):
    """Asks the bank for gamma and beta."""
    self.compute_output_shape(input_shape)  # refuses axes that are not there
    axes = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
    self.axis = axes  # as Keras' layer has it
    self._shape = tuple(input_shape[axis] for axis in axes)
    if None in self._shape:
      raise ValueError(
          'The number of channels must be known, and all sizes along the axes '
          f'{list(axes)}, received inputs of shape {input_shape}.')
    self.input_spec = keras.InputSpec(axes=dict(zip(axes, self._shape)))
    self._wide = signatures.wide(self.variable_dtype)
    if self.scale or self.rms_scaling:
      self._add_gamma(self._shape)
    if self.center and not self.rms_scaling:
      self._add_beta(self._shape)

  def _default_slot(self):
    return 'layer_norm_' + 'x'.join(map(str, self._shape))

  def call(self, inputs, mixture=None, row=None):
    """Normalises each example."""
    row = self._row(mixture, row)
    gamma, beta = (
        self._parameter(name, row, self._wide) if name in self._slots else None
        for name in ('gamma', 'beta'))
    outputs = ops.layer_normalization(
        ops.cast(inputs, self._wide), gamma, beta, self.axis, self.epsilon,
        rms_scaling=self.rms_scaling)
    return ops.cast(outputs, self.compute_dtype)
