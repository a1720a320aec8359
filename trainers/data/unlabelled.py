"""The images of a task without its labels (section 4.4, "unsupervised")."""


class UnlabelledImages:
  """A view of `TaskData` whose batches are images alone.

  What learns from it cannot read a label, by mistake neither: the pipeline
  leaves them out, and no method gives any. (Where a data set has no validation
  split, what was held out has its share of every class.)

  Args:
    data: `TaskData`.

  Source: section 4.4.
  """

  def __init__(self, data):
    self.name = data.name
    self.num_classes = data.num_classes
    self._num_examples = data.num_examples
    self._train_batches = data.train_batches
    self._eval_batches = data.eval_batches

  def num_examples(self, split):
    """Returns how many images a split has."""
    return self._num_examples(split)

  def train_batches(self, *args, **kwargs):
    """Returns the endless training batches of `TaskData`, images alone.

    Args:
      *args: As for `TaskData.train_batches`.
      **kwargs: As for `TaskData.train_batches`.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1.
    """
    return self._train_batches(*args, **kwargs, labelled=False)

  def eval_batches(self, *args, **kwargs):
    """Returns every image of a split once, in order, not augmented.

    Args:
      *args: As for `TaskData.eval_batches`.
      **kwargs: As for `TaskData.eval_batches`.

    Returns:
      `tf.data.Dataset` of images, float32 `[b, S, S, 3]` from -1 to 1.
    """
    return self._eval_batches(*args, **kwargs, labelled=False)
