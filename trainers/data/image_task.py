"""What a data set is, declared: `ImageTask` (paper sections 4.2 to 4.4)."""

from collections.abc import Mapping
import dataclasses

from trainers.data import transforms as transforms_lib

AUGMENTATIONS = ('none', 'shift', 'shift_flip')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageTask:
  """One image classification task: a TFDS data set and how to look at it.

  Args:
    name: What users type, transforms included: `mnist+blur`.
    tfds_name: TFDS's name, with its configuration: `mnist_corrupted/shear`.
    version: TFDS's version of the prepared files.
    splits: TFDS split -> number of examples as published. TFDS knows sizes
      only of data that is already prepared, so they are written down here.
    num_classes: Classes; labels are `0 <= label < num_classes`.
    image_shape: (height, width, channels) as stored; None where sizes vary.
    class_names: One name a class, in label order. Default: unnamed.
    train_split: Split to learn from.
    validation_split: Split for choices. Default None: a seeded part of
      `train_split` is held out.
    test_split: Split for the final figure.
    augmentation: 'none', 'shift' (by up to an eighth of the side, black comes
      in) or 'shift_flip' (and mirrored half of the time).
    transpose: Whether rows and columns are stored swapped, as in EMNIST.
    label_offset: Stored label of the first class.
    pad: Black pixels added on every side before resizing.
    transforms: Names of whole-image transforms, in the order of application.
    licence: Terms as their publishers state them.
    origin: Where the images come from.
    paper_use: What the paper does with it; empty if nothing.

  Raises:
    ValueError: If a field contradicts itself or another.

  Source: sections 4.2 to 4.4; the form is our choice.
  """

  name: str
  tfds_name: str
  version: str
  splits: Mapping[str, int] = dataclasses.field(hash=False)
  num_classes: int
  image_shape: tuple[int | None, int | None, int]
  class_names: tuple[str, ...] | None = None
  train_split: str = 'train'
  validation_split: str | None = None
  test_split: str = 'test'
  augmentation: str = 'none'
  transpose: bool = False
  label_offset: int = 0
  pad: int = 0
  transforms: tuple[str, ...] = ()
  licence: str = ''
  origin: str = ''
  paper_use: str = ''

  def __post_init__(self):
    object.__setattr__(self, 'splits', dict(self.splits))
    object.__setattr__(self, 'image_shape', tuple(self.image_shape))
    object.__setattr__(self, 'transforms', tuple(self.transforms))
    if self.class_names is not None:
      object.__setattr__(self, 'class_names', tuple(self.class_names))
    self._validate_names()
    self._validate_numbers()

  def _validate_names(self):
    for field in ('name', 'tfds_name', 'version'):
      if not getattr(self, field):
        raise ValueError(
            f'ImageTask expected a non-empty {field}, received '
            f'{getattr(self, field)!r}: write it in the declaration.')
    for role in ('train_split', 'validation_split', 'test_split'):
      split = getattr(self, role)
      optional = role == 'validation_split' and split is None
      if not optional and split not in self.splits:
        raise ValueError(
            f'{self.name}: expected {role} to be one of '
            f'{sorted(self.splits)}, received {split!r}: declare the split '
            f'and its size in `splits`.')
    if self.augmentation not in AUGMENTATIONS:
      raise ValueError(
          f'{self.name}: expected augmentation to be one of {AUGMENTATIONS}, '
          f'received {self.augmentation!r}: use one of these.')
    transforms_lib.check_names(self.transforms)

  def _validate_numbers(self):
    for split, size in self.splits.items():
      if size < 1:
        raise ValueError(
            f'{self.name}: expected at least 1 example in split {split!r}, '
            f'received {size}: declare its published size.')
    if self.num_classes < 1:
      raise ValueError(
          f'{self.name}: expected num_classes >= 1, received '
          f'{self.num_classes}: declare the number of classes.')
    names = self.class_names
    if names is not None and len(set(names)) != self.num_classes:
      raise ValueError(
          f'{self.name}: expected {self.num_classes} different class names, '
          f'received {len(set(names))} different ones of {len(names)}: name '
          f'every class once, or none.')
    shape = self.image_shape
    if (len(shape) != 3 or shape[2] not in (1, 3)
        or any(side is not None and side < 1 for side in shape[:2])):
      raise ValueError(
          f'{self.name}: expected image_shape (height, width, channels) with '
          f'1 or 3 channels, received {shape}: use None where sizes vary.')
    if self.pad < 0:
      raise ValueError(
          f'{self.name}: expected pad >= 0, received {self.pad}: give the '
          f'number of black pixels to add on each side.')

  @property
  def tfds_reference(self):
    """Name and version as `tfds.builder` takes them: `mnist:3.0.1`."""
    return f'{self.tfds_name}:{self.version}'

  @property
  def has_fixed_size(self):
    """Whether all stored images have one height and width."""
    return None not in self.image_shape

  def with_transforms(self, names):
    """Returns this task with the transforms `names` applied after its own."""
    names = tuple(names)
    return dataclasses.replace(
        self,
        name='+'.join((self.name, *names)),
        transforms=self.transforms + names)
