"""Folds a task of a saved model into a plain network, and exports it.

    python -m launch.fold --workdir=runs/digits --task=mnist \\
        --output=mnist.keras
    python -m launch.fold --workdir=runs/digits --task=mnist --format=litert \\
        --output=mnist.tflite --rescale --probabilities
    python -m launch.fold --workdir=runs/digits --task=mnist,svhn_cropped \\
        --format=savedmodel --output=both

--workdir is that of any command that leaves a model, and is only read. Several
tasks make one network with several outputs; what is equal in them is there
once. --output has its name only once the file has been read back by its own
runtime, and gives what the model gives: on images of the task's validation
split, or, where its data is not here, on made-up ones. A keras file loads with
Keras alone. litert and onnx need the extra `export`.
"""

import sys

from absl import app
from absl import flags
import numpy as np

from launch import entry
from launch import shared_flags
from mixture_modules.isometric import folding
from trainers import exporting
from trainers.runs import origins

_FORMAT = flags.DEFINE_enum(
    'format', 'keras', list(exporting.FORMATS), 'Format of the output.')
_RESCALE = flags.DEFINE_bool(
    'rescale', False, 'Take images as they are stored, uint8 from 0 to 255, '
    'instead of floats from -1 to 1.')
_PROBABILITIES = flags.DEFINE_bool(
    'probabilities', False, 'Give probabilities instead of logits.')
for _name in ('workdir', 'task', 'weights', 'data_dir', 'output'):
  flags.declare_key_flag(_name)
_IMAGES = 32  # to compare on


def main(argv):
  """Loads, folds, exports, compares, and says what came out."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  for name, what in (('workdir', 'the directory of a run'),
                     ('output', 'the name of a new file')):
    if not flags.FLAGS[name].value:
      raise ValueError(f'Expected --{name}, {what}; received none.')
  output = shared_flags.OUTPUT.value
  exporting.check(output, _FORMAT.value)
  saved = origins.load(
      shared_flags.WORKDIR.value, shared_flags.WEIGHTS.value)
  tasks = _tasks(saved.model)
  plain = folding.fold(
      saved.model, tasks if len(tasks) > 1 else tasks[0], _RESCALE.value,
      _PROBABILITIES.value)
  images, origin = _images(saved, tasks[0])
  folded = exporting.compare_folded(saved.model, plain, tasks, images)
  exported = exporting.export(plain, output, _FORMAT.value, images)
  print(f'{output}: {_FORMAT.value}, {exported.num_bytes:,} bytes, '
        f'{plain.count_params():,} parameters')
  print(f'Takes images {_shape(images)} {_range(images)}.')
  for name in tasks:
    print(f'Gives {_kind()} of {name}: {_classes(saved, name)}.')
  print(f'Largest difference on {len(images)} {origin}: {folded:.2g} between '
        'model and folded network, '
        f'{exported.difference:.2g} between that and what was read back.')


def _tasks(model):
  """Names of the tasks to fold."""
  value = shared_flags.TASK.value
  names = [value] if value in model.tasks else (value or '').split(',')
  return [model.task(name or None).task_name for name in names]


def _images(saved, task):
  """(images as the folded network takes them, where they are from)."""
  side = saved.model.config.image_size
  rng = np.random.default_rng(0)
  images, origin = rng.integers(0, 256, (_IMAGES, side, side, 3)), 'made-up'
  if not saved.is_smoke:
    try:
      data, = saved.load_data(
          shared_flags.DATA_DIR.value, [task], labelled=False).values()
      batches = data.eval_batches('validation', _IMAGES, labelled=False)
      images, origin = next(iter(batches)).numpy(), f'{task} validation'
      images = np.round((images + 1) * 127.5)
    except (ValueError, OSError) as error:
      print(f'{error} So made-up images are compared.', file=sys.stderr)
  images = images.astype('uint8')
  if not _RESCALE.value:
    images = images.astype('float32') / 127.5 - 1
  return images, f'{origin} images'


def _shape(images):
  return str(['batch', *images.shape[1:]]).replace("'", '')


def _range(images):
  kind = images.dtype.name
  return f'{kind} from {"0 to 255" if kind == "uint8" else "-1 to 1"}'


def _kind():
  return 'probabilities' if _PROBABILITIES.value else 'logits'


def _classes(saved, name):
  """The classes of a task, by name where names are known."""
  names = saved.tasks[name].get('class_names')
  count = f'{saved.model.task(name).num_classes} classes'
  return f'{count}: {", ".join(names)}' if names else count


if __name__ == '__main__':
  entry.run(main)
