"""Families of tasks under Keras' other backends, where they are installed."""

from absl.testing import absltest
from absl.testing import parameterized

from mixture_modules.testing import backends

_PROGRAM = """
import keras
from keras import layers
import numpy as np

import mixture_modules as mm

rng = np.random.default_rng(0)
images = rng.normal(size=(60, 8, 8, 3)).astype('float32')
labels = (images[..., 0].mean((1, 2)) > 0).astype('int64')

x = inputs = keras.Input((8, 8, 3))
x = layers.BatchNormalization()(layers.Conv2D(4, 3)(x))
for _ in range(3):
  y = layers.Conv2D(4, 3, padding='same', use_bias=False)(x)
  x = x + layers.ReLU()(layers.BatchNormalization()(y))
plain = keras.Model(
    inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def to_numpy(values):
  return [keras.ops.convert_to_numpy(value) + 0 for value in values]


def assert_close(one, other, tolerance=1e-5):
  np.testing.assert_allclose(*to_numpy([one, other]), rtol=0, atol=tolerance)


old = mm.convert(plain)
outputs = plain(images)
assert_close(outputs, old(images))
assert_close(outputs, mm.fold(old, merge_norms=False)(images))
assert_close(outputs, mm.fold(old)(images))

family = mm.TaskFamily(old, 'old')
start = family.find_start((images, labels), 'learned')
assert start == {'old': 1.}, start
outputs, before = to_numpy([old(images)])[0], to_numpy(old.weights)
new = family.add_task('new', 2)
losses = []
for scopes in (('mixture', 'norm', 'head'), 'mixture'):
  family.tune('new', scopes)
  new.compile(keras.optimizers.AdamW(.03, weight_decay=.1),
              keras.losses.SparseCategoricalCrossentropy(True))
  losses += new.fit(images, labels, epochs=10, verbose=0).history['loss']
assert losses[-1] < .8 * losses[0], losses
assert to_numpy([old(images)])[0].tobytes() == outputs.tobytes()
for value, now in zip(before, to_numpy(old.weights)):
  assert value.tobytes() == now.tobytes()
mm.save_task(family, 'new', 'new.task')
assert_close(new(images), mm.load_task(family, 'new.task', 'again')(images), 0)
assert_close(new(images)[:1], family.predict_mixed(images[:1], 'new'))
assert_close(new(images), mm.fold(new)(images))
family.add_task('mean', 3, family.find_start((images, labels), 'accuracy'))
new.save('new.keras')
assert_close(new(images), keras.saving.load_model('new.keras')(images))
"""


class OtherBackendsFamiliesTest(parameterized.TestCase):

  @parameterized.parameters('jax', 'torch')
  def test_tasks(self, backend):
    backends.run(self, backend, _PROGRAM)


if __name__ == '__main__':
  absltest.main()
