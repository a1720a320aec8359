"""What a data set is, declared: `ImageTask` (paper sections 4.2 to 4.4)."""

from collections.abc import Mapping
import dataclasses

from trainers.data import transforms as transforms_lib

SMALL = 64  # pixels; the longest side of what counts as a small image
AUGMENTATIONS = ('none', 'shift', 'shift_flip', 'crop_flip')
# What the network sees of an image, in words.
VIEWS = {
    'centre': 'the square in the middle, seven eighths of the shorter side; '
              'all of small images',
    'whole': 'all of it, both sides resized',
    'pad': 'all of it, in its own proportions, with black on two sides'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageTask:
  """One image classification task: a data set and how to look at it.

  Args:
    name: What users type, transforms included: `mnist+blur`.
    tfds_name: TFDS's name, with its configuration: `mnist_corrupted/shear`.
      Empty if `folder` is given.
    version: TFDS's version of the prepared files. Empty if `folder` is given.
    folder: Directory of image files in the place of a TFDS data set, as
      `folders` reads it.
    splits: Stored split -> number of examples as published. TFDS knows sizes
      only of data that is already prepared, so they are written down here.
    num_classes: Classes; labels are `0 <= label < num_classes`. None: a folder
      of images without labels.
    image_shape: (height, width, channels) as stored; None where sizes vary.
    class_names: One name a class, in label order. Default: unnamed.
    class_list: Name of a list of stored labels: only examples of these are
      used, label i being its entry i. Lists depend on the data itself and
      lie in the data directory, as `class_lists` writes them. Default: all.
    train_split: Stored split to learn from, or several, joined by '+'.
    validation_split: Split for choices. Default None: a seeded tenth of the
      training examples is held out.
    test_split: Split for the final figure. None: a seeded fifth of the stored
      examples of `train_split` is held out.
    augmentation: 'none', 'shift' (by up to an eighth of the side, black comes
      in), 'shift_flip' (and mirrored half of the time) or 'crop_flip' (random
      resized crops, mirrored half of the time).
    view: What is seen of an image, of `VIEWS`. Random crops are of any place,
      and have the image's proportions unless the view is 'centre'.
    transpose: Whether rows and columns are stored swapped, as in EMNIST.
    label_offset: Stored label of the first class.
    pad: Black pixels added on every side before resizing.
    transforms: Names of whole-image transforms, in the order of application.
    licence: Terms as their publishers state them.
    origin: Where the images come from.
    manual_files: What has to be put into the manual directory by hand before
      the data set can be prepared; empty if nothing.
    paper_use: What the paper does with it; empty if nothing.

  Raises:
    ValueError: If a field contradicts itself or another.

  Source: sections 4.2 to 4.4; the form is our choice.
  """

  name: str
  tfds_name: str = ''
  version: str = ''
  folder: str | None = None
  splits: Mapping[str, int] = dataclasses.field(hash=False)
  num_classes: int | None
  image_shape: tuple[int | None, int | None, int]
  class_names: tuple[str, ...] | None = None
  class_list: str | None = None
  train_split: str = 'train'
  validation_split: str | None = None
  test_split: str | None = 'test'
  augmentation: str = 'none'
  view: str = 'centre'
  transpose: bool = False
  label_offset: int = 0
  pad: int = 0
  transforms: tuple[str, ...] = ()
  licence: str = ''
  origin: str = ''
  manual_files: str = ''
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
    for field in ('name',) if self.folder else ('name', 'tfds_name', 'version'):
      if not getattr(self, field):
        raise ValueError(
            f'ImageTask expected a non-empty {field}, received '
            f'{getattr(self, field)!r}: write it in the declaration.')
    if self.folder and self.tfds_name:
      raise ValueError(
          f'{self.name}: expected either tfds_name or folder, received '
          f'{self.tfds_name!r} and {self.folder!r}: leave one out.')
    for role in ('train_split', 'validation_split', 'test_split'):
      split = getattr(self, role)
      if split is None and role != 'train_split':
        continue
      unknown = set((split or '').split('+')) - set(self.splits)
      if unknown:
        raise ValueError(
            f'{self.name}: expected {role} to be one of '
            f'{sorted(self.splits)}, received {split!r}: declare the split '
            f'and its size in `splits`.')
    for field, choices in (
        ('augmentation', AUGMENTATIONS), ('view', tuple(VIEWS))):
      if getattr(self, field) not in choices:
        raise ValueError(
            f'{self.name}: expected {field} to be one of {choices}, received '
            f'{getattr(self, field)!r}: use one of these.')
    transforms_lib.check_names(self.transforms)

  def _validate_numbers(self):
    for split, size in self.splits.items():
      if size < 1:
        raise ValueError(
            f'{self.name}: expected at least 1 example in split {split!r}, '
            f'received {size}: declare its published size.')
    names = self.class_names
    if not self.is_labelled and not (self.folder and names is None):
      raise ValueError(
          f'{self.name}: expected num_classes, which only a folder without '
          f'class names may lack, received None: declare it.')
    if self.is_labelled and self.num_classes < 1:
      raise ValueError(
          f'{self.name}: expected num_classes >= 1, received '
          f'{self.num_classes}: declare the number of classes.')
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
  def is_labelled(self):
    """Whether the images have labels."""
    return self.num_classes is not None

  @property
  def has_fixed_size(self):
    """Whether all stored images have one height and width."""
    return None not in self.image_shape

  @property
  def is_small(self):
    """Whether images are so small that no view leaves out a part."""
    return self.has_fixed_size and max(self.image_shape[:2]) <= SMALL

  def num_stored(self, split):
    """Returns the published size of a stored split, or of several (`a+b`)."""
    return sum(self.splits[part] for part in split.split('+'))

  def with_transforms(self, names):
    """Returns this task with the transforms `names` applied after its own."""
    names = tuple(names)
    return dataclasses.replace(
        self,
        name='+'.join((self.name, *names)),
        transforms=self.transforms + names)
