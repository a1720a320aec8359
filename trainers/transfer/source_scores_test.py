"""Tests of how well older tasks do on new data."""

from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import evaluation
from trainers.runs import checkpoints
from trainers.testing import toy
from trainers.transfer import source_scores

_TASKS = {'one': 4, 'two': 4, 'three': 4}


def make_model():
  return isometric_model.IsometricModel(toy.make_config().model, _TASKS, seed=1)


class SourceScoresTest(parameterized.TestCase, tf.test.TestCase):

  def test_accuracy_of_tasks_as_they_are(self):
    model = make_model()
    data = toy.make_data(['new'], {'train': 220, 'test': 20})['new']
    scores, images = source_scores.score(
        model, ['two', 'one'], 'path', data, 9, (5, 1000))
    self.assertEqual(list(scores), ['two', 'one'])
    self.assertEqual(images, {'validation': 22})
    batches = data.eval_batches('validation', 9)
    for name, score in scores.items():
      self.assertEqual(score, evaluation.Evaluator(model).evaluate(
          name, batches).top1)

  @parameterized.parameters(
      ('path', (70, 21), None, {'validation': 21}, {5, 6}),
      ('probe', (70, 1000), 3, {'validation': 12, 'train': 70}, {3}))
  def test_reads_a_balanced_choice_and_counts_it(
      self, kind, limits, per_class, images, counts):
    data = toy.make_data(['new'], {'train': 400, 'test': 20})['new']
    seen = []

    def scores(model, sources, **batches):
      seen.append({split: np.concatenate([y for _, y in each])
                   for split, each in batches.items()})
      return dict.fromkeys(sources, 0.5)

    with mock.patch.object(source_scores, f'{kind}_scores', scores):
      for seed in (1, 2):
        found = source_scores.score(
            None, ['one'], kind, data, 9, limits, seed, per_class)
        self.assertEqual(found, ({'one': 0.5}, images))
    for labels in seen:
      self.assertEqual({split: len(y) for split, y in labels.items()}, images)
      self.assertEqual(set(np.bincount(labels['validation'])), counts)
    self.assertNotEqual(seen[0]['validation'].tolist(),
                        seen[1]['validation'].tolist())

  def test_scores_of_linear_heads(self):
    model = make_model()
    before = checkpoints.snapshot(model.named_variables())
    rng = np.random.default_rng(3)
    labels = np.arange(120) % 4
    images = rng.normal(size=(120, 8, 8, 3)) + labels[:, None, None, None]
    data = tf.data.Dataset.from_tensor_slices(
        (images.astype('float32'), labels)).batch(50)
    train, validation = data.take(2), data.skip(2)
    found = source_scores.probe_scores(
        model, ['three'], validation, train)
    self.assertGreater(found['three'], 0.8)
    self.assertEqual(found['three'] * 20 % 1, 0)
    wrong = validation.map(lambda images, labels: (images, (labels + 1) % 4))
    self.assertLess(source_scores.probe_scores(
        model, ['three'], wrong, train)['three'], 0.2)
    for name, array in before.items():
      self.assertAllEqual(model.named_variables()[name], array)
    same = data.map(lambda images, labels: (images, 0 * labels))
    self.assertEqual(source_scores.probe_scores(
        model, ['three'], same, same), {'three': 1.0})


if __name__ == '__main__':
  tf.test.main()
