"""Flags that several commands have."""

from absl import flags

WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run, or of the runs of a table. '
    'Default of train: a new one under runs/; of reproduce: runs/tableN.')
DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.')
SMOKE = flags.DEFINE_bool(
    'smoke', False, 'Three steps on made-up images, to see that a command '
    'works; needs no data, and its numbers mean nothing.')
