"""Made-up images in the place of every data set, for trying commands."""

import contextlib

import tensorflow_datasets as tfds


@contextlib.contextmanager
def mock_data(num_examples=32):
  """Lets every TFDS data set hold a few random images; reads no files.

  Args:
    num_examples: Examples in each split.
  """
  with tfds.testing.mock_data(
      num_examples, policy=tfds.testing.MockPolicy.USE_CODE):
    yield
