"""The domain discriminator of adversarial adaptation (sections 4.4, D.3)."""

import keras
from keras import ops
import tensorflow as tf


class Discriminator(keras.Model):
  """Tells source features from target features; three convolutions.

      logit = mean over positions of conv(conv(conv(features)))

  The first two have stride 2 and a leaky ReLU, the last one filter.

  Args:
    filters: Of the first two convolutions. Default (64, 128), our choice.
    slope: Of the leaky ReLU below 0.
    **kwargs: As for any Keras model.

  Call arguments:
    features: `[batch, h, w, c]`, the body's last.

  Returns:
    `[batch]` float32 logits; above 0 means source.

  Source: section D.3 ("a 3-layer CNN"); sizes are our choice.
  """

  def __init__(self, filters=(64, 128), slope=0.2, **kwargs):
    kwargs.setdefault('dtype', 'float32')
    super().__init__(**kwargs)
    self._slope = slope
    self._convolutions = [
        keras.layers.Conv2D(count, 3, stride, 'same', dtype=self.dtype_policy)
        for count, stride in ((filters[0], 2), (filters[1], 2), (1, 1))]

  def build(self, input_shape):
    """Builds the convolutions, one after another."""
    shape = tuple(input_shape)
    for convolution in self._convolutions:
      convolution.build(shape)
      shape = convolution.compute_output_shape(shape)
    self.built = True

  def call(self, features):
    """Logits of being of a source."""
    *hidden, last = self._convolutions
    x = ops.cast(features, self.compute_dtype)
    for convolution in hidden:
      x = ops.leaky_relu(convolution(x), self._slope)
    return ops.cast(ops.mean(last(x), axis=(1, 2, 3)), 'float32')


def discriminator_loss(source_logits, target_logits, smoothing=0.0):
  """Binary cross-entropy of telling domains apart; chance is log 2.

      1/2 1/N sum_i E[-(1-s) log D(S_i) - s log(1 - D(S_i))]
      + 1/2 E[-(1-s) log(1 - D(T)) - s log D(T)]

  Each of N sources has its share of the one half, whatever its batch.

  Args:
    source_logits: List of `[batch]`, one for each source.
    target_logits: `[batch]`.
    smoothing: s, how far labels are from 0 and 1.

  Returns:
    Scalar, in nats.

  Source: section D.3; smoothing and shares are our choice.
  """
  sources = [_cross_entropy(logits, 1 - smoothing) for logits in source_logits]
  return 0.5 * sum(sources) / len(sources) + 0.5 * _cross_entropy(
      target_logits, smoothing)


def fooling_loss(target_logits):
  """The target's: to be taken for a source, `E[-log D(T)]` (labels inverted).

  Args:
    target_logits: `[batch]`.

  Returns:
    Scalar, in nats.

  Source: section 4.4 ("to fool the domain discriminator").
  """
  return _cross_entropy(target_logits, 1.0)


def accuracy(source_logits, target_logits):
  """Share of right answers, sources and target half each; chance is 0.5.

  Args:
    source_logits: List of `[batch]`, one for each source.
    target_logits: `[batch]`.

  Returns:
    Scalar from 0 to 1.
  """
  right = [ops.mean(ops.cast(logits > 0, 'float32'))
           for logits in source_logits]
  return 0.5 * sum(right) / len(right) + 0.5 * ops.mean(
      ops.cast(target_logits <= 0, 'float32'))


def _cross_entropy(logits, label):
  return ops.mean(tf.nn.sigmoid_cross_entropy_with_logits(
      labels=ops.full_like(logits, label), logits=logits))
