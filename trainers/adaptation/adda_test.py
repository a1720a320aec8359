"""The updates of adversarial adaptation (section D.3)."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.testing import toy_adaptation

_STEP = tf.constant(3, tf.int64)


class AdversarialAdaptationTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.trainer = toy_adaptation.make_trainer('adda')
    self.network, self.method = self.trainer.network, self.trainer._method
    batch = next(self.trainer.batches(0))
    self.sources, self.images = batch['sources'], batch['target']

  def _discriminate(self, features):
    """Probability of being a source, by the discriminator as it is."""
    return tf.nn.sigmoid(self.method._discriminator(features)).numpy()

  def _target(self):
    return self.network.encode(self.images, move_statistics=False)[0]

  def test_target_learns_to_be_taken_for_a_source(self):
    """The target's gradient is that of -mean log D(T)."""
    found = {}
    with mock.patch.object(self.method._optimizer, 'apply', found.update):
      scalars = self.method.adapt(_STEP, self.sources, self.images)
    self.trainer = toy_adaptation.make_trainer('adda')  # as it was before
    self.network, self.method = self.trainer.network, self.trainer._method

    def objective():
      return -np.mean(np.log(self._discriminate(self._target())))

    self.assertAllClose(scalars['loss'], objective(), 1e-4)
    logits, = self.network.variables.values()
    gradient, = (each.numpy() for each in found.values())
    length = np.linalg.norm(gradient)
    self.assertAllClose(toy_adaptation.slope(
        logits, gradient / length, objective, 0.01), length, 0.05)

  def test_discriminator_learns_to_tell_them_apart(self):
    def confidence():
      sources = [np.mean(self._discriminate(features)) for features, _
                 in self.network.encode_sources(self.sources).values()]
      return np.mean(sources) - np.mean(self._discriminate(self._target()))

    before = confidence()
    pretrain = tf.function(
        self.method.pretrain, autograph=False, jit_compile=False)
    for _ in range(20):
      pretrain(_STEP, self.sources, self.images)
    self.assertGreater(confidence(), before)

  def test_norms_behind_the_features_are_not_trained(self):
    for method, trained in (('adda', False), ('im', True)):
      trainer = toy_adaptation.make_trainer(method, tune=('norm',))
      names = list(trainer.network.variables)
      self.assertIn('tasks/three/affine/gamma/expand', names)
      for site in ('hidden', 'embedding'):
        self.assertEqual(f'tasks/three/affine/beta/{site}' in names, trained)


if __name__ == '__main__':
  tf.test.main()
