"""Tests of counting classes, on made photos."""

import pathlib
import tempfile
from unittest import mock

import tensorflow as tf

from trainers.data import catalog
from trainers.data import count_classes
from trainers.data.datasets import builders
from trainers.data.datasets import class_lists
from trainers.testing import made_photos


class CountClassesTest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = self.enterContext(tempfile.TemporaryDirectory())

  def write(self, length, **options):
    tasks = {name: made_photos.make_task(name=name) for name in 'ab'}
    with (mock.patch.object(catalog, 'get_task', tasks.get),
          mock.patch.dict(class_lists.LISTS, domainnet100=class_lists.ClassList(
              tasks=('a', 'b'), length=length))):
      return count_classes.write_class_list(
          'domainnet100', self.data_dir, **options)

  def test_lists_the_commonest_classes(self):
    made_photos.prepare(self.data_dir)
    self.assertEqual(self.write(2), count_classes.CountedClasses(
        pathlib.Path(self.data_dir, 'class_lists/domainnet100.json'),
        (0, 1), ('dark', 'bright'), (16, 16)))
    with mock.patch.object(builders, 'prepare') as prepare:
      self.write(2, prepare=True)
    self.assertLen(prepare.call_args_list, 2)

  def test_names_all_data_that_is_missing(self):
    with self.assertRaisesRegex(ValueError, '^a: .*\nb: .*$'):
      self.write(1)


if __name__ == '__main__':
  tf.test.main()
