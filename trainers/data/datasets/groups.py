"""Groups of tasks that the paper uses together (4.3, 4.4, Figure 2b)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class TaskGroup:
  """Tasks under one name.

  Args:
    sources: Names of the tasks to learn from; these are the group.
    target: Name of the task to adapt to. Default: the group is not for domain
      adaptation.

  Source: sections 4.3 and 4.4.
  """

  sources: tuple[str, ...]
  target: str | None = None


GROUPS = {
    # Section 4.4 and Table 12 count shot noise among the sources; D.2 leaves
    # it out.
    'digits': TaskGroup(
        sources=('mnist', 'mnist_corrupted/shear', 'mnist_corrupted/scale',
                 'mnist_corrupted/shot_noise', 'svhn_cropped'),
        target='usps'),
    'office_caltech10': TaskGroup(
        sources=('office_caltech10/amazon', 'office_caltech10/caltech',
                 'office_caltech10/dslr'),
        target='office_caltech10/webcam'),
    'domainnet100': TaskGroup(
        sources=('domainnet/clipart', 'domainnet/infograph',
                 'domainnet/painting', 'domainnet/quickdraw',
                 'domainnet/real'),
        target='domainnet/sketch'),
    'natural5': TaskGroup(
        sources=('imagenet2012', 'cifar100', 'places365_small', 'sun397',
                 'food101')),
    'figure2b': TaskGroup(
        sources=tuple(f'{name}{transform}'
                      for name in ('emnist/letters', 'mnist', 'kmnist')
                      for transform in ('', '+boundary', '+blur'))),
}
