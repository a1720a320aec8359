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


def _photographs(name, version, splits, num_classes, **kwargs):
  """Declares large photographs; names of many classes are left to TFDS."""
  return image_task.ImageTask(**{
      'name': name,
      'tfds_name': name,
      'version': version,
      'splits': splits,
      'num_classes': num_classes,
      'image_shape': (None, None, 3),
      'augmentation': 'crop_flip',
      **kwargs})


TASKS = (
    _cifar('cifar10', _CIFAR10, 'target of transfer (4.3)'),
    _cifar('cifar100', _CIFAR100, 'single-task (4.2) and multi-task (4.3)'),
    _photographs(
        'imagenet2012', '5.1.0',
        {'train': 1_281_167, 'validation': 50_000, 'test': 100_000}, 1000,
        test_split='validation',  # the test split has no labels
        licence='for non-commercial research; image-net.org has the terms',
        origin='https://image-net.org',
        manual_files='ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar '
                     '(and, for the split without labels, '
                     'ILSVRC2012_img_test.tar)',
        paper_use='deeper networks of the same size (4.2), multi-task (4.3)'),
    _photographs(
        'places365_small', '2.1.0',
        {'train': 1_803_460, 'validation': 36_500, 'test': 328_500}, 365,
        image_shape=(256, 256, 3),
        test_split='validation',  # the test split has no labels
        licence='for non-commercial research and education',
        origin='http://places2.csail.mit.edu',
        paper_use='multi-task (4.3)'),
    # Cut at random by TFDS; there are ten smaller official cuts.
    _photographs(
        'sun397', '4.0.0',
        {'train': 76_128, 'validation': 10_875, 'test': 21_750}, 397,
        tfds_name='sun397/tfds',
        validation_split='validation',
        licence='none stated; cite Xiao 2010',
        origin='https://vision.princeton.edu/projects/2010/SUN/',
        paper_use='multi-task (4.3)'),
    _photographs(
        'food101', '2.0.0', {'train': 75_750, 'validation': 25_250}, 101,
        test_split='validation',  # TFDS's name for the published test images
        licence='scientific fair use; else ask the photographers',
        origin='https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/',
        paper_use='multi-task (4.3)'),
    _photographs(
        'stanford_dogs', '0.2.0', {'train': 12_000, 'test': 8_580}, 120,
        licence='of ImageNet, whose images these are',
        origin='http://vision.stanford.edu/aditya86/ImageNetDogs/',
        paper_use='target of transfer (4.3)'),
    _photographs(
        'cars196', '2.1.0', {'train': 8_144, 'test': 8_041}, 196,
        licence='none stated; cite Krause 2013',
        origin='https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
        paper_use='target of transfer (4.3)'),
    # The shorter side has 72 pixels. Labels of the test split are -1; A.2 cuts
    # the labelled samples into 80 % and 20 %.
    _photographs(
        'aircraft', '1.2.0',
        {'train': 3_334, 'validation': 3_333, 'test': 3_333}, 100,
        tfds_name='visual_domain_decathlon/aircraft',
        train_split='train+validation',
        test_split=None,
        licence='non-commercial research only; cite Maji 2013',
        origin='https://www.robots.ox.ac.uk/~vgg/decathlon/',
        paper_use='target of transfer (4.3)'),
)
