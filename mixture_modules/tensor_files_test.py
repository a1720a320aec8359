"""The format of files: exact round trips, and every fault is noticed."""

import json
import os
import pathlib
import tempfile

from absl.testing import parameterized
import numpy as np
import safetensors.numpy
import tensorflow as tf

from mixture_modules import tensor_files

_BFLOAT16 = tf.bfloat16.as_numpy_dtype
_TENSORS = {
    'num_updates': np.array(7, 'int64'),
    'rows': np.arange(6, dtype='float32').reshape(2, 3) / 7,
    'half': np.arange(3, dtype='float16'),
    'brain': np.arange(5, dtype=_BFLOAT16),
    'a/b/../c \u00e9 "\\': np.array([-0., 1e-300]),
    'seed': np.array([1, 2 ** 32 - 1], 'uint32'),
    'bytes': np.arange(3, dtype='uint8'),
    'flag': np.array(True),
    'empty': np.zeros([0, 3], 'float32'),
}
_METADATA = {'text': '\u00e9 {"a": 1}', 'empty': ''}


def make_file(header, data=b''):
  """The bytes of a file with any header, and a digest that fits."""
  if not isinstance(header, bytes):
    header = json.dumps(header, separators=(',', ':')).encode()
  start = b'{"__metadata__":{"sha256":"' + 64 * b'0' + b'"}'
  text = start + header
  return tensor_files.sign(len(text).to_bytes(8, 'little') + text + data)


def entry(shape, offsets, dtype='F32'):
  """The header's text after the metadata, of one array `x`."""
  return ',' + json.dumps({'x': {
      'dtype': dtype, 'shape': shape, 'data_offsets': offsets}})[1:]


class TensorFilesTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def assertSame(self, received, expected):
    self.assertCountEqual(received, expected)
    for name, array in expected.items():
      self.assertEqual(received[name].dtype, array.dtype, name)
      self.assertEqual(received[name].shape, array.shape, name)
      self.assertEqual(received[name].tobytes(), array.tobytes(), name)

  def assertFaulty(self, message, data):
    with self.assertRaisesRegex(tensor_files.TensorFileError, message):
      tensor_files.decode(data)

  def test_round_trip(self):
    data = tensor_files.encode(_TENSORS, _METADATA)
    tensors, metadata = tensor_files.decode(data)
    self.assertSame(tensors, _TENSORS)
    self.assertEqual(metadata, _METADATA)
    self.assertEqual(list(metadata), list(_METADATA))
    self.assertEqual(tensor_files.encode(
        dict(reversed(tensors.items())), metadata), data)
    tensors['rows'][0, 0] = 5  # arrays are their own, not views of the file
    self.assertSame(tensor_files.decode(data)[0], _TENSORS)

  def test_order_in_memory_does_not_matter(self):
    for array in (_TENSORS['rows'].T, _TENSORS['rows'][:, ::2],
                  _TENSORS['rows'].astype('>f4'), np.arange(3.)[::-1]):
      data = tensor_files.encode({'x': array}, {})
      self.assertAllEqual(tensor_files.decode(data)[0]['x'], array)

  def test_arrays_are_aligned(self):
    data = tensor_files.encode({'a': np.array(True), 'b': np.zeros(3)}, {})
    self.assertEqual(data.index(bytes(24)) % 8, 0)

  def test_public_reader_reads_it(self):
    path = self.directory / 'file'
    numpy_alone = {name: array for name, array in _TENSORS.items()
                   if name != 'brain'}
    path.write_bytes(tensor_files.encode(numpy_alone, _METADATA))
    self.assertSame(safetensors.numpy.load_file(path), numpy_alone)
    with safetensors.safe_open(path, 'np') as file:
      metadata = file.metadata()
    self.assertLen(metadata.pop('sha256'), 64)
    self.assertEqual(metadata, _METADATA)

  def test_public_reader_reads_bfloat16(self):
    data = tensor_files.encode(_TENSORS, {})
    found = dict(safetensors.deserialize(data))
    self.assertEqual(found['brain']['dtype'], 'BF16')
    self.assertEqual(bytes(found['brain']['data']),
                     _TENSORS['brain'].tobytes())

  def test_files_of_the_public_writer_are_refused(self):
    self.assertFaulty('does not begin with a SHA-256', safetensors.numpy.save(
        {'x': np.zeros(100, 'float32')}, {'format': 'np', 'other': 99 * '.'}))

  def test_cut_short_anywhere(self):
    data = tensor_files.encode(_TENSORS, _METADATA)
    for length in range(len(data)):
      self.assertFaulty('', data[:length])

  def test_any_flipped_bit(self):
    data = tensor_files.encode({'x': _TENSORS['rows']}, _METADATA)
    for place in range(len(data)):
      for bit in range(8):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        self.assertFaulty('', bytes(damaged))

  def test_anything_added(self):
    data = tensor_files.encode(_TENSORS, _METADATA)
    self.assertFaulty('were changed, lost or added', data + b'\0')
    self.assertFaulty('not fully covered', tensor_files.sign(data + b'\0'))

  @parameterized.parameters(
      (0, 'not JSON'), (1, 'not JSON'), (2 ** 20 + 1, 'header would have'),
      (2 ** 63, 'header would have'), (2 ** 64 - 1, 'header would have'))
  def test_length_of_header(self, length, message):
    data = tensor_files.encode(_TENSORS, _METADATA)
    self.assertFaulty(message, tensor_files.sign(
        length.to_bytes(8, 'little') + data[8:]))

  def test_limit_of_header(self):
    data = tensor_files.encode({}, {'text': 2 ** 20 * '.'}, 2 ** 31)
    self.assertLen(tensor_files.decode(data, 2 ** 31)[1]['text'], 2 ** 20)
    self.assertFaulty('bytes, expected at most 1,048,576', data)

  @parameterized.named_parameters(
      ('not_closed', b'', 'not JSON'),
      ('more', b'} {', 'not JSON'),
      ('not_utf8', b',"\xff":1}', 'not JSON'),
      ('deep', b',"x":' + 9**5 * b'[' + 9**5 * b']' + b'}', 'not JSON'),
      ('long_number', b',"x":' + 9**5 * b'9' + b'}', 'not JSON'),
      ('constant', b',"x":NaN}', "holds 'NaN'"),
      ('infinite', b',"x":1e999}', "holds '1e999'"),
      ('metadata_twice', b',"__metadata__":{}}', "'__metadata__' more than"),
      ('name_twice', b',"x":1,"x":1}', "'x' more than once"),
      ('no_entry', b',"x":[]}', 'safetensors refuses it'),
      ('entry_of_less', b',"x":{"dtype":"F32","shape":[1]}}',
       'safetensors refuses it'),
  )
  def test_header(self, header, message):
    self.assertFaulty(message, make_file(header))

  @parameterized.named_parameters(
      ('unknown', 'X', 'safetensors refuses it'),
      ('objects', 'O', 'safetensors refuses it'),
      ('list', ['F32'], 'safetensors refuses it'),
  )
  def test_dtypes(self, dtype, message):
    self.assertFaulty(message, make_file(
        entry([1], [0, 4], dtype).encode(), bytes(4)))

  @parameterized.parameters(('I16', 2), ('F8_E4M3', 1), ('F4', .5))
  def test_dtypes_that_are_not_ours(self, dtype, size):
    self.assertFaulty(f"dtype of 'x' is {dtype}, expected one of", make_file(
        entry([8], [0, int(8 * size)], dtype).encode(), bytes(int(8 * size))))

  @parameterized.named_parameters(
      ('text', '4'), ('number', 4), ('negative', [-1, -4]), ('float', [4.]),
      ('boolean', [True]), ('zero', [0]), ('huge', [2 ** 62, 4]),
      ('huge_product', [2 ** 30] * 8), ('too_many', [1] * 9), ('other', [5]),
      ('nothing', None), ('dictionary', {'4': 4}),
  )
  def test_shapes(self, shape):
    self.assertFaulty('safetensors refuses it', make_file(
        entry(shape, [0, 16]).encode(), bytes(16)))

  def test_shapes_that_numpy_refuses(self):
    for shape, size in ([1] * 65, 4), ([0, 2 ** 62], 0), ([0, 2 ** 63], 0):
      self.assertFaulty("the shape of 'x' is", make_file(
          entry(shape, [0, size]).encode(), bytes(size)))

  @parameterized.named_parameters(
      ('gap', [4, 20]), ('before', [-4, 12]), ('backwards', [16, 0]),
      ('short', [0, 12]), ('long', [0, 20]), ('three', [0, 8, 16]),
      ('float', [0., 16.]), ('boolean', [False, 16]), ('text', '0'),
      ('huge', [2 ** 62, 2 ** 62 + 16]),
  )
  def test_offsets(self, offsets):
    self.assertFaulty('safetensors refuses it', make_file(
        entry([4], offsets).encode(), bytes(20)))

  def test_offsets_past_the_end(self):
    self.assertFaulty('not fully covered', make_file(
        entry([2 ** 28 - 1], [0, 2 ** 30 - 4]).encode(), bytes(16)))

  def test_overlap(self):
    both = entry([4], [0, 16])[:-1] + entry([4], [0, 16]).replace('x', 'y')
    self.assertFaulty('invalid offset for tensor `[xy]`', make_file(
        both.encode(), bytes(16)))

  def test_metadata_is_text(self):
    data = make_file(b'}').replace(b'"}}', b'","x":[]}}')
    length = len(data) - 8
    self.assertFaulty('invalid type: sequence', tensor_files.sign(
        length.to_bytes(8, 'little') + data[8:]))

  def test_what_is_not_written(self):
    for array in (np.array(['text']), np.array([{}]), np.array([1j]),
                  np.zeros(2, 'int16')):
      with self.assertRaisesRegex(
          ValueError, f"Expected arrays of .*'x' of {array.dtype.name}: con"):
        tensor_files.encode({'x': array}, {})
    with self.assertRaisesRegex(ValueError, "'__metadata__'.*rename it"):
      tensor_files.encode({'__metadata__': np.zeros(2)}, {})
    with self.assertRaisesRegex(ValueError, 'header of at most 1,048,576'):
      tensor_files.encode({}, {'text': 2 ** 20 * '.'})

  def test_read(self):
    path = self.directory / 'file'
    metadata = {'format': 'numbers 1', **_METADATA}
    path.write_bytes(tensor_files.encode(_TENSORS, metadata))
    found = tensor_files.read(str(path), 'numbers 1')
    self.assertSame(found[0], _TENSORS)
    self.assertEqual(found[1], metadata)
    with self.assertRaisesRegex(
        tensor_files.TensorFileError,
        "its format is 'numbers 1', expected 'numbers 2': read it with"):
      tensor_files.read(path, 'numbers 2')

  def test_read_ordinary_files_of_some_size_only(self):
    pipe = self.directory / 'pipe'
    os.mkfifo(pipe)
    for path in (self.directory, self.directory / 'missing', pipe):
      with self.assertRaisesRegex(ValueError, 'no ordinary file'):
        tensor_files.read(path, 'numbers')
    path = self.directory / 'file'
    path.write_bytes(bytes(1001))
    with self.assertRaisesRegex(ValueError, '1,001 bytes, expected at most'):
      tensor_files.read(path, 'numbers', limit=1000)

  def test_explains_with_name_and_remedy(self):
    with (self.assertRaisesRegex(
        tensor_files.TensorFileError,
        '^Expected numbers, received x: no good[.] Move it away[.]$'),
          tensor_files.explain('numbers', 'x', lambda: 'Move it away.')):
      raise ValueError('no good')
    with (self.assertRaisesRegex(
        tensor_files.TensorFileError, '^Expected numbers, received x: no[.]$'),
          tensor_files.explain('numbers', 'x')):
      raise ValueError('no')
    with self.assertRaises(KeyError), tensor_files.explain('numbers', 'x'):
      raise KeyError('a fault of the program')

  def test_json(self):
    value = {'a': [1, 2.5, None, True, '\u00e9']}
    self.assertEqual(
        tensor_files.parse_json(tensor_files.format_json(value)), value)
    deep = []
    for _ in range(10 ** 5):
      deep = [deep]
    for other in (float('nan'), {1}, np.zeros(2), deep):
      with self.assertRaisesRegex(
          ValueError, 'Expected metadata of finite.*convert it before'):
        tensor_files.format_json({'x': other})


if __name__ == '__main__':
  tf.test.main()
