"""The flags of a `RunConfig`: a preset, tasks, and every field.

What is not given is as the preset has it or, when a run is resumed, as it was.
"""

from absl import flags

from launch import dataclass_flags
from mixture_modules.isometric import isometric_config
from trainers.data import catalog
from trainers.runs import run_config


class RunFlags(dataclass_flags.DataclassFlags):
  """Flags that make a `RunConfig`.

  Args:
    flag_values: `flags.FlagValues` that gets the flags.
    preset: Preset if none is given.
    without: Names of fields that get no flag.
  """

  def __init__(self, flag_values, preset='default', without=()):
    super().__init__(
        run_config.RunConfig, flag_values, without=without,
        values={'preset': sorted(isometric_config.PRESETS)},
        notes={'tasks': 'The name of a group, such as digits, stands for all '
                        'its data sets. launch.data lists them.'},
        defaults=run_config.recipe(preset), source="the preset's",
        default_texts={'preset': preset})
    self._preset = preset
    self._pool = flags.DEFINE_bool(
        'pool', False, 'Make all of --tasks, which must have the same classes, '
        'one task: their images are shuffled together.',
        flag_values=flag_values)

  def config(self, former=None):
    """The `RunConfig` that is asked for.

    Args:
      former: `RunConfig` of a run that is resumed, or None.

    Raises:
      ValueError: If flags contradict each other or a value is out of range.
    """
    changes = self.given()
    if self._pool.value and 'tasks' not in changes and not former:
      raise ValueError('--pool needs --tasks: name the data sets to be pooled.')
    if 'tasks' in changes:
      changes['tasks'] = self._join(changes['tasks'])
    base = former or run_config.recipe(changes.get('preset', self._preset))
    return base.replace(**changes)

  def _join(self, names):
    """Names of tasks, groups expanded, or that of their pool."""
    if not self._pool.value:
      return tuple(catalog.expand_names(names))
    if any('|' in name for name in names):
      raise ValueError("--pool joins names with '|', received one that has it: "
                       f'{",".join(names)}. Rename the folder.')
    return ('pool:' + '|'.join(names),)
