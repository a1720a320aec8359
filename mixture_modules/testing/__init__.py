"""Models for tests; not installed."""
