"""Tests of `views`."""

import io

from absl.testing import parameterized
import numpy as np
from PIL import Image
import tensorflow as tf

from trainers.data import augmentation
from trainers.data import views
from trainers.testing import made_photos

_SIZE = 16


def _encode(images):
  return tf.stack([tf.io.encode_png(image) for image in images])


def _draws(count, seed=0):
  return augmentation.draw(tf.constant([seed, 1], tf.int64), count)


class FitTest(parameterized.TestCase, tf.test.TestCase):

  def test_same_size_is_bit_identical(self):
    images = np.random.default_rng(0).integers(
        0, 256, [5, _SIZE, _SIZE, 3], np.uint8)
    self.assertAllEqual(
        views.fit(made_photos.make_task(), images, _SIZE), images)

  def test_transposes_then_pads_then_resizes(self):
    image = np.zeros([1, 8, 8, 1], np.uint8)
    image[0, 1, 6] = 90  # upright: row 6, column 1
    task = made_photos.make_task(
        image_shape=(8, 8, 1), transpose=True, pad=2, augmentation='none')
    expected = np.zeros([1, 12, 12, 1], np.uint8)
    expected[0, 8, 3] = 90
    self.assertAllEqual(views.fit(task, image, 12), expected)
    self.assertEqual(views.fit(task, image, 24).shape, (1, 24, 24, 1))


class DecodeTest(parameterized.TestCase, tf.test.TestCase):

  def test_shows_the_centre_of_what_is_not_square(self):
    image = np.zeros([40, 80, 3], np.uint8)
    image[:, 20:60] = [10, 200, 30]  # the centred square
    view = views.decode(made_photos.make_task(), _encode([image]), _SIZE)
    self.assertAllEqual(
        view, np.broadcast_to([10, 200, 30], [1, _SIZE, _SIZE, 3]))

  @parameterized.parameters((20, 40), (64, 33), (5, 3))
  def test_evaluation_is_resizing_and_cutting_out_the_centre(
      self, height, width):
    image = np.zeros([height, width, 3])
    image[..., 0] = np.linspace(0, 250, height)[:, np.newaxis]
    image[..., 1] = np.linspace(0, 250, width)
    view = views.decode(made_photos.make_task(), _encode(
        [image.round().astype(np.uint8)]), _SIZE)[0].numpy().astype(float)
    # The middle pixel of a gradient stays in the middle ...
    self.assertAllClose(view.mean((0, 1))[:2], [125, 125], atol=2)
    # ... and along the shorter side seven eighths of it remain.
    short = 0 if height <= width else 1
    span = (view[-1, 0] - view[0, 0], view[0, -1] - view[0, 0])[short][short]
    self.assertAllClose(span, 250 * 7 / 8, atol=40 if height < 20 else 20)

  @parameterized.product(is_tall=(False, True), fixed=(False, True))
  def test_views_of_a_strip(self, is_tall, fixed):
    """Colours at its ends are seen of the whole alone; fixed: a small one."""
    strip = np.full([10, 60, 3] if fixed else [60, 360, 3], 128, np.uint8)
    end = strip.shape[1] // 6
    strip[:, :end], strip[:, -end:] = [255, 0, 0], [0, 0, 255]
    upright = (lambda x: np.swapaxes(x, 0, 1)) if is_tall else (lambda x: x)
    shape = upright(strip).shape if fixed else (None, None, 3)

    def see(view, draws=None, count=1):
      task = made_photos.make_task(view=view, image_shape=shape)
      encoded = _encode([upright(strip)] * count)
      return [upright(image) for image in views.decode(
          task, encoded, 24, draws).numpy()]

    def ends(image):
      return [image[12, 1].tolist(), image[12, -2].tolist()]

    centre, = see('centre')
    whole, = see('whole')
    pad, = see('pad')
    self.assertEqual(ends(centre) == [[128] * 3] * 2, not fixed)
    self.assertEqual(ends(whole), [[255, 0, 0], [0, 0, 255]])
    self.assertEqual(ends(pad), [[255, 0, 0], [0, 0, 255]])
    black = np.all(pad == 0, axis=(1, 2))  # 24 / 6 rows are not
    self.assertAllEqual(np.flatnonzero(~black), [10, 11, 12, 13])
    everything = np.array([[0, 0, 0.9, 1, 0.5]], np.float32)
    self.assertAllEqual(see('whole', everything), [whole])
    self.assertAllEqual(see('pad', everything), [pad])
    for crop in see('pad', _draws(20), 20):  # crops are about as elongated
      rows = np.flatnonzero(crop.any(axis=(1, 2)))
      columns = np.flatnonzero(crop.any(axis=(0, 2)))
      self.assertBetween(len(columns) / len(rows), 4, 12)

  def test_draws_crop_and_mirror_as_the_window_says(self):
    image = made_photos.make_image('train', 3)
    draws = _draws(20).numpy()
    crops = views.decode(
        made_photos.make_task(), _encode([image] * 20), _SIZE, draws)
    for crop, draw in zip(crops.numpy(), draws):
      top, left, rows, columns = (int(x) for x in augmentation.random_window(
          tf.constant(image.shape[0]), tf.constant(image.shape[1]),
          tf.constant(draw)))
      window = image[top:top + rows, left:left + columns]
      expected = tf.image.resize(
          window[np.newaxis].astype(np.float32), [_SIZE] * 2, antialias=True)
      expected = np.clip(np.round(expected[0]), 0, 255)
      self.assertAllEqual(
          crop, expected[:, ::-1] if draw[2] < 0.5 else expected)

  def test_other_augmentations_do_not_crop(self):
    encoded = _encode([made_photos.make_image('train', 3)] * 4)
    task = made_photos.make_task(augmentation='shift_flip')
    self.assertAllEqual(views.decode(task, encoded, _SIZE, _draws(4)),
                        views.decode(task, encoded, _SIZE))

  def test_small_images_of_one_size_show_all(self):
    image = np.random.default_rng(0).integers(0, 256, [8, 8, 1], np.uint8)
    task = made_photos.make_task(
        image_shape=(8, 8, 1), transpose=True, augmentation='none')
    self.assertAllEqual(
        views.decode(task, _encode([image]), 8), image[np.newaxis].transpose(
            0, 2, 1, 3))

  def test_small_images_are_upright_and_padded_when_cropped(self):
    image = np.zeros([8, 8, 1], np.uint8)
    image[1, 6] = 90  # upright: row 6, column 1
    task = made_photos.make_task(
        image_shape=(8, 8, 1), transpose=True, pad=2, augmentation='crop_flip')
    whole = views.fit(task, image[np.newaxis], 12)
    self.assertAllEqual(views.decode(task, _encode([image]), 12), whole)
    draws = np.array([[0, 0, 0.9, 1, 0.5]], np.float32)  # all of it
    self.assertAllEqual(views.decode(task, _encode([image]), 12, draws), whole)

  def test_large_images_of_one_size_show_their_centre(self):
    image = made_photos.make_image('train', 3)[:20, :20]
    image = np.repeat(np.repeat(image, 4, 0), 4, 1)  # 80 x 80
    fixed, varying = (views.decode(
        made_photos.make_task(image_shape=shape), _encode([image]), _SIZE)
                      for shape in ((80, 80, 3), (None, None, 3)))
    self.assertAllEqual(fixed, varying)

  def test_transforms_come_last(self):
    image = made_photos.make_image('train', 3)
    task = made_photos.make_task()
    plain = views.decode(task, _encode([image]), _SIZE)
    self.assertAllEqual(
        views.decode(task.with_transforms(['boundary']), _encode([image]),
                     _SIZE),
        views.transforms.apply(plain, ['boundary']))

  @parameterized.parameters('jpeg', 'png', 'bmp', 'gif', 'grey', 'alpha')
  def test_formats(self, kind):
    image = np.full([20, 30, 3], 128, np.uint8)
    encoded = {
        'jpeg': lambda: tf.io.encode_jpeg(image),
        'grey': lambda: tf.io.encode_jpeg(image[..., :1]),
        'png': lambda: tf.io.encode_png(image),
        'alpha': lambda: tf.io.encode_png(
            np.concatenate([image, image[..., :1]], -1)),
    }.get(kind, lambda: _pil(image, kind))()
    view = views.decode(
        made_photos.make_task(), tf.stack([encoded]), _SIZE)
    expected = 191 if kind == 'alpha' else 128  # half of it is white
    self.assertAllClose(view, np.full([1, _SIZE, _SIZE, 3], expected), atol=1)

  def test_in_a_pipeline_of_unknown_size(self):
    task = made_photos.make_task()
    images = [made_photos.make_image('train', i) for i in range(5)]
    dataset = tf.data.Dataset.from_tensor_slices(_encode(images)).batch(3).map(
        lambda x: views.decode(task, x, _SIZE))
    self.assertEqual(dataset.element_spec, tf.TensorSpec(
        [None, _SIZE, _SIZE, 3], tf.uint8))
    self.assertAllEqual(tf.concat(list(dataset), 0),
                        views.decode(task, _encode(images), _SIZE))


def _pil(image, kind):
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, kind)
  return tf.constant(buffer.getvalue())


if __name__ == '__main__':
  tf.test.main()
