"""What is seen of image files of every kind."""

import io
import os

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from trainers.data import decoding

_PIXELS = np.arange(40 * 30 * 3).reshape(30, 40, 3).astype(np.uint8)
_PICTURE = PIL.Image.fromarray(_PIXELS)


def _encode(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


class DecodingTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(
      ('PNG', 'RGB', {}), ('BMP', 'RGB', {}), ('WEBP', 'RGB', {
          'lossless': True}), ('PNG', 'L', {}), ('BMP', 'L', {}),
      ('BMP', 'P', {}), ('BMP', '1', {}), ('GIF', 'P', {}), ('PNG', 'P', {}))
  def test_pixels_are_as_stored(self, kind, mode, options):
    image = _PICTURE.convert(mode)
    found = decoding.decode(_encode(image, kind, **options))
    self.assertEqual(np.uint8, found.dtype)
    self.assertAllEqual(image.convert('RGB'), found)

  @parameterized.parameters(
      ('JPEG', 'RGB', {}), ('JPEG', 'L', {}), ('JPEG', 'CMYK', {}),
      ('JPEG', 'RGB', {'progressive': True}), ('AVIF', 'RGB', {}),
      ('WEBP', 'RGB', {}), ('MPO', 'RGB', {
          'save_all': True, 'append_images': [PIL.Image.new('RGB', (9, 9))]}))
  def test_pixels_are_nearly_as_stored(self, kind, mode, options):
    image = PIL.Image.linear_gradient('L').convert('RGB').resize((64, 64))
    encoded = _encode(image.convert(mode), kind, quality=95, **options)
    self.assertIsNone(decoding.find_fault(encoded))
    self.assertAllClose(
        np.asarray(image, float), decoding.decode(encoded), atol=4)

  def test_tiny_files_are_whole(self):
    for kind in ('JPEG', 'PNG'):
      self.assertIsNone(decoding.find_fault(
          _encode(PIL.Image.new('RGB', (1, 7)), kind)))

  def test_greys(self):
    found = decoding.decode(_encode(_PICTURE, 'PNG'), channels=1)
    self.assertAllEqual(np.asarray(_PICTURE.convert('L'))[..., None], found)

  @parameterized.product(
      orientation=tuple(range(1, 9)), kind=('JPEG', 'PNG', 'WEBP'))
  def test_orientation_is_applied(self, orientation, kind):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8] = 250  # a corner
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    encoded = _encode(PIL.Image.fromarray(pixels), kind, exif=exif)
    # EXIF 2.3: where the first row and the first column are to be seen.
    seen = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1],
            4: pixels[::-1], 5: pixels.swapaxes(0, 1),
            6: pixels.swapaxes(0, 1)[:, ::-1],
            7: pixels.swapaxes(0, 1)[::-1, ::-1],
            8: pixels.swapaxes(0, 1)[::-1]}[orientation]
    found = decoding.decode(encoded)
    self.assertAllClose(seen.astype(float), found, atol=60)
    self.assertEqual(seen.shape[:2], decoding.read_size(encoded))

  @parameterized.parameters('RGBA', 'LA', 'P', 'GIF', 'key')
  def test_transparent_is_white(self, kind):
    if kind == 'key':
      image = PIL.Image.new('RGB', (8, 8), (1, 2, 3))
      image.putpixel((4, 4), (0, 0, 0))
      encoded = _encode(image, 'PNG', transparency=(1, 2, 3))
    elif kind in ('P', 'GIF'):
      image = PIL.Image.new('P', (8, 8), 1)
      image.putpalette([0, 0, 0, 9, 9, 9])
      image.putpixel((4, 4), 0)
      encoded = _encode(
          image, 'PNG' if kind == 'P' else 'GIF', transparency=1)
    else:
      image = PIL.Image.new('RGBA', (8, 8), (9, 9, 9, 0))
      image.putpixel((4, 4), (0, 0, 0, 255))
      encoded = _encode(image.convert(kind), 'PNG')
    expected = np.full((8, 8, 3), 255)
    expected[4, 4] = 0
    self.assertAllEqual(expected, decoding.decode(encoded))

  def test_first_frame_of_an_animation(self):
    frames = [PIL.Image.new('RGB', (8, 8), colour) for colour in
              ('red', 'blue')]
    for kind in ('GIF', 'WEBP', 'PNG'):
      encoded = _encode(frames[0], kind, save_all=True,
                        append_images=frames[1:])
      self.assertAllClose(
          [255, 0, 0], decoding.decode(encoded)[4, 4].astype(int), atol=4)

  def test_16_bit_greys(self):
    pixels = np.linspace(0, 65_535, 80).reshape(8, 10).astype(np.uint16)
    encoded = _encode(PIL.Image.fromarray(pixels), 'PNG')
    self.assertAllEqual(pixels // 256, decoding.decode(encoded)[..., 1])
    self.assertEqual(16, decoding.num_grey_bits(encoded))
    self.assertIsNone(decoding.num_grey_bits(_encode(_PICTURE, 'PNG')))

  @parameterized.parameters(
      ('PNG', 'RGB', 1), ('JPEG', 'RGB', 1), ('JPEG', 'L', 1),
      ('JPEG', 'RGB', 6), ('JPEG', 'CMYK', 1))
  def test_in_a_data_set(self, kind, mode, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    encoded = _encode(_PICTURE.convert(mode), kind, exif=exif)
    for image in (decoding.decode_tensor(tf.constant(encoded), 3),
                  *tf.data.Dataset.from_tensors(encoded).map(
                      lambda element: decoding.decode_tensor(element, 3))):
      self.assertAllEqual(decoding.decode(encoded), image)

  @parameterized.parameters(({},), ({'progressive': True},),
                            ({'exif': b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12'
                              b'\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'},))
  def test_hears_of_damage_within_a_jpeg(self, options):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = _encode(PIL.Image.fromarray(noise), 'JPEG', **options)
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(400) + whole[middle + 400:]
    with decoding.hear_damage() as damage:
      self.assertIsNone(decoding.find_fault(whole))
      self.assertEmpty(damage)
      self.assertIsNone(decoding.find_fault(broken))
    self.assertLen(damage, 1)
    self.assertNotEmpty(damage[0])

  def test_what_others_write_meanwhile_passes(self):
    reader, writer = os.pipe()
    stderr = os.dup(2)
    os.dup2(writer, 2)
    try:
      with decoding.hear_damage() as damage:
        os.write(2, b'10 %|Corrupt JPEG data: bad Huffman code\n20 %')
        with self.assertRaises(KeyError), decoding.hear_damage() as inner:
          os.write(2, b'30 %')
          raise KeyError
    finally:
      os.dup2(stderr, 2)
    self.assertEqual((damage, inner), (['bad Huffman code'], []))
    self.assertEqual(os.read(reader, 99), b'10 %|20 %30 %')
    for descriptor in (reader, writer, stderr):
      os.close(descriptor)


if __name__ == '__main__':
  tf.test.main()
