"""Runs: what defines one, and what it leaves in its work directory."""
