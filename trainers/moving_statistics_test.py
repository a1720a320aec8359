"""Tests of statistics that are estimated anew."""

import numpy as np
import tensorflow as tf

from mixture_modules.isometric import isometric_model
from trainers import moving_statistics
from trainers.testing import toy


class MovingStatisticsTest(tf.test.TestCase):

  def test_statistics_are_those_of_the_data(self):
    model = isometric_model.IsometricModel(
        toy.make_config().model, {'one': 4, 'two': 4}, seed=0)
    task = model.task('one')
    for variable in (task.statistics.mean['input'],
                     task.statistics.variance['input']):
      variable.assign(np.full(8, 50.0))
    data = toy.make_data(['new'])['new']
    other = model.task('two').statistics.mean['input'].numpy()
    batches = data.train_batches(36, 0, augment=False).take(12)
    observe = moving_statistics.make_observer(model)
    moving_statistics.reestimate(model, 'one', batches, observe)
    images = np.concatenate([x for x, _ in data.eval_batches('train', 50)])
    x = model.input_adapter(images).numpy().reshape(-1, 8)
    self.assertAllClose(task.statistics.mean['input'], x.mean(0), atol=1e-3)
    self.assertAllClose(task.statistics.variance['input'], x.var(0), atol=1e-3)
    self.assertAllEqual(task.statistics.num_updates, 12)
    self.assertAllEqual(model.task('two').statistics.mean['input'], other)
    mean = task.statistics.mean['input'].numpy()
    task.statistics.mean['input'].assign(np.full(8, 50.0))
    moving_statistics.reestimate(  # with images alone, and traced before
        model, 'one', batches.map(lambda images, labels: images), observe)
    self.assertAllEqual(task.statistics.mean['input'], mean)
    self.assertEqual(observe.experimental_get_tracing_count(), 1)


if __name__ == '__main__':
  tf.test.main()
