"""Declarations: data sets of digits and characters (4.3, 4.4, Figure 2b)."""

import string

from trainers.data import image_task
from trainers.data.datasets import optdigits
from trainers.data.datasets import usps

_DIGITS = tuple(string.digits)
_MNIST_SPLITS = {'train': 60_000, 'test': 10_000}
_MNIST_SHAPE = (28, 28, 1)

# Pairs of upper and lower case that look alike share a class in these.
_MERGED = tuple(string.digits + string.ascii_uppercase + 'abdefghnqrt')

# The fifteen corruptions of MNIST-C, and none ("identity").
CORRUPTIONS = (
    'identity', 'shot_noise', 'impulse_noise', 'glass_blur', 'motion_blur',
    'shear', 'scale', 'rotate', 'brightness', 'translate', 'stripe', 'fog',
    'spatter', 'dotted_line', 'zigzag', 'canny_edges')

# Configuration -> (train examples, test examples, classes), as TFDS has them.
_EMNIST = {
    'byclass': (697_932, 116_323, _DIGITS + tuple(
        string.ascii_uppercase + string.ascii_lowercase)),
    'bymerge': (697_932, 116_323, _MERGED),
    'balanced': (112_800, 18_800, _MERGED),
    'letters': (88_800, 14_800, tuple(string.ascii_uppercase)),
    'digits': (240_000, 40_000, _DIGITS),
    'mnist': (60_000, 10_000, _DIGITS),
}


def _mnist_like(name, version, class_names, **kwargs):
  return image_task.ImageTask(**{
      'name': name,
      'tfds_name': name,
      'version': version,
      'splits': _MNIST_SPLITS,
      'num_classes': len(class_names),
      'class_names': class_names,
      'image_shape': _MNIST_SHAPE,
      'augmentation': 'shift',
      **kwargs})


def _emnist(config, train, test, class_names):
  # TFDS declares 37 classes for `letters`; labels 1 to 26 occur.
  return _mnist_like(
      f'emnist/{config}', '3.1.0', class_names,
      splits={'train': train, 'test': test},
      transpose=True,
      label_offset=1 if config == 'letters' else 0,
      licence='none stated (from NIST Special Database 19)',
      origin='https://www.nist.gov/itl/products-and-services/emnist-dataset',
      paper_use='transfer (4.3); plain, boundary and blurred in Figure 2b')


def _corrupted(corruption):
  source = corruption in ('shear', 'scale', 'shot_noise')
  return _mnist_like(
      f'mnist_corrupted/{corruption}', '1.0.0', _DIGITS,
      licence='CC BY 4.0',
      origin='https://github.com/google-research/mnist-c',
      paper_use='source domain of the digit tasks (4.4)' if source else '')


def _usps(name, **kwargs):
  return _mnist_like(
      name, usps.VERSION, _DIGITS,
      tfds_name='usps',
      splits=usps.SPLITS,
      image_shape=(16, 16, 1),
      licence='none stated; cite Hull 1994',
      origin='https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/',
      **kwargs)


TASKS = (
    # The digits fill their 8 x 8 frame; with two pixels around them they take
    # up two thirds of it, about as MNIST's do (20 of 28).
    _mnist_like(
        'optdigits', optdigits.VERSION, _DIGITS,
        splits={'train': 1_437, 'test': 360},
        image_shape=(8, 8, 1),
        pad=2,
        licence='CC BY 4.0 (UCI Machine Learning Repository)',
        origin='bundled with scikit-learn; prepared at first use'),
    _mnist_like(
        'mnist', '3.0.1', _DIGITS,
        licence='CC BY-SA 3.0',
        origin='http://yann.lecun.com/exdb/mnist/',
        paper_use='source domain (4.4); Figure 2b'),
    _mnist_like(
        'kmnist', '3.0.1',
        ('o', 'ki', 'su', 'tsu', 'na', 'ha', 'ma', 'ya', 're', 'wo'),
        licence='CC BY-SA 4.0',
        origin='http://codh.rois.ac.jp/kmnist/index.html.en',
        paper_use='plain, boundary and blurred in Figure 2b'),
    _mnist_like(
        'fashion_mnist', '3.0.1',
        ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal',
         'Shirt', 'Sneaker', 'Bag', 'Ankle boot'),
        augmentation='shift_flip',
        licence='MIT',
        origin='https://github.com/zalandoresearch/fashion-mnist'),
    *(_emnist(config, *facts) for config, facts in _EMNIST.items()),
    *(_corrupted(corruption) for corruption in CORRUPTIONS),
    image_task.ImageTask(
        name='svhn_cropped',
        tfds_name='svhn_cropped',
        version='3.1.0',
        splits={'train': 73_257, 'test': 26_032, 'extra': 531_131},
        num_classes=10,
        class_names=_DIGITS,
        image_shape=(32, 32, 3),
        augmentation='shift',
        licence='non-commercial use only',
        origin='http://ufldl.stanford.edu/housenumbers/',
        paper_use='source domain of the digit tasks (4.4)'),
    # The digits fill their 16 x 16 frame, MNIST's 20 of 28 pixels: with
    # 16 * 4 / 20 pixels around them they are as large as those.
    _usps(
        'usps', pad=3, paper_use='target domain of the digit tasks (4.4)'),
    # As stored, digits are larger than the sources': a shift to adapt to.
    _usps('usps_unpadded', pad=0),
)
