"""Tests of Table 7."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from launch.tables import parameter_table


class ParameterTableTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.counts = {preset: parameter_table.count_parts(preset)
                  for preset in ('small', 'large')}

  @parameterized.parameters(
      ('small', 1200, 20536, 8832, 36608, 256),
      ('large', 2000, 53424, 22400, 1271680, 1280))
  def test_parts(self, preset, *expected):
    self.assertEqual(tuple(self.counts[preset].values()), expected)

  def test_stands_beside_the_paper(self):
    with mock.patch.object(
        parameter_table, 'count_parts', self.counts.__getitem__):
      text = parameter_table.markdown()
    self.assertIn('| Block with SE | 20000 | 20,536 | 52000 | 53,424 |', text)
    self.assertIn('| Logits | 256C | 256 C + C | 1280C | 1,280 C + C |', text)


if __name__ == '__main__':
  absltest.main()
