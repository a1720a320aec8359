"""Table 7: the parameters of each part, counted from models (A)."""

import keras

from launch.tables import table_lines
from launch.tables import table_making
import mixture_modules as mm
from trainers.runs import run_config

# (part, what `count_parts` calls it, the paper's at rho = 0.6 and at rho = 1)
_PARTS = (
    ('Input adapter', 'input_adapter', '1200', '2000'),
    ('Block with SE', 'block_with_se', '20000', '52000'),
    ('Block without SE', 'block_without_se', '9000', '22000'),
    ('Output adapter', 'output_adapter', '37000', '1.27e6'),
    ('Logits', 'logits', '256C', '1280C'),
)
_NOTES = (
    'Counted from the models\' variables: patch 4; batch norm\'s gamma and '
    'beta included, moving statistics not; no convolution biases under batch '
    'norm; squeeze-and-excite with biases.',
    'The paper\'s figures are rounded ("approximate"); no convention gives '
    'all four block figures exactly, and this one is within 2.7 %.',
)


USES = ()


def make(unused_number, options):
  """Writes the table, as others are; returns it as Markdown."""
  text = markdown()
  table_making.write(options, 'table.md', text)
  return text


def markdown():
  """The table as Markdown."""
  small, large = count_parts('small'), count_parts('large')
  lines = [[title, paper_small, f'{small[part]:,}' + _per_class(part),
            paper_large, f'{large[part]:,}' + _per_class(part)]
           for title, part, paper_small, paper_large in _PARTS]
  return table_lines.markdown(
      'Table 7: parameters of each part', [
          'part', 'paper, rho = 0.6', 'ours', 'paper, rho = 1', 'ours'],
      lines, _NOTES)


def _per_class(part):
  return ' C + C' if part == 'logits' else ''


def count_parts(preset):
  """{part of the table: number of parameters} of a preset, with patch 4."""
  config = run_config.recipe(preset).model.replace(
      patch_size=4, image_size=32)
  reports = {}
  for use_se in (True, False):
    model = mm.IsometricModel(config.replace(use_se=use_se), {'task': 1})
    reports[use_se] = model.parameter_report()
    blocks = reports[use_se]['templates'] // config.num_templates
    reports[use_se]['block'] = blocks
    keras.backend.clear_session()
  return {
      'input_adapter': reports[True]['input_adapter'],
      'block_with_se': reports[True]['block'],
      'block_without_se': reports[False]['block'],
      'output_adapter': reports[True]['output_adapter'],
      'logits': reports[True]['heads'] - 1,  # a head of one class has one bias
  }
