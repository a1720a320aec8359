"""The package under Keras' other backends, where they are installed."""

from absl.testing import absltest
from absl.testing import parameterized

from mixture_modules.testing import backends

_PROGRAM = """
import keras
import numpy as np

import mixture_modules as mm

rng = np.random.default_rng(0)
images = rng.normal(size=(64, 8, 8, 3)).astype('float32')
labels = rng.integers(0, 4, 64)


def train(model):
  model.compile('rmsprop', keras.losses.SparseCategoricalCrossentropy(True))
  losses = model.fit(images, labels, epochs=8, verbose=0).history['loss']
  assert losses[-1] < losses[0], losses


def assert_same(one, other):
  np.testing.assert_allclose(
      keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other),
      rtol=1e-4, atol=1e-4)


bank = mm.TemplateBank(3)
x = inputs = keras.Input((8, 8, 3))
for _ in range(2):
  y = mm.MixtureConv2D(3, 3, padding='same', bank=bank)(x)
  y = mm.MixtureDepthwise(3, padding='same', bank=bank)(y)
  y = mm.MixtureConv2DTranspose(3, 3, padding='same', bank=bank)(y)
  y = mm.MixtureDense(3, 'relu', bank=bank)(y)
  y = mm.MixtureEinsumDense(
      'abcd,de->abce', (8, 8, 3), bias_axes='e', bank=bank)(y)
  y = mm.MixtureConv1D(3, 3, padding='causal', bank=bank)(
      keras.layers.Reshape((64, 3))(y))
  y = mm.MixtureLayerNormalization(bank=bank)(
      keras.layers.Reshape((8, 8, 3))(y))
  x = x + mm.MixtureBatchNormalization(bank=bank)(mm.MixtureSE(bank=bank)(y))
x = keras.layers.GlobalAveragePooling2D()(x)
layers = keras.Model(inputs, keras.layers.Dense(4)(x))
train(layers)
layers.save('layers.keras')
assert_same(layers(images), keras.saving.load_model('layers.keras')(images))


def fit_a_head(base):
  # keras.io's recipe: what does it move of the base?
  base.trainable = False
  x = inputs = keras.Input((8, 8, 3))
  x = keras.layers.Flatten()(base(x))
  model = keras.Model(inputs, keras.layers.Dense(4)(x))
  assert len(model.trainable_variables) == 2
  before = [keras.ops.convert_to_numpy(v) + 0 for v in base.variables]
  model.compile(
      keras.optimizers.AdamW(.1, weight_decay=.1),
      keras.losses.SparseCategoricalCrossentropy(True))
  model.fit(images, labels, epochs=2, verbose=0)
  return [v.path for v, old in zip(base.variables, before)
          if keras.ops.convert_to_numpy(v).tobytes() != old.tobytes()]


assert not fit_a_head(layers)
assert not fit_a_head(keras.Sequential([keras.Input((8, 8, 3)), layers]))
layers.trainable = True
train(layers)


def assert_fit_leaves_alone(model, others):
  own = {id(v) for v in model.variables}
  others = [v for v in others if id(v) not in own]
  assert others
  before = [keras.ops.convert_to_numpy(v) + 0 for v in others]
  model.compile(
      keras.optimizers.AdamW(.1, weight_decay=.1),
      keras.losses.SparseCategoricalCrossentropy(True))
  model.fit(images, labels, epochs=2, verbose=0)
  for v, old in zip(others, before):
    assert keras.ops.convert_to_numpy(v).tobytes() == old.tobytes(), v.path


def with_head(bank, filters):
  x = inputs = keras.Input((8, 8, 3))
  for n in (3, filters):
    x = mm.MixtureConv2D(n, 3, padding='same', bank=bank)(x)
  x = keras.layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, keras.layers.Dense(4)(x))


first, second = with_head(bank, 5), with_head(bank, 7)
first.compile('adam', keras.losses.SparseCategoricalCrossentropy(True))
first.fit(images, labels, verbose=0)
third = with_head(bank, 9)  # a slot more does not disturb the fit
first.fit(images, labels, verbose=0)
first.save('first.keras')
assert_same(first(images), keras.saving.load_model('first.keras')(images))
assert_fit_leaves_alone(first, second.variables + third.variables)
twin = mm.copy_model(first)
assert_same(first(images), twin(images))
assert_fit_leaves_alone(twin, first.variables)

two = mm.IsometricModel(mm.IsometricConfig(
    depth_multiplier=.2, num_layers=2, num_templates=2, image_size=8,
    adapter_filters=(8, 16)), {'a': 4, 'b': 5}, seed=0)
assert_fit_leaves_alone(two.view('a'), two.variables)

model = mm.IsometricModel(mm.IsometricConfig(
    depth_multiplier=.2, num_layers=3, num_templates=2, image_size=8,
    adapter_filters=(8, 16)), {'a': 4}, seed=0)
train(model)
outputs = model(images)
try:
  model(images, training=True, dropout_seed=[1, 2])
except ValueError as error:
  assert 'dropout_seed is of the TensorFlow backend' in str(error), error
else:
  raise AssertionError('Expected dropout_seed to be refused.')
assert_same(outputs, mm.fold(model, 'a')(images))
mm.save_task(model, 'a', 'a.task')
model.remove_task('a')
mm.load_task(model, 'a.task')
assert_same(outputs, model(images))
model.add_task('b', 2, init='copy:a')
model.detach('b', 'norm')
model.duplicate_template(1)
assert_same(outputs, model(images, task='a'))
assert_same(outputs[:1], model.predict_mixed(images[:2], ['a', 'b'])[:1])
one, other = (model.task(name).signature.mixture_weights() for name in 'ab')
assert_same(mm.total_variation(one, other), np.zeros(3))
x = keras.Input((8, 8, 3))
train(keras.Model(x, model(x, task='a')))
"""


class OtherBackendsTest(parameterized.TestCase):

  @parameterized.parameters('jax', 'torch')
  def test_trains_saves_and_grows(self, backend):
    backends.run(self, backend, _PROGRAM)


if __name__ == '__main__':
  absltest.main()
