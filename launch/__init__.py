"""Binaries of the package: `python -m launch.<name> --flags`."""
