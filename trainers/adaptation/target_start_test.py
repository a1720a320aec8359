"""Tests of where a target starts (section 4.4)."""

from unittest import mock

from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import evaluation
from trainers.adaptation import adaptation_config
from trainers.adaptation import target_scores
from trainers.adaptation import target_start
from trainers.data import unlabelled
from trainers.runs import checkpoints
from trainers.runs import results
from trainers.testing import toy

_SOURCES = ('one', 'two')


def make_model(shared_head=True):
  keras.utils.set_random_seed(0)
  model = isometric_model.IsometricModel(
      toy.make_config(_SOURCES).model, dict.fromkeys(_SOURCES, toy.CLASSES),
      shared_head=shared_head, seed=0)
  for name, variable in model.named_variables().items():
    if '/statistics/mean/' in name:
      variable.assign(np.full(variable.shape, len(name) % 7))
  return model


def make_fixed_model():
  return isometric_model.IsometricModel(
      toy.make_config(_SOURCES, signature='diagonal', norm='shared').model,
      {'one': toy.CLASSES})


def make_config(**options):
  return adaptation_config.AdaptationConfig(**{
      'source': 'bank', 'target': 'three', 'method': 'im',
      'sources': _SOURCES, **options})


class TargetStartTest(parameterized.TestCase, tf.test.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data = toy.make_data(['one', 'two', 'three'])
    cls.images = unlabelled.UnlabelledImages(cls.data['three'])

  def add(self, model, top1=None, **options):
    before = checkpoints.snapshot(model.named_variables())
    found = target_start.add_target(
        model, make_config(**options), self.images, 8, top1=top1)
    after = checkpoints.snapshot(model.named_variables())
    for key, array in before.items():
      self.assertEqual(array.tobytes(), after[key].tobytes(), key)
    return found

  def test_given(self):
    model = make_model()
    found = self.add(model, init='copy:two')
    self.assertEqual(found, results.TargetStart('copy:two', 'given', {}))
    one, two, three = model.tasks.values()
    self.assertAllEqual(three.signature.logits, two.signature.logits)
    self.assertAllEqual(
        three.statistics.mean['input'], two.statistics.mean['input'])
    self.assertIs(three.head, one.head)

  @parameterized.parameters(('information', 'two'), ('entropy', 'one'))
  def test_best_goes_by_a_score_without_labels(self, score, expected):
    scores = iter([{score: 1.0}, {score: 2.0}])
    model = make_model()
    with (mock.patch.object(target_scores, 'measure',
                            lambda *args: next(scores)),
          mock.patch.object(self.data['three'], 'labels', None)):
      found = self.add(model, score=score)
    self.assertEqual(found, results.TargetStart(
        f'copy:{expected}', score, {'one': {score: 1.0}, 'two': {score: 2.0}}))
    self.assertAllEqual(model.task('three').signature.logits,
                        model.task(expected).signature.logits)
    self.assertEqual(list(model.tasks), ['one', 'two', 'three'])

  def test_oracle_goes_by_labels_and_says_so(self):
    right = iter([0.3, 0.2])
    with mock.patch.object(target_scores, 'measure', lambda *args: {}):
      found = self.add(
          make_model(), init='oracle', top1=lambda: next(right))
    self.assertEqual(found, results.TargetStart(
        'copy:one', 'oracle', {'one': {'top1': 0.3}, 'two': {'top1': 0.2}}))

  def test_scores_are_those_of_the_targets_images(self):
    model = make_model()
    sources = {name: unlabelled.UnlabelledImages(self.data[name])
               for name in _SOURCES}
    found = target_start.add_target(
        model, make_config(), self.images, 8, sources)
    graphs = evaluation.Graphs(model)
    observers = {name: target_scores.Observer(graphs, name)
                 for name in _SOURCES}
    for name in _SOURCES:
      probabilities, embeddings = observers[name].observe(
          self.images, 'train', 7)
      self.assertLen(probabilities, 36)
      scores = target_scores.measure(
          probabilities, embeddings, target_scores.observe_sources(
              observers, sources, 'train', 9))
      self.assertAllClose(found.candidates[name], scores, rtol=1e-4)

  def test_reestimated_statistics_are_those_of_the_images(self):
    model = make_model()
    self.add(model, init='copy:one', target_statistics='reestimate')
    task = model.task('three')
    images = np.concatenate(list(
        self.images.eval_batches('train', 50).as_numpy_iterator()))
    patches = model.input_adapter(images)
    self.assertAllClose(task.statistics.mean['input'],
                        tf.reduce_mean(patches, (0, 1, 2)), atol=0.05)
    self.assertEqual(int(task.statistics.num_updates), 100)
    self.assertAllEqual(task.signature.logits,
                        model.task('one').signature.logits)

  @parameterized.parameters('random', 'uniform')
  def test_starts_that_copy_nothing(self, init):
    model = make_model()
    self.add(model, init=init, target_statistics='reestimate')
    logits = model.task('three').signature.logits.numpy()
    self.assertEqual(np.ptp(logits, axis=1).max() == 0, init == 'uniform')

  @parameterized.parameters(
      ({'target': 'one', 'sources': ('two',)}, 'does not know yet'),
      ({'sources': ('one', 'nine')}, r"received \['nine'\]"))
  def test_refuses_names(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      self.add(make_model(), **options)

  def test_refuses_sources_of_several_heads(self):
    model = make_model(shared_head=False)
    with self.assertRaisesRegex(ValueError, 'share a head, received those'):
      self.add(model)
    self.add(model, sources=('two',))
    self.assertIs(model.task('three').head, model.task('two').head)

  def test_refuses_to_tune_a_fixed_signature(self):
    model = make_fixed_model()
    with self.assertRaisesRegex(ValueError, 'use tune=input_adapter'):
      self.add(model, sources=('one',), tune=('mixture',))
    self.add(model, sources=('one',), tune=('input_adapter',))

  @parameterized.parameters('random', 'uniform')
  def test_a_fixed_signature_is_copied(self, init):
    model = make_fixed_model()
    with self.assertRaisesRegex(ValueError, 'use copy:TASK or best'):
      self.add(model, sources=('one',), tune=('input_adapter',), init=init,
               target_statistics='reestimate')

  def test_refuses_a_split_of_one_image(self):
    model = make_model()
    with (mock.patch.object(
        self.images, 'num_examples', lambda split: 1 + (split != 'test')),
          self.assertRaisesRegex(ValueError, "received 1 in 'test'")):
      self.add(model)
    self.assertEqual(list(model.tasks), list(_SOURCES))

  def test_refuses_other_classes(self):
    model = make_model()
    with (mock.patch.object(self.images, 'num_classes', 7),
          self.assertRaisesRegex(ValueError, 'the 4 classes of the sources')):
      self.add(model)


if __name__ == '__main__':
  tf.test.main()
