"""Evaluates a saved model, as it is or with its layers edited (section B).

    python -m launch.evaluate --workdir=runs/digits
    python -m launch.evaluate --workdir=runs/digits --split=validation
    python -m launch.evaluate --workdir=runs/digits --harden
    python -m launch.evaluate --workdir=runs/digits \\
        --signature_edit=swap:3:7,reverse,shuffle:0,drop:5,repeat:5,replace:5:2
    python -m launch.evaluate --workdir=runs/digits \\
        --between=mnist,svhn_cropped --points=11

--workdir is that of any command that leaves a model: train, transfer, tasks,
adapt. Each edit by itself is made to a copy of the trained network; several
joined by '+' are made one after another. Layers and templates count from 1.
docs/commands.md lists the edits.
"""

from absl import flags

from launch import dataclass_flags
from launch import entry
from launch.reports import results_text
from trainers import evaluating
from trainers.runs import run_options

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of a run that left a model.', flag_values=FLAGS)
_CONFIG = dataclass_flags.DataclassFlags(
    evaluating.EvaluationConfig, FLAGS,
    names={'tasks': 'only', 'edits': 'signature_edit'})
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.', flag_values=FLAGS)


def main():
  """Reads flags, evaluates, prints tables."""
  if not _WORKDIR.value:
    raise ValueError('Expected --workdir, the directory of a run; received '
                     'none.')
  found = evaluating.evaluate(
      _WORKDIR.value, _CONFIG.make(),
      run_options.RunOptions(data_dir=_DATA_DIR.value))
  print(results_text.format_table(found.results))
  if len(found.results.tasks) > 1:
    print(results_text.format_distances(found.results))
  if found.edits:
    print(results_text.align(results_text.edit_rows(found.edits)))
    print(results_text.EDITS)
  for line in found.between.lines.values() if found.between else ():
    print(results_text.align(results_text.between_rows(line)))
    print(results_text.BETWEEN)


if __name__ == '__main__':
  entry.run(main, FLAGS)
