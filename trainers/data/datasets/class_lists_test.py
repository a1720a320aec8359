"""Tests of `class_lists`."""

import json
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.data import catalog
from trainers.data.datasets import class_lists
from trainers.data.datasets import missing_data

_LABELS = tuple(range(0, 300, 3))
_NAME = 'domainnet100'


class ClassListsTest(parameterized.TestCase, tf.test.TestCase):

  def setUp(self):
    super().setUp()
    self.data_dir = tempfile.mkdtemp(dir=self.get_temp_dir())

  def _path(self):
    return pathlib.Path(self.data_dir) / 'class_lists' / f'{_NAME}.json'

  def _write(self, labels=_LABELS):
    return class_lists.write(
        _NAME, labels, [f'class {label}' for label in labels],
        {'counted': 6}, self.data_dir)

  def test_most_frequent(self):
    counts = np.array([5, 0, 9, 7, 7, 7, 1])
    self.assertEqual(class_lists.most_frequent(counts, 1), (2,))
    self.assertEqual(class_lists.most_frequent(counts, 3), (2, 3, 4))
    self.assertEqual(
        class_lists.most_frequent(counts.astype(np.uint8), 5), (0, 2, 3, 4, 5))
    with self.assertRaisesRegex(ValueError, 'at least 7 classes, received 6'):
      class_lists.most_frequent(counts, 7)

  def test_round_trip(self):
    path = self._write()
    self.assertEqual(path, self._path())
    self.assertEqual(class_lists.read(_NAME, self.data_dir), _LABELS)
    content = json.loads(path.read_text('utf-8'))
    self.assertEqual(content['class_names'][1], 'class 3')
    self.assertEqual(content['details'], {'counted': 6})

  def test_writes_whole_or_not_at_all(self):
    with (mock.patch.object(os, 'replace', side_effect=OSError('full')),
          self.assertRaisesRegex(ValueError, 'to write .*received full')):
      self._write()
    self.assertEqual(os.listdir(self._path().parent), [])

  def test_never_replaces_another_list(self):
    self._write()
    self._write()
    with self.assertRaisesRegex(ValueError, 'received another: .*Remove it'):
      self._write(tuple(range(100)))
    self.assertEqual(class_lists.read(_NAME, self.data_dir), _LABELS)
    self.assertEqual(os.listdir(self._path().parent), [f'{_NAME}.json'])

  def test_default_is_the_directory_of_tfds(self):
    with mock.patch.object(tfds.core.constants, 'DATA_DIR', self.data_dir):
      class_lists.write(_NAME, _LABELS, _LABELS, {})
      self.assertEqual(class_lists.read(_NAME), _LABELS)
    self.assertTrue(self._path().exists())

  def test_missing(self):
    with self.assertRaisesRegex(
        missing_data.MissingDataError, 'no such file: write it') as raised:
      class_lists.read(_NAME, self.data_dir)
    self.assertEqual(raised.exception.missing, (
        missing_data.Missing(str(self.data_dir), class_list=_NAME),))

  @parameterized.named_parameters(
      ('empty', ''), ('half', '{"labels": [1, 2'), ('list', '[1]'),
      ('no_labels', '{}'), ('number', '{"labels": 3}'),
      ('few', '{"labels": [1, 2]}'),
      ('text', json.dumps({'labels': [str(label) for label in _LABELS]})),
      ('negative', json.dumps({'labels': list(range(-1, 99))})),
      ('twice', json.dumps({'labels': [0, *range(99)]})),
      ('order', json.dumps({'labels': _LABELS[::-1]})))
  def test_damaged(self, text):
    self._write().write_text(text)
    with self.assertRaisesRegex(
        missing_data.MissingDataError, 'received a damaged one .*anew'):
      class_lists.read(_NAME, self.data_dir)

  def test_refuses_to_write_another_number_of_labels(self):
    with self.assertRaisesRegex(ValueError, '100 different stored labels'):
      self._write(_LABELS[1:])

  def test_refuses_a_directory_that_cannot_be_written(self):
    handle, file = tempfile.mkstemp(dir=self.data_dir)
    os.close(handle)
    with self.assertRaisesRegex(ValueError, 'to write.* data_dir that can be'):
      class_lists.write(_NAME, _LABELS, _LABELS, {}, file)

  def test_lists_and_tasks_agree(self):
    for name, class_list in class_lists.LISTS.items():
      tasks = [task for task in map(catalog.get_task, catalog.task_names())
               if task.class_list == name]
      self.assertCountEqual(class_list.tasks, [task.name for task in tasks])
      self.assertEqual(
          {task.num_classes for task in tasks}, {class_list.length})


if __name__ == '__main__':
  tf.test.main()
