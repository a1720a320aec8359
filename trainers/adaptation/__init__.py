"""Adaptation to a domain without labels (sections 4.4 and D)."""
