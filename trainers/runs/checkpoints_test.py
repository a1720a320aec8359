"""Tests of checkpoints: whole, damaged, interrupted."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import safetensors
import tensorflow as tf

from mixture_modules import tensor_files
from mixture_modules.testing import damage
from trainers.runs import checkpoints

# Saves ever new steps in child processes until they are killed. All arrays of
# a step hold the step, so that a mixture of two would be seen.
_SAVE_UNTIL_KILLED = """
import os, sys
import numpy as np
from trainers.runs import checkpoints
print('ready', flush=True)
for line in sys.stdin:
  child = os.fork()
  if not child:
    store = checkpoints.Checkpoints(sys.argv[1])
    step = store.load()[0] if store.latest() else 0
    while True:
      step += 1
      store.save(step, {k: np.full(200_000, step) for k in 'abc'})
  print(child, flush=True)
  os.waitpid(child, 0)
  print('gone', flush=True)
"""


def arrays_of(step):
  generator = np.random.default_rng(step)
  return {
      'bank/expand/kernel': generator.normal(size=(4, 3, 2)).astype('float32'),
      'seed': np.array([1, 2**32 - 1], 'uint32'),
      'optimizer/0000/iteration': np.array(2**53 + step, 'int64'),
      'half': generator.normal(size=5).astype(tf.bfloat16.as_numpy_dtype),
      'half/scalar': np.array(1.5, tf.bfloat16.as_numpy_dtype),
      'transposed': np.asfortranarray(generator.normal(size=(2, 3))),
      'empty': np.zeros((0, 3), 'float32'),
      'checkpoint.json': np.array([True, False]),
  }


class CheckpointsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    self.store = checkpoints.Checkpoints(self.directory)

  def assertSameArrays(self, received, expected):
    self.assertSameElements(received, expected)
    for key, array in expected.items():
      self.assertEqual(received[key].dtype, array.dtype, key)
      self.assertEqual(received[key].shape, array.shape, key)
      self.assertEqual(received[key].tobytes(), array.tobytes(), key)

  def names(self):
    return sorted(path.name for path in self.directory.iterdir())

  def test_round_trip(self):
    metadata = {'epoch': 2, 'best': 0.97, 'tasks': ['mnist', 'svhn']}
    path = self.store.save(7, arrays_of(7), metadata)
    self.assertEqual(path.name, 'checkpoint-00000007.safetensors')
    for received in (self.store.load(), self.store.load(str(path))):
      self.assertEqual(received[0], 7)
      self.assertSameArrays(received[1], arrays_of(7))
      self.assertEqual(received[2], metadata)
    # Any reader of safetensors reads it, too.
    with safetensors.safe_open(path, 'np') as plain:
      self.assertAllEqual(plain.get_tensor('seed'), arrays_of(7)['seed'])
      self.assertEqual(plain.metadata()['step'], '7')
    data = path.read_bytes()
    again = dict(reversed(arrays_of(7).items()))
    self.assertEqual(
        self.store.save(7, again, metadata).read_bytes(), data)

  def test_keeps_the_latest_and_the_best(self):
    for step in range(5):
      self.store.save(step, arrays_of(step), best=step in (0, 1))
    self.assertEqual(
        self.names(),
        [
            'best-00000001.safetensors',
            'checkpoint-00000003.safetensors',
            'checkpoint-00000004.safetensors',
        ],
    )
    self.assertEqual(
        self.store.latest().name, 'checkpoint-00000004.safetensors')
    step, arrays, _ = self.store.load(self.store.best())
    self.assertEqual(step, 1)
    self.assertSameArrays(arrays, arrays_of(1))

  def test_orders_by_number(self):
    for step in (9, 99_999_999, 100_000_000):
      self.store.save(step, {})
    self.assertEqual(self.store.load()[0], 100_000_000)
    self.assertLen(self.names(), 2)

  def test_same_step_replaces(self):
    self.store.save(3, arrays_of(1))
    self.store.save(3, arrays_of(2))
    self.assertSameArrays(self.store.load()[1], arrays_of(2))
    self.assertLen(self.names(), 1)

  def test_starts_empty(self):
    self.assertIsNone(self.store.latest())
    self.assertIsNone(self.store.best())
    with self.assertRaisesRegex(ValueError, 'received none. There is: nothing'):
      self.store.load()
    self.store.save(3, {})
    with self.assertRaisesRegex(
        ValueError,
        'absent.safetensors; .* There is: checkpoint-00000003.safetensors',
    ):
      self.store.load(self.directory / 'absent.safetensors')

  def test_leaves_other_files_alone(self):
    others = (
        'checkpoint-best.safetensors',
        'checkpoint-00000001.safetensors.txt',
        'checkpoint-00000009.npz',
        'run.json',
    )
    for name in others:
      (self.directory / name).write_text('mine')
    for step in range(4):
      self.store.save(step, {})
    self.assertContainsSubset(others, self.names())
    self.assertEqual(self.store.load()[0], 3)

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, 'keep=0. Without one'):
      checkpoints.Checkpoints(self.directory, keep=0)
    self.store.save(3, arrays_of(3))
    before = self.names()
    with self.assertRaisesRegex(ValueError, '3 or more.*received 2. Move'):
      self.store.save(2, arrays_of(2))
    with self.assertRaisesRegex(ValueError, "received 'x' of object: convert"):
      self.store.save(4, {'x': np.array([{}])})
    with self.assertRaisesRegex(ValueError, 'Expected metadata.*convert it'):
      self.store.save(4, {}, {'x': np.zeros(2)})
    with self.assertRaisesRegex(ValueError, 'Expected metadata of finite'):
      self.store.save(4, {}, {'x': float('nan')})
    self.assertEqual(self.names(), before)

  def test_any_damage_is_one_error(self):
    path = self.store.save(1, arrays_of(1), {'epoch': 2})
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for trial in range(200):
      data = bytearray(whole)
      place, length = generator.integers(len(whole)), generator.integers(1, 64)
      match trial % 4:
        case 0:  # a flipped bit
          data[place] ^= 1 << generator.integers(8)
        case 1:  # cut off
          del data[place:]
        case 2:  # a piece lost in the middle
          del data[place : place + length]
        case 3:  # noise in the middle
          data[place : place + length] = generator.bytes(length)
      self.assertNotEqual(bytes(data), whole)
      path.write_bytes(data)
      with self.assertRaisesRegex(ValueError, f'{path}, which is damaged'):
        self.store.load()
    path.write_bytes(whole)
    self.assertSameArrays(self.store.load()[1], arrays_of(1))

  def test_forged_files_load_or_are_one_error(self):
    path = self.store.save(1, arrays_of(1), {'epoch': 2})
    whole, rng, loaded = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
      path.write_bytes(tensor_files.sign(damage.mutate(whole, rng)))
      try:
        self.store.load()
        loaded += 1
      except ValueError as error:
        self.assertRegex(str(error), f'{path}, which is damaged.*start a new')
    self.assertBetween(loaded, 1, 200)

  @parameterized.named_parameters(
      ('list', {'metadata': '[]', 'step': '1'}, 'no dictionary'),
      ('no_metadata', {'step': '1'}, 'not JSON'),
      ('no_step', {'metadata': '{}'}, 'invalid literal for int'),
      ('format', {}, 'its format is None'),
  )
  def test_other_metadata(self, metadata, message):
    path = self.store.save(1, {})
    if metadata:
      metadata['format'] = tensor_files.decode(path.read_bytes())[1]['format']
    path.write_bytes(tensor_files.encode({}, metadata))
    with self.assertRaisesRegex(ValueError, f'{path}, which.*: .*{message}'):
      self.store.load()

  def test_large_descriptions(self):
    metadata = {'names': [f'class {i}' for i in range(200_000)]}
    self.assertGreater(len(str(metadata)), 2**20)
    self.store.save(1, {}, metadata)
    self.assertEqual(self.store.load()[2], metadata)

  @parameterized.named_parameters(
      ('empty', b''), ('text', b'not a checkpoint' * 9), ('zip', b'PK\5\6' * 9)
  )
  def test_foreign_file_is_an_error_that_names_what_is_left(self, data):
    older = self.store.save(1, arrays_of(1))
    newer = self.store.save(2, arrays_of(2))
    newer.write_bytes(data)
    with self.assertRaisesRegex(
        ValueError, f'{newer}, which .* Move it away to go on from {older}'
    ):
      self.store.load()
    older.write_bytes(data)
    with self.assertRaisesRegex(ValueError, 'No other is left here'):
      self.store.load()
    newer.unlink()
    older.unlink()
    self.store.save(1, {})

  def test_foreign_archive(self):
    path = self.directory / 'weights.npz'
    np.savez(path, x=np.zeros(3))
    with self.assertRaisesRegex(ValueError, 'weights.npz, which is damaged'):
      self.store.load(path)

  def test_later_format(self):
    with mock.patch.object(checkpoints, '_FORMAT', 'mixture-modules 2'):
      self.store.save(1, arrays_of(1))
    with self.assertRaisesRegex(
        ValueError, "'mixture-modules 2', expected .*checkpoint 1'.*version"
    ):
      self.store.load()

  @parameterized.named_parameters(('fsync', 'fsync'), ('replace', 'replace'))
  def test_failed_write_changes_nothing(self, call):
    self.store.save(1, arrays_of(1))
    with (
        mock.patch.object(os, call, side_effect=OSError('disk is full')),
        self.assertRaisesRegex(OSError, 'disk is full'),
    ):
      self.store.save(2, arrays_of(2))
    self.assertEqual(self.names(), ['checkpoint-00000001.safetensors'])
    self.assertSameArrays(self.store.load()[1], arrays_of(1))

  def test_leftovers_are_ignored_and_removed(self):
    whole = self.store.save(1, arrays_of(1)).read_bytes()
    leftover = self.directory / '.checkpoint-00000002.safetensors.tmp'
    for length in range(0, len(whole), 97):
      leftover.write_bytes(whole[:length])
      self.assertEqual(self.store.load()[0], 1)
      self.assertEqual(checkpoints.Checkpoints(self.directory).load()[0], 1)
      self.assertTrue(leftover.exists())  # a reader may not touch it
      self.store.save(1, arrays_of(1))
      self.assertFalse(leftover.exists())

  def test_killed_writers_leave_whole_checkpoints(self):
    delays = np.random.default_rng(0).uniform(0.02, 0.15, size=12)
    with subprocess.Popen(
        [sys.executable, '-c', _SAVE_UNTIL_KILLED, str(self.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    ) as process:
      self.assertEqual(process.stdout.readline(), 'ready\n')
      last = 0
      for delay in delays:
        process.stdin.write('go\n')
        process.stdin.flush()
        child = int(process.stdout.readline())
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        self.assertEqual(process.stdout.readline(), 'gone\n')
        store = checkpoints.Checkpoints(self.directory)
        if store.latest():
          step, arrays, _ = store.load()
          self.assertGreaterEqual(step, last)
          for array in arrays.values():
            self.assertAllEqual(array, np.full(200_000, step))
          last = step
      process.stdin.close()
    self.assertGreater(last, 0)


class VariablesTest(parameterized.TestCase, tf.test.TestCase):

  def make_variables(self, value):
    return {
        'kernel': keras.Variable(np.full((2, 3), value, 'float32')),
        'half': keras.Variable(np.full(3, value), dtype='bfloat16'),
        'half/scalar': keras.Variable(value, dtype='bfloat16'),
        'count': keras.Variable(2**53 + value, dtype='int64'),
        'flag': keras.Variable(bool(value), dtype='bool'),
        'plain': tf.Variable([value], dtype=tf.float64),
        'seed': keras.random.SeedGenerator(value).state,
    }

  def test_round_trip(self):
    source, target = self.make_variables(1), self.make_variables(0)
    arrays = checkpoints.snapshot(source)
    source['kernel'].assign_add([[1.0] * 3] * 2)  # a snapshot is a copy
    self.assertAllEqual(arrays['kernel'], np.ones((2, 3)))
    checkpoints.restore(target, arrays)
    received = checkpoints.snapshot(target)
    for key, array in arrays.items():
      self.assertEqual(received[key].dtype, array.dtype, key)
      self.assertEqual(received[key].tobytes(), array.tobytes(), key)

  def test_mirrored_variables(self):
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
      variables = self.make_variables(0)
      del variables['plain']
    arrays = checkpoints.snapshot(self.make_variables(1))
    del arrays['plain']
    checkpoints.restore(variables, arrays)
    for key, variable in variables.items():
      values = strategy.experimental_local_results(variable.value)
      self.assertLen(values, 2)
      for value in values:
        self.assertEqual(value.numpy().tobytes(), arrays[key].tobytes(), key)
    self.assertEqual(
        checkpoints.snapshot(variables)['kernel'].tobytes(),
        arrays['kernel'].tobytes(),
    )

  @parameterized.named_parameters(
      ('missing', {'kernel': None}, 'lacks kernel. Build'),
      ('unexpected', {'more': np.zeros(2)}, 'has besides more. Build'),
      (
          'shape',
          {'half': np.zeros(1, 'float32')},
          r'half \(expected bfloat16\[3\], received float32\[1\]\). Build',
      ),
      (
          'dtype',
          {'count': np.array(1, 'int32')},
          r'differs in count \(expected int64\[\], received int32\[\]\)',
      ),
      (
          'several',
          {'kernel': None, **{f'x{i}': np.zeros(2) for i in range(5)}},
          'lacks kernel; has besides x0, x1, x2 and 2 more. Build',
      ),
  )
  def test_restores_all_or_nothing(self, changes, message):
    arrays = {**checkpoints.snapshot(self.make_variables(1)), **changes}
    arrays = {key: a for key, a in arrays.items() if a is not None}
    variables = self.make_variables(0)
    before = checkpoints.snapshot(variables)
    with self.assertRaisesRegex(ValueError, message):
      checkpoints.restore(variables, arrays)
    for key, array in checkpoints.snapshot(variables).items():
      self.assertEqual(array.tobytes(), before[key].tobytes(), key)

  def make_optimizer(self):
    model = keras.Sequential([
        keras.Input((3,)),
        keras.layers.Dense(2),
        keras.layers.Dense(2),
    ])
    optimizer = keras.optimizers.RMSprop(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    return optimizer

  def test_optimizer_keys_do_not_depend_on_the_process(self):
    # A second optimizer here has other counters, as in another process.
    first, second = self.make_optimizer(), self.make_optimizer()
    self.assertNotEqual(
        [v.path for v in first.variables], [v.path for v in second.variables]
    )
    keys = list(checkpoints.optimizer_variables(first))
    self.assertEqual(keys, list(checkpoints.optimizer_variables(second)))
    self.assertLen(keys, len(first.variables))
    self.assertEqual(
        keys[:3],
        [
            '0000/iteration',
            '0001/learning_rate',
            '0002/sequential_dense_kernel_velocity',
        ],
    )

  def test_optimizer_round_trip(self):
    first, second = self.make_optimizer(), self.make_optimizer()
    for i, variable in enumerate(first.variables):
      variable.assign(np.full(variable.shape, i))
    arrays = checkpoints.snapshot(checkpoints.optimizer_variables(first))
    checkpoints.restore(checkpoints.optimizer_variables(second), arrays)
    self.assertLen(second.variables, 10)
    for i, variable in enumerate(second.variables):
      self.assertAllEqual(variable.numpy(), np.full(variable.shape, i))

  def test_rejects_optimizer_that_is_not_built(self):
    with self.assertRaisesRegex(ValueError, 'is built; .*optimizer.build'):
      checkpoints.optimizer_variables(keras.optimizers.RMSprop())


if __name__ == '__main__':
  tf.test.main()
