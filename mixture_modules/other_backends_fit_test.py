"""What `fit` does beyond Keras, under Keras' other backends."""

from absl.testing import absltest
from absl.testing import parameterized

from mixture_modules.testing import backends

_PROGRAM = """
import keras
import numpy as np

import mixture_modules as mm
from mixture_modules import regularizers

rng = np.random.default_rng(0)
images = rng.normal(size=(12, 8, 8, 3)).astype('float32')
labels = rng.integers(0, 4, 12)
loss = keras.losses.SparseCategoricalCrossentropy(True)


def array(tensor):
  return keras.ops.convert_to_numpy(tensor) + 0


def values(model):
  return [array(variable).tobytes() for variable in model.variables]


def fit(model, *callbacks, **options):
  options = {'epochs': 2, 'batch_size': 4, 'shuffle': False, 'verbose': 0,
             **options}
  return model.fit(images, labels, callbacks=list(callbacks), **options).history


def make(regularizer=None, optimizer=None, shared=True):
  keras.utils.set_random_seed(0)
  bank = mm.TemplateBank(3)
  signature = mm.Signature(1, 3) if shared else None
  x = inputs = keras.Input((8, 8, 3))
  for _ in range(2):
    x = mm.MixtureConv2D(3, 3, padding='same', bank=bank, signature=signature,
                         mixture_regularizer=regularizer)(x)
    x = mm.MixtureBatchNormalization(bank=bank, signature=signature)(x)
  x = keras.layers.GlobalAveragePooling2D()(x)
  model = keras.Model(inputs, keras.layers.Dense(4)(x))
  model.compile(optimizer or mm.optimizers.RMSprop(.01), loss)
  return model, bank


# The regularisers: once a step for a shared signature.
plain, _ = make()
weights = regularizers.MixtureRegularizer(.5, .25, 'square')
regular, bank = make(weights)
xi = regular.layers[1].signature.mixture_weights()
expected = array(weights(xi, {bank: bank.slots}))
for method in 'evaluate', 'train_on_batch':
  options = {'verbose': 0} if method == 'evaluate' else {}
  one, other = (getattr(model, method)(images, labels, **options)
                for model in (plain, regular))
  np.testing.assert_allclose(other - one, expected, rtol=1e-3)


# The rate of mixtures.
def moves(optimizer):
  model, _ = make(optimizer=optimizer)
  before = [array(v) for v in model.trainable_variables]
  fit(model, epochs=1, batch_size=12)
  return {v.path.split('/')[-1]: array(v) - old
          for v, old in zip(model.trainable_variables, before)}


one, ten = (moves(mm.optimizers.RMSprop(1e-3, mixture_multiplier=m))
            for m in (1., 10.))
for name in one:
  factor = 10 if name == 'logits' else 1
  np.testing.assert_allclose(
      ten[name], factor * one[name], rtol=1e-2, atol=1e-7, err_msg=name)


# The averages.
class Failure(keras.callbacks.Callback):

  def on_test_batch_end(self, batch, logs=None):
    raise KeyError('failed')


validation = {'validation_data': (images, labels)}
plain, _ = make()
fit(plain, epochs=1)
model, _ = make()
averages = mm.WeightAveraging(.9)
try:
  fit(model, averages, Failure(), **validation)
except KeyError:
  assert values(model) == values(plain)
else:
  raise AssertionError('Expected a failure.')
fit(model, averages, initial_epoch=1, **validation)
whole, _ = make()
saved = mm.WeightAveraging(
    .9, callbacks=[keras.callbacks.ModelCheckpoint('whole.keras')])
history = fit(whole, saved, **validation)
assert values(model) == values(whole)
assert values(keras.models.load_model('whole.keras')) == values(whole)
np.testing.assert_allclose(
    whole.evaluate(images, labels, verbose=0), history['val_loss'][-1],
    rtol=1e-5)
fit(plain, initial_epoch=1)
saved.restore()
assert values(whole) == values(plain)

# Several tasks.
model = mm.IsometricModel(mm.IsometricConfig(
    depth_multiplier=.2, num_layers=2, num_templates=2, image_size=8,
    adapter_filters=(8, 16)), {'a': 4, 'b': 4, 'c': 4})
x, y = ({name: data for name in 'ab'} for data in (images, labels))
b = {'b': images}, {'b': labels}
model.compile(
    keras.optimizers.AdamW(.01, weight_decay=.1), {'a': loss, 'b': loss},
    loss_weights={'b': 2.}, metrics=['accuracy'])
before = {n: array(v) for n, v in model.named_variables().items()}
model.fit(x, y, batch_size=4, verbose=0, validation_data=b)
for name, variable in model.named_variables().items():
  if name.startswith(('tasks/c/', 'heads/c/')):
    assert array(variable).tobytes() == before[name].tobytes(), name
assert array(model.task('b').head.kernel).tobytes() != (
    before['heads/b/kernel'].tobytes())
results = model.evaluate(x, y, verbose=0, return_dict=True)
np.testing.assert_allclose(
    results['loss'], results['a_loss'] + 2 * results['b_loss']
    + array(sum(model.losses)), rtol=1e-4)
alone = model.evaluate(*b, verbose=0, return_dict=True)
assert alone['b_accuracy'] == results['b_accuracy']
np.testing.assert_allclose(
    model.predict(x, verbose=0)['b'], array(model(images, task='b')),
    rtol=1e-4, atol=1e-4)
try:
  model.fit(*b, verbose=0)
except ValueError as error:
  assert 'compile for these alone' in str(error), error
else:
  raise AssertionError('Expected fit of some compiled tasks to be refused.')
model.fit(x, y, verbose=0)  # the error has cost nothing
model.task('a').signature.harden()
model.compile(mm.optimizers.RMSprop(.01), {'a': loss})
model.fit({'a': images}, {'a': labels}, verbose=0)
model.save('model.keras')
np.testing.assert_allclose(
    array(model(images, task='a')),
    array(keras.saving.load_model('model.keras')(images, task='a')),
    rtol=1e-4, atol=1e-4)
"""


class OtherBackendsFitTest(parameterized.TestCase):

  @parameterized.parameters('jax', 'torch')
  def test_fit(self, backend):
    backends.run(self, backend, _PROGRAM)


if __name__ == '__main__':
  absltest.main()
