"""The parts of the benchmark that time one configuration, in turns.

Figures of section 4.1's promise; how they are taken is our choice. Each part
takes a `RunConfig` of one task and `Turns`, and gives a `Part`.
"""

import pathlib
import tempfile

from launch.benchmarks import contenders
from launch.benchmarks import cost_lines
from launch.benchmarks import timing
from mixture_modules.isometric import task_files
from trainers.data import catalog
from trainers.data import made_up
from trainers.data import pipeline as data_pipeline
from trainers.runs import checkpoints

_DATA = 'cifar100'
_PIPELINE = 'input pipeline'
_PIPELINE_IMAGES = 50_000  # in memory
_DRAWN_BATCHES = 300  # in a call
_EVALUATED_IMAGES = 1_000  # the validation split


def training(config, turns):
  """Steps of ours and of others."""
  calls = {name: make() for name, make in contenders.training(config).items()}
  for call in calls.values():
    call()  # traces it
  seconds = turns.take(calls)
  rows = [('training', 'ms a step', 'images/s')]
  rows += [(name, *timing.speed(each, config.batch_size))
           for name, each in seconds.items()]
  ratios = timing.ratios_of('training', seconds, {contenders.OURS: (
      contenders.STOCK, contenders.TORCH, contenders.TORCH_LAST,
      contenders.CLUSTERING)})
  if contenders.PLAIN in seconds:
    ratios['training, time of ours to that of plain signature'] = (
        timing.ratios(seconds, contenders.PLAIN, contenders.OURS))
  return timing.Part(
      rows, timing.ratio_lines(ratios),
      {'seconds': seconds, 'ratios': ratios})


def inference(config, turns):
  """Inference of a batch, and of single images."""
  images, _ = contenders.make_batch(config)
  networks = contenders.Inference(config)
  rows, ratios, numbers = [('inference', 'ms a call', 'images/s')], {}, {}
  for size in dict.fromkeys((config.batch_size, 1)):
    seconds = turns.take(networks.contenders(images[:size]))
    rows += [(f'{name}: {size}', *timing.speed(each, size))
             for name, each in seconds.items()]
    ratios |= timing.ratios_of(f'inference of {size}', seconds, {
        contenders.FOLDED: (
            contenders.OURS, contenders.STOCK_PREDICT,
            contenders.STOCK_FUNCTION, contenders.BY_HAND,
            *contenders.TORCHES),
        contenders.OURS: (contenders.PLAIN, contenders.STOCK_FUNCTION)})
    numbers[size] = seconds
  lines = timing.ratio_lines(ratios)
  if config.precision != 'float32':
    lines.append(f'Folded networks compute in float32, ours in '
                 f'{config.precision}.')
  return timing.Part(rows, lines, {'seconds': numbers, 'ratios': ratios})


def pipeline(config, turns):
  """The input pipeline alone, beside the step that it feeds.

  50,000 made-up images in memory are shuffled and augmented as CIFAR's are.
  """
  batches = iter(_made_up_data(config, _PIPELINE_IMAGES).train_batches(
      config.batch_size, config.seed))

  def draw():  # so many that those which lie ready do not count
    for _ in range(_DRAWN_BATCHES):
      next(batches)

  seconds = turns.take({_PIPELINE: draw, **_ours(config)})
  seconds[_PIPELINE] = [each / _DRAWN_BATCHES for each in seconds[_PIPELINE]]
  rows = [('pipeline', 'ms a batch', 'images/s')]
  rows += [(name, *timing.speed(each, config.batch_size))
           for name, each in seconds.items()]
  ratios = timing.ratios_of(
      'training', seconds, {_PIPELINE: (contenders.OURS,)})
  return timing.Part(rows, timing.ratio_lines(ratios),
                     {'seconds': seconds, 'ratios': ratios})


def evaluation(config, turns):
  """A split evaluated with the weights' averages and with the last ones."""
  # A tenth of train is validation.
  data = _made_up_data(config, 10 * _EVALUATED_IMAGES)
  trainer = contenders.make_trainer(config, dict.fromkeys(config.tasks, data))

  def swap():
    with trainer.ema.applied():
      pass

  raw, averaged = 'raw weights', 'averaged weights'
  seconds = turns.take({
      raw: lambda: trainer.evaluate('validation', weights='raw'),
      averaged: lambda: trainer.evaluate('validation', weights='ema'),
      'swapping them alone': swap})
  rows = [(f'evaluation of {data.num_examples("validation")} images', 'ms')]
  rows += [(name, timing.milliseconds(each)) for name, each in seconds.items()]
  ratios = timing.ratios_of('evaluation', seconds, {averaged: (raw,)})
  return timing.Part(rows, timing.ratio_lines(ratios),
                     {'seconds': seconds, 'ratios': ratios})


def sizes(config, turns):
  """Files of a run of one task."""
  del turns  # nothing is timed
  trainer = contenders.make_trainer(config)
  with tempfile.TemporaryDirectory() as directory:
    checkpoint = checkpoints.Checkpoints(directory).save(
        0, checkpoints.snapshot(trainer.state()),
        {'config': config.to_json(), **trainer.metadata()})
    found = {'checkpoint': checkpoint.stat().st_size,
             'task file': task_files.save_task(
                 trainer.model, None, pathlib.Path(directory) / 'x.task')}
  parameters = trainer.model.parameter_report()
  rows = [('size', 'bytes')]
  rows += [(name, f'{size:,}') for name, size in found.items()]
  line = (f'{parameters["total"]:,} trained parameters, '
          f'{parameters["statistics"]:,} moving statistics')
  return timing.Part(rows, [line], {'bytes': found, 'parameters': parameters})


def limit(config, turns):
  """A step against what the machine multiplies and moves.

  The least time of a step is its work by the machine's rate, turn by turn.
  """
  costs = cost_lines.count(config, contenders.NUM_CLASSES)
  work = {'arithmetic': costs.flops, 'traffic': costs.num_bytes}
  machine = cost_lines.machine_calls(config.precision)
  seconds = turns.take({
      **_ours(config), **{name: call for name, (call, _) in machine.items()}})
  rows = [('limit', 'of a step', 'machine, a second', 'least ms a step',
           '% of a step')]
  numbers = {}
  for name, unit in (('arithmetic', 'GFLOP'), ('traffic', 'GB')):
    rates = [machine[name][1] / each for each in seconds[name]]
    least = [work[name] / rate for rate in rates]
    percent = [100 * a / b for a, b in zip(least, seconds[contenders.OURS])]
    rows.append((
        name, f'{work[name] / 1e9:.3g} {unit}',
        timing.spread([rate / 1e9 for rate in rates], '.0f') + f' {unit}',
        timing.milliseconds(least), timing.spread(percent, '.0f')))
    numbers[name] = {'work': work[name], 'rates': rates, 'percent': percent}
  step = timing.milliseconds(seconds[contenders.OURS])
  return timing.Part(rows, [f'A step takes {step} ms.'],
                     {'seconds': seconds, **numbers})


def _ours(config):
  """{name: contender} of our training step."""
  return {contenders.OURS: contenders.training(config)[contenders.OURS]()}


def _made_up_data(config, images):
  """`TaskData` of made-up images in memory."""
  return data_pipeline.load_pool(
      [catalog.get_task(_DATA)], config.model.image_size,
      made_up.MadeUpExamples(images))
