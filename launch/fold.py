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

import warnings

from absl import flags
import numpy as np

from launch import entry
from mixture_modules.isometric import folding
from trainers import exporting
from trainers.data import image_task
from trainers.runs import origins
from trainers.runs import saved_models

FLAGS = flags.FlagValues()
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of a run that left a model.', flag_values=FLAGS)
_TASK = flags.DEFINE_string(
    'task', None, 'Tasks of the model to fold, separated by commas. Default: '
    'the only one.', flag_values=FLAGS)
_WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', saved_models.WEIGHTS, 'Averaged weights or the last '
    'ones.', flag_values=FLAGS)
_FORMAT = flags.DEFINE_enum(
    'format', 'keras', list(exporting.FORMATS), 'Format of the output.',
    flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string(
    'output', None, 'New file to write; for savedmodel, a new directory.',
    flag_values=FLAGS)
_RESCALE = flags.DEFINE_bool(
    'rescale', False, 'Take images as they are stored, uint8 from 0 to 255, '
    'instead of floats from -1 to 1.', flag_values=FLAGS)
_PROBABILITIES = flags.DEFINE_bool(
    'probabilities', False, 'Give probabilities instead of logits.',
    flag_values=FLAGS)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.', flag_values=FLAGS)
_IMAGES = 32  # to compare on


def main():
  """Loads, folds, exports, compares, and says what came out."""
  for flag, what in ((_WORKDIR, 'the directory of a run'),
                     (_OUTPUT, 'the name of a new file')):
    if not flag.value:
      raise ValueError(f'Expected --{flag.name}, {what}; received none.')
  exporting.check(_OUTPUT.value, _FORMAT.value)
  saved = origins.load(_WORKDIR.value, _WEIGHTS.value)
  tasks = _tasks(saved.model)
  plain = folding.fold(
      saved.model, tasks if len(tasks) > 1 else tasks[0], _RESCALE.value,
      _PROBABILITIES.value)
  images, origin = _images(saved, tasks[0])
  folded = exporting.compare_folded(saved.model, plain, tasks, images)
  exported = exporting.export(plain, _OUTPUT.value, _FORMAT.value, images)
  print(f'{_OUTPUT.value}: {_FORMAT.value}, {exported.num_bytes:,} bytes, '
        f'{plain.count_params():,} parameters')
  print(f'Takes images {_shape(images)} {_range(images)}.')
  for view in dict.fromkeys(map(saved.view, tasks)):
    print(f'Of an image it is to see {image_task.VIEWS[view]}.')
  for name in tasks:
    print(f'Gives {_kind()} of {name}: {_classes(saved, name)}.')
  print(f'Largest difference on {len(images)} {origin}: {folded:.2g} between '
        'model and folded network, '
        f'{exported.difference:.2g} between that and what was read back.')


def _tasks(model):
  """Names of the tasks to fold."""
  names = ([_TASK.value] if _TASK.value in model.tasks  # it may hold a comma
           else (_TASK.value or '').split(','))
  return [model.task(name or None).task_name for name in names]


def _images(saved, task):
  """(images as the folded network takes them, where they are from)."""
  side = saved.model.config.image_size
  rng = np.random.default_rng(0)
  images, origin = rng.integers(0, 256, (_IMAGES, side, side, 3)), 'made-up'
  if not saved.is_smoke:
    try:
      data, = saved.load_data(
          _DATA_DIR.value, [task], labelled=False).values()
      batches = data.eval_batches('validation', _IMAGES, labelled=False)
      images, origin = next(iter(batches)).numpy(), f'{task} validation'
      images = np.round((images + 1) * 127.5)
    except (ValueError, OSError) as error:
      warnings.warn(f'{error} So made-up images are compared.', stacklevel=2)
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
  entry.run(main, FLAGS)
