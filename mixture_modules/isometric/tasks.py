"""What a task owns: signature, norm parameters and statistics, head.

Section 4.3.
"""

import keras

from mixture_modules import task_names


class Task(keras.layers.Layer):
  """One task of an `IsometricModel`: what is its own, and its head.

  Args:
    task_name: The task's name; any text.
    head_name: Name of its head; tasks with one label set may share a head.
    head: The Keras layer from embedding to logits.
    signature: The task's `Signature`.
    statistics: Its `NormStatistics`.
    affine: Its private `NormAffine`, of all sites or of some, or None.

  Attributes:
    input_adapter: Its own convolution, or None: that of the model.
    output_adapter: List of its own two, or None: those of the model.
  """

  def __init__(self, task_name, head_name, head, signature, statistics,
               affine=None):
    super().__init__(name=task_names.layer_name(task_name))
    self.task_name = task_name
    self.head_name = head_name
    self.head = head
    self.signature = signature
    self.statistics = statistics
    self.affine = affine
    self.input_adapter = None  # `detaching` gives it one
    self.output_adapter = None
    self.built = True

  @property
  def num_classes(self):
    """Number of logits."""
    return self.head.units


def make_head(name, num_classes, embedding_size):
  """A built layer from embedding `[.., c2]` to float32 logits `[.., C]`."""
  # Logits are float32 also in mixed precision: the softmax needs it.
  head = keras.layers.Dense(num_classes, dtype='float32')
  head.build((None, embedding_size))
  # Variables keep the path of Keras' own name.
  head.name = task_names.layer_name(name)
  return head


def copy_variables(target, source):
  """Copies the variables of one layer into another of the same kind."""
  for to, value in zip(target.variables, source.variables):
    # Through NumPy: on JAX both would hold one array, which cannot train.
    to.assign(keras.ops.convert_to_numpy(value))
