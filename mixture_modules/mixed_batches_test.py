"""One batch of several tasks equals its images one by one (section 4.3)."""

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.testing import toy_models


class MixedBatchesTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters(*toy_models.NORMS)
  def test_equals_one_by_one(self, norm):
    model = toy_models.make_model({'a': 4, 'b': 5, 'c': 2}, norm=norm)
    model.detach('b', 'output_adapter')
    images = toy_models.make_images(6)
    before = toy_models.values(model)
    names = ['b', 'a', 'b', 'c', 'a', 'b']
    for task_ids in (names, np.array(names)):
      logits = model.predict_mixed(images, task_ids)
      self.assertLen(logits, 6)
      for image, name, row in zip(images, names, logits):
        self.assertAllClose(
            model(image[None], task=name)[0], row, 1e-5, 1e-5)
    self.assertEmpty(toy_models.changed(before, toy_models.values(model)))

  def test_one_name_for_all(self):
    model = toy_models.make_model()
    images = toy_models.make_images()
    self.assertAllEqual(
        model(images, task='b'),
        np.stack(model.predict_mixed(tf.constant(images), 'b')))
    self.assertEqual([], model.predict_mixed(images[:0], []))

  @parameterized.named_parameters(
      ('short', ['a', 'b'], '5 images, received 2 names'),
      ('unknown', ['a', 'b', 'x', 'a', 'y'], r"'b'\], received \['x', 'y'\]"),
      ('unknown_one', 'x', r"received \['x'\]"))
  def test_errors(self, task_ids, message):
    with self.assertRaisesRegex(ValueError, message):
      toy_models.make_model().predict_mixed(
          toy_models.make_images(), task_ids)


if __name__ == '__main__':
  tf.test.main()
