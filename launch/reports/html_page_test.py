"""Tests of the page."""

import base64
from html import parser

from absl.testing import absltest

from launch.reports import html_page

_EVIL = '<script>alert("a")</script> & \'b\''


class _Reader(parser.HTMLParser):
  """Tags, attributes and text of a page; notices tags that are not closed."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.attributes, self.text, self._open = [], [], [], []
    self.feed(page)
    self.close()
    assert not self._open, self._open

  def handle_starttag(self, tag, attributes):
    self.tags.append(tag)
    self.attributes += attributes
    if tag not in ('meta', 'img'):
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag, tag

  def handle_data(self, data):
    self.text.append(data)


class HtmlPageTest(absltest.TestCase):

  def test_text_is_never_markup(self):
    page = html_page.Page(_EVIL)
    page.heading(_EVIL)
    page.paragraph(_EVIL)
    page.paragraph(_EVIL, notice=True)
    page.facts({_EVIL: _EVIL})
    page.table([(_EVIL, _EVIL), (_EVIL, _EVIL)], _EVIL)
    page.table([(_EVIL,)], summary=_EVIL, text=True)
    page.picture('x.png', lambda file: file.write(b'data'), _EVIL)
    found = _Reader(page.html())
    self.assertNotIn('script', found.tags)
    self.assertEqual(found.text.count(_EVIL), 2 + 3 + 2 + 5 + 2 + 1)
    self.assertIn(('alt', _EVIL), found.attributes)

  def test_holds_its_pictures_and_needs_nothing_else(self):
    page = html_page.Page('A page')
    data = bytes(range(256))
    page.picture('x.png', lambda file: file.write(data), 'A picture. More.')
    self.assertEqual(page.pictures, {'x.png': data})
    found = _Reader(page.html())
    sources = [value for name, value in found.attributes if name == 'src']
    self.assertEqual(
        sources,
        [f'data:image/png;base64,{base64.b64encode(data).decode()}'])
    self.assertIn(('alt', 'A picture'), found.attributes)
    self.assertNotIn('link', found.tags)
    self.assertNotIn('href', dict(found.attributes))
    self.assertNotIn('url(', page.html())

  def test_tables(self):
    page = html_page.Page('A page')
    page.table([('name', 'number'), ('a', '1'), ('b', '2')], 'A caption')
    page.table([('name',)], summary='Unfold', text=True)
    text = page.html()
    self.assertIn('<thead><tr><th>name</th><th>number</th></tr></thead>', text)
    self.assertIn('<tr><td>b</td><td>2</td></tr>', text)
    self.assertIn('<caption>A caption</caption>', text)
    self.assertEqual(text.count('<caption>'), 1)
    self.assertIn('<details><summary>Unfold</summary>', text)


if __name__ == '__main__':
  absltest.main()
