"""Embeddings before and after an adaptation (sections 4.4, D).

What a picture of them needs, and no more: some images of the target and as
many of each source, with the classes that are predicted. Labels are not read.
"""

import dataclasses

import numpy as np

from mixture_modules import files
from mixture_modules import tensor_files

FILE = 'features.safetensors'
_FORMAT = 'mixture-modules features 1'
_SPLIT = 'test'
_MOST = 250  # images of each data set
_ARRAYS = ('classes', 'embeddings')


@dataclasses.dataclass(frozen=True)
class Features:
  """Of each domain (predicted classes `[n]`, embeddings `[n, c2]`).

  Args:
    target: Name of the target.
    split: Split that the images are of.
    class_names: Names of the classes.
    sources: {data set: the arrays}; nothing of a source changes. Empty where
      no image of a source may be read.
    before: The arrays of the target as it begins.
    after: Those of the same images at the end. None: nothing was trained, or
      that is to come.
  """

  target: str
  split: str
  class_names: tuple
  sources: dict
  before: tuple
  after: tuple | None = None


def write_start(workdir, evaluation, config, class_names):
  """Writes how the target begins, and its sources.

  Args:
    workdir: Directory of the run.
    evaluation: `TargetEvaluation`.
    config: `AdaptationConfig`.
    class_names: Names of the classes, or None: their numbers.
  """
  sources = {}
  for name in () if config.source_free else config.sources:
    sources.update(evaluation.features(name, _SPLIT, _MOST))
  if not class_names:
    heads = evaluation.model.task(config.target).head
    class_names = map(str, range(heads.units))
  write(workdir, Features(
      config.target, _SPLIT, tuple(class_names), sources,
      _of_target(evaluation, config)))


def write_end(workdir, evaluation, config):
  """Adds how the target ends; nothing, where its beginning is unknown.

  Args:
    workdir: Directory of the run.
    evaluation: `TargetEvaluation`.
    config: `AdaptationConfig`.

  Returns:
    `Features`, or None where there is no such file.
  """
  features = read(workdir)
  if features and config.method_class.trains:
    features = dataclasses.replace(
        features, after=_of_target(evaluation, config))
    write(workdir, features)
  return features


def _of_target(evaluation, config):
  parts = evaluation.features(config.target, _SPLIT, _MOST).values()
  return tuple(np.concatenate(arrays) for arrays in zip(*parts))


def write(workdir, features):
  """Writes `Features` into the directory of a run, a path."""
  arrays, limit = {}, np.finfo('float16').max
  parts = {'before': features.before, 'after': features.after, **{
      f'source{number}': part
      for number, part in enumerate(features.sources.values())}}
  for name, part in parts.items():
    if part is not None:
      classes, embeddings = part
      arrays[f'{name}/classes'] = np.asarray(classes, 'int32')
      # Half precision is plenty for a picture.
      arrays[f'{name}/embeddings'] = np.clip(
          embeddings, -limit, limit).astype('float16')
  names = {'target': features.target, 'split': features.split,
           'class_names': features.class_names,
           'sources': list(features.sources)}
  files.write(workdir / FILE, tensor_files.encode(arrays, {
      'format': _FORMAT, 'names': tensor_files.format_json(names)}))


def read(workdir):
  """Reads what a run wrote.

  Args:
    workdir: Directory of the run, as a path.

  Returns:
    `Features`, embeddings in float32; None where there is no such file.

  Raises:
    ValueError: If the file is damaged.
  """
  path = workdir / FILE
  if not path.exists():
    return None
  with tensor_files.explain(
      'the features of an adaptation', f'{path}, a damaged file',
      lambda: 'Restore it, or move it away.'):
    arrays, metadata = tensor_files.read(path, _FORMAT)

    def part(name):
      classes, embeddings = (arrays[f'{name}/{kind}'] for kind in _ARRAYS)
      if embeddings.ndim != 2 or classes.shape != embeddings.shape[:1]:
        raise ValueError(f'{name} has shapes that do not fit')
      return classes, embeddings.astype('float32')

    try:
      names = tensor_files.parse_json(metadata['names'])
      return Features(
          names['target'], names['split'], tuple(names['class_names']),
          {name: part(f'source{number}')
           for number, name in enumerate(names['sources'])},
          part('before'), part('after') if 'after/classes' in arrays else None)
    except (KeyError, TypeError) as error:
      raise ValueError(f'it lacks a part ({error!r})') from error
