"""Tests that what cannot fit into memory is refused before it begins."""

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import tensorflow as tf

from mixture_modules import memory
from mixture_modules.isometric import isometric_config
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import parameters
from trainers import memory_needs
from trainers import training
from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.runs import records
from trainers.runs import run_options
from trainers.testing import toy
from trainers.testing import toy_records
from trainers.transfer import transfer_config
from trainers.transfer import transferring

_OPTIONS = run_options.RunOptions(progress=False)


class MemoryNeedsTest(parameterized.TestCase, tf.test.TestCase):

  @parameterized.parameters('small', 'large', 'digits', 'office_baseline')
  def test_parameters_are_counted_without_a_model(self, preset):
    config = isometric_config.IsometricConfig.preset(preset)
    count = parameters.count_at_least(config, [10, 7])
    with mock.patch.object(memory, 'check') as check:
      model = isometric_model.IsometricModel(config, {'one': 10, 'two': 7})
    total = model.parameter_report()['total']
    self.assertBetween(count, 0.95 * total, total)
    needs, _ = check.call_args.args
    self.assertEqual(
        needs, {'the weights': 4 * parameters.count_at_least(config)})

  def test_an_image_by_hand(self):
    config = toy.make_config(num_layers=3)
    c, e, positions = 8, 48, 4  # an image has 8 x 8 pixels
    image = 4 * (3 * 64 + 3 * positions * (c + 2 * e))
    with mock.patch.object(memory, 'total', return_value=5 * image):
      memory_needs.check(config, 5)
      memory_needs.check(config, 10, num_replicas=2)
      for batch_size, replicas in ((6, 1), (11, 2)):
        with self.assertRaisesRegex(
            ValueError, 'a step of 6 images.: choose a smaller batch_size'):
          memory_needs.check(config, batch_size, num_replicas=replicas)
      with self.assertRaisesRegex(
          ValueError, 'the update of .* parameters, .* depth_multiplier'):
        memory_needs.check(config, 1, [10])
      with mock.patch.object(
          tf.config, 'list_physical_devices', return_value=['GPU']):
        memory_needs.check(config, 20)

  @parameterized.parameters(
      ({'batch_size': 1_000_000_000}, 'a step of 3,000,000,000 images'),
      ({'depth_multiplier': 9000.0}, 'parameters, .* smaller depth_multiplier'),
      ({'image_size': 1_000_000}, 'or image_size'))
  def test_no_directory_is_claimed(self, changes, message):
    workdir = pathlib.Path(self.get_temp_dir(), 'run')
    config = toy.make_config(['optdigits', 'mnist', 'usps'], **changes)
    with self.assertRaisesRegex(ValueError, message):
      training.train(config, workdir, _OPTIONS)
    self.assertFalse(workdir.exists())

  def test_nor_by_what_starts_from_a_model(self):
    directory = pathlib.Path(tempfile.mkdtemp(dir=self.get_temp_dir()))
    source = directory / 'source'
    toy_records.write_model(
        source, ['optdigits', 'mnist'], shared_head=True)
    (source / records.RESULTS).touch()  # a run that has ended
    before = os.listdir(directory)
    smoke = run_options.RunOptions(progress=False, smoke=True)
    # Enough for the model, not for a step.
    with mock.patch.object(memory, 'total', return_value=20_000):
      for make, config in (
          (transferring.transfer, transfer_config.TransferConfig(
              source=source, dataset='usps')),
          (adapting.adapt, adaptation_config.AdaptationConfig(
              source=source, target='usps', method='m3sda'))):
        with self.assertRaisesRegex(ValueError, 'for a step of [0-9]+ images'):
          make(config, directory / 'new', smoke)
    self.assertEqual(os.listdir(directory), before)


if __name__ == '__main__':
  tf.test.main()
