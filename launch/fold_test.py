"""Tests of `launch.fold`, on a small saved model."""

import contextlib
import importlib.util
import io
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from launch import fold
from launch.testing import in_process
from mixture_modules.isometric import isometric_model
from trainers.data import pipeline
from trainers.runs import saved_models
from trainers.testing import mocking
from trainers.testing import toy

_TASKS = ('mnist', 'mnist+blur')


class FoldTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    config = toy.make_config(_TASKS)
    cls.model = isometric_model.IsometricModel(
        config.model, dict.fromkeys(_TASKS, 10), seed=0)
    data = pipeline.load_tasks(
        _TASKS, config.model.image_size, made_up=True)
    cls.facts = {name: task.describe() for name, task in data.items()}
    for kind in ('smoke', 'train'):
      saved_models.save(cls.directory / kind, cls.model, kind,
                        config.to_json(), cls.facts)

  def run_command(self, filename, kind='smoke', **values):
    """(standard output, standard error) of the command with these flags."""
    values = {'workdir': self.directory / kind,
              'output': self.directory / filename, **values}
    with contextlib.redirect_stderr(io.StringIO()) as error:
      output = in_process.run(fold, *(
          f'--{name}={value}' for name, value in values.items()
          if value is not None))
    return output, error.getvalue()

  def images(self):
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), 'uint8')

  def test_keras(self):
    output, error = self.run_command('mnist.keras', task='mnist')
    plain = keras.saving.load_model(self.directory / 'mnist.keras')
    images = self.images() / np.float32(127.5) - 1
    self.assertAllClose(plain(images), self.model(images, task='mnist'),
                        atol=1e-5)
    size = (self.directory / 'mnist.keras').stat().st_size
    self.assertStartsWith(
        output, f'{self.directory}/mnist.keras: keras, {size:,} bytes, '
        f'{plain.count_params():,} parameters\nTakes images [batch, 8, 8, 3] '
        'float32 from -1 to 1.\nOf an image it is to see the square in the '
        'middle, seven eighths of the shorter side; all of small images.\n'
        'Gives logits of mnist: 10 classes')
    self.assertRegex(
        output, r'\nLargest difference on 32 made-up images: \d\S* between '
        r'model and folded network, 0 between that and what was read back\.$')
    self.assertEmpty(error)

  def test_saved_model_of_several_tasks(self):
    output, _ = self.run_command(
        'both', format='savedmodel', task='mnist,mnist+blur', rescale=True,
        probabilities=True)
    self.assertIn('uint8 from 0 to 255', output)
    self.assertIn('Gives probabilities of mnist+blur: 10 classes', output)
    loaded = tf.saved_model.load(str(self.directory / 'both'))
    found = loaded.serve(tf.constant(self.images()))
    for task in _TASKS:
      self.assertAllClose(found[task], tf.nn.softmax(self.model(
          self.images() / np.float32(127.5) - 1, task=task)), atol=1e-5)

  def test_compares_on_real_images_where_there_are_any(self):
    with mocking.mock_data():
      output, error = self.run_command(
          'real.keras', 'train', task='mnist', rescale=True)
    self.assertIn(
        f'on {self.facts["mnist"]["splits"]["validation"]["examples"]} mnist '
        'validation images', output)
    self.assertEmpty(error)
    with (mock.patch.object(saved_models.SavedModel, 'load_data',
                            side_effect=ValueError('No data here.')),
          self.assertWarnsRegex(
              UserWarning, '^No data here. So made-up images are compared.$')):
      output, _ = self.run_command('none.keras', 'train', task='mnist')
    self.assertIn('on 32 made-up images', output)

  def test_errors(self):
    before = sorted(self.directory.rglob('*'))
    (self.directory / 'taken.keras').write_text('mine')
    for message, output, values in (
        ('Expected --workdir', 'x.keras', {'workdir': None}),
        ('Expected --output', 'x.keras', {'output': None}),
        ('has no run.json', 'x.keras', {'workdir': '/nowhere'}),
        ('ends in .onnx|extra `export`', 'x.keras', {'format': 'onnx'}),
        ('not overwritten', 'taken.keras', {}),
        ("received task='usps'", 'x.keras', {'task': 'mnist,usps'}),
        ('received no task', 'x.keras', {}),
        ('a list of different', 'x.keras', {'task': 'mnist,mnist'})):
      with self.assertRaisesRegex(ValueError, message):
        self.run_command(output, **values)
    with (mock.patch.object(importlib.util, 'find_spec', return_value=None),
          self.assertRaisesRegex(ValueError, r"pip install -e '.\[export\]'")):
      self.run_command('x.tflite', format='litert')
    self.assertEqual((self.directory / 'taken.keras').read_text(), 'mine')
    (self.directory / 'taken.keras').unlink()
    self.assertEqual(sorted(self.directory.rglob('*')), before)

  def test_a_network_that_differs_is_not_written(self):
    other = isometric_model.IsometricModel(
        self.model.config, dict.fromkeys(_TASKS, 10), seed=1)
    wrong = fold.folding.fold(other, 'mnist')
    with (mock.patch.object(fold.folding, 'fold', return_value=wrong),
          self.assertRaisesRegex(ValueError, 'of the folded network .*nothing '
                                 'was written')):
      self.run_command('wrong.keras', task='mnist')
    self.assertFalse((self.directory / 'wrong.keras').exists())


if __name__ == '__main__':
  tf.test.main()
