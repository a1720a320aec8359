"""A few of the mutations of `fuzz`, none of which may be a fault."""

import tensorflow as tf

from launch.testing import fuzz


class FuzzTest(tf.test.TestCase):

  def test_damage_is_refused_or_loads_as_what_it_says(self):
    counts, faults, slowest = fuzz.run(self.get_temp_dir() + '/run', 120, 1)
    self.assertEmpty(faults)
    self.assertLen(counts, 6)
    for found in counts.values():
      self.assertGreater(found['refused'], 5)
    self.assertLess(slowest, 20)


if __name__ == '__main__':
  tf.test.main()
