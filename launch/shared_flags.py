"""Flags that several commands have."""

from absl import flags

WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Directory of the run, or of the runs of a table. Default '
    'of train, transfer and adapt: a new one under runs/; of reproduce: '
    'runs/tableN, of Tables 3, 4, 11 and 12 runs/adaptation. Others have none: '
    'tasks makes the directory, evaluate, fold and report read it.')
DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'TFDS data directory. Default: TFDS\'s own, or '
    '$TFDS_DATA_DIR.')
SMOKE = flags.DEFINE_bool(
    'smoke', False, 'Three steps on made-up images, to see that a command '
    'works; needs no data, and its numbers mean nothing.')
FROM = flags.DEFINE_string(
    'from', None, 'Work directory of the trained model to begin with; it is '
    'only read. Of reproduce: BANK=DIR,..., of several banks; a DIR alone is '
    'of the table\'s main bank.')
TASK = flags.DEFINE_string(
    'task', None, 'Of transfer, the new task\'s data set, as of --tasks; of '
    'reproduce, one or several such, parted by commas; of tasks --import, the '
    'data set of a file that names none; of fold, tasks of the model.')
TARGET = flags.DEFINE_string(
    'target', None, 'Name of the target\'s data set, new to the model; of '
    'adapt also images:PATH, a folder of images without labels; of reproduce '
    'one or several names, parted by commas.')
NAME = flags.DEFINE_string(
    'name', None, 'What a task is to be called in the model. Default: as its '
    'data set.')
WEIGHTS = flags.DEFINE_enum(
    'weights', 'ema', ['ema', 'raw'], 'Averaged weights or the last ones.')
INIT = flags.DEFINE_string(
    'init', None, 'First signature of the new task: copy:TASK; best, that of '
    'the task that scores best on the new data (default); random; uniform. '
    'Of transfer also: accuracy, the mean weighted by scores; learned, the '
    'mean with learnt weights; diagonal; none, as the model\'s own tasks '
    'began. Of adapt also: oracle, the best by the target\'s labels.')
TUNE = flags.DEFINE_list(
    'tune', None, 'What is trained of the new task: mixture, norm, '
    'input_adapter, output_adapter; of transfer also head, templates, all, '
    'none. Default of transfer: head,norm,mixture, without a head that is '
    'shared; of adapt: mixture, or, if signatures are fixed, input_adapter.')
SOURCES = flags.DEFINE_list(
    'sources', None, 'Older tasks that are scored, mixed or adapted from. '
    'Default: all of the model; of a model that was adapted, its sources.')
OUTPUT = flags.DEFINE_string(
    'output', None, 'New file to write; of fold --format=savedmodel, a '
    'directory; of benchmark, JSON.')
