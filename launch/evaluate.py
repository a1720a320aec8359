"""Evaluates a saved model, as it is or with its layers edited.

--workdir is that of any command that leaves a model: train, transfer, tasks,
adapt. The target of --method=m3sda is evaluated as its run predicts it, by the
mean of the two heads that it trained; 'own head' is that of the sources.

    python -m launch.evaluate --workdir=runs/digits
    python -m launch.evaluate --workdir=runs/digits --split=validation
    python -m launch.evaluate --workdir=runs/digits --harden
    python -m launch.evaluate --workdir=runs/digits \\
        --signature_edit=swap:3:7,reverse,shuffle:0,drop:5,repeat:5,replace:5:2

Each edit by itself is made to a copy of the trained network (section B);
several joined by '+' are made one after another. Layers and templates count
from 1. An edit is a new order of layers: a layer's row of the signature goes
with it, and so do its moving statistics, and its gamma and beta unless those
are mixed. All tasks are edited alike.

    swap:3:7       layers 3 and 7 change places
    reverse        the last layer is the first
    shuffle:0      a random order, of seed 0
    drop:5         without layer 5
    repeat:5       layer 5 twice in a row
    replace:5:2    layer 5 computes with template 2 alone
    copy:5:2       layer 5 computes with the mixture of layer 2; its norms stay
    harden         every layer computes with its strongest template alone
    none           nothing changes

Moving statistics of the trained order are foreign to another one. With
--statistics=reestimated, those of the edited network are estimated anew from
unlabelled training images; 'none' then shows what that alone does.

    python -m launch.evaluate --workdir=runs/digits \\
        --between=mnist,svhn_cropped --points=11

Both tasks, each with its own statistics and head (and gamma and beta where they
are private), on the line between their signatures: (1 - t) of the first and t
of the second, t from 0 to 1.
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
