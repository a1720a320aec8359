"""Tests of what can be asked of a transfer."""

import json
import pathlib

from absl.testing import absltest
from absl.testing import parameterized

from trainers.transfer import transfer_config


def make_transfer(**changes):
  return transfer_config.TransferConfig(
      **{'source': 'runs/x', 'dataset': 'set', 'name': 'new', **changes})


class TransferConfigTest(parameterized.TestCase):

  def test_config_is_json(self):
    asked = make_transfer(tune=['norm'], sources=['one'],
                          score_examples=[5, 6])
    self.assertEqual(asked, transfer_config.TransferConfig.from_json(
        json.loads(json.dumps(asked.to_json()))))
    self.assertEqual(make_transfer(init='copy:a:b').copied, 'a:b')
    for damaged, reason in (({'later': 1}, 'unknown .later.'),
                            ({'init_steps': '3'}, "int, received '3'"),
                            ({'init': 'copy:'}, 'Expected init to be')):
      with self.assertRaisesRegex(ValueError, f'in there, .*{reason}'):
        transfer_config.TransferConfig.from_json(
            {**asked.to_json(), **damaged}, 'there')

  def test_config_fills_in_what_is_plain(self):
    self.assertEqual(transfer_config.TransferConfig('runs/x', 'set').name,
                     'set')
    self.assertEqual(make_transfer(source=pathlib.Path('runs/x')),
                     make_transfer())
    for nothing in (['none'], ('none',), []):
      self.assertEqual(make_transfer(tune=nothing).tune, ())
    self.assertIsNone(make_transfer().tune)

  @parameterized.parameters(
      ('init to be one of copy:TASK, best, .* received .copy:',
       {'init': 'copy:'}),
      ('tune to be one of templates, .*bank', {'tune': ['bank']}),
      ("received 'none': use .*, or none alone", {'tune': ['none', 'head']}),
      ('statistics to be one of auto, .*moved', {'statistics': 'moved'}),
      ('score to be one of auto, path, probe, .*test', {'score': 'test'}),
      ("init to be copy:TASK or best .*received 'learned'",
       {'statistics': 'copy', 'init': 'learned'}),
      ('init_steps to be positive', {'init_steps': 0}),
      ('examples_per_class to be', {'examples_per_class': -1}),
      ('init_learning_rate to be', {'init_learning_rate': float('nan')}),
      ('a list of 2, each a whole number', {'score_examples': [3]}),
      ('two positive numbers', {'score_examples': (0, 3)}))
  def test_config_refuses(self, message, changes):
    with self.assertRaisesRegex(ValueError, message):
      make_transfer(**changes)


if __name__ == '__main__':
  absltest.main()
