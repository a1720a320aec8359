"""Plain networks as files of other runtimes, read back and compared (ours)."""

import dataclasses
import importlib.util
import os
import pathlib
import re
import warnings

import keras
import numpy as np
import tensorflow as tf

from mixture_modules import files
from mixture_modules.isometric import folding
from trainers.runs import records

_TOLERANCE = 1e-4  # of the largest output; runtimes sum in other orders


@dataclasses.dataclass(frozen=True)
class Exported:
  """What was written.

  Args:
    num_bytes: Size of the file, or of all files of a directory.
    difference: Largest difference between outputs of the model and of what
      was read back.
  """

  num_bytes: int
  difference: float


def check(path, form):
  """Checks that a format can be written and read here, before any work.

  Args:
    path: New file or, of 'savedmodel', directory.
    form: One of `FORMATS`.

  Raises:
    ValueError: If the format is unknown, packages that it needs are not
      installed, the path is not as its runtime wants it, is taken, or cannot
      be written.
  """
  if form not in FORMATS:
    raise ValueError(
        f'Expected a format of {sorted(FORMATS)}, received {form!r}.')
  packages = FORMATS[form].packages
  missing = [name for name in packages
             if importlib.util.find_spec(name.replace('-', '_')) is None]
  if missing:
    raise ValueError(
        f'Expected the packages {", ".join(packages)}, which write or read the '
        f'format {form!r}, received an installation without '
        f'{", ".join(missing)}: install the extra `export`, with '
        "`pip install -e '.[export]'`.")
  path, suffix = pathlib.Path(path), FORMATS[form].suffix
  if path.suffix != suffix and suffix:
    raise ValueError(f'Expected the name of a new file that ends in {suffix}, '
                     f'received {path}.')
  if os.path.lexists(path):
    raise ValueError(f'Expected the name of a new file, received {path}, '
                     'which exists and is not overwritten: choose another.')
  if not path.parent.is_dir():
    raise ValueError(f'Expected a new file in a directory, received {path}: '
                     f'make {path.parent} first.')
  files.check_writable(path.parent)
  if form == 'savedmodel' and re.search(r'\[.*\]|\\', os.fspath(path)):
    raise ValueError(
        'Expected the path of a SavedModel without brackets [ ] and '
        f'backslashes, received {path}: TensorFlow takes them for a pattern '
        'and would not find the weights. Choose another path.')


def export(model, path, form, images):
  """Writes a model; it has its name only once it is read back and agrees.

  Args:
    model: Keras model of Keras' own layers, as from `mixture_modules.fold`.
    path: New file or, of 'savedmodel', directory.
    form: One of `FORMATS`: 'keras', 'savedmodel', 'litert' or 'onnx'.
    images: Array of images as the model takes them, to compare on; the whole
      batch and the first alone.

  Returns:
    `Exported`.

  Raises:
    ValueError: As for `check`; or if what is read back gives other outputs.
  """
  check(path, form)
  path = pathlib.Path(path)
  batches = (images, images[:1])
  expected = [model(batch) for batch in batches]  # ONNX wants a called model
  with files.scratch(path, is_directory=True) as directory:
    temporary = directory / f'model{FORMATS[form].suffix}'
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # converters warn of their own code
      with records.naming(path):
        FORMATS[form].write(model, temporary)
      read = FORMATS[form].read(temporary)
    difference = max(
        compare(outputs, read(batch), f'{form} file read back')
        for outputs, batch in zip(expected, batches))
    num_bytes = sum(file.stat().st_size for file in (
        temporary, *temporary.rglob('*')) if file.is_file())
    if temporary.is_dir():
      os.rename(temporary, path)
    else:
      files.write(path, temporary.read_bytes(), overwrite=False)
  return Exported(num_bytes, difference)


def compare_folded(model, plain, tasks, images):
  """The largest difference between a model and what `fold` made of it.

  Args:
    model: `IsometricModel`.
    plain: Its folded network, of any arguments of `fold`.
    tasks: Names of the tasks that were folded.
    images: Array of images as `plain` takes them.

  Raises:
    ValueError: If outputs differ by more than rounding.
  """
  received = plain(images)
  if images.dtype == 'uint8':
    images = images.astype('float32') / 127.5 - 1
  expected = {name: model(images, task=name) for name in tasks}
  if folding.gives_probabilities(plain):
    expected = {name: keras.ops.softmax(logits)
                for name, logits in expected.items()}
  if not isinstance(received, dict):
    received = {tasks[0]: received}
  # Activations of 16 bits round by a hundredth, and more in many layers.
  exact = model.compute_dtype in ('float32', 'float64')
  return compare(expected, received, 'folded network',
                 _TOLERANCE if exact else 1e3 * _TOLERANCE)


def compare(expected, received, name, tolerance=_TOLERANCE):
  """The largest difference between outputs; an error if any do not agree.

  Args:
    expected: Array, or {output: array}.
    received: The same; one of a single output may name it.
    name: What gave them, for the message.
    tolerance: Largest difference allowed, as a share of the largest number of
      the same output, or of 1 where that is smaller.

  Raises:
    ValueError: If outputs differ in names or shapes, or by more.
  """
  if not isinstance(expected, dict):
    expected = {'outputs': expected}
    if not isinstance(received, dict):
      received = [received]
    else:
      received = list(received.values())
    received = dict(zip(expected, received))
  shapes = [{key: tuple(value.shape) for key, value in outputs.items()}
            for outputs in (expected, received)]
  if shapes[0] != shapes[1]:
    raise ValueError(f'Expected outputs {shapes[0]} of the {name}, received '
                     f'{shapes[1]}.')
  differences = []
  for key, value in expected.items():
    array, other = np.asarray(value), np.asarray(received[key])
    differences.append(float(np.max(np.abs(array - other))))
    largest = float(np.max(np.abs(array)))
    if not differences[-1] <= tolerance * max(1, largest):
      raise ValueError(
          f'Expected {key} of the {name} to differ by at most {tolerance:g} of '
          f'the largest, {largest:.3g}, received a difference of '
          f'{differences[-1]:.3g}: nothing was written.')
  return max(differences)


def _write_keras(model, path):
  model.save(path)


def _read_keras(path):
  model = keras.saving.load_model(path, compile=False)
  foreign = sorted({type(layer).__module__ for layer in model.layers
                    if not type(layer).__module__.startswith('keras.')})
  if foreign:
    raise ValueError('Expected a model of Keras\' own layers, received layers '
                     f'of {foreign}: fold it first.')
  return model


def _write_saved_model(model, path):
  model.export(path, format='tf_saved_model', verbose=False)


def _read_saved_model(path):
  loaded = tf.saved_model.load(str(path))
  return lambda images: loaded.serve(tf.constant(images))


def _write_litert(model, path):
  model.export(path, format='litert', verbose=False)


def _read_litert(path):
  from ai_edge_litert import interpreter  # the extra `export`

  run = interpreter.Interpreter(str(path)).get_signature_runner()
  name, = run.get_input_details()
  return lambda images: run(**{name: images})


def _write_onnx(model, path):
  model.export(path, format='onnx', verbose=False)


def _read_onnx(path):
  import onnxruntime  # the extra `export`

  session = onnxruntime.InferenceSession(
      str(path), providers=['CPUExecutionProvider'])
  name = session.get_inputs()[0].name
  outputs = [output.name for output in session.get_outputs()]
  return lambda images: dict(zip(outputs, session.run(None, {name: images})))


@dataclasses.dataclass(frozen=True)
class _Format:
  """How a format is written, and read by its own runtime."""

  suffix: str
  packages: tuple
  write: object
  read: object


FORMATS = {
    'keras': _Format('.keras', (), _write_keras, _read_keras),
    'savedmodel': _Format('', (), _write_saved_model, _read_saved_model),
    'litert': _Format(
        '.tflite', ('ai-edge-litert',), _write_litert, _read_litert),
    'onnx': _Format('.onnx', ('tf2onnx', 'onnx', 'onnxruntime'), _write_onnx,
                    _read_onnx),
}
