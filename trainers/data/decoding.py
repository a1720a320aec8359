"""What is seen of an image file: the one place where files become pixels.

The rules are those of a viewer. EXIF's orientation is applied. What is
transparent is white. Of an animation the first frame counts. 16-bit greys are
divided by 256, and inks (CMYK) become colours.
"""

import contextlib
import io
import os
import re
import threading

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps
import tensorflow as tf

# MPO is the JPEG of some telephones.
FORMATS = ('JPEG', 'MPO', 'PNG', 'BMP', 'GIF', 'WEBP', 'AVIF')
SUFFIXES = ('.avif', '.bmp', '.gif', '.jpeg', '.jpg', '.png', '.webp')
_DAMAGE = re.compile(rb'Corrupt JPEG data: ([^\n]*)\n')
_END = b'\0'


def decode(encoded, channels=3):
  """The pixels of an image file.

  Args:
    encoded: Bytes of the file.
    channels: 3, or 1 for greys.

  Returns:
    uint8 `[height, width, channels]`.

  Raises:
    OSError: If it is not a whole file of one of `FORMATS`.
  """
  with PIL.Image.open(io.BytesIO(encoded)) as stored:
    image = PIL.ImageOps.exif_transpose(stored)
  if image.mode.startswith('I;16'):
    image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert('RGBA')
    white = PIL.Image.new('RGBA', image.size, 'white')
    image = PIL.Image.alpha_composite(white, image)
  pixels = np.asarray(image.convert('RGB' if channels == 3 else 'L'))
  return pixels.reshape(*pixels.shape[:2], channels)


def decode_tensor(encoded, channels):
  """`decode` of a string tensor: uint8 `[height, width, channels]`.

  Most photographs are JPEG files that are stored upright: TensorFlow decodes
  them to the same pixels, several at a time.
  """

  def is_plain(encoded):
    return np.bool_(_is_plain_jpeg(_bytes(encoded)))

  def by_pillow(encoded):
    return decode(_bytes(encoded), channels)

  image = tf.cond(
      tf.numpy_function(is_plain, [encoded], tf.bool, stateful=False),
      lambda: tf.io.decode_jpeg(
          encoded, channels, dct_method='INTEGER_ACCURATE'),
      lambda: tf.numpy_function(
          by_pillow, [encoded], tf.uint8, stateful=False))
  return tf.ensure_shape(image, [None, None, channels])


def _bytes(encoded):
  """What `tf.numpy_function` hands over: an array of one, where it is eager."""
  return encoded if isinstance(encoded, bytes) else encoded.item()


def _is_plain_jpeg(encoded):
  if not encoded.startswith(b'\xff\xd8'):
    return False
  with PIL.Image.open(io.BytesIO(encoded)) as image:
    return image.mode in ('RGB', 'L') and _orientation(image) == 1


def _orientation(image):
  """EXIF's number for how an image is to be turned; 1 is upright."""
  return image.getexif().get(PIL.ExifTags.Base.Orientation, 1)


def read_size(encoded):
  """Height and width of an image file, in pixels, as `decode` gives it.

  Args:
    encoded: Bytes of the file; its pixels are not decoded.

  Raises:
    OSError: As for `decode`.
  """
  with PIL.Image.open(io.BytesIO(encoded)) as image:
    width, height = image.size
    turned = _orientation(image) >= 5
  return (width, height) if turned else (height, width)


def find_fault(encoded):
  """What is wrong with an image file and how to mend it, or None.

  A JPEG file that is damaged within has none: `hear_damage` tells.

  Args:
    encoded: Bytes of the file; all of it is read, at an eighth of its size
      where the format can.
  """
  is_decoded = False
  try:
    with PIL.Image.open(io.BytesIO(encoded)) as image:
      kind = image.format
      if kind not in FORMATS:
        return f'{kind}: convert it'
      if kind in ('JPEG', 'MPO'):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
          tf.io.decode_jpeg(encoded, ratio=8)
          is_decoded = True
      is_plain = _is_plain_jpeg(encoded)
      if not (is_decoded and is_plain):
        image.draft(None, (-(-image.width // 8), -(-image.height // 8)))
        image.load()
        if is_plain:
          return 'a damaged file, which TensorFlow cannot decode: get it anew'
    if kind == 'PNG':
      PIL.Image.open(io.BytesIO(encoded)).verify()  # the parts' checksums
  except PIL.UnidentifiedImageError:
    return ('a file of another kind or only the beginning of one: remove it or '
            'get it anew')
  except PIL.Image.DecompressionBombError as error:
    return f'{error}: make it smaller'
  except (OSError, SyntaxError, ValueError) as error:
    return f'a truncated or damaged file ({error}): get it anew'
  return None


@contextlib.contextmanager
def hear_damage():
  """Gives a list that gets what libjpeg says of files that are damaged within.

  It decodes them, with grey or shifted colours from the damage on. Pillow does
  not ask it. TensorFlow lets it write a line to the standard error stream of
  the process, without a name, and tells nobody: here such lines are taken out.
  Damage that leaves valid codes is not heard of.
  """
  found = []
  try:
    stderr = os.dup(2)
  except OSError:  # there is no such stream
    yield found
    return
  reader, writer = os.pipe()

  def pass_on():
    is_open = True
    while is_open:
      text = os.read(reader, 2 ** 16)
      is_open = not text.endswith(_END)
      found.extend(what.decode() for what in _DAMAGE.findall(text))
      with contextlib.suppress(OSError):  # nobody reads it
        os.write(stderr, _DAMAGE.sub(b'', text.removesuffix(_END)))

  thread = threading.Thread(target=pass_on)
  thread.start()
  os.dup2(writer, 2)
  try:
    yield found
  finally:
    os.dup2(stderr, 2)
    os.write(writer, _END)
    thread.join()
    for descriptor in (reader, writer, stderr):
      os.close(descriptor)


def num_grey_bits(encoded):
  """How many of 16 bits the greys of an image use; None of other images."""
  with PIL.Image.open(io.BytesIO(encoded)) as image:
    if not image.mode.startswith('I;16'):
      return None
    return int(np.asarray(image).max()).bit_length()
