"""The paper's tables: their rows, figures, and the commands that make ours.

A declarative file: `launch.reproduce` runs it.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
  """One figure of a trained table.

  Args:
    name: As the paper names the row.
    paper: The paper's figure, top-1 in percent; None where it has none.
    flags: Flags of `launch.train` that make the run.
    task: Whose top-1 is the figure.
  """

  name: str
  paper: float | None
  flags: tuple
  task: str


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of trained rows.

  Args:
    title: What it shows.
    rows: Its rows.
    notes: What the paper leaves open or says twice; one footnote each.
  """

  title: str
  rows: tuple
  notes: tuple = ()


def _imagenet(name, paper, preset):
  return Row(name, paper, (f'--preset={preset}',), 'imagenet2012')


TRAINED = {
    1: Table(
        'Table 1: ImageNet, more layers from the same templates (top-1, %)',
        (_imagenet('Isometric-8', 68.3, 'imagenet8'),
         _imagenet('8/32', 70.6, 'imagenet8_32'),
         _imagenet('Isometric-16', 71.7, 'imagenet16'),
         _imagenet('16/48', 72.8, 'imagenet16_48')),
        ('The paper\'s heading says 8/16, its text 32 and 48 layers: 8/32 is '
         'meant.',
         'Optimiser schedule and epochs are not in the paper: RMSProp, cosine, '
         '90 epochs here.')),
}

# Table 7: (column, what `count_parts` calls it, paper rho = 0.6, paper rho = 1)
PARTS = (
    ('Input adapter', 'input_adapter', '1200', '2000'),
    ('Block with SE', 'block_with_se', '20000', '52000'),
    ('Block without SE', 'block_without_se', '9000', '22000'),
    ('Output adapter', 'output_adapter', '37000', '1.27e6'),
    ('Logits', 'logits', '256C', '1280C'),
)
PARTS_NOTES = (
    'Counted from the models\' variables: patch 4; batch norm\'s gamma and '
    'beta included, moving statistics not; no convolution biases under batch '
    'norm; squeeze-and-excite with biases.',
    'The paper\'s figures are rounded ("approximate"); no convention gives '
    'all four block figures exactly, and this one is within 2.7 %.',
)
