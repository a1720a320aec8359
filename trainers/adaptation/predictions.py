"""The classes that a network sees in images without labels: predictions.csv."""

import csv
import io

from mixture_modules import files
from trainers.data import pipeline

FILE = 'predictions.csv'
_HEADER = ('file', 'split', 'class', 'probability')


def write(workdir, evaluation, data, class_names):
  """Writes a line for each image of an adaptation's target.

  Args:
    workdir: Directory of the run, as a path.
    evaluation: `TargetEvaluation`.
    data: `TaskData` of the target, folders of images.
    class_names: Names of the classes, or None: their numbers.

  Returns:
    The path of the file.
  """
  text = io.StringIO(newline='')
  lines = csv.writer(text)
  lines.writerow(_HEADER)
  for split in pipeline.SPLITS:
    probabilities = evaluation.predictions(split)
    for path, label, probability in zip(
        data.files(split), probabilities.argmax(-1), probabilities.max(-1),
        strict=True):
      name = class_names[label] if class_names else label
      lines.writerow([path, split, name, f'{probability:.4f}'])
  files.write(workdir / FILE, text.getvalue().encode())
  return workdir / FILE
