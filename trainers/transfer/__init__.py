"""A new task on a trained bank (sections 4.3 and C)."""
