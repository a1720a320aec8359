"""Tests of the banks of tables of transfer, with records in place of runs."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from launch.tables import table_options
from launch.tables import transfer_banks
from launch.tables import transfer_rows
from trainers.data import catalog
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import run_config
from trainers.testing import toy_records

_RECIPE = run_config.recipe('digits')
_DIGITS = _RECIPE.tasks
_PAPER = {'depth_multiplier': _RECIPE.model.depth_multiplier}


class TransferBanksTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))

  def make_bank(self, name, tasks=_DIGITS, size=(16, 4), heads=None, **changes):
    """Records of a bank of tasks of ten classes."""
    path = self.workdir / name
    toy_records.write_run(
        path, dict.fromkeys(tasks, np.zeros(size)), **{**_PAPER, **changes})
    classes = list(catalog.get_task('usps').class_names)
    run = records.read_run(path)
    records.write_json(path / records.RUN, {**run, 'data': {
        task: {'class_names': classes} for task in tasks}})
    if heads:
      checkpoints.Checkpoints(path / records.CHECKPOINTS).save(
          1, {}, {'model': {'tasks': [
              {'name': name, 'head': head} for name, head in heads.items()]}})
    return path

  def find(self, *models, rows=None, number=9):
    return transfer_banks.find_banks(
        transfer_rows.TABLES[number], table_options.TableOptions(
            self.workdir, models=models, rows=rows))

  def test_banks_to_be_trained(self):
    digits, domainnet = self.find()
    self.assertEqual((digits.config, digits.tasks, digits.is_given),
                     (_RECIPE, _DIGITS, False))
    self.assertEqual(domainnet.path, self.workdir / 'domainnet' / 'bank')
    self.assertEqual(self.find(rows=['domainnet']), [domainnet])
    mixture, = self.find(rows=['mw/16'], number=2)
    model = mixture.config.model
    self.assertEqual((model.num_templates, model.num_layers, model.norm,
                      model.signature), (16, 16, 'mixed', 'softmax'))

  def test_a_bank_of_one_s_own(self):
    path = self.make_bank('mine', ['a', 'b'])
    bank, = self.find(str(path))
    self.assertEqual(
        (bank.label, bank.key, bank.path, bank.tasks, bank.is_given),
        ('from_mine', 'digits', path, ('a', 'b'), True))

  def test_the_paper_s_bank(self):
    path = self.make_bank('other')
    for given in (str(path), f'digits={path}'):
      bank, = self.find(given)
      self.assertEqual((bank.label, bank.is_given), ('digits', True))

  @parameterized.parameters(
      {'size': (8, 4)}, {'size': (16, 3)}, {'norm': 'private'},
      {'signature': 'cyclic'}, {'signature_init': 'uniform'},
      {'depth_multiplier': 0.2}, {'tasks': ('mnist', 'svhn_cropped')})
  def test_another_model_is_not_the_paper_s(self, **changes):
    bank, = self.find(str(self.make_bank('other', **changes)))
    self.assertEqual(bank.label, 'from_other')

  @parameterized.named_parameters(
      ('rows', 9, (), ['digit'], r'--rows must be of .*digit'),
      ('from', 9, ['mw/16=runs/a'], None, "received 'mw/16=runs/a'"),
      ('unnamed', 10, ['runs/a'], None, r"BANK=DIR .*'patches'.*'runs/a'"),
      ('no_run', 9, ['missing'], None, 'missing, which has no run.json'))
  def test_errors(self, number, models, rows, message):
    with self.assertRaisesRegex(ValueError, message):
      self.find(*models, rows=rows, number=number)

  def test_what_cannot_be_begun_from(self):
    path = self.make_bank('mine', ['a'])
    (path / records.RESULTS).unlink()
    with self.assertRaisesRegex(ValueError, 'mine, received one that has no'):
      self.find(str(path))
    run = records.read_run(path)  # of launch.tasks, which trains nothing
    run['config']['tasks_command'] = {}
    records.write_json(path / records.RUN, run)
    self.assertLen(self.find(str(path)), 1)
    with self.assertRaisesRegex(ValueError, 'directories whose names differ'):
      self.find(f'digits={path}', f'domainnet={path}')

  def check(self, path, new_tasks=('usps',), number=9, **options):
    self.check_banks(
        self.find(str(path), number=number), number, new_tasks=new_tasks,
        **options)

  def check_banks(self, banks, number, **options):
    transfer_banks.check(
        transfer_rows.TABLES[number], banks,
        table_options.TableOptions(self.workdir, **options))

  def test_check(self):
    self.check_banks(self.find(), 9)
    self.check_banks(self.find(rows=['patches'], number=10), 10)
    path = self.make_bank('mine', shared_head=True)
    self.check(path)
    with self.assertRaisesRegex(ValueError, "received 'usp': did you mean"):
      self.check(path, ['usp'])
    with self.assertRaisesRegex(ValueError, 'digits knows mnist already'):
      self.check(path, ['mnist'])
    path = self.make_bank('smoke', shared_head=True, kind='smoke')
    with self.assertRaisesRegex(ValueError, 'smoke was trained on made-up'):
      self.check(path)
    self.check(path, smoke=True)

  def test_table_9_needs_a_head_to_share(self):
    message = 'Table 9 tunes no head: .* of the classes of {}; received '
    path = self.make_bank('own')
    with self.assertRaisesRegex(ValueError, message.format('usps') + 'digits'):
      self.check(path)
    self.check(path, number=2)
    path = self.make_bank('shared', shared_head=True)
    with self.assertRaisesRegex(ValueError, message.format('kmnist')):
      self.check(path, ['kmnist'])
    # The model knows better than the run that led to it.
    self.check(self.make_bank('x', heads=dict.fromkeys(_DIGITS, 'mnist')))
    path = self.make_bank('y', shared_head=True,
                          heads=dict(zip(_DIGITS, _DIGITS)))
    with self.assertRaisesRegex(ValueError, 'tunes no head'):
      self.check(path)


if __name__ == '__main__':
  absltest.main()
