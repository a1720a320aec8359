"""Declarations: data sets of natural images (sections 4.2 and 4.3)."""

from trainers.data import image_task

_CIFAR10 = (
    'airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse',
    'ship', 'truck')

_CIFAR100 = (
    'apple', 'aquarium_fish', 'baby', 'bear', 'beaver', 'bed', 'bee',
    'beetle', 'bicycle', 'bottle', 'bowl', 'boy', 'bridge', 'bus',
    'butterfly', 'camel', 'can', 'castle', 'caterpillar', 'cattle', 'chair',
    'chimpanzee', 'clock', 'cloud', 'cockroach', 'couch', 'crab',
    'crocodile', 'cup', 'dinosaur', 'dolphin', 'elephant', 'flatfish',
    'forest', 'fox', 'girl', 'hamster', 'house', 'kangaroo', 'keyboard',
    'lamp', 'lawn_mower', 'leopard', 'lion', 'lizard', 'lobster', 'man',
    'maple_tree', 'motorcycle', 'mountain', 'mouse', 'mushroom', 'oak_tree',
    'orange', 'orchid', 'otter', 'palm_tree', 'pear', 'pickup_truck',
    'pine_tree', 'plain', 'plate', 'poppy', 'porcupine', 'possum', 'rabbit',
    'raccoon', 'ray', 'road', 'rocket', 'rose', 'sea', 'seal', 'shark',
    'shrew', 'skunk', 'skyscraper', 'snail', 'snake', 'spider', 'squirrel',
    'streetcar', 'sunflower', 'sweet_pepper', 'table', 'tank', 'telephone',
    'television', 'tiger', 'tractor', 'train', 'trout', 'tulip', 'turtle',
    'wardrobe', 'whale', 'willow_tree', 'wolf', 'woman', 'worm')


def _cifar(name, class_names, paper_use):
  return image_task.ImageTask(
      name=name,
      tfds_name=name,
      version='3.0.2',
      splits={'train': 50_000, 'test': 10_000},
      num_classes=len(class_names),
      class_names=class_names,
      image_shape=(32, 32, 3),
      augmentation='shift_flip',
      licence='none stated; cite Krizhevsky 2009',
      origin='https://www.cs.toronto.edu/~kriz/cifar.html',
      paper_use=paper_use)


_IMAGENET2012 = image_task.ImageTask(
    name='imagenet2012',
    tfds_name='imagenet2012',
    version='5.1.0',
    splits={'train': 1_281_167, 'validation': 50_000, 'test': 100_000},
    num_classes=1000,
    image_shape=(None, None, 3),
    test_split='validation',  # the test split has no labels
    augmentation='shift_flip',
    licence='for non-commercial research; image-net.org has the terms',
    origin='https://image-net.org',
    paper_use='deeper networks of the same size (4.2), multi-task (4.3)')


TASKS = (
    _cifar('cifar10', _CIFAR10, 'target of transfer (4.3)'),
    _cifar('cifar100', _CIFAR100, 'single-task (4.2) and multi-task (4.3)'),
    _IMAGENET2012,
)

GROUPS = {}
