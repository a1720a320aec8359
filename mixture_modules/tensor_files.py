"""Files of named arrays in the safetensors format, read strictly.

    8 bytes   N, the length of the header, little-endian
    N bytes   JSON: {"__metadata__": {"sha256": digest, key: text, ...},
              name: {"dtype": "F32", "shape": [...], "data_offsets": [...]}}
    the rest  the arrays' bytes, little-endian, in the order of the header

Numbers and text only: nothing in a file is ever run or used as a path. Any
reader of safetensors reads these files; this one reads what `encode` writes,
and foreign files not. The digest is that of all bytes of the file with zeros
in its own place, so that no damage goes unnoticed. It keeps nobody from making
a file with a digest that fits, which is why all else is checked as well.

Source: https://github.com/huggingface/safetensors#format; limits and digest
are our choice.
"""

import collections
import hashlib
import json
import math
import os
import pathlib

import numpy as np

MAX_HEADER_BYTES = 2 ** 20
MAX_FILE_BYTES = 2 ** 30
_MAX_DIMENSIONS = 8
# NumPy knows bfloat16 once Keras is imported, as it is by this package.
_DTYPES = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16',
           'BF16': 'bfloat16', 'I64': 'int64', 'I32': 'int32'}
_CODES = {name: code for code, name in _DTYPES.items()}
_METADATA, _DIGEST, _DATA = '__metadata__', 'sha256', 'data_offsets'
_START = f'{{"{_METADATA}":{{"{_DIGEST}":"'.encode()  # then the digest
_DIGEST_BYTES = slice(8 + len(_START), 8 + len(_START) + 64)


class TensorFileError(ValueError):
  """A file is damaged, of another kind, or larger than allowed."""


def encode(tensors, metadata):
  """The bytes of a file.

  Args:
    tensors: {name: array} of floats or integers.
    metadata: {key: text}.

  Returns:
    Bytes; `decode` takes them back.

  Raises:
    ValueError: If an array is of another dtype or empty, or what is written
      would be larger than what `decode` reads.
  """
  header = {_METADATA: {_DIGEST: 64 * '0', **metadata}}
  buffers, end = [], 0
  arrays = {name: np.asarray(array) for name, array in tensors.items()}
  # Large items first: every array is then aligned in memory.
  for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
    if array.dtype.name not in _CODES or not array.size or (
        array.ndim > _MAX_DIMENSIONS):
      raise ValueError(
          f'Expected an array of {sorted(_CODES)} that is not empty and has '
          f'at most {_MAX_DIMENSIONS} dimensions, received {name!r} of '
          f'{array.dtype}{list(array.shape)}.')
    buffers.append(array.astype(array.dtype.newbyteorder('<')).tobytes())
    begin, end = end, end + array.nbytes
    header[name] = {'dtype': _CODES[array.dtype.name],
                    'shape': list(array.shape), _DATA: [begin, end]}
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 8)
  if len(text) > MAX_HEADER_BYTES or 8 + len(text) + end > MAX_FILE_BYTES:
    raise ValueError(
        f'Expected a header of at most {MAX_HEADER_BYTES:,} bytes and a file '
        f'of at most {MAX_FILE_BYTES:,}, received {len(text):,} and '
        f'{8 + len(text) + end:,}: leave out what need not be in the file.')
  data = b''.join([len(text).to_bytes(8, 'little'), text, *buffers])
  return sign(data)


def sign(data):
  """The bytes of a file with their digest in its place."""
  before, after = data[:_DIGEST_BYTES.start], data[_DIGEST_BYTES.stop:]
  return before + _digest(data) + after


def _digest(data):
  view = memoryview(data)
  digest = hashlib.sha256(view[:_DIGEST_BYTES.start])
  digest.update(64 * b'0')
  digest.update(view[_DIGEST_BYTES.stop:])
  return digest.hexdigest().encode()


def decode(data):
  """Arrays and metadata of the bytes of a file.

  Args:
    data: Bytes.

  Returns:
    ({name: array}, {key: text}), the digest left out.

  Raises:
    TensorFileError: If they are not exactly what `encode` gives.
  """
  if len(data) < 8:
    raise TensorFileError(f'it has {len(data)} bytes, fewer than the 8 that '
                          'tell the length of the header')
  length = int.from_bytes(data[:8], 'little')
  if not _DIGEST_BYTES.stop - 8 <= length <= MAX_HEADER_BYTES:
    raise TensorFileError(
        f'its header would have {length:,} bytes, expected from '
        f'{_DIGEST_BYTES.stop - 8} to {MAX_HEADER_BYTES:,}')
  if 8 + length > len(data):
    raise TensorFileError(
        f'its header would have {length:,} bytes, and only '
        f'{len(data) - 8:,} follow: the file is cut short')
  if data[8:8 + len(_START)] != _START:
    raise TensorFileError('its header does not begin with a SHA-256')
  if _digest(data) != data[_DIGEST_BYTES]:
    raise TensorFileError('its SHA-256 is not that of its content: bytes were '
                          'changed, lost or added')
  header = parse_json(data[8:8 + length])
  metadata = header.pop(_METADATA)
  del metadata[_DIGEST]
  if not all(isinstance(value, str) for value in metadata.values()):
    raise TensorFileError('its metadata holds other things than text')
  tensors, cursor = {}, 8 + length
  for name, entry in header.items():
    dtype, shape, size = _check_entry(name, entry, cursor - 8 - length)
    if cursor + size > len(data):
      raise TensorFileError(f'the data of {shorten(name)} ends after the file')
    array = np.frombuffer(
        data, dtype.newbyteorder('<'), math.prod(shape), cursor)
    tensors[name] = array.astype(dtype).reshape(shape)
    cursor += size
  if cursor != len(data):
    raise TensorFileError(
        f'{len(data) - cursor:,} bytes at its end belong to no array')
  return tensors, metadata


def parse_json(text):
  """What JSON says, read strictly, and with one kind of error.

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


def _check_entry(name, entry, begin):
  """(dtype, shape, bytes) of an array whose data begins at `begin`."""
  if not isinstance(entry, dict) or set(entry) != {'dtype', 'shape', _DATA}:
    raise TensorFileError(f'the entry of {shorten(name)} is not dtype, shape '
                          f'and {_DATA}')
  code, shape, offsets = entry['dtype'], entry['shape'], entry[_DATA]
  if not isinstance(code, str) or code not in _DTYPES:
    raise TensorFileError(f'the dtype of {shorten(name)} is {shorten(code)}, '
                          f'expected one of {list(_DTYPES)}')
  if not _are_counts(shape) or len(shape) > _MAX_DIMENSIONS or 0 in shape:
    raise TensorFileError(
        f'the shape of {shorten(name)} is {shorten(shape)}, expected at most '
        f'{_MAX_DIMENSIONS} positive integers')
  dtype = np.dtype(_DTYPES[code])
  size = math.prod(shape) * dtype.itemsize
  if not _are_counts(offsets) or offsets != [begin, begin + size]:
    raise TensorFileError(
        f'the data of {shorten(name)} is at {shorten(offsets)}, expected '
        f'{shorten([begin, begin + size])}: one array after the other, each '
        'of the size of its shape')
  return dtype, shape, size


def _are_counts(values):
  return isinstance(values, list) and all(
      type(value) is int and 0 <= value <= MAX_FILE_BYTES for value in values)


def shorten(value):
  """A value for an error, from wherever it comes."""
  text = repr(value)
  return text if len(text) <= 80 else f'{text[:80]}...'


def read(path):
  """`decode` of a file, whose size is checked before it is read.

  Args:
    path: An ordinary file.

  Raises:
    TensorFileError: As `decode`, and if the path is not that of an ordinary
      file, or of one that is larger than `MAX_FILE_BYTES`.
  """
  path = pathlib.Path(path)
  if not path.is_file():  # a pipe or a device could be endless
    raise TensorFileError('there is no ordinary file of this name')
  size = os.path.getsize(path)
  if size > MAX_FILE_BYTES:
    raise TensorFileError(f'it has {size:,} bytes, expected at most '
                          f'{MAX_FILE_BYTES:,}')
  with open(path, 'rb') as file:
    return decode(file.read(MAX_FILE_BYTES + 1))
