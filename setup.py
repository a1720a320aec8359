"""Installs `mixture_modules`; trainers and launch run from the checkout."""

import pathlib
import runpy

import setuptools
from setuptools.command import build_py

_ROOT = pathlib.Path(__file__).parent
_TRAIN = [
    'absl-py',
    'cattrs>=24.1',
    'importlib_resources',  # tensorflow-datasets forgets to ask for it
    'matplotlib',
    'pillow',
    'requests',
    'scikit-learn',
    'tensorboard',
    'tensorflow-datasets>=4.9.10',
    'threadpoolctl',
    'tqdm',
]
_EXPORT = [  # what `launch.fold` writes and reads back
    'ai-edge-litert>=2.3',
    'onnx>=1.23',
    'onnxruntime>=1.32',
    'tf2onnx>=1.17',
]
_BENCHMARK = ['torch']  # what `launch.benchmark` compares with, besides Keras
_TEST = _TRAIN + ['pytest', 'pytest-cov', 'pytest-xdist', 'ruff>=0.17,<0.18']
_PACKAGES = ['mixture_modules', 'mixture_modules.isometric']


class BuildPackage(build_py.build_py):
  """Leaves tests out of the wheel; their fixtures are no package of it."""

  def find_package_modules(self, package, package_dir):
    return [found for found in super().find_package_modules(
        package, package_dir) if not found[1].endswith('_test')]


def _version():
  return runpy.run_path(
      str(_ROOT / 'mixture_modules' / 'version.py'))['__version__']


setuptools.setup(
    name='mixture-modules',
    version=_version(),
    description=(
        'Keras layers whose weights are mixtures of shared templates: one'
        ' small network for many tasks and domains.'
    ),
    long_description=(_ROOT / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=_PACKAGES,
    cmdclass={'build_py': BuildPackage},
    python_requires='>=3.11',  # Keras 3.15's
    install_requires=[
        'keras>=3.15,<3.16',
        'numpy',
        'safetensors>=0.6',
        'tensorflow>=2.21,<2.22',
    ],
    extras_require={'train': _TRAIN, 'test': _TEST, 'export': _EXPORT,
                    'benchmark': _BENCHMARK},
    # `build/` would be the file BUILD on file systems that ignore case.
    options={'build': {'build_base': 'dist/build'}},
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
