"""A page of HTML that needs no other file: text, tables and pictures.

Whatever is handed in is text, never markup.
"""

import base64
import html
import io

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #f4f5f7;
       margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 2rem 4rem;
       background: #fff; }
h1 { font-size: 1.7rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem;
     border-bottom: 2px solid #0072b2; }
p { max-width: 46rem; }
p.notice { background: #fff4d6; border-left: 4px solid #e69f00;
           padding: .6rem 1rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem;
        font-variant-numeric: tabular-nums; margin: .5rem 0; }
caption { caption-side: bottom; text-align: left; color: #555;
          padding-top: .4rem; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right;
         vertical-align: top; border-bottom: 1px solid #e3e5e8; }
td { white-space: nowrap; }
.text td { white-space: normal; overflow-wrap: anywhere; }
th { border-bottom: 1px solid #888; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
td:first-child { white-space: pre-wrap; }
figure { margin: 1.25rem 0 2rem; }
img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .9rem; max-width: 46rem; }
summary { cursor: pointer; color: #0072b2; margin: .75rem 0; }
"""


class Page:
  """A page that is built from top to bottom.

  Args:
    title: Its heading, and its name in a browser.

  Attributes:
    pictures: {file name: bytes of the PNG}.
  """

  def __init__(self, title):
    self.pictures = {}
    self._title = html.escape(title)
    self._parts = [f'<h1>{self._title}</h1>']

  def heading(self, text):
    """Begins a section."""
    self._parts.append(f'<h2>{html.escape(text)}</h2>')

  def paragraph(self, text, notice=False):
    """Adds a paragraph; a notice stands out."""
    kind = ' class="notice"' if notice else ''
    self._parts.append(f'<p{kind}>{html.escape(text)}</p>')

  def facts(self, facts):
    """Adds a table of what is what: {name: text}."""
    rows = ''.join(
        f'<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>'
        for name, text in facts.items())
    self._parts.append(
        f'<div class="wide"><table class="text">{rows}</table></div>')

  def table(self, rows, caption='', summary=None, text=False):
    """Adds a table.

    Args:
      rows: Lists of strings; the first is the header.
      caption: Below the table.
      summary: Text that unfolds the table; None: it is open.
      text: Whether cells are text rather than numbers.
    """
    header, *body = [''.join(f'<{tag}>{html.escape(cell)}</{tag}>'
                             for cell in row)
                     for row, tag in zip(rows, ['th'] + ['td'] * len(rows))]
    lines = ''.join(f'<tr>{line}</tr>' for line in body)
    kind = ' class="text"' if text else ''
    below = f'<caption>{html.escape(caption)}</caption>' if caption else ''
    table = (
        f'<div class="wide"><table{kind}>{below}<thead><tr>{header}</tr>'
        f'</thead><tbody>{lines}</tbody></table></div>')
    if summary is not None:
      table = (f'<details><summary>{html.escape(summary)}</summary>{table}'
               '</details>')
    self._parts.append(table)

  def picture(self, name, save, caption):
    """Adds a picture.

    Args:
      name: Name of its file.
      save: Function that writes a PNG into a binary file.
      caption: How to read it; the first sentence says what it is.
    """
    file = io.BytesIO()
    save(file)
    self.pictures[name] = file.getvalue()
    data = base64.b64encode(file.getvalue()).decode()
    what = html.escape(caption.split('.')[0])
    self._parts.append(
        f'<figure><img alt="{what}" src="data:image/png;base64,{data}">'
        f'<figcaption>{html.escape(caption)}</figcaption></figure>')

  def html(self):
    """The page."""
    body = '\n'.join(self._parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<title>{self._title}</title>\n<style>{_STYLE}</style>\n</head>\n'
        f'<body><main>\n{body}\n</main></body>\n</html>\n')
