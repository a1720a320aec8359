"""Installs `mixture_modules`; trainers and launch run from the checkout."""

import pathlib
import re

import setuptools

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


def _version():
  text = (_ROOT / 'mixture_modules' / '__init__.py').read_text('utf-8')
  match = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
  if not match:
    raise RuntimeError(
        "Expected a line `__version__ = '...'` in mixture_modules/__init__.py;"
        ' received none. Add it.'
    )
  return match[1]


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
    packages=['mixture_modules'],
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
