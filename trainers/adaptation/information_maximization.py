"""Source-free adaptation by information maximisation (beyond the paper)."""

from trainers import optimizers
from trainers.adaptation import method
from trainers.adaptation import target_network


class InformationMaximization(method.LossMethod):
  """Makes predictions on the target sure, and of every class as often.

  Minimises

      E[H[p]] - H[E[p]]

  over a batch of the target, whose predictions p come from the head of the
  sources, which stays. No image of a source is needed.

  Source: our choice; Krause et al. (2010), Liang et al. (2020).
  """

  name = 'im'
  help = 'maximises information and needs no source'
  optimizer = optimizers.OptimizerConfig(
      learning_rate=1e-3, final_learning_rate=5e-5, mixture_learning_rate=5e-2,
      schedule='linear')

  def loss(self, step, target):
    """(Negative information, probabilities) of images `[b, H, W, 3]`."""
    del step
    _, embedding = self._network.encode(target)
    probabilities = self.predict(embedding)
    _, information = target_network.entropies(probabilities)
    return -information, probabilities
