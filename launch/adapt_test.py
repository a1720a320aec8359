"""Tests of `launch.adapt` from the command line."""

import csv
import pathlib
import shutil
import tempfile

from absl.testing import parameterized
import numpy as np
import PIL.Image
import tensorflow as tf

from launch import adaptation_flags
from launch.testing import command_server
from trainers.adaptation import adaptation_features
from trainers.runs import checkpoints
from trainers.runs import records
from trainers.runs import saved_models
from trainers.testing import toy_records


class AdaptTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    directory = tempfile.TemporaryDirectory()
    cls.addClassCleanup(directory.cleanup)
    cls.directory = pathlib.Path(directory.name)
    cls.sources = {}
    for name, tasks, options in (
        ('bank', ['optdigits', 'mnist'], {'shared_head': True}),
        ('pooled', ['pool:optdigits|mnist'],
         {'norm': 'shared', 'signature': 'diagonal'})):
      cls.sources[name] = cls.directory / name
      toy_records.write_model(cls.sources[name], tasks, **options)

  def run_command(self, *flags, name='adapt'):
    status, output, error = command_server.Command(
        name, *flags, directory=self.directory).wait()
    self.assertEqual(status, 0, error)
    self.error = error
    return output

  def adapt(self, name, source, *flags):
    """(work directory, results, standard output)."""
    workdir = self.directory / name
    output = self.run_command(
        '--smoke', '--target=usps', f'--from={self.sources[source]}',
        f'--workdir={workdir}', *flags)
    return workdir, records.read_json(workdir / records.RESULTS), output

  def arrays(self, workdir):
    return checkpoints.snapshot(
        saved_models.load(workdir).model.named_variables())

  def assertSameArrays(self, one, other):
    self.assertCountEqual(one, other)
    for name, array in one.items():
      self.assertEqual(array.tobytes(), other[name].tobytes(), name)

  def test_adda_from_start_to_evaluation(self):
    before = {path: path.read_bytes() for path
              in self.sources['bank'].rglob('*') if path.is_file()}
    workdir, found, output = self.adapt(
        'adda', 'bank', '--method=adda', '--watch_every=1', '--eval_every=2',
        '--checkpoint_every=2')
    self.assertEqual(
        {path: path.read_bytes() for path in before}, before)
    self.assertEqual(list(found['tasks']), ['usps', 'optdigits', 'mnist'])
    facts = found['adaptation']
    self.assertEqual(facts['origin'],
                     saved_models.load(self.sources['bank']).origin())
    self.assertEqual(facts['origin'],
                     records.read_run(workdir)['config']['origin'])
    self.assertIn('bank has no results.json: its run has not ended', self.error)
    self.assertEqual(facts['moved'], ['tasks/usps/signature/logits'])
    self.assertEqual(facts['tuned_parameters'], 4)
    self.assertTrue(facts['sources_unchanged'])
    self.assertEqual(facts['labels'], '')
    self.assertEqual(facts['chosen_by'], 'information')
    self.assertCountEqual(facts['candidates'], ['optdigits', 'mnist'])
    self.assertCountEqual(facts['states'], ['last', 'best'])
    self.assertEqual(found['steps'], 4)  # one of them of pretraining
    for result in (found['tasks']['usps'], found['initial']['usps'],
                   found['validation']['final']['usps']):
      self.assertContainsSubset(
          ['top1', 'loss', 'information', 'domain_accuracy'], result)
    self.assertRegex(output, 'nothing else has changed')
    self.assertNotRegex(output, 'Oracle')
    lines = records.read_lines(workdir / records.METRICS)
    self.assertContainsSubset(
        ['loss', 'discriminator/top1', 'usps/entropy',
         'validation/usps/density'], {key for line in lines for key in line})

    features = adaptation_features.read(workdir)
    self.assertEqual(list(features.sources), ['optdigits', 'mnist'])
    self.assertNotAllEqual(features.before[1], features.after[1])
    self.assertTrue((workdir / 'features.png').exists())

    # Nothing but the target is other than in the source.
    arrays = self.arrays(workdir)
    self.assertSameArrays(
        {name: array for name, array in arrays.items()
         if not name.startswith('tasks/usps/')},
        self.arrays(self.sources['bank']))
    # It is a run like any other, and its target, whose labels it has not read,
    # is no source of another.
    saved = saved_models.load(workdir)
    self.assertEqual(list(saved.tasks), ['optdigits', 'mnist', 'usps'])
    other = adaptation_flags.adaptation_config_from(
        {'target': 'usps_unpadded', 'method': 'im'}, 8, saved)
    self.assertEqual(other.sources, ('optdigits', 'mnist'))

    # Resumed is uninterrupted.
    broken = self.directory / 'broken'
    shutil.copytree(workdir, broken)
    (broken / records.RESULTS).unlink()
    features_file = broken / adaptation_features.FILE
    features_data = features_file.read_bytes()
    (broken / 'checkpoints/checkpoint-00000004.safetensors').unlink()
    self.run_command('--resume', f'--workdir={broken}')
    self.assertSameArrays(self.arrays(broken), arrays)
    resumed = records.read_json(broken / records.RESULTS)
    self.assertEqual({**resumed, 'seconds': 0}, {**found, 'seconds': 0})
    self.assertEqual(features_file.read_bytes(), features_data)

  def test_m3sda_is_evaluated_by_both_heads(self):
    workdir, found, _ = self.adapt('m3sda', 'bank', '--method=m3sda')
    own = found['tasks']['usps']['own_head']
    self.assertNotAllClose(found['tasks']['usps']['loss'], own['loss'])
    table = self.run_command(f'--workdir={workdir}', name='evaluate')
    self.assertEqual(self.error, '')
    evaluated = records.read_json(workdir / 'evaluation-test-ema.json')['tasks']
    self.assertAllClose(evaluated['usps']['own_head'], own, rtol=1e-5)
    for name, result in found['tasks'].items():
      for key in ('top1', 'loss', 'examples'):
        self.assertAllClose(evaluated[name][key], result[key], rtol=1e-5)
    self.assertRegex(
        table, rf'(?m)^  own head +{own["top1"]:.2%} +{own["loss"]:.4f} ')
    # Others cannot predict so, and say so.
    *_, error = command_server.Command(
        'transfer', f'--from={workdir}', '--task=usps', '--name=again',
        directory=self.directory).wait()
    self.assertRegex(
        error, '^warning: .*m3sda predicts usps by the mean of two heads.*'
               'own_head in results.json.*\nerror: .*: add --smoke')

  def test_baseline_gets_its_own_input_adapter(self):
    workdir, found, output = self.adapt(
        'supervised', 'pooled', '--method=supervised', '--init=oracle',
        '--target_statistics=reestimate')
    facts = found['adaptation']
    self.assertEqual(facts['tune'], ['input_adapter'])
    self.assertCountEqual(facts['moved'], [
        'tasks/usps/input_adapter/kernel', 'tasks/usps/affine/gamma/input',
        'tasks/usps/affine/beta/input'])
    self.assertEqual(facts['tuned_parameters'], 4 * 4 * 3 * 8 + 8 + 8)
    self.assertEqual(
        facts['labels'], 'trained on labels, start chosen by labels')
    self.assertTrue(facts['sources_unchanged'])
    self.assertRegex(output, 'Oracle: labels of the target were used')
    model = saved_models.load(workdir).model
    self.assertIsNotNone(model.task('usps').input_adapter)

  def test_source_only_trains_nothing(self):
    workdir, found, _ = self.adapt(
        'source_only', 'bank', '--method=source_only', '--init=copy:mnist',
        '--source_free')
    self.assertEqual(found['steps'], 0)
    self.assertEqual(list(found['tasks']), ['usps'])
    arrays = self.arrays(workdir)
    for name in ('signature/logits', 'statistics/mean/expand'):
      self.assertAllEqual(
          arrays[f'tasks/usps/{name}'], arrays[f'tasks/mnist/{name}'])
    self.assertEqual(found['initial']['usps']['top1'],
                     found['tasks']['usps']['top1'])
    features = adaptation_features.read(workdir)
    self.assertEqual((features.sources, features.after), ({}, None))
    self.assertTrue((workdir / 'features.png').exists())

  def test_a_folder_without_labels(self):
    photos = self.directory / 'photos'
    photos.mkdir()
    for number in range(24):
      PIL.Image.new('L', (8, 8), 10 * number).save(photos / f'{number}.png')
    workdir, found, output = self.adapt(
        'unlabelled', 'bank', f'--target=images:{photos}', '--method=adda',
        '--eval_every=2', '--watch_every=1')
    target = f'images:{photos}'
    for result in (found['tasks'][target], found['initial'][target]):
      self.assertEqual((result['top1'], result['loss'], result['examples']),
                       (None, None, 4))
      self.assertContainsSubset(['information', 'domain_accuracy'], result)
    self.assertRegex(self.error, f'validation top-1 {target} unknown')
    self.assertRegex(output, r'last \(result\) +- +- +4')
    lines = list(csv.DictReader(
        (workdir / 'predictions.csv').read_text().splitlines()))
    self.assertCountEqual([line['file'] for line in lines],
                          [str(path) for path in photos.iterdir()])
    saved = saved_models.load(workdir)
    numbers = [int(pathlib.Path(line['file']).stem) for line in lines]
    logits = saved.model(
        np.ones((1, 8, 8, 3)) * np.reshape(numbers, [-1, 1, 1, 1]) * 10 / 127.5
        - 1, task=target, training=False)
    self.assertAllEqual(
        [int(line['class']) for line in lines], np.argmax(logits, -1))
    self.assertAllClose(
        [float(line['probability']) for line in lines],
        np.max(tf.nn.softmax(logits), -1), atol=1e-3)
    self.assertEqual(saved.tasks[target]['class_names'],
                     saved.tasks['mnist']['class_names'])
    # What has labels can be evaluated.
    self.run_command(f'--workdir={workdir}', name='evaluate')
    evaluated = records.read_json(workdir / 'evaluation-test-ema.json')['tasks']
    self.assertEqual(list(evaluated), ['optdigits', 'mnist'])
    self.assertEqual(self.error, (
        f'Left out: {target}, whose images have no labels.\n'))
    # Resumed, it is the same, begun by an older version, too, which wrote no
    # digest of the others; with other files it does not go on.
    (workdir / 'predictions.csv').unlink()
    initial = records.read_json(workdir / 'initial.json')
    del initial['others']
    records.write_json(workdir / 'initial.json', initial)
    self.run_command('--resume', f'--workdir={workdir}')
    self.assertEqual(lines, list(csv.DictReader(
        (workdir / 'predictions.csv').read_text().splitlines())))
    (photos / '3.png').rename(photos / '3a.png')
    *_, error = command_server.Command(
        'adapt', '--resume', f'--workdir={workdir}',
        directory=self.directory).wait()
    self.assertRegex(error, 'began with other data .*files')
    # It is no source, unless it is named.
    workdir, *_ = self.adapt(
        'second', 'bank', '--method=source_only', f'--from={workdir}')
    self.assertEqual(
        records.read_run(workdir)['config']['adaptation']['sources'],
        ['optdigits', 'mnist'])
    # Labels are asked for in vain.
    for flags in (['--method=supervised'], ['--method=im', '--init=oracle']):
      *_, error = command_server.Command(
          'adapt', '--smoke', f'--target={target}',
          f'--from={self.sources["bank"]}', *flags,
          f'--workdir={self.directory / "none_yet"}',
          directory=self.directory).wait()
      self.assertRegex(error, 'expected images with labels')
    self.assertFalse((self.directory / 'none_yet').exists())

  @parameterized.parameters(
      ('--from is needed', '--target=usps', '--method=im'),
      ('--target is needed', '--from=BANK', '--method=im'),
      ('--method is needed', '--from=BANK', '--target=usps'),
      ('made-up images: add --smoke', '--from=BANK', '--target=usps',
       '--method=im'),
      ("no source, received 'mnist' as both", '--from=BANK', '--target=mnist',
       '--method=im', '--smoke', '--sources=mnist'),
      ('does not know yet', '--from=BANK', '--target=mnist', '--method=im',
       '--smoke'),
      ('launch.transfer', '--from=BANK', '--target=emnist/letters',
       '--method=im', '--smoke'),
      ('nothing of a source may move', '--from=BANK', '--target=usps',
       '--method=im', '--smoke', '--tune=templates'),
      ('warmup_steps', '--from=BANK', '--target=usps', '--method=im', '--smoke',
       '--warmup_steps=3'),
      ('use copy:TASK or best', '--from=POOLED', '--target=usps',
       '--method=adda', '--smoke', '--init=random',
       '--target_statistics=reestimate'),
      ('use --tune=input_adapter', '--from=POOLED', '--target=usps',
       '--method=im', '--smoke', '--tune=mixture'),
      ('--num_layers cannot be given', '--from=BANK', '--target=usps',
       '--method=im', '--smoke', '--num_layers=3'),
      ('kmnist and optdigits, which differ', '--from=BANK', '--target=kmnist',
       '--method=im', '--smoke'),
      ("received task='nosuch'", '--from=BANK', '--target=usps',
       '--method=im', '--smoke', '--sources=nosuch'),
      ('--move_statistics is of adda, m3sda, im, supervised, not of',
       '--from=BANK', '--target=usps', '--method=source_only', '--smoke',
       '--nomove_statistics'),
      ('--moment_weight is of m3sda, not of adda', '--from=BANK',
       '--target=usps', '--method=adda', '--smoke', '--moment_weight=1'),
      ('--clipnorm is of no use here', '--from=BANK', '--target=usps',
       '--method=im', '--smoke', '--clipnorm=1'),
      ('Expected a run of launch.adapt', '--workdir=BANK', '--resume'))
  def test_errors(self, message, *flags):
    flags = [flag.replace('BANK', str(self.sources['bank'])).replace(
        'POOLED', str(self.sources['pooled'])) for flag in flags]
    if not any(flag.startswith('--workdir') for flag in flags):
      flags.append(f'--workdir={self.directory / "none_yet"}')
    status, output, error = command_server.Command(
        'adapt', *flags, directory=self.directory).wait()
    self.assertEqual((status, output), (1, ''), error)
    self.assertNotIn('Traceback', error)
    lines = [line for line in error.splitlines() if line.startswith('error:')]
    self.assertLen(lines, 1, error)
    self.assertRegex(lines[0], message)
    self.assertFalse((self.directory / 'none_yet').exists())


if __name__ == '__main__':
  tf.test.main()
