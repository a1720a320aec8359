"""Test settings that must stand before TensorFlow starts.

Two logical CPUs serve the tests under `tf.distribute`; the whole suite shares
one process, and devices are fixed once TensorFlow has begun.

All temporary files, also those of TFDS and of commands that tests start, are in
one directory that goes as the process ends.
"""

import os
import tempfile

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('MPLBACKEND', 'Agg')
_scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
os.environ['TMPDIR'] = tempfile.tempdir = _scratch.name

import launch  # noqa: E402, F401  # isort: skip, TensorFlow as commands have it
import tensorflow as tf  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


def pytest_collection_modifyitems(items):
  """Drops `tf.test.TestCase.test_session`, which is a method, not a test."""
  items[:] = [item for item in items if item.name != 'test_session']
