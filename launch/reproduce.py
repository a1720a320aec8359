"""Makes the paper's tables, ours beside the paper's figures.

    python -m launch.reproduce --table=7
    python -m launch.reproduce --table=5 --rows=4/16/mixture --seeds=0,1
    python -m launch.reproduce --table=1 --workdir=runs/table1
    python -m launch.reproduce --table=1 --smoke

Table 7 is counted. The rows of a trained table are runs of `launch.train`,
one for each seed, under --workdir; called again, the command resumes those
that are not finished. It prints a Markdown table and leaves it in
--workdir/table.md.
"""

import pathlib
import shlex
import signal
import statistics
import subprocess
import sys

from absl import app
from absl import flags
import keras

from launch import entry
from launch import paper_tables
from launch import run_flags
from launch import shared_flags
import mixture_modules as mm
from trainers import records
from trainers import run_config

_TABLE = flags.DEFINE_enum(
    'table', None, ['1', '5', '6', '7'], 'Number of the paper\'s table.')
_ROWS = flags.DEFINE_list(
    'rows', None, 'Names of the rows to run. Default: all.')
_SEEDS = flags.DEFINE_list('seeds', ['0'], 'One run of every row for each.')
flags.mark_flag_as_required('table')
flags.adopt_module_key_flags(run_flags)
flags.adopt_module_key_flags(shared_flags)


def main(argv):
  """Makes one table."""
  if len(argv) > 1:
    raise app.UsageError(f'Expected flags only, received {argv[1:]}.')
  number = int(_TABLE.value)
  suffix = '-smoke' if shared_flags.SMOKE.value else ''
  workdir = pathlib.Path(
      shared_flags.WORKDIR.value or f'runs/table{number}{suffix}')
  if number == 7:
    text = table_7()
  else:
    text = trained_table(paper_tables.TRAINED[number], workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  (workdir / 'table.md').write_text(text + '\n')
  print(text)


def trained_table(table, workdir):
  """Runs the rows of a trained table; returns it as Markdown."""
  rows = _chosen(table.rows)
  seeds = [_seed(text) for text in _SEEDS.value]
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds must differ, received {_SEEDS.value}.')
  decided = {'tasks', 'pool', 'seed'}
  decided |= {_flag_name(flag) for row in rows for flag in row.flags}
  for argument in run_flags.given():
    if _flag_name(argument) in decided:
      raise ValueError(f'{argument} cannot be given: rows decide it, or '
                       '--seeds.')
  commands = {(row, seed): _command(row, seed, workdir)
              for row in rows for seed in seeds}
  budget = (f'{len(rows)} rows x {len(seeds)} seeds = {len(commands)} runs, '
            f'{_budget()} each')
  print(f'{budget}, under {workdir}', file=sys.stderr, flush=True)
  for (row, seed), (command, path) in commands.items():
    if not _is_done(command, path):
      _run(f'{row.name}, seed {seed}', command, path)
  lines = [_markdown_row(row, [commands[row, seed] for seed in seeds])
           for row in rows]
  notes = (*table.notes, f'Budget: {budget}; seeds {",".join(_SEEDS.value)}.')
  return _markdown(table.title, [
      'row', 'paper', 'ours, min / median / max', 'seeds', 'steps',
      'parameters', 'commit', 'command'], lines, notes)


def _flag_name(argument):
  """The flag of an argument such as --seed=1, --pool or --nopool."""
  name = argument.strip('-').split('=')[0]
  return name.removeprefix('no') if name not in flags.FLAGS else name


def _is_done(command, path):
  """Whether a run has its results; an error if they are another command's."""
  if not (path / records.RUN).exists():
    return False
  made_by = records.read_run(path)['argv'][1:]
  if made_by != command[3:]:
    raise ValueError(
        f'{path} holds the run of another command, {shlex.join(made_by)}; '
        f'expected {shlex.join(command[3:])}: choose another --workdir.')
  return (path / records.RESULTS).exists()


def _run(name, command, path):
  """Runs or resumes one cell; passes signals on and lets it save."""
  if (path / records.RUN).exists():
    command = [*command, '--resume']
  print(f'{name}: {shlex.join(command[1:])}', file=sys.stderr, flush=True)
  # In a session of its own: a terminal would send Ctrl-C to both.
  with subprocess.Popen(command, start_new_session=True) as process:
    def pass_on(number, frame):
      del frame
      process.send_signal(number)

    previous = {number: signal.signal(number, pass_on)
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
      status = process.wait()
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)
  if status > 128 or status < 0:
    raise ValueError(f'{name} was stopped: call the same command again to go '
                     'on.')
  if status:
    raise ValueError(f'{name} failed, see above. Its directory is {path}.')


def _chosen(rows):
  if _ROWS.value is None:
    return rows
  known = {row.name: row for row in rows}
  unknown = [name for name in _ROWS.value if name not in known]
  if unknown:
    raise ValueError(f'--rows must be of {sorted(known)}, received {unknown}.')
  return [known[name] for name in dict.fromkeys(_ROWS.value)]


def _seed(text):
  if not text.isdecimal():
    raise ValueError(f'--seeds must be whole numbers, received {text!r}.')
  return int(text)


def _budget():
  if shared_flags.SMOKE.value:
    return '3 steps on made-up images'
  return ' '.join(run_flags.given()) or 'as long as the preset says'


def _command(row, seed, workdir):
  """(command of a run, its directory)."""
  path = workdir / row.name.replace('/', '_') / f'seed{seed}'
  own = dict(flag.strip('-').partition('=')[::2] for flag in row.flags)
  useless = run_flags.useless_for(own.get('signature', 'softmax'))
  given = [argument for argument in run_flags.given()
           if _flag_name(argument) not in useless]
  command = [sys.executable, '-m', 'launch.train', *row.flags, *given,
             f'--seed={seed}', f'--workdir={path}']
  if shared_flags.DATA_DIR.value:
    command.append(f'--data_dir={shared_flags.DATA_DIR.value}')
  if shared_flags.SMOKE.value:
    command.append('--smoke')
  return command, path


def _markdown_row(row, runs):
  """The cells of one row, from the records of its runs."""
  found = [records.read_json(path / records.RESULTS) for _, path in runs]
  run = records.read_json(runs[0][1] / records.RUN)
  top1 = sorted(100 * result['tasks'][row.task]['top1'] for result in found)
  ours = ' / '.join(f'{value:.1f}' for value in (
      top1[0], statistics.median(top1), top1[-1]))
  commit = (run['commit'] or 'unknown')[:7] + '+' * bool(run['dirty'])
  return [
      row.name, '-' if row.paper is None else f'{row.paper:.1f}', ours,
      str(len(runs)), f'{found[0]["steps"]:,}',
      f'{found[0]["parameters"]["total"]:,}', commit,
      f'`python -m launch.train {shlex.join(runs[0][0][3:])}`']


def table_7():
  """Parameters of each part, counted from models; as Markdown."""
  small, large = count_parts('small'), count_parts('large')
  lines = [[title, paper_small, f'{small[part]:,}' + _per_class(part),
            paper_large, f'{large[part]:,}' + _per_class(part)]
           for title, part, paper_small, paper_large in paper_tables.PARTS]
  return _markdown(
      'Table 7: parameters of each part', [
          'part', 'paper, rho = 0.6', 'ours', 'paper, rho = 1', 'ours'],
      lines, paper_tables.PARTS_NOTES)


def _per_class(part):
  return ' C + C' if part == 'logits' else ''


def count_parts(preset):
  """{part of Table 7: number of parameters} of a preset, with patch 4."""
  config = run_config.recipe(preset).model.replace(
      patch_size=4, image_size=32)
  reports = {}
  for use_se in (True, False):
    model = mm.IsometricModel(config.replace(use_se=use_se), {'task': 1})
    reports[use_se] = model.parameter_report()
    blocks = reports[use_se]['templates'] // config.num_templates
    reports[use_se]['block'] = blocks
    keras.backend.clear_session()
  return {
      'input_adapter': reports[True]['input_adapter'],
      'block_with_se': reports[True]['block'],
      'block_without_se': reports[False]['block'],
      'output_adapter': reports[True]['output_adapter'],
      'logits': reports[True]['heads'] - 1,  # a head of one class has one bias
  }


def _markdown(title, header, lines, notes):
  table = [header, ['---'] * len(header), *lines]
  body = '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in table)
  footnotes = '\n'.join(f'{i}. {note}' for i, note in enumerate(notes, 1))
  return f'### {title}\n\n{body}\n\n{footnotes}'


if __name__ == '__main__':
  entry.run(main)
