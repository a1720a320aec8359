"""Small problems for tests."""
