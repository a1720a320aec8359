"""Trains one or more tasks on a shared template bank (sections 4.2, 4.3).

    python -m launch.train
    python -m launch.train --preset=digits --workdir=runs/digits
    python -m launch.train --workdir=runs/digits --resume

Without flags it trains optdigits, plain, blurred and as boundaries, together.
The work directory gets run.json, metrics.jsonl, signatures.jsonl,
TensorBoard's files, checkpoints, results.json and signatures.png.
"""

from absl import flags

from launch import dataclass_flags
from launch import entry
from launch import run_flags
from launch.reports import results_text
from launch.reports import signature_plots
from trainers import strategies
from trainers import training
from trainers.runs import records
from trainers.runs import run_options

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run. Default: a new one, runs/TIME.',
    flag_values=FLAGS)
_STRATEGY = flags.DEFINE_enum(
    'strategy', 'default', strategies.NAMES, 'One device, all devices of this '
    'machine, or the workers that $TF_CONFIG lists, which share --workdir.',
    flag_values=FLAGS)
_OPTIONS = dataclass_flags.DataclassFlags(run_options.RunOptions, FLAGS)
_CONFIG = run_flags.RunFlags(FLAGS)


def main():
  """Reads flags, trains, shows the results."""
  options = _OPTIONS.make()
  workdir = records.choose_workdir(
      _WORKDIR.value, options.resume or _STRATEGY.value == 'multi_worker')
  strategy = strategies.make_strategy(_STRATEGY.value)
  config = _CONFIG.config(
      training.read_config(workdir) if options.resume else None)
  found = training.train(config, workdir, options, strategy)
  if not strategies.is_chief(strategy):
    return
  picture = workdir / 'signatures.png'
  signature_plots.save_signatures(
      {name: result.mixtures for name, result in found.tasks.items()}, picture)
  print(results_text.format_table(found))
  print(f'Picture of the signatures: {picture}')


if __name__ == '__main__':
  entry.run(main, FLAGS)
