"""Adds a task to a trained model, and tunes what is its own (sections 4.3, C).

    python -m launch.transfer --from=runs/digits --task=usps --init=learned
    python -m launch.transfer --from=runs/digits --task=kmnist \\
        --init=copy:mnist --tune=head,norm --workdir=runs/kmnist
    python -m launch.transfer --from=runs/digits --task=usps --tune=none
    python -m launch.transfer --workdir=runs/kmnist --resume

--workdir gets the whole model, with the new task, and may be --from again.
Older tasks' outputs stay as they are, bit for bit, unless templates are tuned.
Every first signature, with and without tuning of the mixture:
`launch.reproduce --table=2 --from=DIR`.
"""

from absl import flags

from launch import dataclass_flags
from launch import entry
from launch.reports import signature_plots
from launch.reports import transfer_report
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import run_options
from trainers.runs import run_reader
from trainers.transfer import transfer_config
from trainers.transfer import transferring

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run. Default: a new one, runs/TIME.',
    flag_values=FLAGS)
_TRANSFER = dataclass_flags.DataclassFlags(
    transfer_config.TransferConfig, FLAGS, names={
        'source': 'from', 'dataset': 'task', 'statistics': 'init_statistics'},
    notes={'dataset': 'launch.data lists them.'})
_TRAINING = dataclass_flags.DataclassFlags(
    run_config.RunConfig, FLAGS, without=run_config.DECIDED_BY_MODEL,
    default_texts={
        'steps': f'{transferring.STEPS}', 'warmup_steps': '0',
        'epochs': 'none, but steps', '': 'as the model was trained',
        'batch_size': "the largest of the model's tasks",
        'view': 'as for the model, else as the data set declares'})
_OPTIONS = dataclass_flags.DataclassFlags(run_options.RunOptions, FLAGS)


def main():
  """Reads flags, makes the transfer, shows what it found."""
  options = _OPTIONS.make()
  workdir = records.choose_workdir(_WORKDIR.value, options.resume)
  config = _TRANSFER.make(
      transferring.read_config(workdir) if options.resume else None)
  found = transferring.transfer(
      config, workdir, options, **_TRAINING.given())
  print(transfer_report.format_start(found.transfer.start))
  print(transfer_report.format_results(found))
  picture = workdir / 'signatures.png'
  signature_plots.save_signatures(run_reader.Run(workdir).mixtures, picture)
  print(f'Picture of the signatures: {picture}')


if __name__ == '__main__':
  entry.run(main, FLAGS)
