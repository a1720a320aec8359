"""Tests of the records of a run."""

import errno
import json
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers.runs import records

_CONFIG = {'tasks': ('one', 'two'), 'seed': 0, 'model': {'num_layers': 2}}


class RecordsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name) / 'deep' / 'run'

  def files(self):
    """{path: bytes} of all there is."""
    root = self.workdir.parents[1]
    return {path.relative_to(root): path.is_file() and path.read_bytes()
            for path in root.rglob('*')}

  def directory(self):
    """The work directory, made."""
    self.workdir.mkdir(parents=True)
    return self.workdir

  def claim(self, **changes):
    config = {**_CONFIG, **changes}
    records.check(self.workdir, config, 'train', resume=False)
    records.claim(self.workdir, config, 'train')

  def test_work_directories(self):
    self.assertEqual(records.choose_workdir('a/b'), pathlib.Path('a/b'))
    self.assertEqual(records.choose_workdir('a', True), pathlib.Path('a'))
    self.assertRegex(str(records.choose_workdir(None)), r'^runs/\d{8}-\d{6}$')
    for arguments in ((None, True), ('', True), ('', False)):
      with self.assertRaisesRegex(ValueError, 'Expected a workdir'):
        records.choose_workdir(*arguments)

  def test_check_writes_nothing(self):
    records.check(self.workdir, _CONFIG, 'train', resume=False)
    with self.assertRaisesRegex(ValueError, 'a run to resume .* no run.json'):
      records.check(self.workdir, _CONFIG, 'train', resume=True)
    self.assertEmpty(self.files())
    self.workdir.mkdir(parents=True)  # an empty directory will do
    records.check(self.workdir, _CONFIG, 'train', resume=False)

  def test_run_says_what_was_run(self):
    self.claim()
    run = json.loads((self.workdir / 'run.json').read_text())
    self.assertEqual(run['kind'], 'train')
    self.assertEqual(run['config'], {
        'tasks': ['one', 'two'], 'seed': 0, 'model': {'num_layers': 2}})
    self.assertContainsSubset(
        {'argv', 'time', 'commit', 'dirty', 'device', 'machine'}, run)
    self.assertEqual(run['versions']['tensorflow'], tf.__version__)
    self.assertEqual(records.read_run(self.workdir), run)

  def test_commit_is_unknown_without_git(self):
    with mock.patch('subprocess.run', side_effect=FileNotFoundError('git')):
      described = records.describe_process()
    self.assertIsNone(described['commit'])
    self.assertIsNone(described['dirty'])

  def test_refuses_another_run_and_leaves_it_untouched(self):
    self.claim()
    before = self.files()
    for check in (records.check, lambda *args: records.claim(*args[:3])):
      with self.assertRaisesRegex(
          ValueError, 'run holds a run already.*resume it, or choose another'):
        check(self.workdir, _CONFIG, 'train', False)
    self.assertEqual(self.files(), before)

  def test_resumes_the_same_run(self):
    self.claim()
    before = records.read_run(self.workdir)
    records.check(self.workdir, _CONFIG, 'train', resume=True)
    for times in (1, 2):
      records.claim(self.workdir, _CONFIG, 'train', resume=True)
      run = records.read_run(self.workdir)
      self.assertLen(run.pop('resumed'), times)
      self.assertEqual(run, before)

  @parameterized.named_parameters(
      ('value', {'seed': 1}, r'\(seed: 0 -> 1\)'),
      ('nested', {'model': {'num_layers': 3}}, r'model.num_layers: 2 -> 3'),
      ('order', {'tasks': ('two', 'one')}, 'tasks: '),
      ('more', {'steps': 5}, 'steps: None -> 5'),
      ('several', {'seed': 1, 'steps': 5}, 'seed: 0 -> 1; steps: None -> 5'))
  def test_refuses_to_resume_with_other_settings(self, changes, message):
    self.claim()
    before = self.files()
    with self.assertRaisesRegex(
        ValueError, f'other settings .*{message}.*another work directory'):
      records.check(self.workdir, {**_CONFIG, **changes}, 'train', resume=True)
    self.assertEqual(self.files(), before)

  @parameterized.parameters(
      ('train', {}), ('transfer', {'transfer': {}}),
      ('adapt', {'adaptation': {}}), ('tasks', {'tasks_command': {}}))
  def test_kinds_of_runs_whatever_images_they_saw(self, kind, part):
    for written in (kind, 'smoke'):
      run = {'kind': written, 'config': {**_CONFIG, **part}}
      records.check_kind('here', run, kind)
      with self.assertRaisesRegex(
          ValueError, f"kind 'x' in here, received one of kind '{kind}': resu"):
        records.check_kind('here', run, 'x')

  def test_refuses_another_kind(self):
    self.claim()
    with self.assertRaisesRegex(ValueError, "kind 'train', expected 'adapt'"):
      records.check(self.workdir, _CONFIG, 'adapt', resume=True)

  def test_data_must_stay_as_it_was(self):
    data = {'a/b': {'class_names': ['x', 'y'], 'splits': {
        'train': {'examples': 3}, 'test': {'examples': 2}}}}
    records.claim(self.workdir, _CONFIG, 'train', data=data)
    records.check_data(self.workdir, data)
    records.check_data(self.workdir, {'a/b': {'splits': {
        'test': {'examples': 2}}}})
    with self.assertRaisesRegex(
        ValueError, r"other data \(a/b.splits.test.examples: 2 -> 7\): bring"):
      records.check_data(self.workdir, {'a/b': {'splits': {
          'test': {'examples': 7}}}})
    with self.assertRaisesRegex(ValueError, r"\['x', 'y'\] -> \['y', 'x'\]"):
      records.check_data(self.workdir, {'a/b': {'class_names': ['y', 'x']}})

  def test_a_run_may_know_nothing_of_its_data(self):
    self.claim()
    records.check_data(self.workdir, {'a': {'class_names': None}})

  @parameterized.parameters(
      (False, 'files but no run.json'), (True, 'to resume .* no run.json'))
  def test_refuses_foreign_files(self, resume, message):
    self.workdir.mkdir(parents=True)
    (self.workdir / 'thesis.tex').write_text('mine')
    with self.assertRaisesRegex(ValueError, message):
      records.check(self.workdir, _CONFIG, 'train', resume)
    self.assertEqual((self.workdir / 'thesis.tex').read_text(), 'mine')

  @parameterized.parameters(
      ('checkpoints',), ('.0123abcd-run.json.tmp',), ('.lock',),
      ('.lock', 'checkpoints/.0123abcd-checkpoint-00000000.safetensors.tmp'))
  def test_a_start_that_was_killed_is_taken_over(self, *left):
    for name in left:
      path = self.workdir / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.touch() if name.startswith('.') or '/' in name else path.mkdir()
    self.claim()
    self.assertEqual(records.read_run(self.workdir)['kind'], 'train')
    self.assertEmpty(list(self.workdir.glob('.*run.json*')))
    with self.assertRaisesRegex(ValueError, 'holds a run already'):
      self.claim()

  def test_nothing_is_there_but_run_json_once_a_run_is_claimed(self):
    with (self.assertRaises(KeyError), mock.patch.object(
        records, 'describe_process', side_effect=KeyError)):
      self.claim()
    self.assertFalse(self.workdir.exists())
    self.claim()
    self.assertEqual([path.name for path in self.workdir.iterdir()],
                     ['run.json'])

  def test_changed_tasks_without_a_model_are_taken_over(self):
    changed = {**_CONFIG, 'tasks_command': {'import': 'x.task'}}
    records.claim(self.workdir, changed, 'tasks')
    self.claim()  # which nothing could have resumed
    self.assertEqual(records.read_run(self.workdir)['kind'], 'train')
    other = self.workdir.parent / 'other'
    records.claim(other, changed, 'tasks')
    (other / 'checkpoints').mkdir()
    (other / 'checkpoints' / 'checkpoint-00000000.safetensors').touch()
    with self.assertRaisesRegex(ValueError, 'holds a run already'):
      records.check(other, _CONFIG, 'train', False)

  @parameterized.parameters('run.json', 'results.json', 'metrics.jsonl')
  def test_reads_ordinary_files_alone(self, name):
    self.claim()
    path = self.workdir / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with self.assertRaisesRegex(ValueError, f'^Expected an ordinary file, rece'
                                f'ived {path}, a pipe'):
      (records.read_lines if name.endswith('l') else records.read_json)(path)
    if name == 'run.json':
      with self.assertRaisesRegex(ValueError, 'an ordinary file'):
        records.check(self.workdir, _CONFIG, 'train', True)

  @parameterized.product(
      name=('checkpoints', 'tensorboard'), resume=(True, False))
  def test_writes_nowhere_else_by_links(self, name, resume):
    self.claim()
    elsewhere = self.workdir.parent / 'elsewhere'
    elsewhere.mkdir()
    (self.workdir / name).symlink_to(elsewhere)
    if not resume:
      (self.workdir / 'run.json').unlink()
    with self.assertRaisesRegex(ValueError, f'run/{name}, a link to {elsewhere}'
                                ', where nothing is written: remove the link'):
      records.check(self.workdir, _CONFIG, 'train', resume)

  @parameterized.parameters(('deep/run',), ('deep',))
  def test_refuses_a_dangling_link(self, name):
    link = self.workdir.parents[1] / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to('nowhere')
    with self.assertRaisesRegex(
        ValueError, f'received {link}, a link to nowhere, which is not there'):
      records.check(self.workdir, _CONFIG, 'train', resume=False)

  @parameterized.parameters(True, False)
  def test_refuses_at_once_what_cannot_be_written(self, is_there):
    if is_there:
      self.claim()
    place = self.workdir if is_there else self.workdir.parents[1]
    with (mock.patch.object(os, 'access', return_value=False),
          self.assertRaisesRegex(
              ValueError, f'that can be written, received {place}: change')):
      records.check(self.workdir, _CONFIG, 'train', resume=is_there)

  def test_errors_of_a_full_disk_name_the_file(self):
    full = OSError(errno.ENOSPC, 'No space left on device')
    writer = records.Writer(self.directory())
    with (mock.patch.object(json, 'dumps', side_effect=full),
          self.assertRaisesRegex(OSError, "No space .*/run/metrics.jsonl'$")):
      writer.scalars(1, {'loss': 1.0})

  def test_tensorflow_names_the_file_too(self):
    full = tf.errors.ResourceExhaustedError(None, None, (
        '{{function_node __x}} part-0; No space left\n on device [Op:SaveV2]'))
    with (self.assertRaisesRegex(OSError, '^here cannot be written: part-0; No'
                                 ' space left on device$'),
          records.naming('here')):
      raise full
    writer = records.Writer(self.directory())
    with (mock.patch.object(tf.summary, 'scalar', side_effect=full),
          self.assertRaisesRegex(OSError, 'run/tensorboard cannot be written')):
      writer.scalars(1, {'loss': 1.0})

  def test_refuses_a_file(self):
    self.workdir.parent.mkdir(parents=True)
    self.workdir.write_text('mine')
    with self.assertRaisesRegex(ValueError, 'a directory, received the file'):
      records.check(self.workdir, _CONFIG, 'train', resume=False)

  @parameterized.parameters(
      ('', 'damaged'), ('{"kind": "train", "conf', 'damaged'),
      ('[]', 'damaged or foreign'), ('{"kind": "train"}', 'damaged or foreign'),
      ('{"config": {}}', 'kind, config and data'),
      ('{"kind": "train", "config": 3}', 'kind, config and data'),
      ('{"kind": "train", "config": {}, "data": {"a": 1}}', 'and data'))
  def test_damaged_run_is_one_error(self, text, message):
    self.claim()
    (self.workdir / 'run.json').write_text(text)
    with self.assertRaisesRegex(ValueError, f'{message}.*restore it'):
      records.check(self.workdir, _CONFIG, 'train', resume=True)

  def test_no_run(self):
    with self.assertRaisesRegex(ValueError, 'no run.json: name the work dir'):
      records.read_run(self.workdir)

  def test_writes_whole_or_not_at_all(self):
    path = self.workdir.parents[1] / 'x.json'
    records.write_json(path, {'a': 1})
    for call in ('fsync', 'replace'):
      with (mock.patch.object(os, call, side_effect=OSError('disk is full')),
            self.assertRaisesRegex(OSError, 'disk is full')):
        records.write_json(path, {'a': 2})
      self.assertEqual(records.read_json(path), {'a': 1})
    with self.assertRaises(TypeError):
      records.write_json(path, {'a': object()})
    self.assertEqual(list(map(str, self.files())), ['x.json'])
    self.assertEqual(records.read_json(path), {'a': 1})

  def test_lines_stop_at_one_cut_short(self):
    path = self.workdir.parents[1] / 'x.jsonl'
    self.assertEqual(records.read_lines(path), [])
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    self.assertEqual(records.read_lines(path), [{'step': 1}, {'step': 2}])

  @parameterized.parameters(
      ('{"st\n{"step": 2}\n',), ('\n{"step": 2}\n',),
      ('[1]\n{"step": 2}\n',), ('{"loss": 1}\n',), ('{"step": "2"}',),
      ('\xff\n{"step": 2}\n',))
  def test_other_bad_lines_are_refused_by_number(self, damage):
    path = self.workdir.parents[1] / 'x.jsonl'
    path.write_bytes(b'{"step": 1}\n' + damage.encode('latin1'))
    with self.assertRaisesRegex(
        ValueError, 'object with a step in .*x.jsonl, line 2, received'):
      records.read_lines(path)


class WriterTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.workdir = pathlib.Path(directory.name)

  def events(self):
    """[(step, name, value)] of all of TensorBoard's files."""
    found = []
    for path in sorted((self.workdir / 'tensorboard').iterdir()):
      for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        found += [(event.step, value.tag, tf.make_ndarray(value.tensor))
                  for value in event.summary.value]
    return found

  def assertSameNumbers(self):
    lines = records.read_lines(self.workdir / records.METRICS)
    expected = [(line['step'], name, np.float32(value)) for line in lines
                for name, value in line.items() if name != 'step']
    received = [event for event in self.events()
                if not event[1].startswith('signature/')]
    self.assertEqual(received, expected)
    return lines

  def test_tensorboard_has_the_same_scalars_and_pictures(self):
    writer = records.Writer(self.workdir)
    xi = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])  # [L, K]
    writer.signatures(0, {'a/b': xi})
    writer.scalars(5, {'loss': 1.25, 'a/b/top1': 0.1})
    writer.scalars(10, {'loss': 1.0, 'count': 7})
    self.assertLen(self.assertSameNumbers(), 2)
    step, name, value = self.events()[0]
    self.assertEqual((step, name), (0, 'signature/a/b'))
    picture = tf.image.decode_png(value[2]).numpy()[..., 0]
    self.assertEqual(picture.shape, (32, 48))  # templates x layers
    self.assertEqual((picture[0, 0], picture[31, 0]), (255, 0))
    self.assertEqual((picture[0, 16], picture[31, 16]), (0, 255))
    self.assertAllInRange(picture[:, 32:], 127, 128)
    self.assertEqual(
        records.read_lines(self.workdir / records.SIGNATURES),
        [{'step': 0, 'mixtures': {'a/b': xi.tolist()}}])

  def test_later_lines_are_removed_when_a_run_resumes(self):
    writer = records.Writer(self.workdir)
    for step in (0, 5, 10, 15):
      writer.signatures(step, {'one': np.eye(2)})
      writer.scalars(step, {'loss': 1.0 + step})
    with open(self.workdir / records.METRICS, 'a') as file:
      file.write('{"step": 16, "lo')
    resumed = records.Writer(self.workdir, start_step=10)
    resumed.scalars(15, {'loss': 7.0})
    lines = self.assertSameNumbers()
    self.assertEqual([(line['step'], line['loss']) for line in lines],
                     [(0, 1.0), (5, 6.0), (10, 11.0), (15, 7.0)])
    pictures = [event[0] for event in self.events()
                if event[1].startswith('signature/')]
    self.assertEqual(pictures, [0, 5, 10])

  def test_begins_anew_without_a_checkpoint(self):
    for _ in range(2):
      writer = records.Writer(self.workdir, start_step=0)
      writer.signatures(0, {'one': np.eye(2)})
      writer.scalars(1, {'loss': 1.0})
    self.assertLen(self.assertSameNumbers(), 1)
    self.assertLen(records.read_lines(self.workdir / records.SIGNATURES), 1)

  def test_refuses_to_resume_over_damaged_lines(self):
    path = self.workdir / records.METRICS
    path.write_text('{"step": 5}\n{"st\n{"step": 10}\n')
    before = path.read_bytes()
    with self.assertRaisesRegex(ValueError, 'metrics.jsonl, line 2'):
      records.Writer(self.workdir, start_step=10)
    self.assertEqual(path.read_bytes(), before)
    records.Writer(self.workdir)  # removes all lines
    self.assertEqual(path.read_bytes(), b'')

  def test_disabled_writes_nothing(self):
    writer = records.Writer(self.workdir, enabled=False)
    writer.scalars(1, {'loss': 1.0})
    writer.signatures(1, {'one': np.eye(2)})
    self.assertEmpty(list(self.workdir.iterdir()))


if __name__ == '__main__':
  tf.test.main()
