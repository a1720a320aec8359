"""Tests of what a person sees of a run while it trains."""

from unittest import mock

from absl.testing import absltest

from trainers import progress


class ProgressTest(absltest.TestCase):

  def shown(self, is_terminal, is_shown=True):
    """What is shown of steps 2 to 4 of four."""
    with mock.patch('sys.stderr') as stderr:
      stderr.isatty.return_value = is_terminal
      stderr.encoding = 'utf-8'
      with progress.show(1, 4, is_shown) as bar:
        for step in (2, 3, 4):
          bar.update()
          bar.note(step, f'loss {step / 8:.3f}')
          if step == 3:
            bar.note(step, 'validation top-1 one 0.500')
    return ''.join(call.args[0] for call in stderr.write.call_args_list)

  def test_plain_lines_elsewhere_than_on_a_terminal(self):
    self.assertRegex(self.shown(False), (
        r'^step 2/4: loss 0.250, \d+ s left\nstep 3/4: loss 0.375, \d+ s left'
        r'\nstep 3/4: validation top-1 one 0.500, \d+ s left\n'
        r'step 4/4: loss 0.500, 0 s left\n$'))

  def test_bar_on_a_terminal(self):
    text = self.shown(True)
    for part in ('1/4', '4/4', 'loss 0.500',
                 'step 3: validation top-1 one 0.500'):
      self.assertIn(part, text)

  def test_workers_are_silent(self):
    self.assertEqual(self.shown(False, False) + self.shown(True, False), '')


if __name__ == '__main__':
  absltest.main()
