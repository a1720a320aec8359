"""RMSProp of the paper's recipe, with a rate for mixtures (section A.2).

It works in `compile` and `fit`, and under a training loop of your own. For
another optimiser, `MIXTURES` names the logits in `keras.optimizers`:

    optimizers = keras.optimizers.OptimizerMap(
        keras.optimizers.Adam(1e-3), {MIXTURES: keras.optimizers.Adam(2e-2)})
    model.compile(keras.optimizers.MultiOptimizer(optimizers), ...)
"""

import re

import keras

from mixture_modules import checks

# Paths of the trained signatures' variables, a regular expression.
MIXTURES = r'(.*/)?logits'
_CLIPS = ('clipnorm', 'clipvalue', 'global_clipnorm')


@keras.saving.register_keras_serializable('mixture_modules')
class RMSprop(keras.optimizers.RMSprop):
  """RMSProp with a choice of start and a learning rate for mixtures.

  Computes, for a gradient g of a variable w,

      v <- rho v + (1 - rho) g^2
      m <- momentum m + c learning_rate g / sqrt(v + epsilon)
      w <- w - m

  where c is 1, or the multiplier for the logits of signatures.

  In a training loop under `tf.distribute`, build it before the first step:
  variables cannot be made inside `strategy.run`.

  Args:
    learning_rate: Float or Keras schedule.
    rho: Decay of the mean square. Default 0.9, as in TensorFlow 1.
    momentum: Default 0.9, our choice.
    epsilon: Added inside the root. Default 1e-3, as in the mobile networks
      that the paper builds on; with Keras' 1e-7, small gradients make steps of
      full size.
    initial_mean_square: Start of v. Default 1.0, as in TensorFlow 1: the first
      steps are small. 0.0 is Keras' start, whose first step is
      `1 / sqrt(1 - rho)` learning rates whatever the gradient.
    mixture_multiplier: Learning rate of mixtures, in units of the others'.
      Their gradients are small beside the root of epsilon, so that with equal
      rates they hardly move. Default 5, as the trainers have it.
    **kwargs: As for `keras.optimizers.RMSprop`.

  Raises:
    ValueError: If a number is out of range, or if gradients are to be clipped
      on several replicas.

  Source: section A.2 names RMSProp; both starts and the multiplier are our
    choice.
  """

  def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.9, epsilon=1e-3,
               initial_mean_square=1.0, mixture_multiplier=5.0, **kwargs):
    check(rho, momentum, epsilon, initial_mean_square)
    checks.positive('mixture_multiplier', mixture_multiplier,
                    'to freeze a signature, set signature.trainable = False')
    clips = [name for name in _CLIPS if kwargs.get(name) is not None]
    replicas = _replicas()
    if clips and replicas > 1:
      # Keras clips each replica's share before the shares are summed.
      raise ValueError(
          f'Expected one replica where gradients are clipped, received '
          f'{clips[0]} with {replicas} replicas, each of which would clip its '
          f'own share: remove {clips[0]}, or train on one device.')
    super().__init__(learning_rate=learning_rate, rho=rho, momentum=momentum,
                     epsilon=epsilon, **kwargs)
    self.initial_mean_square = initial_mean_square
    self.mixture_multiplier = mixture_multiplier
    self._mixtures = frozenset()

  def build(self, variables):
    """Makes slots, and finds the logits among the variables."""
    self._mixtures = frozenset(
        self._var_key(variable) for variable in variables
        if re.fullmatch(MIXTURES, variable.path))
    super().build(variables)

  def add_optimizer_variables(
      self, trainable_variables, name, initializer='zeros'):
    """Makes slots as Keras does, the mean squares with the chosen start."""
    if name == 'velocity':  # what Keras calls the mean square
      initializer = keras.initializers.Constant(self.initial_mean_square)
    return super().add_optimizer_variables(
        trainable_variables, name, initializer)

  def update_step(self, gradient, variable, learning_rate):
    """Updates one variable, mixtures at a rate of their own."""
    if self._var_key(variable) in self._mixtures:
      learning_rate = learning_rate * self.mixture_multiplier
    super().update_step(gradient, variable, learning_rate)

  def get_config(self):
    """Constructor arguments."""
    return {**super().get_config(),
            'initial_mean_square': self.initial_mean_square,
            'mixture_multiplier': self.mixture_multiplier}


def check(rho, momentum, epsilon, initial_mean_square):
  """Checks the numbers of an `RMSprop` that do not change as it trains.

  Args:
    rho: As for `RMSprop`.
    momentum: As for `RMSprop`.
    epsilon: As for `RMSprop`.
    initial_mean_square: As for `RMSprop`.

  Raises:
    ValueError: If one is out of range.
  """
  checks.in_range('rho', rho, 0, 1, 'try 0.9')
  checks.in_range('momentum', momentum, 0, 1, 'try 0.9')
  checks.positive('epsilon', epsilon, 'try 1e-3')
  checks.not_negative('initial_mean_square', initial_mean_square,
                      'take 1 (TensorFlow 1) or 0 (Keras)')


def _replicas():
  if keras.backend.backend() != 'tensorflow':
    return 1
  import tensorflow as tf  # only here: other backends do without

  return tf.distribute.get_strategy().num_replicas_in_sync
