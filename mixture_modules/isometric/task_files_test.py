"""Task files: exact round trips; what is faulty or foreign changes nothing."""

import json
import pathlib
import tempfile
from unittest import mock
import warnings

from absl.testing import parameterized
import keras
import numpy as np
import safetensors
import tensorflow as tf

import mixture_modules
from mixture_modules import task_format
from mixture_modules import tensor_files
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_files
from mixture_modules.isometric import task_fit
from mixture_modules.testing import damage

_METADATA = {'class_names': ['null', 'eins', 'zwei'], 'image_size': 8,
             'dataset': 'b+blur'}
_FAULTY = 'Expected a task file that fits, received'


def make_model(tasks=('a', 'b'), seed=0, shared_head=False, dtype=None,
               **changes):
  """A tiny network, whose variables all have values of their own."""
  config = isometric_config.IsometricConfig(**{
      'depth_multiplier': .2, 'num_layers': 3, 'num_templates': 3,
      'image_size': 8, 'adapter_filters': (8, 16), 'dropout': 0.,
      'use_se': False, **changes})
  model = isometric_model.IsometricModel(
      config, dict.fromkeys(tasks, 3), shared_head=shared_head, seed=0,
      dtype=dtype)
  randomize(model, seed)
  return model


def randomize(model, seed=0):
  rng = np.random.default_rng(seed)
  for name, variable in model.named_variables().items():
    if name.endswith('num_updates'):
      variable.assign(rng.integers(1000))
    elif '/variance/' in name:
      variable.assign(rng.uniform(.5, 2, size=variable.shape))
    elif name != 'dropout_seeds':
      variable.assign(rng.normal(size=variable.shape) * .5)


def values(model):
  return {name: variable.numpy().tobytes()
          for name, variable in model.named_variables().items()}


def copy_of(model):
  copy = isometric_model.IsometricModel.from_config(model.get_config())
  for name, variable in copy.named_variables().items():
    variable.assign(model.named_variables()[name])
  return copy


def outputs(model, task):
  images = np.random.default_rng(0).normal(size=(5, 8, 8, 3))
  return model(images.astype('float32'), task=task).numpy()


def change(data, tensors=(), without=(), **header):
  """The bytes of a file with some changes, whose digest fits."""
  arrays, metadata = tensor_files.decode(data)
  described = {**json.loads(metadata['task']), **header}
  arrays = {**arrays, **dict(tensors)}
  for name in without:
    arrays.pop(name)
  return tensor_files.encode(
      arrays, {**metadata, 'task': json.dumps(described)})


def mutate_description(data, rng):
  """The bytes of a file whose description is another, correctly signed."""
  tensors, metadata = tensor_files.decode(data)
  described = json.loads(metadata['task'])
  strange = (None, True, -1, 0, 2 ** 70, 1e300, '', 'a', '../a', [], [[]], {},
             {'a': {}}, ['x', 'y', 'z'])
  place = described
  while True:
    key = list(place)[rng.integers(len(place))]
    if not isinstance(place[key], dict) or not place[key] or rng.integers(2):
      break
    place = place[key]
  if rng.integers(4):
    place[key] = strange[rng.integers(len(strange))]
  else:
    place.pop(key)
  names = list(tensors)
  name = names[rng.integers(len(names))]
  kind = rng.integers(8)
  if kind == 0:
    tensors[names[rng.integers(len(names))]] = tensors.pop(name)
  elif kind == 1:
    tensors[name] = tensors[name].astype('float64')
  elif kind == 2:
    tensors[name] = tensors[name][None]
  return tensor_files.encode(
      tensors, {**metadata, 'task': json.dumps(described)})


class TaskFilesTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # A model to load into; tests leave it as it is, as most of them show.
    cls.model = make_model(('a',))
    cls.data = task_files.encode_task(make_model(), 'b', _METADATA)

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    self.path = self.directory / 'b.task'

  def assertLoads(self, model, copy, task='b'):
    """`copy` gets `task` of `model`; both then compute the same with it."""
    before = values(copy)
    loaded = task_files.load_task(copy, self.path)
    self.assertIs(loaded, copy.task(task))
    self.assertAllEqual(outputs(copy, task), outputs(model, task))
    own = parameters.task_variables(model, task)
    self.assertEqual(list(parameters.task_variables(copy, task)), list(own))
    after = values(copy)
    self.assertEqual({name: after[name] for name in before}, before)
    self.assertEqual(after, {name: values(model)[name] for name in after})

  def assertRefused(self, model, message, *files, **options):
    """Nothing of the model changes. Default: the file that is there."""
    before, tasks, heads = values(model), model.tasks, model.heads
    for data in files or [self.path.read_bytes()]:
      self.path.write_bytes(data)
      with self.assertRaisesRegex(ValueError, message):
        task_files.load_task(model, self.path, **options)
    self.assertEqual(values(model), before)
    self.assertEqual((model.tasks, model.heads), (tasks, heads))

  @parameterized.named_parameters(
      ('mixed', {}),
      ('private', {'norm': 'private'}),
      ('shared', {'norm': 'shared'}),
      ('fixed', {'signature': '1-3-1'}),
      ('random_fixed', {'signature': 'random', 'num_templates': 2}),
      ('tanh', {'signature': 'tanh'}),
      ('temperature', {'temperature': .5, 'use_se': True}),
      ('first_half', {'shared_half': 'first'}),
      ('second_half', {'shared_half': 'second'}),
      ('bfloat16_activations', {'dtype': 'mixed_bfloat16'}),
      ('bfloat16', {'dtype': 'bfloat16'}, ('input_adapter',)),
      ('norm', {}, ('norm',)),
      ('norm_of_shared', {'norm': 'shared'}, ('norm',)),
      ('input_adapter', {}, ('input_adapter',)),
      ('output_adapter', {}, ('output_adapter',)),
      ('adapters_and_norm', {'norm': 'shared'},
       ('output_adapter', 'norm', 'input_adapter')),
      ('adapters_of_private', {'norm': 'private'},
       ('output_adapter', 'input_adapter')),
      ('mixture', {'shared_half': 'second'}, ('mixture',)),
      ('everything', {'shared_half': 'first', 'shared_head': True},
       ('mixture', 'norm', 'input_adapter', 'output_adapter', 'head')),
  )
  def test_round_trip(self, changes, detached=()):
    model = make_model(**changes)
    for part in detached:
      model.detach('b', part)
    randomize(model, seed=1)
    copy = copy_of(model)
    copy.remove_task('b')
    size = task_files.save_task(model, 'b', self.path, _METADATA)
    self.assertEqual(self.path.stat().st_size, size)
    self.assertLoads(model, copy)

  def test_another_precision_is_told(self):
    task_files.save_task(make_model(), 'b', self.path)
    model = make_model(dtype='mixed_bfloat16')
    model.remove_task('b')
    with self.assertWarnsRegex(
        UserWarning, 'trained in float32.*computes in mixed_bfloat16'):
      task_files.load_task(model, self.path)

  def test_keras_copy_of_the_model(self):
    model = make_model()
    task_files.save_task(model, 'b', self.path)
    model.save(self.directory / 'model.keras')
    copy = keras.saving.load_model(self.directory / 'model.keras')
    copy.remove_task('b')
    self.assertEqual(task_fit.fingerprint(copy), task_fit.fingerprint(model))
    self.assertLoads(model, copy)

  def test_what_a_file_holds(self):
    model = make_model(shared_head=True)
    mixture_modules.save_task(model, 'b', self.path, _METADATA)
    file = task_format.read_task_file(self.path)
    self.assertEqual(file.name, 'b')
    for name, variable in parameters.task_variables(model, 'b').items():
      self.assertAllEqual(file.tensors.pop(name), variable)
    self.assertEmpty(file.tensors)
    self.assertEqual(file.fingerprint, task_fit.fingerprint(model))
    self.assertEqual(file.header['metadata'], _METADATA)
    self.assertEqual(file.header['head'], 'shared')
    self.assertEqual(file.header['version'], mixture_modules.__version__)
    self.assertEqual(file.header['signature'], {
        'kind': 'softmax', 'temperature': 1., 'sequence': None})
    self.assertCountEqual(
        file.header['shared'], parameters.shared_variables(model))

  def test_public_reader_reads_it(self):
    model = make_model()
    task_files.save_task(model, 'b', self.path)
    with safetensors.safe_open(self.path, 'np') as file:
      for name, variable in parameters.task_variables(model, 'b').items():
        self.assertAllEqual(file.get_tensor(name), variable)
      self.assertEqual(file.metadata()['format'], task_format.FORMAT)

  def test_size_of_a_digits_task(self):
    model = isometric_model.IsometricModel(
        isometric_config.IsometricConfig.preset('digits'), {'usps': 10})
    size = task_files.save_task(model, 'usps', self.path)
    numbers = {name: variable.shape.num_elements() for name, variable
               in parameters.task_variables(model, 'usps').items()}
    head = numbers.pop('head/kernel') + numbers.pop('head/bias')
    self.assertEqual(numbers.pop('signature/logits'), 64)
    self.assertEqual(numbers.pop('num_updates'), 1)
    self.assertEqual((head, sum(numbers.values())), (2570, 17488))
    tensors = 4 * (2570 + 64 + 17488) + 8
    self.assertEqual(tensors, 80_496)
    self.assertBetween(size - tensors, 3000, 5000)  # the header

  def test_fingerprint(self):
    model = make_model()
    variables = parameters.shared_variables(model)
    found = {task_fit.fingerprint(model)}
    for variable in variables.values():
      before = variable.numpy()
      changed = before.copy()
      changed.flat[-1] = np.nextafter(changed.flat[-1], 9)
      variable.assign(changed)
      found.add(task_fit.fingerprint(model))
      variable.assign(before)
    self.assertLen(found, 1 + len(variables))
    self.assertIn(task_fit.fingerprint(model), found)
    for name, variable in model.named_variables().items():
      if name.startswith(('tasks/', 'heads/')):
        variable.assign(variable + 1)
    self.assertIn(task_fit.fingerprint(model), found)

  def test_another_name(self):
    model = make_model()
    task_files.save_task(model, 'b', self.path)
    task_files.load_task(model, self.path, name='c')
    self.assertAllEqual(outputs(model, 'c'), outputs(model, 'b'))
    self.assertIsNot(model.task('c').head, model.task('b').head)
    self.assertRefused(model, "There is a task 'b' already")
    self.assertRefused(model, "There is a task 'a' already", name='a')
    self.assertRefused(model, 'needs a name', name='')

  def test_shared_head(self):
    model = make_model(('a', 'b', 'c'), shared_head=True)
    paths = [self.directory / name for name in 'abc']
    for path in paths:
      task_files.save_task(model, path.name, path)
    expected = {name: outputs(model, name) for name in 'abc'}
    for name in 'bc':
      model.remove_task(name)
    # Shared where it is equal, bit for bit.
    task = task_files.load_task(model, paths[1])
    self.assertIs(task.head, model.task('a').head)
    # Its own where it is not.
    kernel = model.heads['shared'].kernel
    kernel.assign(kernel + 1)
    task = task_files.load_task(model, paths[2])
    self.assertEqual(task.head_name, 'c')
    self.assertAllEqual(outputs(model, 'c'), expected['c'])
    # Made where there is none, for those to come.
    model = make_model(('other',))
    heads = [task_files.load_task(model, path).head for path in paths]
    self.assertIs(heads[0], heads[1])
    self.assertIs(heads[0], heads[2])
    self.assertCountEqual(model.heads, ['other', 'shared'])

  def test_head_of_another_task_with_this_name(self):
    model = make_model(())
    model.add_task('b', 3)
    model.add_task('a', 3, head='b')
    task_files.save_task(model, 'b', self.path)
    model.remove_task('b')
    self.assertIs(task_files.load_task(model, self.path).head,
                  model.task('a').head)
    model.remove_task('b')
    kernel = model.heads['b'].kernel
    kernel.assign(kernel + 1)
    self.assertRefused(model, "has a head 'b', of another task")
    task_files.load_task(model, self.path, name='c')

  def test_other_weights(self):
    model = make_model()
    task_files.save_task(model, 'b', self.path)
    model.remove_task('b')
    template = model.bank.templates('project/kernel')
    template.assign(template + 1e-3)
    self.assertRefused(
        model, r'b.task: .* other values \(bank/project/kernel\): .*force=True')
    with self.assertWarnsRegex(UserWarning, 'bank/project/kernel.*differ'):
      task_files.load_task(model, self.path, force=True)
    randomize(model, seed=1)
    self.assertRefused(model, 'and 13 more', name='c')

  def test_other_weights_that_the_task_does_not_use(self):
    model = make_model(shared_half='first')
    parts = {'norm': ['bank/expand/gamma', 'affine/beta/input'],
             'input_adapter': ['input_adapter/kernel'],
             'output_adapter': ['output_adapter/1/kernel',
                                'output_adapter/2/kernel'],
             'mixture': ['shared_signature/logits']}
    for part, names in parts.items():
      copy = copy_of(model)
      copy.detach('b', part)
      task_files.save_task(copy, 'b', self.path, overwrite=True)
      copy.remove_task('b')
      for name in names:
        variable = parameters.shared_variables(copy)[name]
        variable.assign(variable + 1)
      task_files.load_task(copy, self.path)
      self.assertAllEqual(outputs(copy, 'b'), outputs(model, 'b'))

  @parameterized.named_parameters(
      ('layers', {'num_layers': 2}, "'num_layers' is 3, in the model 2"),
      ('templates', {'num_templates': 4}, "'num_templates' is 3, .* 4"),
      ('channels', {'depth_multiplier': .4}, "'channels' is 8, .* 16"),
      ('patch', {'patch_size': 2}, "'patch_size' is 4"),
      ('se', {'use_se': True}, "'use_se' is False"),
      ('adapters', {'adapter_filters': (8, 12)}, r"is \[8, 16\].*head/kernel"),
      ('private', {'norm': 'private'}, "'norm' is 'mixed'.*lacks affine"),
      ('shared', {'norm': 'shared'}, "'norm' is 'mixed'"),
      ('activation', {'activation': 'relu'}, "'hard_.*' ?.*'relu'"),
      ('epsilon', {'norm_epsilon': 1e-4}, "'norm_epsilon' is 0.001"),
      ('original', {'original_input': True}, "'original_input' is False"),
      ('half', {'shared_half': 'first'}, "'shared_half' is None"),
      ('kind', {'signature': 'tanh'}, "signature 'kind' is 'softmax'"),
      ('temperature', {'temperature': 2.}, "'temperature' is 1.0"),
      ('fixed', {'signature': '1-2-3'}, "'kind' .*'fixed'.*'sequence'"),
  )
  def test_other_models(self, changes, message):
    self.assertRefused(
        make_model(('a',), **changes), f'{_FAULTY} .*b.task: .*{message}',
        self.data, force=True)

  @parameterized.named_parameters(
      ('whole', {}), ('half', {'shared_half': 'first'}))
  def test_a_hardened_task(self, changes):
    model = make_model(**changes)
    model.detach('b', 'mixture')
    model.task('b').signature.harden()
    kind = model.task('b').signature.kind
    randomize(model, seed=1)
    copy = copy_of(model)
    self.assertEqual(kind, copy.task('b').signature.kind)
    copy.remove_task('b')
    task_files.save_task(model, 'b', self.path)
    self.assertLoads(model, copy)
    model.remove_task('b')
    for sequence in ([0, 1], [0, 1, 3], [0, 1, 1.0], None):
      header = task_format.read_task_file(self.path).header
      header['signature']['sequence'] = sequence
      with self.assertRaisesRegex(ValueError, 'expected 3 of the templates'):
        task_fit.check(model, header, task_format.read_task_file(
            self.path).tensors)

  def test_a_relaxed_task_is_not_saved_alone(self):
    model = make_model(signature='1-2-3')
    model.task('b').signature.relax()
    with self.assertRaisesRegex(ValueError, "kind '1-2-3'.*'softmax': harden"):
      task_files.save_task(model, 'b', self.path)
    self.assertFalse(self.path.exists())

  def test_other_sequence(self):
    data = task_files.encode_task(make_model(signature='1-2-3'), 'b')
    self.assertRefused(
        make_model(('a',), signature='1-3-2'),
        r"'sequence' is \[0, 1, 2\], in the model \[0, 2, 1\]", data)

  def test_cut_short(self):
    begin, end = self.data.rindex(b'}') + 1, len(self.data)
    self.assertRefused(self.model, _FAULTY, *(
        self.data[:length] for length in (
            *range(0, 140, 7), *range(140, end, 101), begin - 1, begin,
            begin + 1, end - 1)))

  def test_bits_flipped(self):
    def flip(place):
      damaged = bytearray(self.data)
      damaged[place] ^= 1 << place % 8
      return bytes(damaged)

    self.assertRefused(self.model, _FAULTY, *map(flip, (
        *range(120), *range(120, len(self.data), 31))))

  def test_oversized_headers(self):
    def change_length(length):
      return tensor_files.sign(length.to_bytes(8, 'little') + self.data[8:])

    self.assertRefused(self.model, 'header would have', *map(
        change_length, (2 ** 20 + 1, 2 ** 40, 2 ** 64 - 1)))
    self.assertRefused(self.model, 'not JSON', change_length(len(self.data)))

  @parameterized.named_parameters(
      ('kernel', {'head/kernel': np.zeros([16, 4], 'float32')},
       r'head/kernel is float32\[16, 4\], expected float32\[16, 3\]'),
      ('rows', {'signature/logits': np.zeros([2, 3], 'float32')},
       r'signature/logits is float32\[2, 3\]'),
      ('scalar', {'statistics/mean/input': np.float32(1)},
       r'statistics/mean/input is float32\[\]'),
      ('dtype', {'head/bias': np.zeros(3, 'float64')}, r'float64\[3\]'),
      ('boolean', {'head/bias': np.zeros(3, 'bool')},
       r"'head/bias' is bool\[3\], expected one of"),
      ('byte', {'head/bias': np.zeros(3, 'uint8')}, r'uint8\[3\], expected'),
      ('empty', {'head/bias': np.zeros(0, 'float32')},
       r"'head/bias' is float32\[0\], .* that is not empty"),
      ('nan', {'head/bias': np.float32([1, np.nan, 0])},
       "'head/bias' holds infinities or what is not"),
      ('infinity', {'statistics/mean/input': np.full(8, -np.inf, 'float32')},
       "'statistics/mean/input' holds infinities"),
      ('variance', {'statistics/variance/input': np.full(8, -1, 'float32')},
       'statistics/variance/input is negative'),
      ('updates', {'num_updates': np.int64(-10)}, 'num_updates is negative'),
      ('more', {'tasks/a/signature/logits': np.zeros([3, 3], 'float32')},
       "'tasks/a/signature/logits' is in no task"),
      ('path', {'../../head/bias': np.zeros(3, 'float32')},
       "'../../head/bias' is in no task"),
      ('half_an_affine', {'affine/gamma/expand': np.ones([3, 48], 'float32')},
       'Expected a task file of'),
  )
  def test_other_tensors(self, tensors, message):
    self.assertRefused(self.model, message, change(self.data, tensors),
                       force=True)

  def test_missing_tensors(self):
    data, model = self.data, self.model
    for name in ('num_updates', 'signature/logits', 'statistics/mean/expand',
                 'head/bias'):
      self.assertRefused(
          model, f'it lacks {name}', change(data, without=[name]))

  @parameterized.named_parameters(
      ('classes', {'num_classes': 4, 'metadata': {}},
       r'expected float32\[4\]'),
      ('no_classes', {'num_classes': 0, 'metadata': {}}, 'does not fit'),
      ('many_classes', {'num_classes': 2 ** 70, 'metadata': {}},
       'does not fit'),
      ('other_classes', {'num_classes': 4}, 'one text for each of 4'),
      ('boolean', {'num_classes': True}, 'num_classes .* is True'),
      ('names', {'metadata': {'class_names': ['x']}}, 'one text for each of 3'),
      ('more', {'other': 1}, 'does not consist of'),
      ('shared', {'shared': {}}, "shared 'bank/.*' is not there"),
      ('shared_other', {'shared': {'x': 1}}, "and 14 more"),
      ('model', {'model': {}}, "'num_layers' is not there, in the model 3"),
      ('model_list', {'model': []}, r'model in its description is \[\]'),
      ('head', {'head': 3}, 'head in its description is 3'),
      ('nan', {'metadata': {'x': float('nan')}}, 'holds .NaN.'),
  )
  def test_other_descriptions(self, header, message):
    self.assertRefused(self.model, message, change(self.data, **header),
                       force=True)

  def test_other_formats(self):
    model = self.model
    arrays, metadata = tensor_files.decode(self.data)
    later = {**metadata, 'format': 'mixture-modules task 2'}
    self.assertRefused(model, "is 'mixture-modules task 2', expected",
                       tensor_files.encode(arrays, later))
    self.assertRefused(model, 'its format is None',
                       tensor_files.encode(arrays, {}))
    self.assertRefused(model, 'not JSON', tensor_files.encode(
        arrays, {'format': task_format.FORMAT, 'task': 5000 * '['}))

  @parameterized.parameters(
      '../../b', '/etc/passwd', 'C:\\b', '..', '~', 'a/signature', 'con',
      '$(ls)', 'pool:x|y', '\N{GREEK SMALL LETTER XI} \N{WINKING FACE}')
  def test_a_name_is_only_a_name(self, name):
    self.path.write_bytes(change(self.data, name=name))
    task_files.load_task(self.model, self.path)
    self.assertEqual(list(self.model.tasks), ['a', name])
    self.model.remove_task(name)
    self.assertEqual(list(self.directory.iterdir()), [self.path])

  @parameterized.parameters('', '\0', 'a\nb', '\x1b[2J', '\udc80', 1001 * 'x')
  def test_what_is_no_name(self, name):
    data, model = self.data, self.model
    for key in ('name', 'head'):
      self.assertRefused(model, f'{_FAULTY} .* is not text of 1 to 1000',
                         change(data, **{key: name}))

  @parameterized.named_parameters(
      ('of_bytes', damage.mutate, False, 1000, 0),
      ('of_bytes_signed', damage.mutate, True, 1000, 20),
      ('of_descriptions', mutate_description, True, 300, 5))
  def test_random_mutations(self, mutation, is_signed, count, least_loaded):
    rng = np.random.default_rng(0)
    model, loaded = self.model, 0
    before, tasks, heads = values(model), model.tasks, model.heads
    for i in range(count):
      data = mutation(self.data, rng)
      self.path.write_bytes(tensor_files.sign(data) if is_signed else data)
      try:
        with warnings.catch_warnings():
          warnings.simplefilter('ignore')
          task = task_files.load_task(
              model, self.path, force=bool(rng.integers(2)))
      except ValueError as error:
        self.assertRegex(str(error), f"^({_FAULTY} .*b.task: .*"
                         "|There is a task 'a' already.*)[.]$")
        self.assertLess(len(str(error)), 1500)
      else:
        loaded += 1
        file = task_format.read_task_file(self.path)
        self.assertEqual(file.name, task.task_name)
        own = parameters.task_variables(model, file.name)
        self.assertEqual(
            {name: variable.numpy().tobytes()
             for name, variable in own.items()},
            {name: array.tobytes() for name, array in file.tensors.items()})
        model.remove_task(task.task_name)
      self.assertEqual((model.tasks, model.heads), (tasks, heads))
      if i % 100 == 99:
        self.assertEqual(values(model), before)
    # What is signed may hold other numbers, names and metadata.
    self.assertBetween(loaded, least_loaded, count // 4 if is_signed else 0)

  @parameterized.parameters(KeyboardInterrupt, MemoryError, ValueError)
  def test_all_or_nothing(self, error):
    self.path.write_bytes(self.data)
    model = self.model
    before, tasks, heads = values(model), model.tasks, model.heads
    with (mock.patch.object(parameters, 'task_variables', side_effect=error),
          self.assertRaises(error)):
      task_files.load_task(model, self.path)
    self.assertEqual(values(model), before)
    self.assertEqual((model.tasks, model.heads), (tasks, heads))

  def test_nothing_is_overwritten(self):
    model = make_model()
    task_files.save_task(model, 'a', self.path)
    before = self.path.read_bytes()
    with self.assertRaisesRegex(ValueError, 'which exists'):
      task_files.save_task(model, 'b', self.path)
    self.assertEqual(self.path.read_bytes(), before)
    task_files.save_task(model, 'b', self.path, overwrite=True)
    self.assertEqual(task_format.read_task_file(self.path).name, 'b')
    self.assertEqual(list(self.directory.iterdir()), [self.path])

  def test_what_cannot_be_saved(self):
    model = make_model()
    for task, metadata, message in (
        ('c', None, 'Expected one of the tasks'),
        (None, None, 'name one with task'),
        ('b', {'x': {1, 2}}, 'Expected metadata'),
        ('b', {'x': float('inf')}, 'Expected metadata'),
        ('b', {'class_names': ['x']}, "save, received 'b': class_names"),
        ('b', {'x': 2 ** 20 * 'x'}, 'a header of at most')):
      with self.assertRaisesRegex(ValueError, message):
        task_files.save_task(model, task, self.path, metadata)
    bias = model.heads['b'].bias
    bias.assign(bias + np.nan)
    with self.assertRaisesRegex(ValueError, "'head/bias' holds infinities"):
      task_files.save_task(model, 'b', self.path)
    model.add_task('x\ny', 2)
    with self.assertRaisesRegex(ValueError, 'a control character'):
      task_files.save_task(model, 'x\ny', self.path)
    self.assertEmpty(list(self.directory.iterdir()))

  def test_no_file(self):
    with self.assertRaisesRegex(
        ValueError, f'{_FAULTY} .*b.task: there is no ordinary file'):
      task_files.load_task(self.model, self.path)


if __name__ == '__main__':
  tf.test.main()
