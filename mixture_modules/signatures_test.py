"""Kinds, initialisers and sharing of signatures (sections 3.1, 3.2, 4.2)."""

import inspect
import os

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules import signatures

Signature = signatures.Signature


class SignatureTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  @parameterized.parameters(1., .25, 3.)
  def test_softmax_matches_numpy(self, temperature):
    signature = Signature(3, 4, temperature=temperature)
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype('float32')
    signature.logits.assign(logits)
    # xi[l] = softmax(logits[l] / temperature)
    expected = np.exp(logits / temperature)
    expected /= expected.sum(-1, keepdims=True)
    self.assertAllClose(expected, signature.mixture_weights(), 1e-5, 1e-6)

  @parameterized.named_parameters(
      ('tanh', 'tanh', np.tanh), ('linear', 'linear', np.array))
  def test_ablations_match_numpy(self, kind, activation):
    signature = Signature(3, 4, kind)
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype('float32')
    signature.logits.assign(logits)
    self.assertAllClose(
        activation(logits), signature.mixture_weights(), 1e-5, 1e-6)

  @parameterized.parameters(*signatures.TRAINED)
  def test_uniform(self, kind):
    signature = Signature(3, 4, kind, 'uniform', temperature=.5)
    self.assertAllClose(
        np.full((3, 4), 1 / 4), signature.mixture_weights(), 1e-6, 1e-6)

  @parameterized.parameters(*signatures.TRAINED)
  def test_random_spread(self, kind):
    narrow, wide = (
        Signature(40, 25, kind, spread=spread, seed=3) for spread in (.01, 2.))
    for signature, spread in ((narrow, .01), (wide, 2.)):
      self.assertAllClose(spread, np.std(signature.logits), .1)
    uniform = Signature(40, 25, kind, 'uniform')
    self.assertAllClose(uniform.logits, narrow.logits, 0, .05)

  def test_random_seed(self):
    same, again, other = (Signature(3, 4, seed=s) for s in (0, 0, 1))
    self.assertAllEqual(same.logits, again.logits)
    self.assertNotAllClose(same.logits, other.logits)
    self.assertNotAllClose(Signature(3, 4).logits, Signature(3, 4).logits)

  @parameterized.product(
      kind=signatures.TRAINED, weight=(.99, .8), temperature=(1., .5))
  def test_diagonal(self, kind, weight, temperature):
    signature = Signature(3, 5, kind, 'diagonal', diagonal_weight=weight,
                          temperature=temperature)
    expected = np.full((3, 5), (1 - weight) / 4)
    np.fill_diagonal(expected, weight)
    self.assertAllClose(expected, signature.mixture_weights(), 1e-5, 1e-6)

  def test_diagonal_is_99_percent_by_default(self):
    xi = Signature(4, 4, initializer='diagonal').mixture_weights()
    self.assertAllClose([.99] * 4, np.diag(xi), 1e-5)
    # design: the offset of the logits is log(p (K - 1) / (1 - p))
    signature = Signature(4, 4, initializer='diagonal')
    logits = signature.logits.numpy()
    self.assertAllClose(
        np.log(.99 * 3 / .01), logits[0, 0] - logits[0, 1], 1e-5)

  def test_diagonal_of_one_template(self):
    signature = Signature(1, 1, initializer='diagonal')
    self.assertAllEqual([[1.]], signature.mixture_weights())

  def test_diagonal_needs_enough_templates(self):
    with self.assertRaisesRegex(ValueError, 'K >= L, received K = 3, L = 4'):
      Signature(4, 3, initializer='diagonal')

  @parameterized.parameters(*signatures.FIXED, '1-2-3-3')
  def test_fixed_signature_has_no_variables(self, kind):
    signature = Signature(4, 4, kind)
    self.assertIsNone(signature.logits)
    self.assertEmpty(signature.variables)

  def test_trained_signature_has_one_variable(self):
    signature = Signature(3, 4)
    self.assertIsNone(signature.sequence)
    self.assertLen(signature.trainable_variables, 1)
    self.assertEqual((3, 4), signature.logits.shape)

  def test_frozen_from_the_start(self):
    self.assertEmpty(Signature(3, 4, trainable=False).trainable_variables)

  @parameterized.parameters(*signatures.TRAINED)
  def test_assign(self, kind):
    signature = Signature(2, 3, kind, temperature=.7)
    xi = np.float32([[.2, .5, .3], [.9, .05, .05]])
    signature.assign(xi)
    self.assertAllClose(xi, signature.mixture_weights(), 1e-5, 1e-6)
    self.assertEqual('2-1', signature.notation())

  def test_assign_one_hot_is_floored(self):
    signature = Signature(1, 3)
    signature.assign([[0, 1, 0]])
    self.assertAllInRange(signature.logits, np.log(.9e-8), 0)
    self.assertAllClose([[0, 1, 0]], signature.mixture_weights(), 0, 1e-6)

  def test_assign_errors(self):
    with self.assertRaisesRegex(ValueError, 'fixed .cyclic.: it cannot be'):
      Signature(2, 2, 'cyclic').assign(np.eye(2))
    with self.assertRaisesRegex(ValueError, r'\[2, 3\] .*received \[3, 2\]'):
      Signature(2, 3).assign(np.ones((3, 2)))

  def test_copy_of_same_kind_is_exact(self):
    source, target = Signature(3, 4, seed=1), Signature(3, 4, seed=2)
    target.copy_from(source)
    self.assertAllEqual(source.logits, target.logits)

  @parameterized.parameters('tanh', 'linear')
  def test_copy_keeps_mixtures_across_kinds(self, kind):
    source, target = Signature(3, 4, temperature=.5), Signature(3, 4, kind)
    target.copy_from(source)
    self.assertAllClose(
        source.mixture_weights(), target.mixture_weights(), 1e-5, 1e-6)

  def test_copy_keeps_mixtures_across_temperatures(self):
    source = Signature(3, 4, temperature=.5)
    target = Signature(3, 4, temperature=2.)
    target.copy_from(source)
    self.assertAllClose(
        source.mixture_weights(), target.mixture_weights(), 1e-5, 1e-6)
    self.assertNotAllClose(source.logits, target.logits)

  def test_copy_of_a_fixed_signature(self):
    target = Signature(3, 3)
    target.copy_from(Signature(3, 3, 'diagonal'))
    self.assertAllClose(np.eye(3), target.mixture_weights(), 0, 1e-6)

  def test_copy_from_another_arrangement_of_rows(self):
    # Own logits are [2, 3] in all three, but they stand for other layers.
    shared = Signature(2, 3, seed=1)
    first = Signature(4, 3, shared=shared, shared_half='first', seed=2)
    second = Signature(4, 3, shared=shared, shared_half='second', seed=3)
    expected = second.mixture_weights()[2:].numpy()
    first.copy_from(second)
    self.assertAllClose(expected, first.mixture_weights()[2:], 1e-5, 1e-6)
    with self.assertRaisesRegex(ValueError, r'received \[2, 3\]'):
      first.copy_from(shared)

  def test_harden_gives_the_network_of_the_notation(self):
    xi = keras.ops.convert_to_numpy(Signature(5, 3).mixture_weights())
    fixed = Signature(5, 3, signatures.notation(xi))
    hard = signatures.harden(xi)
    self.assertAllEqual(hard, fixed.mixture_weights())
    self.assertEqual(hard.dtype, 'float32')
    self.assertLess(xi.max(), 0.99)
    self.assertAllEqual(signatures.harden(hard), hard)

  def test_is_softmax(self):
    self.assertTrue(signatures.is_softmax([[0.25, 0.75], [1, 0]]))
    self.assertTrue(signatures.is_softmax([[[0.25, 0.75]], [[1, 0]]]))
    self.assertFalse(signatures.is_softmax([[0.25, 0.75], [1.5, -0.5]]))
    self.assertFalse(signatures.is_softmax([[0.25, 0.75], [0.5, 0.6]]))

  def test_harden_without_a_simplex_keeps_the_strongest_weight(self):
    xi = np.array([[-0.95, 0.0, 0.01], [0.2, 3.2, -1.0]])
    self.assertAllEqual(
        signatures.harden(xi), [[-0.95, 0, 0], [0, 3.2, 0]])
    self.assertEqual(signatures.notation(xi), '1-2')

  def test_mean_mixture_averages_mixtures(self):
    one, two = Signature(2, 3, seed=1, spread=3.), Signature(2, 3, '3-1')
    mean = signatures.mean_mixture([one, two], [3, 1])
    expected = (.75 * one.mixture_weights().numpy()
                + .25 * two.mixture_weights().numpy())  # Eq. 1
    self.assertAllClose(expected, mean, 1e-6, 1e-6)

  def test_mean_mixture_does_not_average_logits(self):
    one, two = Signature(1, 2), Signature(1, 2)
    one.assign([[.9, .1]])
    two.assign([[.5, .5]])
    self.assertAllClose(
        [[.7, .3]], signatures.mean_mixture([one, two], [1, 1]), 1e-6, 1e-6)

  @parameterized.parameters(
      ([1.],), ([1., 2., 3.],), ([0., 0.],), ([2., -1.],))
  def test_mean_mixture_errors(self, coefficients):
    with self.assertRaisesRegex(ValueError, 'none negative.*received 2 sig'):
      signatures.mean_mixture([Signature(2, 3)] * 2, coefficients)

  def test_mean_mixture_of_nothing(self):
    with self.assertRaisesRegex(ValueError, 'one signature or more'):
      signatures.mean_mixture([], [])

  def test_interpolate(self):
    first, second = Signature(2, 3, seed=0), Signature(2, 3, seed=1)
    xi = [s.mixture_weights().numpy() for s in (first, second)]
    for t in (0, .25, 1):
      self.assertAllClose((1 - t) * xi[0] + t * xi[1],
                          signatures.interpolate(first, second, t), 1e-6)
    for t, end in zip((0, 1), xi):
      self.assertAllEqual(end, signatures.interpolate(first, second, t))
    first.assign(signatures.interpolate(first, second, .5))
    with self.assertRaisesRegex(ValueError, 't from 0 .* received 1.5'):
      signatures.interpolate(first, second, 1.5)
    with self.assertRaisesRegex(ValueError, r'one shape.*\[2, 3\], \[3, 3\]'):
      signatures.interpolate(first, Signature(3, 3), .5)

  def test_resize(self):
    signature = Signature(3, 3, initializer='diagonal')
    before = signature.logits
    signature.resize(2, np.ones((3, 2), 'float32'))
    self.assertLen(signature.trainable_variables, 1)
    self.assertIsNot(before, signature.logits)
    self.assertAllClose(np.full((3, 2), .5), signature.mixture_weights())
    Signature.from_config(signature.get_config())  # no diagonal any more
    signature.trainable = False
    signature.resize(3, np.zeros((3, 3), 'float32'))
    self.assertEmpty(signature.trainable_variables)
    signature.trainable = True
    self.assertLen(signature.trainable_variables, 1)
    self.assertTrue(signature.logits.trainable)
    fixed = Signature(3, 2, 'cyclic')
    fixed.resize(5, (4, 0, 1))
    self.assertEqual(('5-1-2', (3, 5)), (
        fixed.kind, fixed.mixture_weights().shape))

  @parameterized.product(half=('first', 'second'), num_layers=(4, 5))
  def test_shared_half(self, half, num_layers):
    shared = Signature(2, 3, seed=0)
    one, two = (Signature(num_layers, 3, shared=shared, shared_half=half,
                          seed=seed) for seed in (1, 2))
    own = num_layers - 2
    self.assertEqual((own, 3), one.logits.shape)
    rows = slice(0, 2) if half == 'first' else slice(own, None)
    others = slice(2, None) if half == 'first' else slice(0, own)
    for signature in (one, two):
      xi = signature.mixture_weights()
      self.assertEqual((num_layers, 3), xi.shape)
      self.assertAllEqual(shared.mixture_weights(), xi[rows])
    self.assertNotAllClose(one.mixture_weights()[others],
                           two.mixture_weights()[others])
    xi = np.full((num_layers, 3), 1 / 3)
    before = shared.mixture_weights()
    one.assign(xi)
    self.assertAllClose(xi[others], one.mixture_weights()[others])
    self.assertAllEqual(before, one.mixture_weights()[rows])

  @parameterized.parameters('first', 'second')
  def test_gradient_reaches_the_shared_half(self, half):
    shared = Signature(2, 3, seed=0)
    one, two = (Signature(4, 3, shared=shared, shared_half=half, seed=seed)
                for seed in (1, 2))
    weights = np.random.default_rng(0).normal(size=(2, 4, 3))
    logits = [s.logits.value for s in (shared, one, two)]
    with tf.GradientTape() as tape:
      loss = sum(tf.reduce_sum(s.mixture_weights() * w)
                 for s, w in zip((one, two), weights.astype('float32')))
    gradients = tape.gradient(loss, logits)
    for gradient in gradients:
      self.assertGreater(np.abs(gradient).max(), 1e-3)
    # The shared rows hear from both tasks.
    rows = slice(0, 2) if half == 'first' else slice(2, None)
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(
          shared.mixture_weights() * weights.sum(0)[rows].astype('float32'))
    self.assertAllClose(
        tape.gradient(loss, logits[0]), gradients[0], 1e-5, 1e-6)

  def test_diagonal_with_shared_half(self):
    for half, rows in (('first', (2, 3)), ('second', (0, 1))):
      signature = Signature(4, 4, initializer='diagonal', shared_half=half,
                            shared=Signature(2, 4))
      self.assertAllEqual(
          rows, np.argmax(signature.mixture_weights(), -1)[list(rows)])

  def test_eager_equals_function(self):
    for signature in (Signature(3, 4), Signature(4, 4, 'cyclic'),
                      Signature(4, 3, shared=Signature(2, 3))):
      self.assertAllClose(tf.function(signature.mixture_weights)(),
                          signature.mixture_weights())

  def test_constructor_arguments_are_config_keys(self):
    parameters = set(inspect.signature(Signature).parameters) - {'kwargs'}
    self.assertEqual(parameters | {'name', 'trainable', 'dtype'},
                     set(Signature(3, 4).get_config()))

  @parameterized.parameters(
      ('softmax', 'random', {}), ('softmax', 'uniform', {}),
      ('softmax', 'random', {'spread': 2., 'temperature': 3.}),
      ('tanh', 'random', {}), ('linear', 'random', {'spread': .1}),
      ('linear', 'uniform', {}), ('softmax', 'diagonal', {}))
  def test_initial_scale_keeps_the_variance(self, kind, initializer, options):
    keras.utils.set_random_seed(0)
    rows = 5 if initializer == 'diagonal' else 400
    signature = Signature(rows, 5, kind, initializer=initializer, **options)
    # 1 / sqrt(E sum_k xi[k] ** 2) over the rows, which start alike.
    xi = signature.mixture_weights().numpy()
    expected = np.mean(np.sum(xi ** 2, -1)) ** -.5
    self.assertAllClose(expected, signature.initial_scale(), .05, 0)

  @parameterized.parameters((3, 'cyclic'), (1, 'softmax'), (1, 'linear'))
  def test_one_template_alone_needs_no_scale(self, num_templates, kind):
    self.assertEqual(1, Signature(4, num_templates, kind).initial_scale())

  def test_config_round_trip(self):
    signature = Signature(
        4, 3, 'tanh', 'uniform', spread=.1, temperature=2.,
        diagonal_weight=.9, seed=5, shared_half='second',
        shared=Signature(2, 3, 'tanh'))
    config = keras.saving.serialize_keras_object(signature)
    loaded = keras.saving.deserialize_keras_object(config)
    expected, received = signature.get_config(), loaded.get_config()
    for key in ('shared', 'dtype'):
      expected.pop(key)
      received.pop(key)
    self.assertEqual(expected, received)
    self.assertEqual((2, 3), loaded.shared.logits.shape)

  def test_weights_round_trip(self):

    class Holder(keras.Model):

      def __init__(self, seed):
        super().__init__()
        shared = Signature(2, 3, seed=seed)
        self.signatures = [
            Signature(4, 3, shared=shared, seed=seed + n) for n in (1, 2)]
        self.built = True

    one, two = Holder(0), Holder(10)
    path = os.path.join(self.get_temp_dir(), 'some.weights.h5')
    one.save_weights(path)
    two.load_weights(path)
    for expected, received in zip(one.signatures, two.signatures):
      self.assertAllEqual(
          expected.mixture_weights(), received.mixture_weights())

  @parameterized.named_parameters(
      ('kind', {'kind': 'spiral'}, "Unknown signature 'spiral'"),
      ('empty', {'kind': ''}, "Unknown signature ''"),
      ('negative', {'kind': '1--2-1-1'}, 'Unknown signature'),
      ('short', {'kind': '1-2'}, 'names 2 layers, the model has 4'),
      ('not_there', {'kind': '1-2-4-0'}, r'templates \[0, 4\].*has 3'),
      ('diagonal', {'kind': 'diagonal'}, 'needs K = L, received K = 3, L = 4'),
      ('few', {'kind': 'cyclic', 'num_layers': 2}, 'K <= L, received K = 3'),
      ('initializer', {'initializer': 'ones'}, 'initializer to be one of'),
      ('temperature', {'temperature': 0.}, 'temperature to be positive'),
      ('infinite', {'temperature': np.nan}, 'temperature to be positive'),
      ('spread', {'spread': -1.}, 'spread to be finite and not negative'),
      ('weight', {'diagonal_weight': 1.5}, 'diagonal_weight to be at most 1'),
      ('layers', {'num_layers': 0}, r'num_layers \(L\) to be a positive'),
      ('templates', {'num_templates': 2.5}, r'num_templates \(K\) to be'))
  def test_errors(self, options, message):
    options = {'num_layers': 4, 'num_templates': 3, **options}
    with self.assertRaisesRegex(ValueError, message):
      Signature(**options)

  @parameterized.named_parameters(
      ('half', {'shared_half': 'third'}, (2, 3), {}, 'one of first, second'),
      ('fixed', {'kind': 'cyclic'}, (2, 3), {}, 'two trained signatures'),
      ('kinds', {}, (2, 3), {'kind': 'tanh'}, "'softmax' with a shared 'tanh'"),
      ('long', {}, (4, 3), {}, r'fewer than 4 .* received \[4, 3\]'),
      ('templates', {}, (2, 2), {}, r'mix 3 templates, received \[2, 2\]'))
  def test_shared_errors(self, options, shape, shared, message):
    with self.assertRaisesRegex(ValueError, message):
      Signature(4, 3, shared=Signature(*shape, **shared), **options)

  @parameterized.named_parameters(
      ('softmax', 'softmax', None, [.05, .9, .05]),
      ('tanh', 'tanh', .5, [.25, .5, .25]),
      ('linear', 'linear', None, [0, 1, 0]))
  def test_relax_and_harden(self, kind, weight, row):
    signature = Signature(2, 3, '2-3')
    signature.relax(kind, weight)
    self.assertEqual(kind, signature.kind)
    xi = signature.mixture_weights()
    self.assertAllClose([row, [row[0], row[0], row[1]]], xi, 1e-5, 1e-6)
    self.assertEqual([signature.logits], signature.trainable_variables)
    with self.assertRaisesRegex(ValueError, f'of the kind {kind!r}, which'):
      signature.relax()
    copy = Signature.from_config(signature.get_config())
    copy.copy_from(signature)
    self.assertAllEqual(xi, copy.mixture_weights())
    signature.assign([[.7, .2, .1], [.1, .7, .2]])
    signature.harden()
    self.assertEmpty(signature.variables)
    self.assertAllEqual([[1, 0, 0], [0, 1, 0]], signature.mixture_weights())
    self.assertEqual('1-2', Signature.from_config(signature.get_config()).kind)
    with self.assertRaisesRegex(ValueError, "fixed '1-2': leave it"):
      signature.harden()

  def test_relax_of_one_template(self):
    signature = Signature(2, 1, '1-1')
    signature.relax()
    self.assertAllEqual([[1], [1]], signature.mixture_weights())

  @parameterized.named_parameters(
      ('kind', {'kind': '1-2'}, "softmax, tanh, linear, received '1-2'"),
      ('one', {'weight': 1}, "below 1, received 1: .* 'linear' with 1"),
      ('more', {'kind': 'linear', 'weight': 2}, 'below 1, received 2'),
      ('none', {'weight': 0}, 'weight to be positive'))
  def test_relax_errors(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      Signature(2, 3, '2-3').relax(**options)

  def test_halves_do_not_harden(self):
    shared = Signature(2, 3)
    for signature in Signature(4, 3, shared=shared), shared:
      with self.assertRaisesRegex(ValueError, "a half: detach 'mixture'"):
        signature.harden()


if __name__ == '__main__':
  tf.test.main()
