"""Tests of `launch.tasks`, on a small saved model."""

import json
import pathlib
import re
import tempfile
import warnings

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from launch import evaluate
from launch import report
from launch import tasks
from launch.testing import in_process
from mixture_modules import task_format
from mixture_modules import tensor_files
from mixture_modules.isometric import isometric_model
from mixture_modules.isometric import parameters
from mixture_modules.isometric import task_files
from trainers.data import pipeline
from trainers.runs import records
from trainers.runs import results
from trainers.runs import saved_models
from trainers.testing import toy

_TASKS = ('mnist', 'mnist+blur', 'usps')


def values(model):
  return {name: variable.numpy().tobytes()
          for name, variable in model.named_variables().items()}


class TasksTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.source = pathlib.Path(directory.name) / 'source'
    config = toy.make_config(_TASKS)
    cls.model = isometric_model.IsometricModel(
        config.model, dict.fromkeys(_TASKS, 10), seed=0)
    rng = np.random.default_rng(0)
    for name, variable in cls.model.named_variables().items():
      if name.startswith(('tasks/', 'heads/')):
        variable.assign(rng.integers(1, 9, variable.shape))
    data = pipeline.load_tasks(
        _TASKS, config.model.image_size, made_up=True)
    cls.facts = {name: task.describe() for name, task in data.items()}
    saved_models.save(cls.source, cls.model, 'smoke', config.to_json(),
                      cls.facts, step=12, seconds=34.5)

  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.directory / 'new'
    self.file = self.directory / 'usps.task'
    self.before = self.snapshot()
    self.addCleanup(
        lambda: self.assertEqual(self.snapshot(), self.before))

  def snapshot(self):
    """The source's files, which never change."""
    return {path: path.read_bytes() for path in self.source.rglob('*')
            if path.is_file()}

  def run_command(self, module=tasks, **flag_values):
    """Returns what the command prints, its warnings first."""
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter('always', UserWarning)
      output = in_process.run(module, *(
          f'--{name}={value}' for name, value in flag_values.items()))
    return ''.join(f'warning: {warning.message}\n' for warning in caught
                   if warning.category is UserWarning) + output

  def change(self, **flag_values):
    return self.run_command(
        **{'from': self.source, 'workdir': self.workdir, **flag_values})

  def export(self, name='usps'):
    return self.run_command(
        **{'from': self.source, 'export': name, 'output': self.file})

  def write_results(self, filename, top1):
    results.write(self.workdir / filename, results.RunResults(
        tasks={name: results.TaskResult(
            top1=value, loss=1.0, examples=8, own_parameters=3, max_xi=0.5,
            signature='1', classes=10, mixtures=((0.5, 0.5),))
               for name, value in top1.items()},
        distances=(), parameters={'total': 1}, steps=1, seconds=1.0,
        split='test', weights='ema'))

  def test_list(self):
    with self.subTest('not evaluated'):
      lines = self.run_command(**{'from': self.source}).splitlines()
      self.export()
      own = self.model.own_parameters('usps')
      self.assertEqual(lines[4].split(), [
          'usps', 'usps', '10', 'usps', f'{own:,}',
          f'{self.file.stat().st_size:,}', '-',
          self.model.task('usps').signature.notation()])
      self.assertIn('2 templates, 2 layers', lines[5])
    with self.subTest('evaluated'):
      self.change(remove='mnist')
      self.write_results(records.RESULTS, {'usps': .5, 'mnist+blur': .25})
      self.write_results('evaluation-test-ema.json', {'usps': .75})
      lines = self.run_command(**{'from': self.workdir}).splitlines()
      self.assertEqual([line.split()[-2] for line in lines[2:4]],
                       ['25.00%', '75.00%'])

  def test_export_and_show(self):
    output = self.export('mnist+blur')
    size = self.file.stat().st_size
    self.assertIn(f'{size:,} bytes', output)
    metadata = task_format.read_task_file(self.file).header['metadata']
    self.assertEqual(metadata, {
        **self.facts['mnist+blur'], 'dataset': 'mnist+blur', 'image_size': 8,
        'value_range': [-1, 1], 'steps': 12, 'weights': 'ema'})
    lines = self.run_command(show=self.file).splitlines()
    rows = [re.split(' {2,}', line.strip()) for line in lines]
    for row in (['name', 'mnist+blur'], ['num_templates', '2'],
                ['image_size', '8'], ['head/kernel', 'float32[16, 10]']):
      self.assertIn(row, rows)
    with self.assertRaisesRegex(ValueError, 'which exists'):
      self.export()
    self.assertEqual(self.file.stat().st_size, size)

  def test_file_from_anywhere_is_shown_without_control_characters(self):
    task_files.save_task(self.model, 'usps', self.file, {
        'a\x1b[2J': 'b\r\x1b]0;c\x07', 'dots': 99 * 'x', '\u202e': ['\x9b']})
    output = self.run_command(show=self.file)
    self.assertTrue(all(c.isprintable() for c in output.replace('\n', '')))
    self.assertIn('\\x1b[2J', output)
    self.assertIn(60 * 'x' + '...', output)

  def test_life_of_a_task(self):
    """Exported, removed, imported, renamed: it computes the same."""
    self.export()
    steps = [self.directory / name for name in 'abcd']
    self.change(remove='usps', workdir=steps[0])
    self.assertEqual(list(saved_models.load(steps[0]).model.tasks),
                     ['mnist', 'mnist+blur'])
    output = self.run_command(**{
        'from': steps[0], 'import': self.file, 'workdir': steps[1]})
    self.assertNotIn('warning', output)
    imported = saved_models.load(steps[1])
    self.assertEqual(values(imported.model), values(self.model))
    self.assertEqual(imported.tasks, {
        **self.facts, 'usps': {**self.facts['usps'], 'dataset': 'usps'}})
    self.run_command(**{'from': steps[1], 'rename': 'usps', 'name': 'a:b=c',
                        'workdir': steps[2]})
    renamed = saved_models.load(steps[2])
    self.assertEqual(
        list(renamed.model.tasks), ['mnist', 'mnist+blur', 'a:b=c'])
    for name, variable in parameters.task_variables(
        renamed.model, 'a:b=c').items():
      self.assertAllEqual(
          variable, parameters.task_variables(self.model, 'usps')[name])
    self.assertEqual(renamed.tasks['a:b=c']['dataset'], 'usps')
    self.assertEqual((renamed.step, renamed.seconds), (12, 34.5))
    self.assertEqual(renamed.run['kind'], 'smoke')  # as the source's is
    self.assertEqual(renamed.run['config']['tasks_command'], {
        'from': str(steps[1]), 'rename': 'usps', 'name': 'a:b=c'})
    # What comes after goes on from there.
    self.assertIn('a:b=c', self.run_command(**{'from': steps[2]}))
    self.run_command(evaluate, workdir=steps[2])
    found = records.read_json(steps[2] / 'evaluation-test-ema.json')
    self.assertEqual(list(found['tasks']), ['mnist', 'mnist+blur', 'a:b=c'])
    self.run_command(report, workdir=steps[2])
    self.assertTrue((steps[2] / 'report' / 'index.html').exists())

  def test_import_under_another_name(self):
    self.export()
    output = self.change(**{'import': self.file, 'name': 'new'})
    self.assertIn('mnist, mnist+blur, usps, new', output)
    saved = saved_models.load(self.workdir)
    self.assertEqual(saved.tasks['new'],
                     {**self.facts['usps'], 'dataset': 'usps'})

  def test_import_into_other_weights(self):
    self.export()
    other = self.directory / 'other'
    template = self.model.bank.templates('expand/kernel')
    before = template.numpy()
    template.assign(before + 1)
    saved_models.save(other, self.model, 'train', toy.make_config(
        _TASKS).to_json(), self.facts)
    template.assign(before)
    options = {'from': other, 'import': self.file, 'name': 'new'}
    with self.assertRaisesRegex(ValueError, r'\(bank/expand/kernel\)'):
      self.change(**options)
    self.assertFalse(self.workdir.exists())
    output = self.change(**options, force=True)
    self.assertIn("warning: Task 'new'", output)
    self.assertEqual(saved_models.load(self.workdir).run['kind'], 'tasks')

  def test_no_path_is_taken_from_a_file(self):
    task_files.save_task(self.model, 'usps', self.file, {
        'dataset': 'folder:/etc', 'image_size': 16, 'view': 'pad'})
    output = self.change(**{'import': self.file, 'name': 'new'})
    self.assertIn('warning: The file names no data set', output)
    self.assertIn('images of side 16, and here it will see 8', output)
    self.assertIsNone(saved_models.load(self.workdir).tasks['new']['dataset'])
    self.workdir = self.directory / 'second'
    output = self.change(**{
        'import': self.file, 'name': 'new', 'task': 'folder:mine'})
    self.assertNotIn('no data set', output)
    saved = saved_models.load(self.workdir)
    self.assertEqual(saved.tasks['new']['dataset'], 'folder:mine')
    self.assertEqual((saved.view('new'), saved.view('usps')),
                     ('pad', 'centre'))  # as it learnt them

  def test_no_path_is_written_to_a_file(self):
    self.export()
    self.change(**{'import': self.file, 'name': 'new', 'task': 'folder:mine'})
    path = self.directory / 'new.task'
    self.run_command(
        **{'from': self.workdir, 'export': 'new', 'output': path})
    self.assertNotIn(b'folder:mine', path.read_bytes())

  def test_facts_of_images_without_labels(self):
    splits = {'test': {'examples': 3, 'files': 'c0ffee'}}
    task_files.save_task(self.model, 'usps', self.file, {
        'dataset': None, 'splits': splits})
    self.change(**{'import': self.file, 'name': 'new'})
    self.assertEqual(
        saved_models.load(self.workdir).tasks['new']['splits'], splits)

  def test_odd_facts_in_a_file(self):
    task_files.save_task(
        self.model, 'usps', self.file, {'examples_per_class': -1})
    with self.assertRaisesRegex(
        ValueError, 'usps.task, received examples_per_class='):
      self.change(**{'import': self.file, 'name': 'new'})
    self.assertFalse(self.workdir.exists())

  def test_damaged_file(self):
    self.export()
    data = bytearray(self.file.read_bytes())
    data[-1] ^= 1
    self.file.write_bytes(data)
    for options in ({'show': self.file}, {
        'from': self.source, 'import': self.file, 'name': 'new',
        'workdir': self.workdir}):
      with self.assertRaisesRegex(ValueError, 'SHA-256'):
        self.run_command(**options)
    self.assertFalse(self.workdir.exists())

  def test_a_name_in_a_file_is_only_a_name(self):
    self.export()
    arrays, metadata = tensor_files.decode(self.file.read_bytes())
    described = {**json.loads(metadata['task']), 'name': '../../new'}
    self.file.write_bytes(tensor_files.encode(
        arrays, {**metadata, 'task': json.dumps(described)}))
    self.change(**{'import': self.file})
    self.assertCountEqual(self.directory.iterdir(), [self.file, self.workdir])
    self.assertIn('../../new', saved_models.load(self.workdir).model.tasks)

  @parameterized.named_parameters(
      ('nothing', {}, '--from is needed: .*--show'),
      ('two', {'show': 'x', 'remove': 'y'}, 'Expected one of --show'),
      ('no_output', {'from': 'x', 'export': 'y'},
       '--output is needed by --export'),
      ('no_name', {'from': 'x', 'rename': 'y'}, '--name is needed by --rename'),
      ('no_workdir', {'from': 'x', 'remove': 'y'}, '--workdir is needed'),
      ('needless', {'show': 'x', 'from': 'y'}, 'no use for --from'),
      ('needless_workdir', {'from': 'x', 'workdir': 'y'},
       'no use for --workdir'),
      ('missing', {'show': 'missing'}, 'no ordinary file'),
  )
  def test_flags(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      self.run_command(**options)

  def test_what_cannot_be_done(self):
    self.export()
    for message, options in (
        ('There is a task .usps. already', {'import': self.file}),
        ('Expected one of the tasks', {'remove': 'svhn'}),
        ('Expected one of the tasks', {'rename': 'svhn', 'name': 'x'}),
        ('There is a task .mnist. already',
         {'rename': 'usps', 'name': 'mnist'}),
        ('no_run.json|which has no run.json', {'remove': 'usps',
                                               'from': self.directory}),
        ('holds a run already', {'remove': 'usps', 'workdir': self.source})):
      with self.assertRaisesRegex(ValueError, message):
        self.change(**options)
      self.assertFalse(self.workdir.exists())
    self.change(remove='mnist')
    self.run_command(**{'from': self.workdir, 'remove': 'mnist+blur',
                        'workdir': self.directory / 'one'})
    with self.assertRaisesRegex(ValueError, 'the only task'):
      self.run_command(**{'from': self.directory / 'one', 'remove': 'usps',
                          'workdir': self.directory / 'none'})


if __name__ == '__main__':
  tf.test.main()
