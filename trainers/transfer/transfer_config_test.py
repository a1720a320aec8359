"""Tests of what can be asked of a transfer."""

import json

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
    with self.assertRaisesRegex(ValueError, 'of another version'):
      transfer_config.TransferConfig.from_json({'later': 1})

  @parameterized.parameters(
      ('init must be one of copy:TASK, best', {'init': 'copy:'}),
      ('tune must be of templates, .* or none, .*bank', {'tune': ['bank']}),
      ('statistics must be', {'statistics': 'moved'}),
      ('score must be', {'score': 'test'}),
      ('needs a task to copy', {'statistics': 'copy', 'init': 'learned'}),
      ('init_steps to be positive', {'init_steps': 0}),
      ('examples_per_class to be', {'examples_per_class': -1}),
      ('init_learning_rate to be', {'init_learning_rate': float('nan')}),
      ('two positive numbers', {'score_examples': [3]}))
  def test_config_refuses(self, message, changes):
    with self.assertRaisesRegex(ValueError, message):
      make_transfer(**changes)


if __name__ == '__main__':
  absltest.main()
