"""Made-up images in the place of stored ones, for tests of whole commands."""

import contextlib
from unittest import mock

import tensorflow_datasets as tfds

from trainers.data import examples
from trainers.data import made_up
from trainers.data.datasets import class_lists


@contextlib.contextmanager
def mock_data():
  """Lets every declared data set seem prepared and hold made-up images."""
  source = made_up.MadeUpExamples()
  with (tfds.testing.mock_data(),
        mock.patch.object(examples, 'StoredExamples', lambda _=None: source),
        mock.patch.object(class_lists, 'read',
                          lambda name, _: source.class_list(name))):
    yield
