"""Declarations: data sets of several domains with the same classes (4.4)."""

from trainers.data import image_task
from trainers.data.datasets import office_caltech10

# Domain -> (train examples, test examples), all 345 classes, as TFDS has them.
_DOMAINNET = {
    'clipart': (33_525, 14_604),
    'infograph': (36_023, 15_582),
    'painting': (50_416, 21_850),
    'quickdraw': (120_750, 51_750),
    'real': (120_906, 52_041),
    'sketch': (48_212, 20_916),
}


def _domainnet(domain, train, test):
  # Section 4.4 uses the 100 most frequent of the 345 classes.
  return image_task.ImageTask(
      name=f'domainnet/{domain}',
      tfds_name=f'domainnet/{domain}',
      version='1.0.0',
      splits={'train': train, 'test': test},
      num_classes=100,
      class_list='domainnet100',
      image_shape=(None, None, 3),
      augmentation='crop_flip',
      view='whole',  # "reshaped to 128 x 128"
      licence='fair use notice: non-commercial research and education only',
      origin='http://ai.bu.edu/DomainNet/ (the cleaned version)',
      paper_use=_role(domain, 'sketch'))


def _office_caltech10(domain):
  return image_task.ImageTask(
      name=f'office_caltech10/{domain}',
      tfds_name=f'office_caltech10/{domain}',
      version=office_caltech10.VERSION,
      splits=office_caltech10.SPLITS[domain],
      num_classes=len(office_caltech10.CLASS_NAMES),
      class_names=office_caltech10.CLASS_NAMES,
      image_shape=(None, None, 3),
      augmentation='crop_flip',
      licence='none stated; cite Saenko 2010, Griffin 2007 and Gong 2012',
      origin='https://faculty.cc.gatech.edu/~judy/domainadapt/ (Office) and '
             'https://www.vision.caltech.edu/datasets/ (Caltech-256)',
      manual_files=office_caltech10.MANUAL_FILES,
      paper_use=_role(domain, 'webcam'))


def _role(domain, target):
  role = 'target' if domain == target else 'source'
  return f'{role} of domain adaptation (4.4)'


TASKS = (
    *(_domainnet(domain, *sizes) for domain, sizes in _DOMAINNET.items()),
    *map(_office_caltech10, office_caltech10.DOMAINS),
)
