"""The paper's tables: rows, runs, text."""
