"""Declarations of data sets, and builders of those that TFDS lacks."""
