"""Units of work, connection pools and migrations."""
