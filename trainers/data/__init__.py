"""Image tasks by name, and the one pipeline that reads them (section 4)."""
