"""Command processes and made-up records for tests."""
