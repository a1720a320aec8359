"""Tests of domain adaptation: who moves, who does not, and who sees what."""

import contextlib
import functools
import itertools
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from trainers import loop
from trainers.adaptation import adaptation_trainer
from trainers.adaptation import m3sda
from trainers.adaptation import methods
from trainers.data import unlabelled
from trainers.runs import checkpoints
from trainers.runs import run_options
from trainers.testing import toy
from trainers.testing import toy_adaptation

_SOURCES, _TARGET = toy_adaptation.SOURCES, toy_adaptation.TARGET
_PRETRAINING, _STEPS = toy_adaptation.PRETRAINING, toy_adaptation.STEPS
_UNSUPERVISED = ('adda', 'm3sda', 'im')


@functools.cache
def _kept(method):
  trainer = toy_adaptation.make_trainer(method)
  return trainer, checkpoints.snapshot(trainer.state())


def at_start(method):
  """The trainer of a method, traced but once, as it was at the start."""
  trainer, start = _kept(method)
  checkpoints.restore(trainer.state(), start)
  return trainer


@functools.cache
def all_batches(kind):
  """Those of all steps; methods of a kind have the same."""
  batches = _kept(kind)[0].batches(0)
  return [next(batches) for _ in range(_STEPS)]


def run_steps(trainer, first, last, anew=False):
  """Runs steps, on batches made anew or not; the scalars of the last."""
  scalars, kind = {}, trainer._config.method
  if kind == 'm3sda':
    kind = 'adda'
  batches = (trainer.batches(first) if anew
             else iter(all_batches(kind)[first:]))
  for step in range(first, last):
    scalars = trainer.train_step(tf.constant(step, tf.int64), next(batches))
  return {name: float(value) for name, value in scalars.items()}


@contextlib.contextmanager
def wrong_labels():
  """A context in which the target's images have one another's labels."""
  target = toy_adaptation.make_data()[_TARGET]
  labels = target.labels
  with (mock.patch.object(
      target, 'labels', lambda split: labels(split)[::-1].copy()),
        mock.patch.object(target, '_datasets', {})):  # none with right ones
    yield


def moved(trainer, before):
  """Keys of the variables whose bits are others than before."""
  after = checkpoints.snapshot(trainer.state())
  return {key for key in after
          if after[key].tobytes() != before[key].tobytes()
          and not key.startswith('guard/')}


class AdaptationTest(parameterized.TestCase, tf.test.TestCase):

  def assertMoved(self, found, prefixes, besides=()):
    """All that moved begins so, and something of each beginning did."""
    for key in found:
      self.assertStartsWith(key, tuple(prefixes) + tuple(besides))
    for prefix in prefixes:
      self.assertTrue([key for key in found if key.startswith(prefix)], prefix)

  # Who moves

  @parameterized.named_parameters(
      ('adda', 'adda', ['method/discriminator/',
                        'method/discriminator_optimizer/']),
      ('m3sda', 'm3sda', ['predictor/2/', 'method/pretraining_optimizer/']))
  def test_pretraining_moves_only_the_trainers_own(self, method, expected):
    trainer = at_start(method)
    before = checkpoints.snapshot(trainer.state())
    run_steps(trainer, 0, _PRETRAINING)
    self.assertMoved(moved(trainer, before), expected)

  @parameterized.named_parameters(
      ('adda', 'adda', ['method/discriminator/',
                        'method/discriminator_optimizer/']),
      ('m3sda', 'm3sda', ['predictor/1/', 'predictor/2/',
                          'method/head_optimizer/']),
      ('im', 'im', []), ('supervised', 'supervised', []))
  def test_adaptation_moves_the_target_and_the_trainers_own(
      self, method, expected):
    trainer = at_start(method)
    names = (*_SOURCES, _TARGET)
    images = np.random.default_rng(0).normal(
        size=(3, 8, 8, 3)).astype('float32')
    outputs = [trainer.model(images, task=name).numpy() for name in names]
    first = _PRETRAINING if method in ('adda', 'm3sda') else 0
    run_steps(trainer, 0, first)
    before = checkpoints.snapshot(trainer.state())
    run_steps(trainer, first, 4)
    self.assertMoved(moved(trainer, before), [
        'model/tasks/three/signature/logits',
        'model/tasks/three/statistics/', 'model/tasks/three/num_updates',
        'method/target_optimizer/', *expected])
    for name, output in zip(names, outputs):
      same = trainer.model(images, task=name).numpy() == output
      self.assertEqual(same.all(), name != _TARGET, name)

  @parameterized.named_parameters(
      ('norm', ('norm',), ['affine/']),
      ('input_adapter', ('input_adapter',),
       ['input_adapter/kernel', 'affine/gamma/input', 'affine/beta/input']),
      ('both', ('mixture', 'output_adapter'),
       ['output_adapter/1', 'output_adapter/2', 'signature/logits',
        'affine/gamma/hidden', 'affine/gamma/embedding', 'affine/beta/']))
  def test_tuned_parts_move_alone(self, tune, expected):
    trainer = toy_adaptation.make_trainer(
        'im', tune=tune, move_statistics=False, shared_half='first',
        watch_every=0, choose='last')
    before = checkpoints.snapshot(trainer.state())
    with toy.eagerly():
      run_steps(trainer, 0, 2)
    self.assertMoved(
        moved(trainer, before),
        ['method/target_optimizer/',
         *(f'model/tasks/three/{name}' for name in expected)])

  # Labels

  @parameterized.parameters(*_UNSUPERVISED)
  def test_labels_of_the_target_change_nothing(self, method):
    ends = []
    for labels in (contextlib.nullcontext(), wrong_labels()):
      trainer = at_start(method)
      with labels:
        run_steps(trainer, 0, _STEPS, anew=bool(ends))
        ends.append((checkpoints.snapshot(trainer.state()),
                     trainer.evaluate('test')[_TARGET]))
    (one, right), (other, wrong) = ends
    for key, array in one.items():
      self.assertEqual(array.tobytes(), other[key].tobytes(), key)
    # Only the accuracy, of which nobody but the records knows, is another.
    self.assertNotEqual(right.loss, wrong.loss)
    self.assertEqual(right.label_free, wrong.label_free)

  def test_the_upper_bound_learns_from_labels(self):
    ends = []
    for labels in (contextlib.nullcontext(), wrong_labels()):
      trainer = at_start('supervised')
      with labels:
        run_steps(trainer, 0, 2, anew=bool(ends))
      ends.append(checkpoints.snapshot(trainer.state()))
    one, other = ends
    changed = {key for key in one if one[key].tobytes() != other[key].tobytes()}
    self.assertIn('model/tasks/three/signature/logits', changed)

  @parameterized.parameters('adda', 'supervised')
  def test_labels_reach_only_a_method_that_reads_them(self, method):
    """By that attribute alone: with another value of it, it is the other way.
    """
    kind = methods.METHODS[method]
    for reads_labels in (False, True):
      with mock.patch.object(kind, 'reads_labels', reads_labels):
        trainer = toy_adaptation.make_trainer(method)
      batch = next(trainer.batches(0))
      self.assertEqual(isinstance(batch['target'], tuple), reads_labels)
      self.assertEqual(
          isinstance(trainer._target, unlabelled.UnlabelledImages),
          not reads_labels)
    self.assertEqual(
        [name for name, each in methods.METHODS.items() if each.reads_labels],
        ['supervised'])

  @parameterized.parameters(*_UNSUPERVISED)
  def test_batches_have_no_labels_of_the_target(self, method):
    trainer = at_start(method)
    batch = next(trainer.batches(0))
    self.assertEqual((batch['target'].dtype, batch['target'].shape),
                     (tf.float32, (8, 8, 8, 3)))
    self.assertEqual(set(batch.get('sources', {})),
                     set() if method == 'im' else set(_SOURCES))
    self.assertEqual(trainer.images_per_step, 8 if method == 'im' else 16)

  def test_members_of_a_pool_are_domains(self):
    """Each has as many images in a step, encoded by the pool's task."""
    data = toy_adaptation.make_data()
    one, two, pool = (
        data[name] for name in (*_SOURCES, toy_adaptation.POOL))
    self.assertEqual(
        list(adaptation_trainer.source_domains({'one': one, 'two': two})),
        ['one', 'two'])
    domains = adaptation_trainer.source_domains({'pool': pool})
    self.assertEqual(list(domains), ['pool/one', 'pool/two'])
    for (task, part), source in zip(domains.values(), (one, two)):
      self.assertEqual(task, 'pool')
      images, labels = next(iter(part.train_batches(5, seed=0)))
      expected, others = next(iter(source.train_batches(5, seed=0)))
      self.assertAllEqual(images, expected)
      self.assertAllEqual(labels, others)

  @parameterized.parameters('adda', 'm3sda')
  def test_pooled_baseline(self, method):
    trainer = toy_adaptation.make_trainer(method, pooled=True)
    self.assertEqual(trainer.images_per_step, 8 + 2 * 4)
    before = checkpoints.snapshot(trainer.state())
    for batches in itertools.islice(trainer.batches(0), 2):
      self.assertEqual(list(batches['sources']), ['pool/one', 'pool/two'])
    scalars = toy.run_steps(trainer, _PRETRAINING + 1, traced=False)[-1]
    self.assertMoved(
        {key for key in moved(trainer, before) if key.startswith('model/')},
        [f'model/tasks/three/{name}' for name in (
            'input_adapter/kernel', 'affine/gamma/input', 'statistics/')],
        ['model/tasks/three/affine/beta/input',
         'model/tasks/three/num_updates'])
    if method == 'm3sda':  # there are two to be told apart
      self.assertGreater(scalars['moments/sources'], 0)

  # Time

  @parameterized.parameters(*_UNSUPERVISED, 'supervised')
  def test_resumed_is_uninterrupted(self, method):
    trainer = at_start(method)
    run_steps(trainer, 0, 3)
    broken_off = checkpoints.snapshot(trainer.state())
    names = run_steps(trainer, 3, _STEPS)
    expected = checkpoints.snapshot(trainer.state())
    at_start(method)
    self.assertEqual(set(run_steps(trainer, 0, 1)), set(names))
    checkpoints.restore(trainer.state(), broken_off)
    run_steps(trainer, 3, _STEPS, anew=True)
    for key, array in checkpoints.snapshot(trainer.state()).items():
      self.assertEqual(array.tobytes(), expected[key].tobytes(), key)
    self.assertTrue(trainer.guard.is_exchanged)

  def test_collapse_ends_the_run_at_the_best_state(self):
    trainer = at_start('im')
    logits = trainer.model.task(_TARGET).signature.logits
    seen = []

    def scores(split):
      self.assertEqual(split, 'train')
      seen.append(logits.numpy())
      return {'information': 0.1 * len(seen),
              'classes_predicted': 1.2 if len(seen) == 3 else 4.0}

    with (tempfile.TemporaryDirectory() as workdir,
          mock.patch.object(trainer._evaluation, 'scores', scores),
          self.assertWarnsRegex(
              UserWarning, 'fall on 1.2 classes, on 4.0 at the start. It goes '
              'back to step 2 ')):
      loop.run(trainer, workdir, run_options.RunOptions(
          log_every=5, eval_every=0, checkpoint_every=10))
      end = checkpoints.snapshot(trainer.state())
      at_start('im')
      loop.run(trainer, workdir, run_options.RunOptions(eval_every=0),
               resume=True)
      step, *_ = checkpoints.Checkpoints(f'{workdir}/checkpoints').load()
    self.assertEqual(step, 4)  # of six
    self.assertLen(seen, 3)
    self.assertAllEqual(logits, seen[1])
    self.assertNotAllEqual(logits, seen[2])
    self.assertEmpty(moved(trainer, end))
    report = trainer.guard.report()
    self.assertAllClose(report.best_score, 0.2)
    self.assertEqual((report.score, report.best_step, report.alarm_step),
                     ('information', 2, 4))

  # What is learnt

  def test_information_rises(self):
    trainer = at_start('im')
    before = trainer.evaluate('train')[_TARGET]
    run_steps(trainer, 0, _STEPS - 1)
    after = trainer.evaluate('train')[_TARGET]
    self.assertGreater(
        after.label_free['information'], before.label_free['information'])

  def test_m3sda_predicts_by_the_mean_of_both_heads(self):
    trainer = at_start('m3sda')
    run_steps(trainer, 0, 4)
    embedding = np.random.default_rng(0).normal(size=(5, 16)).astype('float32')
    heads = trainer._method.predictor_variables()
    softmaxes = [tf.nn.softmax(
        embedding @ heads[f'{number}/kernel'] + heads[f'{number}/bias'])
                 for number in (1, 2)]
    for predict in (
        trainer._method.predict, m3sda.MomentMatching.saved_predictor(
            checkpoints.snapshot(heads))):
      self.assertAllClose(
          predict(embedding), np.mean(softmaxes, 0), atol=1e-6)
    found = trainer.evaluate('test')[_TARGET]
    self.assertEqual(found.examples, found.own_head.examples)
    self.assertNotEqual(found.loss, found.own_head.loss)

  def test_m3sda_first_head_begins_as_the_sources(self):
    trainer = at_start('m3sda')
    heads = trainer._method.predictor_variables()
    self.assertAllEqual(heads['1/kernel'], trainer.network.head.kernel)
    self.assertNotAllClose(heads['2/kernel'], heads['1/kernel'])

  def test_m3sda_loss_is_written_out(self):
    """C: discrepancy + weight * moment distance."""
    found = run_steps(at_start('m3sda'), 0, 3)
    self.assertAllClose(found['loss'], found['discrepancy'] + 0.01 * (
        found['moments/target'] + found['moments/sources']), rtol=1e-5)
    self.assertGreater(found['moments/sources'], 1e-3)


if __name__ == '__main__':
  tf.test.main()
