"""Tests of what records and pictures show of an adaptation."""

from unittest import mock

import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers.adaptation import target_evaluation
from trainers.adaptation import target_scores
from trainers.data import pipeline
from trainers.testing import toy


class EvenlyTest(tf.test.TestCase):

  def test_places_are_as_many_as_asked_for_and_spread(self):
    self.assertAllEqual(target_scores.evenly(3, 5), [0, 1, 2])
    self.assertAllEqual(target_scores.evenly(7, 3), [0, 2, 4])
    places = target_scores.evenly(2007, 2000)  # USPS' test split
    self.assertLen(set(places), 2000)
    self.assertBetween(places[-1], 2000, 2006)


class FeaturesTest(tf.test.TestCase):

  def test_features(self):
    data = toy.make_data(['one', 'two', 'target'])
    single = data['one']
    pool = pipeline.TaskData(
        [*data['one'].parts, *data['two'].parts], name='pool')
    data = {'pool': pool, 'target': data['target']}
    model = isometric_model.IsometricModel(
        toy.make_config().model, dict.fromkeys(data, toy.CLASSES), seed=0)
    evaluation = target_evaluation.TargetEvaluation(
        model, 'target', data, batch_size=4,
        predict=lambda x: tf.one_hot(tf.zeros_like(x[:, 0], tf.int32) + 3, 4))
    # Labels are not there to be read.
    with mock.patch.object(
        pipeline.TaskData, 'labels', side_effect=AssertionError):
      found = evaluation.features('pool', 'test', 5)
      target = evaluation.features('target', 'test', 1000)

    self.assertEqual(list(found), ['one', 'two'])
    images = np.concatenate(
        [batch for batch, _ in single.eval_batches('test', 100)])
    self.assertLen(images, 23)
    logits = model(images, task='pool', training=False)
    _, embeddings = model.encode(images, task='pool', training=False)
    chosen = [0, 4, 9, 13, 18]
    classes, some = found['one']
    self.assertAllEqual(classes, np.argmax(logits, -1)[chosen])
    self.assertAllClose(some, embeddings.numpy()[chosen], 1e-4, 1e-5)
    self.assertNotAllClose(found['two'][1], some, 1e-2)
    # Of the target, another head predicts; of few images, all are there.
    classes, embeddings = target['target']
    self.assertAllEqual(classes, [3] * 23)
    self.assertLen(embeddings, 23)


if __name__ == '__main__':
  tf.test.main()
