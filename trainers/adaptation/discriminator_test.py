"""Tests of the domain discriminator (sections 4.4, D.3)."""

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from trainers.adaptation import discriminator


def sigmoid(x):
  return 1 / (1 + np.exp(-np.asarray(x, 'float64')))


class DiscriminatorTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(8, 16, 2)
  def test_one_logit_an_image(self, side):
    network = discriminator.Discriminator()
    features = np.random.default_rng(0).normal(
        size=(3, side, side, 40)).astype('float32')
    network.build(features.shape)
    count = (9 * 40 * 64 + 64) + (9 * 64 * 128 + 128) + (9 * 128 + 1)
    self.assertEqual(network.count_params(), count)
    logits = network(features)
    self.assertEqual(logits.shape, (3,))
    self.assertAllClose(network(features[1:]), logits[1:], atol=1e-5)
    self.assertLen(network.trainable_variables, 6)

  def test_features_of_lower_precision(self):
    network = discriminator.Discriminator()
    network.build((None, 4, 4, 3))
    self.assertEqual(network(tf.ones([2, 4, 4, 3], tf.bfloat16)).dtype,
                     tf.float32)

  @parameterized.parameters(0.0, 0.1)
  def test_loss_matches_numpy(self, smoothing):
    rng = np.random.default_rng(0)
    sources = [rng.normal(size=n).astype('float32') for n in (3, 5)]
    target = rng.normal(size=4).astype('float32')

    def cross_entropy(logits, label):
      p = sigmoid(logits)
      return np.mean(-label * np.log(p) - (1 - label) * np.log(1 - p))

    expected = cross_entropy(target, smoothing) / 2 + sum(
        cross_entropy(source, 1 - smoothing) / 4 for source in sources)
    self.assertAllClose(
        discriminator.discriminator_loss(sources, target, smoothing), expected,
        rtol=1e-5)
    self.assertAllClose(discriminator.fooling_loss(target),
                        -np.mean(np.log(sigmoid(target))), rtol=1e-5)

  def test_accuracy_gives_every_source_its_share(self):
    sources = [np.array([1.0, 1.0, 1.0, 1.0]), np.array([-1.0])]
    self.assertAllClose(
        discriminator.accuracy(sources, np.array([-1.0, 1.0])), 0.5)
    self.assertAllClose(
        discriminator.accuracy(sources[:1], np.array([-1.0, -2.0])), 1)

  def test_learns_to_tell_domains_apart(self):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    network = discriminator.Discriminator(filters=(8, 8))
    source, target = (rng.normal(mean, 1, (16, 4, 4, 3)).astype('float32')
                      for mean in (0, 1))
    network.build(source.shape)
    optimizer = keras.optimizers.Adam(1e-2)
    for _ in range(30):
      with tf.GradientTape() as tape:
        loss = discriminator.discriminator_loss(
            [network(source)], network(target))
      optimizer.apply(tape.gradient(loss, network.trainable_variables),
                      network.trainable_variables)
    self.assertGreater(
        discriminator.accuracy([network(source)], network(target)), 0.95)


if __name__ == '__main__':
  tf.test.main()
