"""The isometric model with tasks (sections 3.1, 4.1, 4.3; Table 6)."""

import inspect
import os

from absl.testing import parameterized
import keras
from keras import ops
import numpy as np
import tensorflow as tf

from mixture_modules import template_bank
from mixture_modules.isometric import isometric_block
from mixture_modules.isometric import isometric_model
from mixture_modules.testing import toy_models

_SITES = ('input', 'expand', 'depthwise', 'project', 'hidden', 'embedding')
_BODY = ('expand', 'depthwise', 'project')


def _images(batch=6, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(batch, 8, 8, 3)).astype('float32')


def _model(tasks=None, randomize=True, shared_head=False, seed=None,
           **changes):
  tasks = {'a': 4} if tasks is None else tasks
  model = isometric_model.IsometricModel(
      toy_models.make_config(**changes), tasks, shared_head=shared_head,
      seed=seed)
  if randomize:
    toy_models.randomize(model)
  return model


def _copy(source, target):
  """Copies all variables that both models have."""
  values = toy_models.values(source)
  for name, variable in target.named_variables().items():
    if name in values and values[name].shape == tuple(variable.shape):
      variable.assign(values[name])


def _step(model, task, rate=.1):
  """One step of gradient descent; the names of what it changed."""
  before = toy_models.values(model)
  with tf.GradientTape() as tape:
    logits = model(_images(), task=task, training=True)
    loss = ops.mean(logits**2) + sum(model.losses)
  variables = model.trainable_variables
  gradients = tape.gradient(loss, [v.value for v in variables])
  for variable, gradient in zip(variables, gradients):
    if gradient is not None:
      variable.assign_sub(rate * gradient)
  after = toy_models.values(model)
  return {n for n in after if not np.array_equal(before[n], after[n])}


def _plain_network(config, num_classes):
  """The same network in stock Keras layers."""
  layers = keras.layers
  activation = layers.Activation

  def norm(x, name):
    return layers.BatchNormalization(
        momentum=config.norm_momentum, epsilon=config.norm_epsilon,
        name=name)(x)

  def conv(x, filters, size, name):
    return layers.Conv2D(filters, size, strides=size, use_bias=False,
                         name=name)(x)

  images = keras.Input((None, None, 3))
  x = conv(images, config.channels, config.patch_size, 'input_adapter')
  x = activation('hard_swish')(norm(x, 'norm_input'))
  for layer in range(config.num_layers):
    shortcut = x
    x = conv(x, config.expanded_channels, 1, f'expand_{layer}')
    x = activation('hard_swish')(norm(x, f'norm_expand_{layer}'))
    x = layers.DepthwiseConv2D(3, padding='same', use_bias=False,
                               name=f'depthwise_{layer}')(x)
    x = activation('hard_swish')(norm(x, f'norm_depthwise_{layer}'))
    if config.use_se:
      s = layers.GlobalAveragePooling2D(keepdims=True)(x)
      s = layers.Dense(16, 'relu', name=f'squeeze_{layer}')(s)
      s = layers.Dense(config.expanded_channels, 'hard_sigmoid',
                       name=f'excite_{layer}')(s)
      x = layers.Multiply()([x, s])
    x = conv(x, config.channels, 1, f'project_{layer}')
    x = layers.Add()([shortcut, norm(x, f'norm_project_{layer}')])
  first, second = config.adapter_filters
  x = conv(x, first, 1, 'output_adapter_1')
  x = activation('hard_swish')(norm(x, 'norm_hidden'))
  x = layers.GlobalAveragePooling2D(keepdims=True)(x)
  x = conv(x, second, 1, 'output_adapter_2')
  x = activation('hard_swish')(norm(x, 'norm_embedding'))
  x = layers.Flatten()(x)
  return keras.Model(images, layers.Dense(num_classes, name='head')(x))


def _copy_to_plain(model, plain):
  """Copies a diagonal model with shared norms into `_plain_network`."""
  values = toy_models.values(model)

  def norm(site, row=...):
    return [values[f'{prefix}/{site}'][row] for prefix in (
        'affine/gamma', 'affine/beta', 'tasks/a/statistics/mean',
        'tasks/a/statistics/variance')]

  weights = {'input_adapter': [values['input_adapter/kernel']],
             'output_adapter_1': [values['output_adapter/1/kernel']],
             'output_adapter_2': [values['output_adapter/2/kernel']],
             'head': [values['heads/a/kernel'], values['heads/a/bias']]}
  weights.update({f'norm_{site}': norm(site)
                  for site in ('input', 'hidden', 'embedding')})
  for layer in range(model.config.num_layers):
    for site in _BODY:
      weights[f'{site}_{layer}'] = [values[f'bank/{site}/kernel'][layer]]
      weights[f'norm_{site}_{layer}'] = norm(site, layer)
    if model.config.use_se:
      for name in ('squeeze', 'excite'):
        weights[f'{name}_{layer}'] = [values[f'bank/se/{name}_kernel'][layer],
                                      values[f'bank/se/{name}_bias'][layer]]
  owners = {layer.name: layer for layer in plain.layers if layer.weights}
  assert set(owners) == set(weights)
  for name, layer in owners.items():
    layer.set_weights(weights[name])


class IsometricModelTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    keras.utils.set_random_seed(1)

  def _save_and_load(self, model):
    path = os.path.join(self.get_temp_dir(), 'model.keras')
    model.save(path)
    return keras.saving.load_model(path)

  # The computation

  @parameterized.parameters(True, False)
  def test_plain_network_equals_stock_keras(self, use_se):
    model = _model(signature='diagonal', norm='shared', use_se=use_se)
    plain = _plain_network(model.config, 4)
    self.assertEqual(plain.count_params() + 1,  # statistics count updates
                     model.count_params())
    _copy_to_plain(model, plain)
    model.task().statistics.num_updates.assign(1000)  # Keras has no warm-up
    self.assertGreater(np.std(plain(_images())), .1)
    self.assertAllClose(plain(_images()), model(_images()), 1e-4, 1e-4)
    self.assertAllClose(plain(_images(), training=True),
                        model(_images(), training=True), 1e-3, 1e-3)
    twin = _plain_network(model.config, 4)
    _copy_to_plain(model, twin)  # the statistics have moved
    for expected, received in zip(plain.weights, twin.weights):
      self.assertAllClose(expected, received, 1e-4, 1e-4)
    self.assertAllClose(plain(_images()), model(_images()), 1e-3, 1e-3)

  @parameterized.parameters('mixed', 'private')
  def test_diagonal_signature_in_the_limit_equals_the_plain_network(self, norm):
    plain = _model(signature='diagonal', norm=norm)
    mixed = _model(norm=norm)
    _copy(plain, mixed)
    self.assertNotAllClose(plain(_images()), mixed(_images()))
    mixed.task().signature.logits.assign(40 * np.eye(3))
    self.assertAllClose(plain(_images()), mixed(_images()), 1e-5, 1e-5)

  def test_one_template_for_all_layers(self):
    model = _model(signature='2-2-2')
    other = _model(signature='2-2-2')
    for slot in other.bank.slots:
      templates = other.bank.templates(slot)
      templates.assign(templates.numpy() * np.reshape(
          [0, 1, 0], (3, *[1] * (len(templates.shape) - 1))))
    self.assertAllEqual(model(_images()), other(_images()))

  def test_original_input_is_concatenated(self):
    plain, model = _model(), _model(original_input=True)
    c = plain.config.channels
    self.assertEqual(
        3 * c * plain.config.expanded_channels,
        model.parameter_report()['templates']
        - plain.parameter_report()['templates'])
    _copy(plain, model)
    kernel = plain.bank.templates('expand/kernel').numpy()
    both = np.concatenate([kernel, np.zeros_like(kernel)], 3)
    model.bank.templates('expand/kernel').assign(both)
    self.assertAllClose(plain(_images()), model(_images()), 1e-5, 1e-5)
    # In the first layer the previous output is the original input.
    both = np.concatenate([np.zeros_like(kernel), kernel], 3)
    model.bank.templates('expand/kernel').assign(both)
    self.assertNotAllClose(plain(_images()), model(_images()))
    plain, model = (_model(original_input=o, num_layers=1)
                    for o in (False, True))
    _copy(plain, model)
    model.bank.templates('expand/kernel').assign(np.concatenate(
        [np.zeros_like(kernel),
         plain.bank.templates('expand/kernel').numpy()], 3))
    self.assertAllClose(plain(_images()), model(_images()), 1e-5, 1e-5)

  @parameterized.parameters('mixed', 'private', 'shared')
  def test_eager_equals_function(self, norm):
    model, twin = (_model({'a': 4, 'b': 5}, norm=norm, num_layers=2,
                          use_se=norm == 'mixed') for _ in range(2))
    for training in (False, True):
      function = tf.function(
          lambda x: twin(x, task='b', training=training),  # noqa: B023
          input_signature=[tf.TensorSpec([None, None, None, 3])])
      self.assertAllClose(model(_images(), task='b', training=training),
                          function(_images()), 1e-4, 1e-4)
    values = toy_models.values(twin)
    for name, value in toy_models.values(model).items():
      if name != 'dropout_seeds':
        self.assertAllClose(value, values[name], 1e-4, 1e-4)

  def test_symbolic_input(self):
    model = _model({'a': 4, 'b': 5})
    outputs = model(keras.Input((None, None, 3)), task='b')
    self.assertEqual((None, 5), outputs.shape)

  @parameterized.parameters('mixed', 'private', 'shared')
  def test_mixed_precision_logits_are_float32(self, norm):
    model = _model(norm=norm, num_layers=2, use_se=True)
    low = isometric_model.IsometricModel(
        model.config, {'a': 4}, dtype='mixed_bfloat16')
    _copy(model, low)
    for training in (False, True):
      logits = low(_images(), training=training)
      self.assertEqual(tf.float32, logits.dtype)
      expected = model(_images(), training=training)
      self.assertAllClose(expected, logits, .2, .1 * np.abs(expected).max())
    self.assertEqual({'float32'}, {
        v.dtype for n, v in low.named_variables().items()
        if n not in ('dropout_seeds', 'tasks/a/num_updates')})

  def test_block_mixes_in_float32(self):
    config = toy_models.make_config(num_templates=2, num_layers=2)
    bank = template_bank.TemplateBank(2)
    block = isometric_block.IsometricBlock(config, bank, dtype='mixed_bfloat16')
    for slot in bank.slots:
      shape = bank.templates(slot).shape[1:]
      bank.templates(slot).assign(
          np.stack([np.full(shape, 1 + 2**-9), np.full(shape, -1.)]))
    images = np.ones((1, 2, 2, 8), 'float32') * 16
    mixed, ones = (template_bank.ResolvedRow(
        {slot: make(slot) for slot in bank.slots}) for make in (
            lambda slot: bank.mix(slot, np.float32([512., 512.])),
            lambda slot: tf.ones(bank.templates(slot).shape[1:])))
    outputs = block(images, row=mixed, norm=lambda x, site: x)
    self.assertEqual(tf.bfloat16, outputs.dtype)
    expected = block(images, row=ones, norm=lambda x, site: x)
    self.assertAllEqual(expected, outputs)
    self.assertNotAllEqual(images, outputs)

  # Statistics and dropout

  def test_statistics_move_only_in_training(self):
    model = _model({'a': 4, 'b': 4})
    before = toy_models.values(model)
    model(_images(), task='a')
    for name, value in toy_models.values(model).items():
      self.assertAllEqual(before[name], value)
    model(_images(), task='a', training=True)
    moved = {n for n, v in toy_models.values(model).items()
             if not np.array_equal(before[n], v)}
    self.assertEqual({f'tasks/a/statistics/{kind}/{site}' for site in _SITES
                      for kind in ('mean', 'variance')}
                     | {'tasks/a/num_updates'}, moved)

  def test_statistics_of_the_input_adapter_match_numpy(self):
    model = _model(norm_momentum=.75)
    kernel = model.input_adapter.kernel.numpy()  # [4, 4, 3, c]
    patches = _images().reshape(6, 2, 4, 2, 4, 3)
    outputs = np.einsum('bhiwjc,ijcd->bhwd', patches, kernel)
    statistics = model.task().statistics
    mean, variance = (s['input'].numpy() for s in (
        statistics.mean, statistics.variance))
    statistics.num_updates.assign(100)  # beyond the warm-up
    model(_images(), training=True)
    self.assertAllClose(.75 * mean + .25 * outputs.mean((0, 1, 2)),
                        statistics.mean['input'], 1e-4, 1e-4)
    self.assertAllClose(.75 * variance + .25 * outputs.var((0, 1, 2)),
                        statistics.variance['input'], 1e-4, 1e-4)

  def test_dropout_seed_makes_dropout_pure(self):
    model = _model(dropout=.5, norm='shared')

    def call(seed):
      return model(_images(), training=True, dropout_seed=seed)

    self.assertAllEqual(call([1, 2]), call([1, 2]))
    self.assertNotAllClose(call([1, 2]), call([1, 3]))
    self.assertNotAllClose(call(None), call(None))
    self.assertAllEqual(model(_images()),
                        model(_images(), dropout_seed=[1, 2]))

  def test_dropout_keeps_the_mean(self):
    model = _model(dropout=.4)
    x = tf.ones((100, 100))
    for seed in ([1, 2], None):
      dropped = model._drop(x, seed)
      self.assertAllClose(1., np.mean(dropped), .03)
      self.assertAllClose(.4, np.mean(dropped == 0), .05)

  # Who owns what

  def test_owners_with_mixed_norms(self):
    names = _model({'a': 4, 'b': 4}).named_variables()
    for kind in ('gamma', 'beta'):
      self.assertEqual(
          {f'bank/{site}/{kind}' for site in _BODY}
          | {f'affine/{kind}/{site}' for site in set(_SITES) - set(_BODY)},
          {n for n in names if kind in n})

  def test_owners_with_private_norms(self):
    names = _model({'a': 4, 'b': 4}, norm='private').named_variables()
    for kind in ('gamma', 'beta'):
      self.assertEqual({f'tasks/{task}/affine/{kind}/{site}'
                        for site in _SITES for task in 'ab'},
                       {n for n in names if kind in n})

  def test_owners_with_shared_norms(self):
    names = _model({'a': 4, 'b': 4}, norm='shared').named_variables()
    for kind in ('gamma', 'beta'):
      self.assertEqual({f'affine/{kind}/{site}' for site in _SITES},
                       {n for n in names if kind in n})

  @parameterized.parameters(
      ('mixed', None), ('mixed', 'first'), ('mixed', 'second'),
      ('private', 'first'), ('shared', 'second'))
  def test_training_one_task_leaves_the_others_own(self, norm, shared_half):
    model = _model({'a': 4, 'b': 4}, norm=norm, shared_half=shared_half)
    changed = _step(model, 'a')
    unmoved = {n for n in model.named_variables()
               if n.startswith(('tasks/b/', 'heads/b/'))}
    self.assertGreater(len(unmoved), 12)
    # In training a norm follows wherever beta of 'project' goes, and takes
    # it away again: its gradient is nought but for rounding.
    idle = {'dropout_seeds', 'bank/project/beta', 'affine/beta/project',
            'tasks/a/affine/beta/project'}
    self.assertEqual(
        set(model.named_variables()) - unmoved - idle, changed - idle)

  def test_a_shared_head_is_one(self):
    model = _model({'a': 4, 'b': 4}, shared_head=True)
    self.assertIs(model.task('a').head, model.task('b').head)
    self.assertIn('heads/shared/kernel', model.named_variables())
    self.assertEqual(4 * 16 + 4, model.parameter_report()['heads'])

  @parameterized.parameters(('first', 3, 2, 1), ('second', 3, 1, 2),
                            ('first', 4, 2, 2), ('second', 4, 2, 2))
  def test_shared_half_of_the_signature(self, half, layers, shared, own):
    model = _model({'a': 4, 'b': 4}, shared_half=half, num_layers=layers,
                   num_templates=4)
    a, b = (model.task(t).signature.mixture_weights() for t in 'ab')
    self.assertEqual((shared, 4), model.shared_signature.logits.shape)
    self.assertEqual((own, 4), model.task('a').signature.logits.shape)
    equal = np.all(a == b, -1).tolist()
    rows = [True] * shared + [False] * own
    self.assertEqual(rows if half == 'first' else rows[::-1], equal)

  @parameterized.product(half=(None, 'first', 'second'))
  def test_diagonal_init(self, half):
    model = _model(signature_init='diagonal', shared_half=half,
                   num_templates=4, randomize=False)
    xi = model.task().signature.mixture_weights().numpy()
    expected = np.full((3, 4), .01 / 3)
    np.fill_diagonal(expected, .99)
    self.assertAllClose(expected, xi, 1e-4, 1e-5)

  @parameterized.parameters('mixed', 'private', 'shared')
  def test_named_variables_are_the_models(self, norm):
    model = _model({'a': 4, 'b': 5}, norm=norm, shared_half='first')
    named = model.named_variables().values()
    self.assertCountEqual([id(v) for v in model.variables],
                          [id(v) for v in named])
    untrained = {n for n, v in model.named_variables().items()
                 if not v.trainable}
    self.assertEqual(
        {n for n in model.named_variables() if '/statistics/' in n}
        | {'dropout_seeds', 'tasks/a/num_updates', 'tasks/b/num_updates'},
        untrained)

  @parameterized.parameters(
      ('mixed', True), ('private', False), ('private', True), ('shared', False))
  def test_report_adds_up(self, norm, shared_head):
    model = _model({'a/statistics/b': 4, 'b': 4}, norm=norm,
                   shared_head=shared_head, shared_half='first')
    report = model.parameter_report()
    statistics = report.pop('statistics')
    total = report.pop('total')
    self.assertEqual(total, sum(report.values()))
    self.assertEqual(
        total, sum(v.numpy().size for v in model.trainable_variables))
    self.assertEqual(statistics, sum(
        v.numpy().size for v in model.task('b').statistics.variables) - 1)
    own = 3 + (0 if shared_head else 4 * 16 + 4)  # one signature row, head
    own += statistics if norm == 'private' else 0  # gamma and beta as many
    self.assertEqual(own, model.own_parameters('b'))

  def test_report_without_tasks(self):
    report = _model({}).parameter_report()
    self.assertEqual(_model().parameter_report()['statistics'],
                     report['statistics'])
    self.assertEqual(0, report['heads'])

  def test_weight_decay_is_on_convolution_kernels_once(self):
    model = _model({'a': 4, 'b': 4}, weight_decay=.01, use_se=True)
    expected = [
        .01 * np.sum(v**2) / 2 for n, v in toy_models.values(model).items()
        if n.endswith('kernel') and 'depthwise' not in n and 'head' not in n]
    self.assertLen(expected, 7)  # 2 in the block, 2 in SE, 3 in adapters
    self.assertAllClose(sorted(expected), sorted(map(float, model.losses)),
                        1e-5, 1e-6)
    self.assertEmpty(_model(weight_decay=0.).losses)

  def test_seed_gives_the_same_signatures(self):
    one, two, other = (
        _model({'a': 4, 'b': 4}, seed=seed, randomize=False)
        for seed in (3, 3, 4))
    for task in 'ab':
      self.assertAllEqual(one.task(task).signature.logits,
                          two.task(task).signature.logits)
      self.assertNotAllClose(one.task(task).signature.logits,
                             other.task(task).signature.logits)
    self.assertNotAllClose(one.task('a').signature.logits,
                           one.task('b').signature.logits)

  def test_shared_head_needs_one_number_of_classes(self):
    with self.assertRaisesRegex(ValueError, "Head 'shared' has 4 classes"):
      _model({'a': 4, 'b': 5}, shared_head=True)

  def test_variables_have_paths_of_their_own(self):
    # By which PyTorch's backend tells them apart.
    model = _model({'a': 4, 'b': 4}, norm='private', shared_half='first')
    model.add_task('c', 4, init='copy:a')
    for part in ('input_adapter', 'output_adapter', 'mixture'):
      model.detach('a', part)
    model.rename_task('a', 'd')
    model.add_task('a', 4)
    model.duplicate_template(1)
    other = _model({'a': 4, 'b': 4}, norm='shared')
    paths = [v.path for v in (*model.variables, *other.variables)]
    self.assertLen(set(paths), len(paths))

  def test_all_layers_are_built(self):
    # Else Keras traces the model again whenever it begins to fit.
    model = _model({'a': 4}, norm='private')
    model.detach('a', 'input_adapter')
    self.assertEmpty(
        [layer for layer in model._flatten_layers() if not layer.built])

  def test_config_and_tasks_are_checked(self):
    with self.assertRaisesRegex(ValueError, 'must be an IsometricConfig'):
      isometric_model.IsometricModel({'num_layers': 2}, {'a': 4})
    with self.assertRaisesRegex(ValueError, r"tasks must .*received \['a'\]"):
      _model(['a'])

  def test_task_must_be_named(self):
    model = _model({'a': 4, 'b': 5})
    with self.assertRaisesRegex(ValueError, 'received no task: name one'):
      model(_images())
    with self.assertRaisesRegex(ValueError, r"\['a', 'b'\], received task='c"):
      model(_images(), task='c')
    self.assertEqual((6, 4), _model()(_images()).shape)

  # Saving and training

  def test_odd_task_names(self):
    names = ['a/b+c:d', 'a+b/c:d', 'Größe 3', 'a']
    model = _model(dict.fromkeys(names, 4))
    self.assertCountEqual([id(v) for v in model.variables],
                          [id(v) for v in model.named_variables().values()])
    outputs = [model(_images(), task=name) for name in names]
    loaded = self._save_and_load(model)
    self.assertEqual(names, list(loaded.tasks))
    for name, expected in zip(names, outputs):
      self.assertAllEqual(expected, loaded(_images(), task=name))
      self.assertNotAllClose(expected, model(
          _images(), task=names[names.index(name) - 1]))

  @parameterized.parameters(
      ('mixed', False, True), ('private', True, False), ('shared', True, True))
  def test_save_and_load(self, norm, shared_head, use_se):
    model = _model({'a': 4, 'b': 4}, norm=norm, shared_head=shared_head,
                   shared_half='first', use_se=use_se, seed=3)
    model.add_task('c', 4, head='d')
    model.add_task('d', 4, head='d')
    toy_models.randomize(model)
    loaded = self._save_and_load(model)
    values = toy_models.values(loaded)
    self.assertEqual(set(toy_models.values(model)), set(values))
    for name, value in toy_models.values(model).items():
      self.assertAllEqual(value, values[name])
    self.assertEqual(model.config, loaded.config)
    for task in 'abcd':
      self.assertAllEqual(
          model(_images(), task=task), loaded(_images(), task=task))
    self.assertIs(loaded.task('c').head, loaded.task('d').head)
    self.assertIs(loaded.bank, loaded.block.expand.bank)
    loaded.add_task('e', 3, init='copy:a')
    self.assertEqual((6, 3), loaded(_images(), task='e').shape)

  def test_constructor_arguments_are_config_keys(self):
    parameters = set(inspect.signature(
        isometric_model.IsometricModel).parameters) - {'kwargs', 'shared_head'}
    config = _model(seed=2).get_config()
    # A shared head is written down task by task.
    self.assertEqual(
        parameters | {'name', 'dtype', 'trainable', 'frozen'}, set(config))

  def test_config_round_trip_in_mixed_precision(self):
    model = isometric_model.IsometricModel(
        toy_models.make_config(), {'a': 4}, seed=5, dtype='mixed_bfloat16',
        name='mine')
    loaded = self._save_and_load(model)
    self.assertEqual('mixed_bfloat16', loaded.dtype_policy.name)
    self.assertEqual(('mine', 5), (loaded.name, loaded.seed))
    self.assertAllEqual(model(_images()), loaded(_images()))

  def test_head_on_a_frozen_model_moves_nothing_of_it(self):
    model = toy_models.make_model({'a': 4}, num_layers=1)
    images = toy_models.make_images()
    model.trainable = False
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(
        inputs, keras.layers.Dense(1)(model(inputs, task='a')))
    before = toy_models.values(model)
    outer.compile('sgd', 'mse', jit_compile=False)
    outer.fit(images, images[:, 0, 0, :1], verbose=0)
    self.assertEmpty(toy_models.changed(before, toy_models.values(model)))
    model.trainable = True
    outer.compile('sgd', 'mse', jit_compile=False)
    outer.fit(images, images[:, 0, 0, :1], verbose=0)
    changed = toy_models.changed(before, toy_models.values(model))
    self.assertContainsSubset(
        ['bank/expand/kernel', 'tasks/a/statistics/mean/input'], changed)

  def test_compile_fit_evaluate_predict(self):
    model = _model(dropout=.1, randomize=False, num_layers=2)
    model.compile(
        keras.optimizers.Adam(.01), jit_compile=False, metrics=['accuracy'],
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.arange(16) % 4
    images = _images(16) + labels[:, None, None, None]
    before = toy_models.values(model)
    history = model.fit(images, labels, batch_size=8, epochs=6, verbose=0)
    self.assertLess(history.history['loss'][-1], history.history['loss'][0])
    unmoved = [n for n, v in toy_models.values(model).items()
               if np.array_equal(before[n], v)]
    self.assertEmpty(unmoved)
    loss, _ = model.evaluate(images, labels, verbose=0)
    logits = model.predict(images, verbose=0)
    self.assertAllClose(model(images), logits, 1e-4, 1e-4)
    expected = -np.mean(tf.nn.log_softmax(logits).numpy()[
        np.arange(16), labels]) + sum(map(float, model.losses))
    self.assertAllClose(expected, loss, 1e-4, 1e-4)

  # Replicas

  @parameterized.parameters(True, False)
  def test_replicas_agree(self, inside):
    devices = tf.config.list_logical_devices('CPU')
    if len(devices) < 2:
      self.skipTest('needs two logical CPUs')
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    options = {'dropout': .3, 'norm': 'private', 'norm_momentum': .5,
               'num_layers': 2}
    single = _model({'a': 4, 'new': 4}, **options)
    with strategy.scope():
      model = _model({'a': 4}, **options)
      if inside:
        model.add_task('new', 4)
    if not inside:
      model.add_task('new', 4)
    _copy(single, model)
    halves = [_images(4, seed=seed) for seed in (1, 2)]

    @tf.function
    def step(images):
      def replica(images):
        with tf.GradientTape() as tape:
          logits = model(images, task='new', training=True,
                         dropout_seed=[1, 2])
          loss = tf.reduce_mean(logits**2)
        variables = [v.value for v in model.task('new').trainable_variables]
        return tape.gradient(loss, variables)

      return strategy.run(replica, args=(images,))

    step(strategy.experimental_distribute_values_from_function(
        lambda context: halves[context.replica_id_in_sync_group]))
    start = toy_models.values(single)
    moved = []
    for half in halves:
      _copy(model, single)
      for name, variable in single.named_variables().items():
        variable.assign(start[name])
      single(half, task='new', training=True, dropout_seed=[1, 2])
      moved.append(toy_models.values(single))
    for name, variable in model.named_variables().items():
      if name.startswith('tasks/new/statistics/'):
        replicas = strategy.experimental_local_results(variable.value)
        self.assertLen(replicas, 2)
        self.assertAllEqual(replicas[0], replicas[1])
        self.assertNotAllClose(start[name], replicas[0])
        self.assertNotAllClose(moved[0][name], moved[1][name])
        self.assertAllClose(
            (moved[0][name] + moved[1][name]) / 2, replicas[0], 1e-4, 1e-4)

  # What a review found

  def test_kernels_of_a_block_are_unrelated(self):
    bank = _model(randomize=False, use_se=True).bank
    kernels = [bank.templates(slot).numpy()[0].ravel() for slot in bank.slots
               if slot.endswith('kernel')]
    for i, one in enumerate(kernels):
      for other in kernels[:i]:
        size = min(len(one), len(other))
        correlation = np.corrcoef(one[:size], other[:size])[0, 1]
        self.assertLess(abs(correlation), 5 / np.sqrt(size))

  def test_weights_of_other_tasks_are_refused(self):
    model = _model({'a': 4, 'b': 4})
    path = os.path.join(self.get_temp_dir(), 'm.weights.h5')
    model.save_weights(path)
    for tasks in ({'b': 4, 'a': 4}, {'a': 4, 'c': 4}):
      with self.assertRaisesRegex(ValueError, "of the tasks.*'a': 'a'.*'b'"):
        _model(tasks).load_weights(path)
    same = _model({'a': 4, 'b': 4}, randomize=False)
    same.load_weights(path)
    for name in model.tasks:
      self.assertAllEqual(model(_images(), task=name),
                          same(_images(), task=name))

  def test_frozen_parts_stay_frozen_when_saved(self):
    model = _model({'a': 4, 'b': 4})
    model.bank.trainable = False
    model.task('a').signature.trainable = False
    path = os.path.join(self.get_temp_dir(), 'm.keras')
    model.save(path)
    loaded = keras.models.load_model(path)
    self.assertFalse(loaded.bank.trainable)
    self.assertFalse(loaded.task('a').signature.trainable)
    self.assertTrue(loaded.task('b').signature.trainable)
    self.assertLen(loaded.trainable_variables, len(model.trainable_variables))

  @parameterized.parameters('whole', 'block')
  def test_frozen_model_stays_frozen_when_saved(self, what):
    model = _model({'a': 4}, num_layers=2)
    (model if what == 'whole' else model.block).trainable = False
    path = os.path.join(self.get_temp_dir(), 'm.keras')
    model.save(path)
    loaded = keras.models.load_model(path)
    self.assertLen(loaded.trainable_variables, len(model.trainable_variables))
    self.assertEqual(model.trainable, loaded.trainable)
    before = toy_models.values(loaded)
    loaded(_images(), training=True)
    self.assertEqual(what == 'block', bool(
        toy_models.changed(before, toy_models.values(loaded))))

  def test_images_of_an_unexpected_shape(self):
    model = _model()
    for shape in (2, 11, 8, 3), (2, 8, 8, 1), (8, 8, 3), (2, 0, 8, 3):
      with self.assertRaisesRegex(ValueError, 'multiples of patch_size=4'):
        model(np.zeros(shape, 'float32'))

  def test_exports(self):
    model = _model(num_layers=1)
    expected = model(_images())
    path = self.get_temp_dir()
    model.export(path, verbose=False)
    exported = tf.saved_model.load(path)
    self.assertAllClose(expected, exported.serve(_images()), 1e-5, 1e-5)

  def test_channels_first_is_refused(self):
    keras.config.set_image_data_format('channels_first')
    self.addCleanup(keras.config.set_image_data_format, 'channels_last')
    with self.assertRaisesRegex(ValueError, 'channels_last'):
      _model()


if __name__ == '__main__':
  tf.test.main()
