"""Adapts a trained model to a new domain without its labels (4.4, D).

    python -m launch.adapt --from=runs/digits --target=usps --method=adda
    python -m launch.adapt --from=runs/digits --target=usps --method=m3sda \\
        --init=copy:mnist_corrupted/shear --workdir=runs/usps
    python -m launch.adapt --from=runs/baseline --target=usps --method=adda \\
        --tune=input_adapter
    python -m launch.adapt --from=runs/office --target=images:photos --method=im
    python -m launch.adapt --workdir=runs/usps --resume

The target becomes a task of the model, with the head of the sources. Only
what is the target's own is trained. --workdir gets the whole model, with the
target. Labels of the target are read for the records, for --init=oracle and for
--method=supervised; nothing else can see them. A target without labels gets
label-free scores, and predictions.csv.
"""

import dataclasses

from absl import flags

from launch import dataclass_flags
from launch import entry
from launch.reports import adaptation_report
from launch.reports import feature_plots
from launch.reports import signature_plots
from trainers.adaptation import adaptation_config
from trainers.adaptation import adapting
from trainers.adaptation import methods
from trainers.adaptation import predictions
from trainers.runs import records
from trainers.runs import run_config
from trainers.runs import run_options
from trainers.runs import run_reader

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run. Default: a new one, runs/TIME.',
    flag_values=FLAGS)
_ADAPTATION = dataclass_flags.DataclassFlags(
    adaptation_config.AdaptationConfig, FLAGS, without=('options',),
    names={'source': 'from', 'score': 'label_free_score'},
    values={'method': list(methods.METHODS)},
    notes={'method': '; '.join(f'{method.name} {method.help}' for method
                               in methods.METHODS.values()) + '.'})
_METHOD_OPTIONS = dataclass_flags.DataclassFlags(dataclass_flags.merge({
    method.name: method.Options for method in methods.METHODS.values()}), FLAGS)
_TRAINING = dataclass_flags.DataclassFlags(
    run_config.RunConfig, FLAGS,
    without=(*run_config.DECIDED_BY_MODEL, *adaptation_config.UNUSED),
    default_texts={
        'batch_size': f'{adapting.BATCH_SIZE}', 'seed': '0',
        'epochs': '10, or what the paper has for the domains',
        'steps': 'none, but epochs', 'eval_batch_size': 'as for the model',
        'augmentation': 'as for the model', 'deterministic': 'as for the model',
        'view': "as for the model, else that of the sources' images",
        '': "the method's"})
_OPTIONS = dataclass_flags.DataclassFlags(run_options.RunOptions, FLAGS)


def main():
  """Reads flags, adapts, shows what it found."""
  options = _OPTIONS.make()
  workdir = records.choose_workdir(_WORKDIR.value, options.resume)
  config = _ADAPTATION.make(
      adapting.read_config(workdir) if options.resume else None)
  config = dataclasses.replace(
      config, options={**vars(config.options), **_METHOD_OPTIONS.given()})
  found = adapting.adapt(config, workdir, options, **_TRAINING.given())
  print(adaptation_report.format_start(found.adaptation.start))
  print(adaptation_report.format_results(found))
  run = run_reader.Run(workdir)
  signature_plots.save_signatures(run.mixtures, workdir / 'signatures.png')
  print(f'Picture of the signatures: {workdir / "signatures.png"}')
  feature_plots.save_features(run.features(), f'{workdir}/features.png')
  print(f'Picture of the features: {workdir / "features.png"}')
  if (workdir / predictions.FILE).exists():
    print(f'Classes that are predicted: {workdir / predictions.FILE}')


if __name__ == '__main__':
  entry.run(main, FLAGS)
