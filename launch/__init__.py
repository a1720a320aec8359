"""Binaries of the package: `python -m launch.<name> --flags`."""

import os

# TensorFlow takes oneDNN's kernels by itself only where the CPU has AVX-512
# VNNI; on another (Zen 3) a training step was 1.3 times as fast with them.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
