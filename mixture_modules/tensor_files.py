"""Files of named arrays: safetensors, with a digest of the whole file.

    8 bytes   N, the length of the header, little-endian
    N bytes   JSON: {"__metadata__": {"sha256": digest, key: text, ...},
              name: {"dtype": "F32", "shape": [...], "data_offsets": [...]}}
    the rest  the arrays' bytes, little-endian

Any reader of safetensors reads these files. The package refuses wrong lengths,
types, shapes and offsets, but loads flipped bits. So the metadata begins with
the SHA-256 of the whole file, with 64 zeros in the digest's own place. A
forged file can have a digest that fits: all else is checked as well. Nothing
in a file is run or used as a path.

Source: https://github.com/huggingface/safetensors#format; limits and digest
are our choice.
"""

import collections
import contextlib
import hashlib
import json
import math
import pathlib

import numpy as np
import safetensors
import safetensors.numpy

MAX_BYTES = 2 ** 30
_HEADER_PART = 1024  # of the largest file, a header may have 1/1024
# NumPy knows bfloat16 once Keras is imported, as it is by this package.
_DTYPES = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16',
           'BF16': 'bfloat16', 'I64': 'int64', 'I32': 'int32', 'U32': 'uint32',
           'U8': 'uint8', 'BOOL': 'bool'}
_METADATA, _DIGEST = '__metadata__', 'sha256'
_START = f'{{"{_METADATA}":{{"{_DIGEST}":"'.encode()  # then the digest
_DIGEST_BYTES = slice(8 + len(_START), 8 + len(_START) + 64)


class TensorFileError(ValueError):
  """A file is damaged, of another kind, or larger than allowed."""


@contextlib.contextmanager
def explain(expected, received, remedy=lambda: ''):
  """Turns every fault that is found within into one kind of error.

  Args:
    expected: What was expected, such as 'a task file'.
    received: What was received, such as the path.
    remedy: Function that returns a last sentence; called for a fault only.

  Raises:
    TensorFileError: For a `ValueError`, whose text says what is wrong.
  """
  try:
    yield
  except ValueError as error:
    text = f'Expected {expected}, received {received}: {error}. {remedy()}'
    raise TensorFileError(text.rstrip()) from error


def encode(tensors, metadata, limit=MAX_BYTES):
  """The bytes of a file; equal ones for equal arrays and metadata.

  Args:
    tensors: {name: array} of numbers or booleans.
    metadata: {key: text}; 'format' is what `read` asks for.
    limit: As for `decode`.

  Returns:
    Bytes; `decode` takes them back.

  Raises:
    ValueError: If an array is of another dtype, or the file would be larger
      than what `decode` reads.
  """
  # safetensors copies memory as it lies.
  tensors = {name: np.asarray(array, order='C')
             for name, array in tensors.items()}
  for name, array in tensors.items():
    if array.dtype.name not in _DTYPES.values() or name == _METADATA:
      raise ValueError(
          f'Expected arrays of {sorted(_DTYPES.values())}, received {name!r} '
          f'of {array.dtype.name}: convert or rename it.')
  data = safetensors.numpy.save(tensors)
  end = 8 + int.from_bytes(data[:8], 'little')
  # The package would write several keys of metadata in a random order.
  header = json.dumps(
      {_METADATA: {_DIGEST: 64 * '0', **metadata}, **json.loads(data[8:end])},
      ensure_ascii=False, separators=(',', ':')).encode()
  header += b' ' * (-len(header) % 8)
  size = 8 + len(header) + len(data) - end
  if len(header) > limit // _HEADER_PART or size > limit:
    raise ValueError(
        f'Expected a header of at most {limit // _HEADER_PART:,} bytes and a '
        f'file of at most {limit:,}, received {len(header):,} and {size:,}: '
        'leave out what need not be in the file.')
  return sign(b''.join([
      len(header).to_bytes(8, 'little'), header, memoryview(data)[end:]]))


def sign(data):
  """The bytes of a file with their digest in its place."""
  view = memoryview(data)
  return b''.join([view[:_DIGEST_BYTES.start], _digest(data),
                   view[_DIGEST_BYTES.stop:]])


def decode(data, limit=MAX_BYTES):
  """Arrays and metadata of the bytes of a file.

  Args:
    data: Bytes.
    limit: Largest number of bytes that a file may have; its header may have
      1/1024 of them.

  Returns:
    ({name: array}, {key: text}), the digest left out.

  Raises:
    TensorFileError: If they are not what `encode` gives.
  """
  length = int.from_bytes(data[:8], 'little')
  if length > limit // _HEADER_PART:
    raise TensorFileError(f'its header would have {length:,} bytes, expected '
                          f'at most {limit // _HEADER_PART:,}')
  if data[8:_DIGEST_BYTES.start] != _START:
    raise TensorFileError('its header does not begin with a SHA-256')
  if data[_DIGEST_BYTES] != _digest(data):
    raise TensorFileError('its SHA-256 is not that of its content: bytes were '
                          'changed, lost or added')
  header = parse_json(data[8:8 + length])
  try:
    found = dict(safetensors.deserialize(data))
  except safetensors.SafetensorError as error:
    text = str(error).removeprefix('Error while deserializing: ')
    raise TensorFileError(
        f'safetensors refuses it, {shorten(text)}') from error
  metadata = header.pop(_METADATA)
  del metadata[_DIGEST]
  return {name: _array(name, found[name]) for name in header}, metadata


def read(path, file_format, limit=MAX_BYTES):
  """`decode` of a file; `explain` adds its name to what is wrong.

  Args:
    path: An ordinary file.
    file_format: The metadata's 'format'.
    limit: As for `decode`; checked before the file is read.

  Raises:
    TensorFileError: As `decode`, and if the file is of another format, larger
      than the limit, or no ordinary file.
  """
  path = pathlib.Path(path)
  if not path.is_file():  # a pipe or a device could be endless
    raise TensorFileError('there is no ordinary file of this name')
  size = path.stat().st_size
  if size > limit:
    raise TensorFileError(
        f'it has {size:,} bytes, expected at most {limit:,}')
  with open(path, 'rb') as file:
    tensors, metadata = decode(file.read(size), limit)
  received = metadata.get('format')
  if received != file_format:
    raise TensorFileError(
        f'its format is {shorten(received)}, expected {file_format!r}: read it '
        'with the version of the package that wrote it')
  return tensors, metadata


def format_json(value):
  """JSON that `parse_json` reads.

  Args:
    value: Finite numbers, text, lists and dictionaries. Tuples become lists.

  Raises:
    ValueError: If JSON cannot hold it.
  """
  try:
    return json.dumps(value, allow_nan=False)
  except (TypeError, ValueError, RecursionError) as error:
    raise ValueError(
        'Expected metadata of finite numbers, text, lists and dictionaries, '
        f'received {shorten(value)} ({error}): convert it before.') from error


def parse_json(text):
  """What JSON says, read strictly.

  Args:
    text: Text, or its bytes.

  Raises:
    TensorFileError: If it is not JSON, a name is there twice in a dictionary,
      a number is not finite, or lists are too deep.
  """
  try:
    if isinstance(text, bytes):
      text = text.decode('utf-8')
    return json.loads(text, object_pairs_hook=_unique,
                      parse_constant=_finite, parse_float=_finite)
  except TensorFileError:
    raise
  except (ValueError, RecursionError) as error:
    raise TensorFileError(f'its header is not JSON ({error})') from error


def shorten(value):
  """A value for an error, from wherever it comes."""
  try:
    text = repr(value)
  except RecursionError:
    text = f'a {type(value).__name__} that is too deep'
  return text if len(text) <= 80 else f'{text[:80]}...'


def _digest(data):
  view = memoryview(data)
  digest = hashlib.sha256(view[:_DIGEST_BYTES.start])
  digest.update(64 * b'0')
  digest.update(view[_DIGEST_BYTES.stop:])
  return digest.hexdigest().encode()


def _array(name, entry):
  # The package's own NumPy reader fails for bfloat16.
  dtype, shape = entry['dtype'], entry['shape']
  if dtype not in _DTYPES:
    raise TensorFileError(f'the dtype of {shorten(name)} is {dtype}, expected '
                          f'one of {list(_DTYPES)}')
  try:
    return np.frombuffer(entry['data'], _DTYPES[dtype]).reshape(shape)
  except ValueError as error:  # NumPy has at most 64 dimensions
    raise TensorFileError(f'the shape of {shorten(name)} is {shorten(shape)} '
                          f'({error})') from error


def _unique(pairs):
  found = dict(pairs)
  if len(found) < len(pairs):
    (name, _), = collections.Counter(n for n, _ in pairs).most_common(1)
    raise TensorFileError(f'its header has {shorten(name)} more than once')
  return found


def _finite(text):
  value = float(text)
  if not math.isfinite(value):
    raise TensorFileError(f'its header holds {shorten(text)}, expected finite '
                          'numbers')
  return value
