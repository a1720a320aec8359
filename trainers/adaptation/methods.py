"""The methods of adaptation, one line each."""

from trainers.adaptation import adda
from trainers.adaptation import information_maximization
from trainers.adaptation import m3sda
from trainers.adaptation import source_only
from trainers.adaptation import supervised_target

METHODS = {method.name: method for method in (
    source_only.SourceOnly,
    adda.AdversarialAdaptation,
    m3sda.MomentMatching,
    information_maximization.InformationMaximization,
    supervised_target.SupervisedTarget,
)}


def saved_predictors(saved):
  """{target: function from embeddings `[b, c2]` to probabilities}.

  Args:
    saved: `SavedModel`.

  Returns:
    The target of an adaptation, where its method predicts by more than the
    model; else nothing.
  """
  if not saved.heads:
    return {}
  method = METHODS[saved.run['config']['adaptation']['method']]
  return {target: method.saved_predictor(arrays)
          for target, arrays in saved.heads.items()}
