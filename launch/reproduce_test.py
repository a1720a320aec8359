"""Tests of the command that makes the paper's tables."""

import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from launch import adapt
from launch import evaluate
from launch import reproduce
from launch import train
from launch import transfer
from launch.tables import adaptation_rows
from launch.tables import adaptation_tables
from launch.tables import parameter_table
from launch.tables import table_jobs
from launch.tables import table_options
from launch.tables import trained_rows
from launch.tables import trained_tables
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from launch.tables import transfer_tables
from launch.testing import in_process
from trainers import evaluating
from trainers import training
from trainers.adaptation import adapting
from trainers.transfer import transferring

_TINY = trained_rows.Table('A table', (
    trained_rows.Row('tiny/row', 50.0, {
        'tasks': ('optdigits',), 'num_layers': 2, 'num_templates': 2,
        'depth_multiplier': 0.2, 'image_size': 8, 'use_se': False},
                     'optdigits'),
    trained_rows.Row('other', None, {'tasks': ('mnist',)}, 'mnist')),
                            ('A note.',))


class ReproduceTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = self.enterContext(tempfile.TemporaryDirectory())

  def make(self, number, *arguments):
    """What the command prints, and its jobs, none of which is run."""
    with mock.patch.object(table_jobs, 'run_all') as run_all:
      text = in_process.run(
          reproduce, f'--table={number}', f'--workdir={self.workdir}/table',
          *arguments)
    return text, run_all.call_args.args[0]

  def read(self, name):
    return (pathlib.Path(self.workdir) / 'table' / name).read_text()

  def test_table_7(self):
    with mock.patch.object(
        parameter_table, 'markdown', return_value='| Logits | 256 C + C |\n'):
      text = in_process.run(
          reproduce, '--table=7', f'--workdir={self.workdir}/table')
    self.assertIn('| Logits | 256 C + C |\n', text)
    self.assertEqual(self.read('table.md'), text)

  def test_table_8_of_one_s_own_data(self):
    text, jobs = self.make(8, '--rows=simple', '--tasks=mnist,usps')
    self.assertEqual(jobs[0].config['tasks'], ['mnist', 'usps'])
    self.assertIn('| mw/32 | paper | 76.6 | 71.9 | 63.1 (73.5) |', text)
    self.assertEqual(self.read('table.md'), text)

  def test_transfers_are_run_and_shown(self):
    text, jobs = self.make(
        9, '--task=usps,optdigits', '--rows=digits', '--seeds=0,1', '--smoke')
    methods = [method for method in transfer_rows.TABLES[9].methods
               if method.bank == 'digits']
    self.assertLen(jobs, 1 + 2 * len(methods) * 2)
    self.assertIn('| digits | usps | random | - | 93.76 | - | 96.05 |', text)

  def test_adaptations_are_run_and_shown(self):
    text, jobs = self.make(
        3, '--column=digits', '--rows=isometric/im,compositional/im/*',
        '--seeds=0,1', '--smoke', '--target=usps,usps_unpadded')
    self.assertLen(jobs, 2 * (2 + 3 * 2))
    self.assertIn('| digits | usps | isometric/adda | Adversarial (IA) | none '
                  '| - | - | 98.12 | - |', text)
    self.assertEqual(self.read('table3.md'), text)
    text, jobs = self.make(12, '--smoke')
    self.assertLen(jobs, 3 + 1 + 2 * 2)
    self.assertIn('| mnist | 99.14 | - | 99.09 | - | 99.29 | - |', text)
    self.assertEqual(self.read('table12.md'), text)

  @parameterized.named_parameters(
      ('layers', 2, '--num_layers=8', '--num_layers cannot be given'),
      ('norm', 2, '--norm=shared', '--norm cannot be given'),
      ('tasks', 2, '--tasks=kmnist', '--tasks cannot .* data set is --task'),
      ('batch', 2, '--batch_size=x', '--batch_size to be'),
      ('rate', 2, '--learning_rate=-1', 'learning_rate'),
      ('task', 2, '--task=kmnis', 'did you mean kmnist'),
      ('data', 2, '--task=kmnist', 'kmnist: expected the prepared'),
      ('column', 3, '--column=digit', r"received \['digit'\]"),
      ('domains', 3, '--column=domainnet', 'another --column or --target'),
      ('several', 3, '--from=isometric=x', '--from are of one column'),
      ('targets', 3, '--target=usps', '--target and .* of one column'),
      ('target', 12, '--target=usps', 'are of Table 3, not of Table 12'),
      ('other_column', 12, '--column=digits', 'are of Table 3, not of Tab'),
      ('task_of_3', 3, '--task=usps', '--task is not of Table 3'),
      ('from', 5, '--from=x', '--from is not of Table 5'),
      ('task_of_7', 7, '--task=usps', '--task is not of Table 7'),
      ('steps_of_7', 7, '--steps=2', '--steps is not of Table 7'),
      ('row', 5, '--rows=nothing', r"received \['nothing'\]"),
      ('seed', 5, '--seeds=one', '--seeds to be of ints'),
      ('seeds', 5, '--seeds=0,0', 'differ, received'),
      ('of_rows', 5, '--num_layers=9', '--num_layers cannot be given'))
  def test_nothing_is_run_that_would_be_refused(self, number, given, message):
    rows = ['--rows=mw/16'] if number == 2 else []
    with (mock.patch.object(table_jobs.Job, 'run') as run,
          self.assertRaisesRegex(ValueError, message)):
      in_process.run(
          reproduce, f'--table={number}', f'--workdir={self.workdir}/table',
          f'--data_dir={self.workdir}', *rows, given)
    run.assert_not_called()

  @parameterized.parameters((5, '--rows='), (3, '--column='))
  def test_nothing_asked_for_is_an_empty_table(self, number, given):
    with mock.patch.object(table_jobs.Job, 'run') as run:
      text = in_process.run(
          reproduce, f'--table={number}', f'--workdir={self.workdir}/table',
          given)
    self.assertStartsWith(text, f'### Table {number}')
    run.assert_not_called()

  def test_a_table_is_needed(self):
    with self.assertRaisesRegex(ValueError, 'Expected --table'):
      in_process.run(reproduce)

  @parameterized.parameters('--seed=1', '--preset=small', '--init=best')
  def test_flags_that_no_table_has(self, argument):
    with self.assertRaisesRegex(flags.Error, 'Unknown command line flag'):
      in_process.run(reproduce, '--table=5', argument)

  def test_runs_a_row_once_and_reports_it(self):
    arguments = ('--table=1', f'--workdir={self.workdir}', '--rows=tiny/row',
                 '--seeds=3')
    with mock.patch.dict(trained_rows.TRAINED, {1: _TINY}):
      text = in_process.run(reproduce, *arguments, '--smoke')
      path = pathlib.Path(self.workdir) / 'tiny_row' / 'seed3' / 'results.json'
      written = path.stat().st_mtime_ns
      self.assertEqual(in_process.run(reproduce, *arguments, '--smoke'), text)
      self.assertEqual(path.stat().st_mtime_ns, written)
      with self.assertRaisesRegex(ValueError, r'another run \(.*smoke: True'):
        in_process.run(reproduce, *arguments)
    row = text.splitlines()[4].split(' | ')
    self.assertEqual(row[:2] + row[3:5], ['| tiny/row', '50.0', '3', '3'])
    self.assertIn('--seed=3', row[-1])
    self.assertIn('Smoke runs', text)
    # A row that was not asked for.
    self.assertIn(f'| other | - |{" - |" * 7}', text)
    self.assertIn('1. A note.', text)


class _Called(Exception):
  """What a command calls its library with is known."""


class DeclarationsTest(parameterized.TestCase):
  """Each row's command makes the configuration that its job has, and no other.
  """

  def setUp(self):
    super().setUp()
    self.options = table_options.TableOptions(
        pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())))

  def call(self, job):
    """What a job's command calls its library with: (arguments, changes)."""
    command, (library, function) = {
        'launch.train': (train, (training, 'train')),
        'launch.evaluate': (evaluate, (evaluating, 'evaluate')),
        'launch.transfer': (transfer, (transferring, 'transfer')),
        'launch.adapt': (adapt, (adapting, 'adapt'))}[job.command]
    with (mock.patch.object(library, function, side_effect=_Called) as call,
          self.assertRaises(_Called)):
      in_process.run(command, *job.arguments)
    return call.call_args

  def check(self, jobs):
    for job in jobs:
      with self.subTest(job.name):
        arguments, changes = self.call(job)
        if job.command == 'launch.train':
          trained = arguments[0]  # what the others start from
          self.assertEqual(trained.to_json(), job.config)
        elif job.command == 'launch.evaluate':
          self.assertEqual(arguments[1].split, 'train')
        else:
          describe = (transferring.describe if job.command == 'launch.transfer'
                      else adapting.describe)
          self.assertEqual(
              describe(trained, arguments[0], **changes), job.config)

  @parameterized.parameters(*trained_rows.TRAINED)
  def test_trained(self, number):
    self.check(trained_tables.make_jobs(
        trained_rows.TRAINED[number], self.options))

  @parameterized.parameters(*transfer_rows.TABLES)
  def test_transferred(self, number):
    table = transfer_rows.TABLES[number]
    for bank in transfer_banks.find_banks(table, self.options):
      self.check(transfer_tables.make_jobs(table, bank, self.options))

  @parameterized.parameters(*adaptation_rows.COLUMNS)
  def test_adapted(self, column):
    self.check(adaptation_tables.make_jobs(
        adaptation_rows.ROWS, column, {}, self.options))


if __name__ == '__main__':
  absltest.main()
