"""A target that stays as it begins: the figure to be improved (section 4.4)."""

from trainers.adaptation import method


class SourceOnly(method.Method):
  """Trains nothing.

  Source: section 4.4 ("source only").
  """

  name = 'source_only'
  help = 'trains nothing'
  trains = False

  def adapt(self, step, sources, target):
    """There is no update."""
    raise NotImplementedError('source_only trains nothing')
